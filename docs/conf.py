"""Configuration of the documentation: make docs."""

import re
import sys
from pathlib import Path

import torch
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ConfigError

import tauscope

sys.path.insert(0, str(Path(__file__).parent))  # for the two modules of this folder

project = "tauscope"
author = "The tauscope developers"
version = release = tauscope.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "paper_tables",
    "myst_parser",
]
exclude_patterns = ["_build", "examples", "results/**/claims.md"]
default_role = "py:obj"
highlight_language = "python"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say types with their shapes
autosummary_generate = False
numpydoc_show_class_members = False  # autodoc lists them with their docstrings

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"tauscope {release}"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"

# The gallery's pages show numbers, which must not depend on how many processors the machine has.
torch.set_num_threads(1)
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",  # the first page's thumbnails need it
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_support.position",
    "image_scrapers": ("gallery_support.save_figures",),
    "capture_repr": (),
    "reset_modules": (),
    "run_stale_examples": True,  # an example that did not change still shows whether the package works
    "abort_on_example_error": True,
    "notebook_extensions": set(),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

_listed = re.findall(r"\w+", (Path(__file__).parent / "api.rst").read_text())
_missing = sorted(set(tauscope.__all__) - {"__version__", *_listed})
if _missing:
    raise ConfigError(f"api.rst does not list the public name {_missing[0]}: expected all of tauscope.__all__")


def inline_math(translator, node):
    """Write an equation as MathML, which browsers draw without a script from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_math(translator, node):
    """Write an equation on a line of its own."""
    translator.body.append(f'<div class="equation">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer of equations."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
