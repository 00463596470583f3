"""The page of a reproduction: the paper's claims beside our numbers, figures, and missing results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tauscope._words import count
from tauscope.papers.reproduce.judging import HEADING, MARKS
from tauscope.papers.reproduce.output import CLAIMS, MARKDOWN, TABLES, Reproduced
from tauscope.report.parts import Link, Picture, Problem, Table, picture, render


def claims_page(reproduced: Reproduced) -> str:
    """Return a self-contained HTML page of a reproduction.

    Parameters
    ----------
    reproduced : Reproduced
        Reproduction from `tauscope.papers.reproduce.output.conclude`.

    Returns
    -------
    str
        The page, with links to the files that `tauscope.papers.reproduce.output.write_results` writes beside it.
    """
    from tauscope._version import __version__

    plan = reproduced.plan
    named = {condition.name: condition.label for condition in plan.paper.conditions}
    environment = [(name.replace("_", " "), str(value)) for name, value in reproduced.environment.items()]
    files = [CLAIMS, MARKDOWN, *TABLES, *(f"{figure.name}.png" for figure, _ in reproduced.figures)]
    return render(
        "claims.html",
        generator=f"tauscope reproduce {__version__}",
        title=plan.paper.title,
        authors=plan.paper.authors,
        reference=plan.paper.reference,
        scale=plan.scale.name,
        facts=_facts(reproduced),
        command=reproduced.command,
        problems=_problems(reproduced),
        heading=HEADING,
        marks=MARKS,
        claims=reproduced.judged,
        pictures=_pictures(reproduced),
        networks=_networks(reproduced),
        left_out=Table(("condition", "reason"), [(named[name], why) for name, why in plan.left_out.items()]),
        environment=Table(("", "value"), environment),
        files=[Link(name, name) for name in files],
    )


def _facts(reproduced: Reproduced) -> list[tuple[str, str]]:
    plan, verdicts = reproduced.plan, Counter(judged.verdict for judged in reproduced.judged)
    options = {**plan.scale.options, **plan.choice.options()}
    return [
        ("Claims", ", ".join(f"{n} {verdict}" for verdict in MARKS if (n := verdicts[verdict]))),
        ("Scale", f"{plan.scale.name}: {plan.scale.cost}"),
        ("Every network", ", ".join(f"{name} {value}" for name, value in options.items())),
    ]


def _problems(reproduced: Reproduced) -> list[Problem]:
    label = reproduced.results.label
    networks = [
        Problem(f"{label(network.condition)}, network {network.network}", network.missing)
        for network in reproduced.failed()
    ]
    undrawn = [Problem(f"{name}.png", f"cannot be drawn: {why}") for name, why in reproduced.undrawn.items()]
    return (
        networks
        + [Problem(f"study {name}", why) for name, why in reproduced.results.failed_studies.items()]
        + undrawn
        + [Problem(name, why) for name, why in reproduced.errors().items()]
    )


def _pictures(reproduced: Reproduced) -> Sequence[Picture]:
    shown = [
        picture(content, f"{figure.name.replace('_', ' ')}: {figure.caption.partition('. ')[0]}", figure.caption)
        for figure, content in reproduced.figures
    ]
    return [image for image in shown if image is not None]


def _networks(reproduced: Reproduced) -> Table:
    """Return a row for each condition: its number of networks, and their largest N and epochs."""
    rows = []
    for name, networks in reproduced.results.networks.items():
        trained = [network for network in networks if network.history]
        rows.append(
            (
                reproduced.results.labels[name],
                count(len(trained), "network") + (f" of {len(networks)}" if len(trained) < len(networks) else ""),
                ", ".join(str(network.solved) for network in trained),
                ", ".join(str(len(network.history)) for network in trained),
            )
        )
    return Table(("condition", "trained", "largest N solved", "epochs"), rows)
