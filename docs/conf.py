"""Configuration of the documentation: make docs."""

from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ConfigError

import tauscope

project = "tauscope"
author = "The tauscope developers"
version = release = tauscope.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
default_role = "py:obj"
highlight_language = "python"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say types with their shapes
autosummary_generate = False
numpydoc_show_class_members = False  # autodoc lists them with their docstrings

html_theme = "furo"
html_title = f"tauscope {release}"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"

_listed = (Path(__file__).parent / "api.rst").read_text().split()
_missing = sorted(set(tauscope.__all__) - set(_listed))
if _missing:
    raise ConfigError(f"api.rst does not list the public name {_missing[0]}: expected all of tauscope.__all__")


def inline_math(translator, node):
    """Write an equation as MathML, which browsers draw without a script from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_math(translator, node):
    """Write an equation on a line of its own."""
    translator.body.append(f'<div style="overflow-x: auto">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer of equations."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
