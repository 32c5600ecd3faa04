"""The generator of the site: from the data of the repository to Markdown, which Sphinx makes into HTML.

In the order of the work: ``sources`` reads the data, one module per kind of page turns it into text, ``tree`` puts the
pages and the plain documents of the repository into one folder, ``build`` lets Sphinx make HTML of it, and ``links``
looks whether every link of that leads somewhere.  Between reading and writing everything is a pure function.
"""
