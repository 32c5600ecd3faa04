"""How Sphinx makes HTML of the pages that ``docs/site`` has written; ``scripts/site`` calls it."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "Celeriac"
author = "the maintainers of Celeriac"
project_copyright = "the maintainers of Celeriac, BSD-3-Clause"
version = release = installed_version("celeriac")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = [
    "myst.strikethrough",  # only HTML is made
]

# Names of the standard library and of modules that have no page: their inventories would have to be downloaded.
nitpick_ignore_regex = [(r"py:.*", r".*")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": False}
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Celeriac"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options: dict[str, object] = {"top_of_page_buttons": []}  # nobody edits a page where it is shown
highlight_language = "none"
smartquotes = False  # two hyphens are those of an option
pygments_style = "default"
pygments_dark_style = "monokai"
