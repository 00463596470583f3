"""What packages hand on: imported when it is asked for, and known to type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import tauscope as ts
from tauscope.models import CELLS, ELEMENTWISE, GATED, SECOND_ORDER
from tauscope.models.build import CONTINUOUS, DECAYING, SPIKING
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.names import ACTIVATION_NAMES
from tauscope.papers import PAPERS, paper
from tauscope.papers.vocabulary import SCALES

LAZY = ("tauscope", "tauscope.models", "tauscope.measurements", "tauscope.report")


def imported(package: str) -> dict[str, str]:
    """Return what a type checker sees a package import, and from where."""
    tree = ast.parse(inspect.getsource(importlib.import_module(package)))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for name in node.names:
            found[name.name] = f"{node.module}"
    return found


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_what_a_type_checker_takes_it_for(package: str) -> None:
    module = importlib.import_module(package)
    assert set(imported(package)) <= set(module.__all__) <= set(dir(module))
    for name, home in imported(package).items():
        there = importlib.import_module(home)
        # A module that is handed on is found by its own name.
        expected = getattr(there, name, None) or importlib.import_module(f"{home}.{name}")
        assert getattr(module, name) is expected, name


@pytest.mark.parametrize("package", LAZY)
def test_a_fresh_process_imports_what_is_asked_for_alone(package: str) -> None:
    program = f"""
import sys, {package} as package
assert not {{"torch", "pandas", "scipy", "matplotlib"}} & set(sys.modules)
assert set(package.__all__) <= set(dir(package))
from {package} import *
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tauscope' has no attribute 'trian'"):
        _ = ts.trian  # type: ignore[attr-defined]


def test_a_function_of_the_analyses_is_no_module_of_its_name() -> None:
    importlib.import_module("tauscope.analysis.timescales")
    assert callable(ts.analysis.timescales)
    assert callable(ts.analysis.balance)


def test_names_that_are_known_without_torch_are_those_of_the_registries() -> None:
    assert tuple(ACTIVATIONS) == ACTIVATION_NAMES
    assert ("leaky", *GATED, *CONTINUOUS, *SECOND_ORDER, *DECAYING, *ELEMENTWISE, *SPIKING) == CELLS
    for name in PAPERS:
        assert set(paper(name).scales) <= set(SCALES)
