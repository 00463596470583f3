"""A finished reproduction on disk: tables, figures, one page."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from tauscope.errors import DamagedFileError, InputError
from tauscope.jobs.pool import reason
from tauscope.measurements import MEASUREMENTS
from tauscope.papers.reproduce.judging import HEADING, Judged, claim_rows, judge
from tauscope.papers.reproduce.planning import Plan
from tauscope.papers.vocabulary import PaperFigure, Results, Trained
from tauscope.runs.files import require_writable, write_atomically
from tauscope.runs.folder import read_json

CLAIMS, PAGE, MARKDOWN = "claims.json", "index.html", "claims.md"
TABLES = ("claims.csv", "networks.csv", "measurements.csv", "training.csv")


@dataclass(frozen=True)
class Reproduced:
    """All that a reproduction came to.

    Attributes
    ----------
    plan : Plan
    results : Results
    judged : list of Judged
    figures : list of (PaperFigure, bytes)
        Those that something was measured for, as PNG.
    animations : list of (PaperFigure, bytes)
        The same, as GIF.
    undrawn : dict
        Figures that could not be drawn without what is missing, by name, each with the reason.
    mistaken : dict
        Figures whose function raised what is no `InputError`, a mistake in the paper, by name, each with the reason.
    command : str
        That made it.
    environment : dict
        In which it was made; that of each session of a training is in its run folder.
    """

    plan: Plan
    results: Results
    judged: list[Judged]
    figures: list[tuple[PaperFigure, bytes]]
    animations: list[tuple[PaperFigure, bytes]]
    undrawn: dict[str, str]
    mistaken: dict[str, str]
    command: str
    environment: dict[str, Any]

    def networks(self) -> list[Trained]:
        """Return every network of every condition."""
        return [one for networks in self.results.networks.values() for one in networks]

    def failed(self) -> list[Trained]:
        """Return the networks that lack something."""
        return [one for one in self.networks() if one.missing]

    def errors(self) -> dict[str, str]:
        """Return the mistakes in the paper, by the claim or the figure that they are in."""
        claims = {f"claim {one.claim.key}": one.reason for one in self.judged if one.verdict == "error"}
        return claims | {f"figure {name}": f"cannot be drawn: {why}" for name, why in self.mistaken.items()}


def conclude(plan: Plan, results: Results, command: str, environment: dict[str, Any]) -> Reproduced:
    """Judge the claims and draw the figures.

    Parameters
    ----------
    plan : Plan
        What was done.
    results : Results
        What was found.
    command : str
        The command line.
    environment : dict
        In which it was computed.

    Returns
    -------
    Reproduced
        Nothing is written.
    """
    drawn, undrawn, mistaken = dict[str, bytes](), dict[str, str](), dict[str, str]()
    for figure in (*plan.paper.figures, *plan.paper.animations):
        try:
            content = _rendered(figure.draw(results))
        except InputError as error:
            undrawn[figure.name] = str(error)
            continue
        except Exception as error:  # a mistake in the paper must not cost hours of training: the others are drawn
            mistaken[figure.name] = reason(error)
            continue
        if content is not None:
            drawn[figure.name] = content
    figures, animations = (
        [(one, drawn[one.name]) for one in several if one.name in drawn]
        for several in (plan.paper.figures, plan.paper.animations)
    )
    judged = judge(plan.paper, plan.scale, results)
    return Reproduced(plan, results, judged, figures, animations, undrawn, mistaken, command, environment)


def _rendered(drawn: Figure | FuncAnimation | None) -> bytes | None:
    """Return a figure as PNG, an animation as GIF."""
    if isinstance(drawn, FuncAnimation):
        # It can only be written to a file.
        with tempfile.TemporaryDirectory() as folder:
            drawn.save(Path(folder, "animation.gif"), writer="pillow", dpi=100)
            return Path(folder, "animation.gif").read_bytes()
    if drawn is None:
        return None
    content = io.BytesIO()
    drawn.savefig(content, format="png", dpi=200, metadata={"Software": None})
    return content.getvalue()


def require_own(folder: Path, plan: Plan) -> None:
    """Refuse a folder for results that holds something else.

    Raises
    ------
    InputError
        If it holds another reproduction, or files of these names that are none, or cannot be written.
    """
    require_writable(folder)
    if not (folder / CLAIMS).exists():
        foreign = [name for name in (PAGE, MARKDOWN, *TABLES) if (folder / name).exists()]
        if foreign:
            raise InputError(f"{folder} holds {foreign[0]} but no {CLAIMS}: expected another --output")
        return
    try:
        there = read_json(folder / CLAIMS)
        same = {key: there[key] for key in _identity(plan)} == _identity(plan)
    except (DamagedFileError, LookupError, TypeError):
        same = False
    if not same:
        raise InputError(
            f"{folder} holds the results of another reproduction: expected another --output; it is unchanged"
        )


def write_results(reproduced: Reproduced, folder: Path, page: str) -> None:
    """Write all tables, figures and the page.

    Parameters
    ----------
    reproduced : Reproduced
        From `conclude`.
    folder : Path
        Made if it does not exist.
    page : str
        From `tauscope.report.claims_page.claims_page`.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; expected a writable --output") from error
    # First, because it says whose the folder is.
    write_atomically(folder / CLAIMS, (json.dumps(_claims(reproduced), indent=2, ensure_ascii=False) + "\n").encode())
    tables = (_claims_table, _networks_table, _measurements_table, _training_table)
    for name, table in zip(TABLES, tables, strict=True):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(table(reproduced))
        write_atomically(folder / name, text.getvalue().encode())
    for figure, content in reproduced.figures:
        write_atomically(folder / f"{figure.name}.png", content)
    for figure, content in reproduced.animations:
        write_atomically(folder / f"{figure.name}.gif", content)
    drawn = {figure.name for figure, _ in reproduced.figures}
    for figure in reproduced.plan.paper.figures:
        if figure.name not in drawn:
            (folder / f"{figure.name}.png").unlink(missing_ok=True)
    write_atomically(folder / MARKDOWN, markdown(HEADING, claim_rows(reproduced.judged)).encode())
    write_atomically(folder / PAGE, page.encode(errors="replace"))


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table in Markdown; rows whose first cell is not empty are headings, told by their first and last cells.

    Examples
    --------
    >>> print(markdown(("claim", "n"), [("C1", "a|b"), ("", "c")]), end="")
    | claim | n |
    |---|---|
    | **C1** | **a\|b** |
    |  | c |
    """
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading)]
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        if cells[0]:
            cells[0], cells[-1] = f"**{cells[0]}**", f"**{cells[-1]}**"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _identity(plan: Plan) -> dict[str, Any]:
    """Return what makes a reproduction another one, as `claims.json` says it."""
    return {"paper": plan.paper.name, "scale": plan.scale.name, "cell": plan.choice.cell, "task": plan.choice.task}


def _claims(reproduced: Reproduced) -> dict[str, Any]:
    plan = reproduced.plan
    return {
        **_identity(plan),
        "title": plan.paper.title,
        "authors": plan.paper.authors,
        "reference": plan.paper.reference,
        "command": reproduced.command,
        "environment": reproduced.environment,
        "cost": plan.scale.cost,
        "conditions": {
            one.name: {"label": one.label, "left_out": plan.left_out[one.name]}
            if one.name in plan.left_out
            else {"label": one.label, "networks": len(reproduced.results.networks[one.name])}
            for one in plan.paper.conditions
        },
        "claims": [
            {
                "key": one.claim.key,
                "statement": one.claim.statement,
                "where": one.claim.where,
                "verdict": one.verdict,
                "reason": one.reason,
                "findings": [asdict(finding) for finding in one.findings],
            }
            for one in reproduced.judged
        ],
        "missing": {f"{one.condition} {one.network}": one.missing for one in reproduced.failed()}
        | {f"study {name}": why for name, why in reproduced.results.failed_studies.items()},
        "undrawn": reproduced.undrawn,
        "errors": reproduced.errors(),
    }


def _claims_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield ("claim", "statement", "where", "claim_verdict", "reason",
           "inequality", "published", "ours", "n", "effect", "verdict")  # fmt: skip
    for one in reproduced.judged:
        claim = (one.claim.key, one.claim.statement, one.claim.where, one.verdict, one.reason)
        for finding in one.findings:
            yield (
                *claim,
                finding.statement,
                finding.published,
                finding.ours,
                finding.n,
                finding.effect,
                finding.verdict,
            )
        if not one.findings:
            yield (*claim, "", "", "", "", "", "")


def _networks_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield "condition", "network", "run", "seed", "epochs", "largest_N_solved", "seconds", "missing"
    planned = {number: one for one in reproduced.plan.networks for number in one.numbers}
    for one in reproduced.networks():
        config = planned[one.condition, one.network].config
        seconds = f"{sum(record['seconds'] for record in one.history):.1f}"
        solved = one.solved if one.history else ""
        yield one.condition, one.network, config.name, config.seed, len(one.history), solved, seconds, one.missing


def _measurements_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield "condition", "network", "N", "measurement", "quantity", "value"
    known = MEASUREMENTS | dict(reproduced.plan.paper.measurements)
    for one in reproduced.networks():
        for (what, N), dataset in sorted(one.measured.items()):
            for quantity, value in known[what].numbers(dataset).items():
                yield one.condition, one.network, N, what, quantity, value


def _training_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    metrics = list(dict.fromkeys(one.config.template().metric for one in reproduced.plan.networks))
    yield "condition", "network", "epoch", "N", "loss", *metrics
    for one in reproduced.networks():
        for record in one.history:
            newest = record["loss"], *(record.get(metric, [""])[-1] for metric in metrics)
            yield one.condition, one.network, record["epoch"], record.get("Ns", [record["stage"]])[-1], *newest
