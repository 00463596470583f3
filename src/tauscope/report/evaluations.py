"""The page's evaluations: the tables and figures that ``tauscope evaluate`` wrote beside a run."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tauscope.report.parts import Link, Picture, Problem, Table, link, picture

_BY_HEAD = "_all_heads"


@dataclass(frozen=True)
class Evaluation:
    """The accuracy of a checkpoint for every N."""

    title: str
    accuracy: Table
    pictures: list[Picture]
    links: list[Link]


def read_evaluations(folders: Iterable[Path], page: Path) -> tuple[list[Evaluation], list[Problem]]:
    """Read the evaluations in some folders.

    Parameters
    ----------
    folders : iterable of Path
        Absolute paths of folders to search.
    page : Path
        Absolute path of the page's folder.

    Returns
    -------
    evaluations : list of Evaluation
    problems : list of Problem
        Tables that could not be read.
    """
    evaluations, problems = [], []
    for path in sorted({path for folder in folders for path in folder.glob("evaluation_*.csv")}):
        try:
            evaluations.append(_read(path, page))
        except (OSError, LookupError, ValueError) as error:
            problems.append(Problem(path.name, f"is not a table of tauscope evaluate: {error!r}"))
    return evaluations, problems


def _read(path: Path, page: Path) -> Evaluation:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    checkpoint = path.stem.removeprefix("evaluation_").removesuffix(_BY_HEAD)
    by_head = path.stem.endswith(_BY_HEAD)
    what = "of every head on each N" if by_head else "for each N by its own head, with 95 % intervals"
    caption = f"Accuracy {what}. 1 network; the number of sequences is in the figure."
    figure = path.with_suffix(".png")
    shown = picture(figure.read_bytes(), f"Accuracy of {checkpoint} {what}", caption) if figure.is_file() else None
    return Evaluation(
        title=f"{checkpoint}, {'all heads' if by_head else 'own heads'}",
        accuracy=_matrix(rows) if by_head else _list(rows),
        pictures=[shown] if shown else [],
        links=[link(file, page) for file in (path, figure) if file.is_file()],
    )


def _list(rows: list[dict[str, str]]) -> Table:
    shown = []
    for row in rows:
        known = row["accuracy"] != ""
        interval = f"{float(row['low']):.3f} - {float(row['high']):.3f}" if known else ""
        accuracy = f"{float(row['accuracy']):.3f}" if known else "no head"
        shown.append((row["N"], accuracy, interval, f"{float(row['chance']):.3f}"))
    return Table(("N", "accuracy", "95 % interval", "chance"), shown)


def _matrix(rows: list[dict[str, str]]) -> Table:
    """Return the accuracy of every head (row) on every N (column)."""
    Ns = list(dict.fromkeys(row["N"] for row in rows))
    heads = list(dict.fromkeys(row["head"] for row in rows))
    accuracy = {(row["head"], row["N"]): f"{float(row['accuracy']):.2f}" for row in rows}
    return Table(
        ("head", *(f"N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{N}" for N in Ns)),
        [(head, *(accuracy[head, N] for N in Ns)) for head in heads],
    )
