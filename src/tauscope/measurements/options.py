"""The options of every measurement, as its functions declare them, read from the source without importing it.

A command line that lists or misspells an option is answered at once, where importing the functions would take seconds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tauscope.measurements.registry import MEASUREMENTS

# What the network, its task or the seed of the measurement decides.
_DECIDED = ("repeat", "plus_minus", "seed", "Ns")
_PLAIN = re.compile(r"((int|float|bool|str|Sequence\[(int|float|str)\]|tuple\[int, \.\.\.\]|None)( \| )?)+")


@dataclass(frozen=True)
class Option:
    """One option of a measurement.

    Attributes
    ----------
    name : str
    kind : str
        Its annotation, such as ``"int | None"``.
    default : str
        Empty where it has none that can be put in a few words.
    help : str
        What it is.
    """

    name: str
    kind: str
    default: str
    help: str


@cache
def options_of(measurement: str) -> dict[str, Option]:
    """Return the options of a measurement by their names; the first function that knows an option explains it.

    Parameters
    ----------
    measurement : str
        Key of `tauscope.measurements.MEASUREMENTS`.

    Examples
    --------
    >>> options_of("lyapunov")["n_exponents"]
    Option(name='n_exponents', kind='int', default='10', help='Number of exponents; fewer in a network of fewer states.')
    """
    known: dict[str, Option] = {}
    listed = MEASUREMENTS[measurement]
    for source in (listed.measure.where, *listed.hands_on):
        module, name = source.split(":")
        for option in _declared(module, name):
            known.setdefault(option.name, option)
    return known


@cache
def _tree(module: str) -> ast.Module:
    """Return the syntax tree of a module of this package."""
    path = files("tauscope").joinpath(*module.split(".")[:-1], module.split(".")[-1] + ".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def _declared(module: str, name: str) -> Iterator[Option]:
    """Yield the keywords with a default and a plain type that a function or dataclass declares."""
    definition = next(
        node for node in _tree(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    )
    texts = _explained(ast.get_docstring(definition) or "")
    for keyword, annotation, default in _keywords(definition):
        kind = ast.unparse(annotation)
        if default is not None and keyword not in _DECIDED and _PLAIN.fullmatch(kind):
            yield Option(keyword, kind, _constant(module, default), texts.get(keyword, ""))


def _keywords(definition: ast.FunctionDef | ast.ClassDef) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Yield name, annotation and default of every argument of a function or field of a dataclass."""
    if isinstance(definition, ast.ClassDef):
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, node.annotation, node.value
        return
    given = definition.args
    defaults = [*([None] * (len(given.args) - len(given.defaults))), *given.defaults, *given.kw_defaults]
    for argument, default in zip([*given.args, *given.kwonlyargs], defaults, strict=True):
        if argument.annotation is not None:
            yield argument.arg, argument.annotation, default


def _explained(docstring: str) -> dict[str, str]:
    r"""Return what a numpydoc docstring says of each parameter or attribute.

    Examples
    --------
    >>> _explained("Run.\n\nParameters\n----------\nn, m : int\n    Numbers\n    of runs.\n")
    {'n': 'Numbers of runs.', 'm': 'Numbers of runs.'}
    """
    texts = dict[str, str]()
    for names, text in re.findall(r"^(\w+(?:, \w+)*) : .*\n((?: {4,}.*\n?)+)", docstring, re.MULTILINE):
        texts |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("`", ""))
    return texts


def _constant(module: str, value: ast.expr) -> str:
    """Return a literal default, or the literal that a name stands for, as text; empty for None and what is computed."""
    if isinstance(value, ast.Constant):
        return "" if value.value is None else str(value.value)
    if isinstance(value, ast.Tuple) and all(isinstance(element, ast.Constant) for element in value.elts):
        return ",".join(ast.unparse(element).strip("'") for element in value.elts)
    if isinstance(value, ast.Name):
        for node in _tree(module).body:
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == value.id for target in node.targets):
                return _constant(module, node.value)
            if isinstance(node, ast.ImportFrom) and value.id in {alias.name for alias in node.names}:
                return _constant(str(node.module).removeprefix("tauscope."), value)
    return ""
