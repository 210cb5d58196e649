"""Settings of Sphinx."""

from importlib.metadata import version as version_of

project = "fdmo"
author = "the fdmo authors"
project_copyright = "the fdmo authors"
version = release = version_of("fdmo")

extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "examples"]

html_theme = "furo"
html_title = f"fdmo {release}"
