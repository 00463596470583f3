"""The package neurogym itself: a run from the command line that goes on exactly, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tauscope.cli import main
from tauscope.errors import InputError
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load
from tauscope.tasks import Neurogym
from tauscope.tasks.check import check_task

pytestmark = pytest.mark.extras
pytest.importorskip("neurogym", exc_type=ImportError)

NAME = "PerceptualDecisionMaking-v0"
SMALL = ["-nn", "12", "-s", "0", "--steps-per-epoch", "5", "--batch-size", "8", "--test-steps", "2", "--threads", "1"]
OPTIONS = '{"timing": {"delay": 300}, "sigma": 0.2}'


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(folder: Path, *options: str) -> int:
    return main(["train", "--task", f"neurogym:{NAME}", *SMALL, "-b", str(folder), *options])


def only(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


def test_a_run_goes_on_exactly_and_two_runs_are_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--env_options", OPTIONS, "--epochs"]
    assert train(tmp_path / "whole", *options, "3") == 0
    assert train(tmp_path / "parts", *options, "1") == 0
    assert main(["train", "--resume", str(only(tmp_path / "parts")), "--epochs", "3", "--threads", "1"]) == 0
    assert train(tmp_path / "again", *options, "3") == 0
    runs = [only(tmp_path / name) for name in ("whole", "parts", "again")]
    (name,) = {run.name for run in runs}
    assert name.startswith(f"neurogym-{NAME}_")
    assert "_sigma-0.2-timing-delay-300_" in name
    weights = [load(run / "rnn_task").state_dict() for run in runs]
    losses = [[record["loss"] for record in read_metrics(run)] for run in runs]
    assert losses[1] == losses[2] == losses[0]
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], value) for name, value in other.items())
    (session, *_) = json.loads((runs[0] / "environment.json").read_text())
    import neurogym

    assert session["neurogym"] == neurogym.__version__
    assert "bitwise" not in capsys.readouterr().out
    assert main(["report", str(runs[0])]) == 0


@pytest.mark.parametrize("name", [NAME, "DelayComparison-v0", "GoNogo-v0", "ReadySetGo-v0", "yang19.dms-v0", "perceptualdecisionmaking.ibl20-v0"])  # fmt: skip
def test_environments_of_the_package_are_tasks(name: str) -> None:
    task = Neurogym(name)
    check_task(task)
    batch = task.sample(16, draws())
    assert batch.inputs.shape == (*batch.targets.shape[:2], task.n_inputs)
    assert 0 < task.heads["out"].chance < 1


def test_answers_of_an_ideal_observer_score_as_they_should() -> None:
    task = Neurogym(NAME, '{"sigma": 0.0, "cohs": [51.2]}')
    batch = task.sample(200, draws())
    # The larger of the two summed stimuli, said at every step.
    said = 1 + batch.inputs[..., 1:].sum(dim=0).argmax(dim=-1)
    outputs = torch.nn.functional.one_hot(said, 3).float().expand(len(batch.inputs), -1, -1).unsqueeze(2)
    assert task.score(outputs, batch).item() == 1.0
    assert task.score(outputs.roll(1, 1), batch).item() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("PerceptualDecisionMakin-v0", "", f"did you mean '{NAME}'"),
        ("ReachingDelayResponse-v0", "", "expected a Discrete space"),
        ("Bandit-v0", "", "tells no right actions"),
        ("Reaching1D-v0", "", "holds the action 6 for right"),
        (NAME, '{"simga": 1}', "has no option 'simga': expected one of dt, dim_ring, rewards, timing, cohs, sigma, abort"),
        (NAME, '{"timing": {"decision": 0}}', "the period decision of"),
        (NAME, '{"dt": 0}', "cannot"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_in_a_line(name: str, options: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        Neurogym(name, options)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_refused_name_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--task", "neurogym:DelayCompare", "-b", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'DelayComparison-v0'" in line
    assert not (tmp_path / "runs").exists()
