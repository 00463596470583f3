"""The directive ``paper-table``: tables made from a paper's module, so that the pages agree with the module.

``.. paper-table:: emergent-timescales claims`` shows the paper's claims; ``conditions``, ``measures``, ``scales`` and
``figures`` are the other tables, and ``results`` shows the claims table of the committed reproduction in ``results/``;
``.. paper-table:: emergent-timescales results standard`` that of its folder ``standard``.
``.. papers::`` shows every paper that was reproduced, with a picture and the count of verdicts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from docutils import nodes
from reproductions import reproductions
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tauscope.papers import paper
from tauscope.papers.vocabulary import Paper, Scale

Rows = Iterable[tuple[str, ...]]


def _options(options: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _conditions(found: Paper, _: str) -> Rows:
    return [(condition.name, condition.label, _options(dict(condition.options))) for condition in found.conditions]


def _measures(found: Paper, _: str) -> Rows:
    labels = {condition.name: condition.label for condition in found.conditions}
    where = {"each": "several N", "last": "largest N"}
    return [
        (measure.what, "; ".join(labels[name] for name in measure.conditions), where[measure.at])
        for measure in found.measures
    ]


def _scales(found: Paper, _: str) -> Rows:
    for scale in found.scales.values():
        left_out = sum(options is None for options in scale.by_condition.values())
        trained = f"{len(found.conditions) - left_out} of {len(found.conditions)}"
        reasons = dict.fromkeys(scale.out_of_reach.values())
        beyond = "; ".join(
            f"{', '.join(key for key, why in scale.out_of_reach.items() if why == reason)}: {reason}"
            for reason in reasons
        )
        yield scale.name, scale.cost, trained, _networks(scale, found), beyond or "none"


def _networks(scale: Scale, found: Paper) -> str:
    """Return how many networks a condition has, from the fewest to the most."""
    trained = [
        condition.name for condition in found.conditions if scale.by_condition.get(condition.name, {}) is not None
    ]
    numbers = {len(scale.each.get(name, ())) or scale.networks for name in trained}
    return " to ".join(map(str, sorted({min(numbers), max(numbers)})))


def _claims(found: Paper, _: str) -> Rows:
    return [(claim.key, claim.statement, claim.where) for claim in found.claims]


def _figures(found: Paper, _: str) -> Rows:
    return [(f"{figure.name}.png", figure.caption) for figure in found.figures]


def _results(found: Paper, folder: str) -> Rows:
    with (Path(__file__).parent / "results" / found.name / folder / "claims.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            effect = row["effect"] or row["reason"]
            yield row["claim"], row["inequality"], row["published"], row["ours"], row["n"], effect, row["verdict"]


TABLES: dict[str, tuple[tuple[str, ...], tuple[int, ...], Callable[[Paper, str], Rows]]] = {
    "conditions": (("condition", "label", "options"), (20, 35, 45), _conditions),
    "measures": (("measurement", "conditions", "at"), (25, 60, 15), _measures),
    "scales": (
        ("scale", "cost", "conditions", "networks of each", "claims out of reach"), (10, 40, 12, 12, 26), _scales
    ),
    "claims": (("claim", "statement", "where in the paper"), (8, 70, 22), _claims),
    "figures": (("file", "what it shows"), (32, 68), _figures),
    "results": (
        ("claim", "inequality", "paper", "ours", "n", "effect, 95 % interval", "verdict"),
        (6, 28, 18, 14, 6, 18, 10), _results
    ),
}  # fmt: skip


class PaperTable(SphinxDirective):
    """A table of a paper's module."""

    required_arguments = 2
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name, what, folder = (*self.arguments, "")[:3]
        heading, widths, rows = TABLES[what]
        group = nodes.tgroup(cols=len(heading))
        group += [nodes.colspec(colwidth=width) for width in widths]
        group += nodes.thead("", _row(heading))
        group += nodes.tbody("", *(_row(row) for row in rows(paper(name), folder)))
        return [nodes.table("", group, classes=["colwidths-given"])]


class Papers(SphinxDirective):
    """All papers that were reproduced, each in a box."""

    def run(self) -> list[nodes.Node]:
        """Return the boxes."""
        boxes = nodes.container(classes=["papers"])
        for entry in reproductions():
            text = f"""
.. image:: {entry.picture}
   :alt: A figure of {entry.name}
   :target: {entry.page}.html

:doc:`{entry.name} <{entry.page}>`

{entry.title}

\\{entry.citation}

**{entry.score}**
"""
            boxes += nodes.container("", *self.parse_text_to_nodes(text), classes=["paper"])
        return [boxes]


def _row(cells: tuple[str, ...]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("paper-table", PaperTable)
    app.add_directive("papers", Papers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
