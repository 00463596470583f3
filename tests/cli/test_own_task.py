"""A user's own task, cell and curriculum, from the command line to the report."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tauscope.cli import main
from tauscope.runs.config import own
from tauscope.runs.folder import read_metrics

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TASK = "recall_task:Recall"
SMALL = ["-nn", "6", "-s", "0", "--epochs", "2", "--steps-per-epoch", "4", "--batch-size", "8", "--test-steps", "1"]

MINE = """
from dataclasses import dataclass, field
import abc
import torch
import tauscope as ts
from recall_task import Recall
from tauscope.tasks import ClassificationTask

class Cell(ts.Cell):
    def __init__(self, n_inputs, n_units, generator):
        super().__init__(n_inputs, n_units)
        self.weight = torch.nn.Parameter(torch.rand(n_units, n_inputs, generator=generator))
    def initial_state(self, batch_size, generator=None):
        return (self.weight.new_zeros(batch_size, self.n_units),)
    def step(self, x, state, noise=None):
        return (torch.tanh(0.5 * state[0] + x @ self.weight.t()),)

class Greedy(Cell):
    def __init__(self, n_inputs):
        pass

def doubling(task):
    stages = [ts.Stage(f"N{N}", {"Ns": (N,)}, (f"N{N}",)) for N in (2, 4)]
    return ts.Curriculum(stages, ts.Criterion(threshold=0.0))

TWO = [ts.Stage("easy", {"Ns": (1,)}, ("last",)), ts.Stage("hard", {"Ns": (3,)}, ("last",))]
WHOLE = ts.Curriculum([ts.Stage("whole", {}, ("last",))], ts.Criterion(threshold=0.0))
UNTAUGHT = [ts.Stage("Init", {"Ns": (1,)}, ("last",))]
UNKNOWN_FIELD = [ts.Stage("easy", {"Ms": (1,)}, ("last",))]
TOO_MANY_HEADS = [ts.Stage("easy", {"Ns": (1,)}, ("a", "b"))]
NUMBER = 5

def setup():
    from tauscope.runs.config.setup import Network, Setup
    return Setup(Recall(Ns=(3,)), network=Network(cell="gru", num_neurons=5))

SYSTEM = setup()

def broken(task):
    return None

class Abstract(ClassificationTask):
    pass

@dataclass(frozen=True)
class NoDefault(Recall):
    size: int = field(kw_only=True)

@dataclass(frozen=True)
class Clash(Recall):
    lr: float = 0.1

@dataclass(frozen=True)
class WrongInputs(Recall):
    n_inputs = 4
    def sample(self, batch_size, generator, split="train"):
        return ts.Batch(torch.zeros(5, batch_size, 3), torch.zeros(1, batch_size, 1).long())

@dataclass(frozen=True)
class WrongLoss(Recall):
    def loss(self, outputs, batch):
        return super().loss(outputs, batch).sum()

@dataclass(frozen=True)
class WrongHeads(Recall):
    @property
    def heads(self):
        return {"a": ts.Head(3, 0.3, 1.0), "b": ts.Head(3, 0.3, 1.0)}

@dataclass(frozen=True)
class Uneven(Recall):
    @property
    def heads(self):
        return {"a": ts.Head(3, 0.3, 1.0), "b": ts.Head(4, 0.3, 1.0)}

@dataclass(frozen=True)
class Picky(Recall):
    size: int = 3
    def __post_init__(self):
        if self.size > 5:
            raise ValueError("size is too large")
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The user's folders on Python's path."""
    folder = tmp_path_factory.getbasetemp() / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "own_module.py").write_text(MINE)
    (folder / "own_error.py").write_text("1 +")
    for path in (EXAMPLES, folder):
        monkeypatch.syspath_prepend(str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES), str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process to which no code was named yet."""
    monkeypatch.setattr(own, "_NAMED", {})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the example's task that took two epochs."""
    base = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        assert main(["train", "--task", TASK, *SMALL, "--Ns", "4", "-b", str(base)]) == 0
    (run,) = base.iterdir()
    return run


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_help_lists_its_options_with_what_is_said_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--task", TASK, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--Ns NS places of the symbols to name, counted from the end (default: (2,))" in text
    assert "--num_neurons" in text
    assert "--lambda_val" not in text


def test_the_folder_says_what_was_trained(trained: Path) -> None:
    assert trained.name == "Recall_size_6_steps_per_epoch_4_batch_size_8_Ns_4_network_1"
    options = json.loads((trained / "config.json").read_text())
    assert (options["task"], options["Ns"], options["epochs"]) == (TASK, [4], 2)
    assert [record["stage"] for record in read_metrics(trained)] == ["task", "task"]
    assert (trained / "rnn_task").is_file()


@pytest.mark.usefixtures("fresh")
def test_a_run_is_gone_on_with_only_if_its_task_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / trained.name)
    line = refused(capsys, "train", "--resume", run)
    assert f"the run in {run} is of the task '{TASK}': expected --task {TASK} too, to allow importing it" in line
    assert main(["train", "--resume", str(run), "--task", TASK, "--epochs", "3"]) == 0
    assert len(read_metrics(run)) == 3
    assert "Ns cannot change in a resumed run" in refused(capsys, "train", "--resume", run, "--task", TASK, "--Ns", 3)
    line = refused(capsys, "train", "--resume", run, "--task", "own_module:Picky", "--epochs", "4")
    assert "task cannot change in a resumed run" in line


def test_ctrl_c_saves_all_and_the_same_network_comes_out(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "tauscope",
        "train",
        "--task",
        TASK,
        *SMALL,
        "--epochs",
        "3",
        "--steps-per-epoch",
        "300",
    ]
    stopped = subprocess.Popen([*line, "-b", str(tmp_path / "a")], stdout=subprocess.PIPE, text=True)
    assert stopped.stdout is not None
    while "epoch 1 |" not in stopped.stdout.readline():
        assert stopped.poll() is None
    time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    told = stopped.communicate(timeout=60)[0]
    assert stopped.returncode == 130
    again = re.search(r"go on: tauscope (.*)", told)
    assert again is not None
    assert f"--task {TASK}" in again[1]
    assert main(again[1].split()) == 0
    assert main([*line[3:], "-b", str(tmp_path / "b")]) == 0
    (one,), (other,) = (sorted((tmp_path / name).iterdir()) for name in "ab")
    assert (one / "rnn_task").read_bytes() == (other / "rnn_task").read_bytes()


@pytest.mark.usefixtures("fresh")
def test_status_imports_nothing_and_knows_a_run_that_has_only_begun(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "runs"
    shutil.copytree(trained, base / "done")
    begun = shutil.copytree(trained, base / "begun")
    for name in ("metrics.jsonl", "state.pt", "state.previous.pt", "rnn_task"):
        (begun / name).unlink()
    assert main(["status", str(base)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"begun .* stopped .* 0/2", told)
    assert re.search(r"done .* finished .* 2/2", told)
    assert not own._NAMED


@pytest.mark.usefixtures("fresh")
def test_its_networks_are_measured_and_reported(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained, tmp_path / trained.name)
    assert f"expected --task {TASK} too" in refused(capsys, "analyze", "timescales", run)
    what = "timescales,dimensionality,connectivity,sequentiality,performance"
    assert main(["analyze", what, str(run), "--task", TASK, "--jobs", "2"]) == 0
    capsys.readouterr()
    assert main(["analyze", "all", str(run), "--task", TASK]) == 0
    told = capsys.readouterr().out
    assert "passed over" in told
    assert "accuracy (N4)" in told
    assert main(["report", str(run), "--task", TASK]) == 0
    page = (run / "report.html").read_text()
    assert "N-recall: name the N-th symbol" in page
    assert "Timescales of rnn_task" in page
    line = refused(capsys, "evaluate", run, "--task", TASK)
    assert "answers trials, of no N" in line
    assert "tauscope analyze performance" in line


@pytest.mark.usefixtures("fresh")
def test_a_cell_and_a_curriculum_of_ones_own_on_a_task_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--task", TASK, "--cell", "own_module:Cell", "-c", "own_module:TWO"]
    assert main(["train", *named, *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert run.name.startswith("Recall_TWO_Cell_size_6_")
    stages = [record["stage"] for record in read_metrics(run)]
    assert stages == ["easy", "easy"]
    own._NAMED.clear()
    for given, missing in (([], "--task"), (named[:2], "-c"), (named[:2] + named[4:], "--cell")):
        assert f"expected {missing} " in refused(capsys, "train", "--resume", run, *given, "--epochs", 3)
    assert main(["train", "--resume", str(run), *named, "--epochs", "3"]) == 0


def test_stages_follow_each_other_and_each_can_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--task", TASK, "-c", "own_module:doubling"]
    assert main(["train", *named, *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert {path.name for path in run.glob("rnn_N*")} == {"rnn_N2", "rnn_N4"}
    capsys.readouterr()
    assert main(["analyze", "connectivity", str(run), *named]) == 0
    told = capsys.readouterr().out
    assert told.index("rnn_N2 ") < told.index("rnn_N4 ")


def test_a_curriculum_that_raises_no_N_is_reported(tmp_path: Path) -> None:
    named = ["--task", TASK, "-c", "own_module:WHOLE"]
    runs = [tmp_path / seed for seed in "01"]
    for run in runs:
        assert main(["train", *named, *SMALL, "-s", run.name, "-b", str(run)]) == 0
    first, second = (str(next(run.iterdir())) for run in runs)
    assert main(["report", first, *named]) == 0
    assert main(["compare", first, second, *named, "-o", str(tmp_path / "comparison.html")]) == 0
    assert "Accuracy after every epoch" in (tmp_path / "comparison.html").read_text()


def test_a_whole_setup_of_ones_own_brings_its_defaults(tmp_path: Path) -> None:
    assert main(["train", "--task", "own_module:SYSTEM", *SMALL[2:], "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert run.name == "SYSTEM_steps_per_epoch_4_batch_size_8_network_1"
    options = json.loads((run / "config.json").read_text())
    assert (options["cell"], options["num_neurons"], options["Ns"]) == ("gru", 5, [3])


def test_a_sweep_trains_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "epochs = 1\nsteps_per_epoch = 2\nbatch_size = 4\ntest_steps = 1\nnum_neurons = 4\nseed = 0"
    file = tmp_path / "sweep.toml"
    file.write_text(f'base_path = "{tmp_path}/runs"\n[options]\ntask = "{TASK}"\n{options}\n[grid]\nNs = [[1], [2]]\n')
    assert main(["sweep", str(file), "--jobs", "2"]) == 0
    assert main(["status", str(tmp_path / "runs")]) == 0
    assert "2 runs: 2 finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--task nowhere:Recall", "task 'nowhere:Recall': module 'nowhere' cannot be imported"),
        ("--task own_error:Recall", "module 'own_error' cannot be imported (SyntaxError"),
        ("--task own_module:Recal", "task 'own_module:Recal': 'own_module' has no 'Recal'"),
        ("--task :Recall", "task ':Recall': expected module:Class"),
        ("--task own_module:Cell", "task 'own_module:Cell' is not a task: expected a subclass of tauscope.tasks.Task"),
        ("--task own_module:NUMBER", "is not a task"),
        ("--task own_module:Abstract", "task 'own_module:Abstract' has no heads, sample"),
        ("--task own_module:NoDefault", "its field size has no default"),
        ("--task own_module:Clash", "Clash has a field lr, which is another option of a run"),
        ("--task own_module:WrongInputs", "the inputs of WrongInputs: shape (5, 2, 3), expected (5, 2, 4)"),
        ("--task own_module:WrongLoss", "the loss of WrongLoss: shape (), expected (1,)"),
        ("--task own_module:WrongHeads", "WrongHeads cannot judge answers of shape (1, 2, 2, 3)"),
        ("--task own_module:Uneven", "the heads a, b have [3, 4] outputs: expected equally many"),
        ("--task own_module:Picky --size 6", "task 'own_module:Picky': size is too large"),
        ("--task own_module:Picky --size many", "argument --size: invalid int value"),
        (f"--task {TASK} --sice 6", "unknown argument '--sice'"),
        (f"--task {TASK} --cell own_module:Recall", "is not a cell"),
        (f"--task {TASK} --cell own_module:Greedy", "cannot be made of (n_inputs, n_units, generator)"),
        (f"--task {TASK} -c own_module:Two", "curriculum 'own_module:Two': 'own_module' has no 'Two'"),
        (f"--task {TASK} -c own_module:NUMBER", "curriculum 'own_module:NUMBER' is a int: expected stages"),
        (f"--task {TASK} -c own_module:broken", "is a NoneType: expected stages"),
        (
            f"--task {TASK} -c own_module:UNTAUGHT",
            "stage 'Init': expected another name, because rnn_Init holds an untaught",
        ),
        (f"--task {TASK} -c own_module:UNKNOWN_FIELD", "Recall has no field 'Ms'"),
        (f"--task {TASK} -c own_module:TOO_MANY_HEADS", "stage easy has 2 heads for 1 questions"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    arguments: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refused(capsys, "train", *arguments.split(), *SMALL, "-b", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("task", ["parity", "dms"])
def test_a_curriculum_and_a_cell_of_ones_own_on_a_task_of_the_package(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--cell", "own_module:Cell", "--curriculum", "own_module:doubling"]
    assert main(["train", "--task", task, *named, *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert run.name == f"doubling_{task}_size_6_Cell_network_1"
    assert read_metrics(run)[0]["stage"] == "N2"
    own._NAMED.clear()
    assert "expected -c own_module:doubling too" in refused(capsys, "train", "--resume", run, *named[:2])
    assert main(["train", "--resume", str(run), *named, "--epochs", "3"]) == 0
