"""Write a finished reproduction: tables, figures and a page."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
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
    """Results, verdicts and figures of a reproduction.

    Attributes
    ----------
    plan : Plan
    results : Results
    judged : list of Judged
    figures : list of (PaperFigure, bytes)
        Figures whose measurements were made, as PNG.
    animations : list of (PaperFigure, bytes)
        Animations whose measurements were made, as GIF.
    undrawn : dict
        Reasons why figures could not be drawn from incomplete results, by name of the figure.
    mistaken : dict
        Errors of figures whose function raised another exception than `InputError`, such as a mistake in the paper or no TeX, by name.
    command : str
        Command line of the reproduction.
    environment : dict
        Software and machine of the reproduction; run folders hold those of each training session.
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
        return [network for networks in self.results.networks.values() for network in networks]

    def failed(self) -> list[Trained]:
        """Return the networks whose training or measurement failed."""
        return [network for network in [*self.networks(), *self.published()] if network.missing]

    def published(self) -> list[Trained]:
        """Return the networks of the published code that were measured."""
        return [network for networks in self.results.published.values() for network in networks]

    def errors(self) -> dict[str, str]:
        """Return what failed beside the networks, by claim or figure: a mistake in the paper, or a figure that cannot be drawn here."""
        claims = {
            f"claim {judgement.claim.key}": judgement.reason
            for judgement in self.judged
            if judgement.verdict == "error"
        }
        return claims | {f"figure {name}": f"cannot be drawn: {why}" for name, why in self.mistaken.items()}


def conclude(plan: Plan, results: Results, command: str, environment: dict[str, Any]) -> Reproduced:
    """Judge the claims and draw the figures.

    Parameters
    ----------
    plan : Plan
        Plan that was carried out.
    results : Results
        Results of the plan.
    command : str
        Command line.
    environment : dict
        Software and machine.

    Returns
    -------
    Reproduced
        Verdicts and figures; no file is written.
    """
    drawn, undrawn, mistaken = dict[str, bytes](), dict[str, str](), dict[str, str]()
    for figure in (*plan.paper.figures, *plan.paper.animations):
        try:
            content = _rendered(figure.draw(results))
        except InputError as error:
            undrawn[figure.name] = str(error)
            continue
        except Exception as error:  # neither a mistake in the paper nor a broken TeX may cost hours of training
            mistaken[figure.name] = reason(error)
            continue
        if content is not None:
            drawn[figure.name] = content
    figures, animations = (
        [(figure, drawn[figure.name]) for figure in several if figure.name in drawn]
        for several in (plan.paper.figures, plan.paper.animations)
    )
    judged = judge(plan.paper, plan.scale, results)
    return Reproduced(plan, results, judged, figures, animations, undrawn, mistaken, command, environment)


def _rendered(drawn: Figure | FuncAnimation | None) -> bytes | None:
    """Return a figure as PNG, an animation as GIF."""
    if isinstance(drawn, FuncAnimation):
        # Matplotlib writes animations to files only.
        with tempfile.TemporaryDirectory() as folder:
            drawn.save(Path(folder, "animation.gif"), writer="pillow", dpi=100)
            return Path(folder, "animation.gif").read_bytes()
    if drawn is None:
        return None
    content = io.BytesIO()
    drawn.savefig(content, format="png", dpi=200, metadata={"Software": None})
    return content.getvalue()


def require_own(folder: Path, plan: Plan) -> None:
    """Refuse an output folder that holds other files than this reproduction's.

    Raises
    ------
    InputError
        If the folder holds another reproduction, or foreign files with the names of our results, or cannot be written.
    """
    require_writable(folder)
    if not (folder / CLAIMS).exists():
        foreign = [name for name in (PAGE, MARKDOWN, *TABLES) if (folder / name).exists()]
        if foreign:
            raise InputError(f"{folder} holds {foreign[0]} but no {CLAIMS}: expected another --output")
        return
    try:
        claims = read_json(folder / CLAIMS)
        same = {key: claims[key] for key in _identity(plan)} == _identity(plan)
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
        Output folder, made if it does not exist.
    page : str
        HTML from `tauscope.report.claims_page.claims_page`.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; expected a writable --output") from error
    # First, because `require_own` reads from this file which reproduction owns the folder.
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
    r"""Return a table in Markdown; in rows whose first cell is not empty, the first and last cells are bold.

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
    """Return the entries of `claims.json` in which two different reproductions differ."""
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
            condition.name: {"label": condition.label, "left_out": plan.left_out[condition.name]}
            if condition.name in plan.left_out
            else {"label": condition.label, "networks": len(reproduced.results.networks[condition.name])}
            for condition in plan.paper.conditions
        },
        "claims": [
            {
                "key": judgement.claim.key,
                "statement": judgement.claim.statement,
                "where": judgement.claim.where,
                "verdict": judgement.verdict,
                "reason": judgement.reason,
                "findings": [asdict(finding) for finding in judgement.findings],
            }
            for judgement in reproduced.judged
        ],
        "missing": {f"{network.condition} {network.network}": network.missing for network in reproduced.failed()}
        | {f"study {name}": why for name, why in reproduced.results.failed_studies.items()},
        "undrawn": reproduced.undrawn,
        "errors": reproduced.errors(),
    }


def _claims_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield ("claim", "statement", "where", "claim_verdict", "reason",
           "inequality", "published", "ours", "n", "effect", "verdict")  # fmt: skip
    columns = attrgetter("statement", "published", "ours", "n", "effect", "verdict")
    for judgement in reproduced.judged:
        claim = (
            judgement.claim.key,
            judgement.claim.statement,
            judgement.claim.where,
            judgement.verdict,
            judgement.reason,
        )
        for finding in judgement.findings:
            yield (*claim, *columns(finding))
        if not judgement.findings:
            yield (*claim, "", "", "", "", "", "")


def _networks_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield "condition", "network", "run", "seed", "epochs", "largest_N_solved", "seconds", "missing"
    planned = {number: network for network in reproduced.plan.networks for number in network.numbers}
    for trained in reproduced.networks():
        config = planned[trained.condition, trained.network].config
        seconds = f"{sum(record['seconds'] for record in trained.history):.1f}"
        solved = trained.solved if trained.history else ""
        yield (trained.condition, trained.network, config.name, config.seed, len(trained.history), solved, seconds,
               trained.missing)  # fmt: skip


def _measurements_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    yield "condition", "network", "N", "measurement", "quantity", "value"
    known = MEASUREMENTS | dict(reproduced.plan.paper.measurements)
    for network in [*reproduced.networks(), *reproduced.published()]:
        for (what, N), dataset in sorted(network.measured.items()):
            try:
                numbers = known[what].numbers(dataset)
            except Exception as error:  # a paper's own numbers can fail on the result of an earlier version
                numbers = {f"no numbers: {reason(error)}": float("nan")}
            for quantity, value in numbers.items():
                yield network.condition, network.network, N, what, quantity, value


def _training_table(reproduced: Reproduced) -> Iterable[Sequence[object]]:
    metrics = list(dict.fromkeys(network.config.template().metric for network in reproduced.plan.networks))
    yield "condition", "network", "epoch", "N", "loss", *metrics
    for network in reproduced.networks():
        for record in network.history:
            newest = record["loss"], *(record.get(metric, [""])[-1] for metric in metrics)
            yield network.condition, network.network, record["epoch"], record.get("Ns", [record["stage"]])[-1], *newest
