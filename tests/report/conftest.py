"""A small run with every measurement, made once, and a reader of pages that refuses malformed ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from few import few
from tauscope import Model, Parity, TrainConfig
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.report import report_page
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.environment import environment
from tauscope.runs.published import to_published
from tauscope.runs.results import provenance, save_result
from tauscope.runs.run import Run
from trial_runs import learn_nothing, measure_trials

CONFIG = TrainConfig(num_neurons=12, seed=7, max_N=4)
CONTINUOUS = TrainConfig(num_neurons=12, model_type="continuous", duplicates=(7, 8), max_N=4)
OF_BITS = [
    name
    for name, listed in MEASUREMENTS.items()
    if not all(listed.lacks(Subject(config.model(), Parity((1,)), (2, 3), seed=0)) for config in (CONFIG, CONTINUOUS))
]
"""Measurements of a network that answers a stream of bits, or of one in continuous time."""


def add_result(run: Path, checkpoint: str, name: str, model: Model, N: int) -> Path:
    (run / "analysis").mkdir(exist_ok=True)
    path = run / "analysis" / f"{checkpoint}_{name}.nc"
    source = provenance(run / checkpoint, name, {"seed": 0}, environment("cpu"))
    subject = Subject(model, Parity((1,)), (2, N), seed=0)
    save_result(path, MEASUREMENTS[name].measure(subject, **few(name, subject)), source)
    return path


def train_nothing(base: Path, config: TrainConfig = CONFIG) -> Path:
    """Make the folder of a run of three epochs whose checkpoints hold the initial weights."""
    run = base / config.name
    with Run(run, config) as opened:
        opened.begin()
    first = {2: 2, 3: 3} if config.curriculum_type == "single" else {2: 2, 3: 2}
    records = [
        {"epoch": i, "stage": f"N{first[N]}_N{N}", "Ns": list(range(first[N], N + 1)), "loss": 0.5 / i, "accuracy": [0.99] * (N + 1 - first[N]),
         "solved": i != 2, "seconds": 1800.0, "steps_per_second": 3.0, "finished": False}
        for i, N in enumerate([2, 3, 3], 1)
    ]  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for N in (2, 3):
        save_weights(run / f"rnn_N{first[N]}_N{N}", to_published(config.model()))
    return run


@pytest.fixture(scope="session")
def trials_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks one after the other, and every measurement of both networks; not to be changed."""
    run = learn_nothing(tmp_path_factory.mktemp("runs"))
    measure_trials(run)
    return run


@pytest.fixture(scope="session")
def trials_page(trials_run: Path) -> str:
    return report_page(trials_run)


@pytest.fixture(scope="session")
def _several_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("runs")
    configs = [CONFIG, replace(CONFIG, network_number=2, seed=8), replace(CONFIG, curriculum_type="single", p=0.5)]
    runs = [train_nothing(base, config) for config in configs]
    for run, config in zip(runs, configs, strict=True):
        for checkpoint in ("rnn_N2_N2", "rnn_N3_N3" if run.name.startswith("single") else "rnn_N2_N3"):
            add_result(run, checkpoint, "connectivity", config.model(), int(checkpoint[-1]))
        last = "rnn_N3_N3" if run.name.startswith("single") else "rnn_N2_N3"
        add_result(run, last, "perturbation_tau", config.model(), 3)
        add_result(run, last, "perturbation_error", config.model(), 3)
    add_result(runs[0], "rnn_N2_N3", "dimensionality", CONFIG.model(), 3)
    add_result(runs[1], "rnn_N2_N2", "lyapunov", configs[1].model(), 2)
    add_result(runs[2], "rnn_N3_N3", "lyapunov", configs[2].model(), 3)
    return runs


@pytest.fixture
def several_runs(_several_runs: list[Path], tmp_path: Path) -> list[Path]:
    """Two networks of one kind and one of another with some measurements, to be changed at will."""
    return [shutil.copytree(run, tmp_path / run.name) for run in _several_runs]


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every measurement of one checkpoint, two of another, and an evaluation; not to be changed."""
    run = train_nothing(tmp_path_factory.mktemp("runs"))
    for name in OF_BITS:
        add_result(run, "rnn_N2_N3", name, (CONTINUOUS if name == "resolution" else CONFIG).model(), 3)
    for name in ("timescales", "connectivity"):
        add_result(run, "rnn_N2_N2", name, CONFIG.model(), 2)
    (run / "evaluation_rnn_N2_N3.csv").write_text("N,low,high,chance,accuracy\n1,,,0.5,\n2,0.61,0.79,0.667,0.7\n")
    matrix = "head,N,low,high,chance,accuracy\n2,2,0,1,0.5,0.81\n2,3,0,1,0.5,0.52\n3,2,0,1,0.5,0.43\n3,3,0,1,0.5,0.94\n"
    (run / "evaluation_rnn_N2_N3_all_heads.csv").write_text(matrix)
    return run


@pytest.fixture(scope="session")
def full_page(full_run: Path) -> str:
    return report_page(full_run)


@pytest.fixture(scope="session")
def _small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = train_nothing(tmp_path_factory.mktemp("runs"))
    # Without curves, and with pictures beside its one result, its page is made in no time.
    (run / "metrics.jsonl").unlink()
    (run / "analysis").mkdir()
    for figure in ("eigenvalues", "weights"):
        Figure(figsize=(0.3, 0.2)).savefig(run / "analysis" / f"rnn_N2_N3_connectivity_{figure}.png", dpi=100)
    add_result(run, "rnn_N2_N3", "connectivity", CONFIG.model(), 3)
    return run


@pytest.fixture
def run(_small_run: Path, tmp_path: Path) -> Path:
    """A run with one result, to be changed at will."""
    return shutil.copytree(_small_run, tmp_path / _small_run.name)


class Page(HTMLParser):
    """The elements, visible text and table rows of a page; raises where tags are not balanced."""

    VOID = ("meta", "link", "img", "wbr", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.text, self._open = "", list[str]()
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        assert len(dict(attributes)) == len(attributes), f"an attribute is given twice: {attributes}"
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def read() -> Callable[[str], Page]:
    return Page
