"""How Sphinx makes HTML of the pages that ``docs/site`` has written; ``scripts/site`` calls it."""

from __future__ import annotations

from importlib.metadata import version as installed_version

from sphinx.application import Sphinx

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
autodoc_default_options = {"no-value": True}
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


def setup(app: Sphinx) -> None:
    """Let indented examples in docstrings be code, which they are to whoever reads the source."""
    app.connect(
        "autodoc-process-docstring", _mark_examples, priority=100
    )  # before napoleon turns it into fields


def _mark_examples(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    for number in range(len(lines) - 1, 1, -1):
        before, blank, line = lines[number - 2 : number + 1]
        begins = not blank and line.startswith("    ") and not before.startswith(" ")
        if begins and before and not before.endswith("::"):
            lines[number - 1 : number] = ["", ".. code-block:: python", ""]
