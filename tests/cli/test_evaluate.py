"""What ``tauscope evaluate`` prints and writes is what `tauscope.evaluate` measures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.config import kind_of
from tauscope.runs.published import to_published
from trial_runs import learn_nothing

TrainConfig = kind_of("parity")

NAME = "cumulative_parity_size_6_network_1"


def network(**options: Any) -> ts.Model:
    return ts.build_model(**({"n_units": 6} | options), generator=torch.Generator().manual_seed(3))


def keep(folder: Path, model: ts.Model, checkpoint: str = "rnn_N2_N4", config: TrainConfig | None = None) -> Path:
    folder.mkdir(parents=True)
    save_weights(folder / checkpoint, to_published(model))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments), "--sequences", "60"])


def expected(model: ts.Model, task: Any, Ns: Any, seed: int = 0, **options: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return ts.evaluate(model, task, Ns, n_sequences=60, generator=generator, **options)


def check_picture(path: Path) -> None:
    picture = matplotlib.image.imread(io.BytesIO(path.read_bytes()), format="png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_table_the_file_and_the_picture_are_of_the_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = keep(tmp_path / NAME, network())
    assert evaluate(folder) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    # By default from 1 to five beyond the trained ones.
    accuracy = expected(network(), ts.Parity((1,)), range(1, 10))
    written = pd.read_csv(folder / "evaluation_rnn_N2_N4.csv")
    assert written["N"].tolist() == list(range(1, 10))
    for column in ("low", "high", "chance", "accuracy"):
        values = accuracy.values if column == "accuracy" else accuracy[column].values
        np.testing.assert_allclose(written[column], values, rtol=1e-12)
    check_picture(folder / "evaluation_rnn_N2_N4.png")
    assert set(tree(tmp_path)) == {
        f"{NAME}/{name}" for name in ("rnn_N2_N4", *(f"evaluation_rnn_N2_N4.{end}" for end in ("csv", "png")))
    }

    rows = [line.strip("│").split("│") for line in captured.out.splitlines() if line.startswith("│")]
    assert [int(row[0]) for row in rows] == list(range(1, 10))
    assert rows[0][1].strip() == "no head"
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(accuracy.values[1:].tolist(), abs=5e-4)
    assert rows[1][2].split() == [f"{accuracy['low'].values[1]:.3f}", "-", f"{accuracy['high'].values[1]:.3f}"]
    assert "60 sequences" in captured.out
    assert captured.out.splitlines()[-1] == f"wrote {folder}/evaluation_rnn_N2_N4.csv and .png"


def test_options_reach_the_measurement(tmp_path: Path) -> None:
    folder = keep(tmp_path / NAME, network())
    arguments = [
        "--Ns",
        "2,5,9",
        "-t",
        "dms",
        "--p",
        "0.3",
        "--length",
        "12",
        "-s",
        "5",
        "-o",
        tmp_path / "out" / "deep",
    ]
    assert evaluate(folder / "rnn_N2_N4", *arguments) == 0
    accuracy = expected(network(), ts.DelayedMatchToSample((1,), p=0.3, length=12), [2, 5, 9], seed=5)
    written = pd.read_csv(tmp_path / "out" / "deep" / "evaluation_rnn_N2_N4.csv")
    assert written["N"].tolist() == [2, 5, 9]
    np.testing.assert_allclose(written["accuracy"], accuracy.values, rtol=1e-12)
    np.testing.assert_allclose(written["chance"], 0.3**2 + 0.7**2, rtol=1e-12)
    assert list(tree(folder)) == ["rnn_N2_N4"]


def test_every_trained_head_can_be_asked_every_N(tmp_path: Path) -> None:
    folder = keep(tmp_path / NAME, network())
    assert evaluate(folder, "--heads", "all", "--Ns", "1-6") == 0
    table = expected(network(), ts.Parity((1,)), range(1, 7), heads=[2, 3, 4])
    written = pd.read_csv(folder / "evaluation_rnn_N2_N4_all_heads.csv").set_index(["head", "N"])
    for head in (2, 3, 4):
        np.testing.assert_allclose(written.loc[head, "accuracy"], table.sel(head=head), rtol=1e-12)
    assert len(written) == 18
    check_picture(folder / "evaluation_rnn_N2_N4_all_heads.png")


@pytest.mark.parametrize("heads", ["own", "all"])
def test_a_single_head_answers_every_N(heads: str, tmp_path: Path) -> None:
    folder = keep(tmp_path / "single_dms_network_1", network(), "rnn_N4_N4")
    assert evaluate(folder, "--heads", heads) == 0
    accuracy = expected(network(shared_head=True), ts.DelayedMatchToSample((1,)), range(1, 10))
    end = "" if heads == "own" else "_all_heads"
    written = pd.read_csv(folder / f"evaluation_rnn_N4_N4{end}.csv")
    np.testing.assert_allclose(written["accuracy"], accuracy.values, rtol=1e-12)


def test_the_task_is_coded_as_in_training(tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=6, cell="gru", task="dms", seed=1)
    folder = keep(tmp_path / "any_name", config.model(), config=config)
    assert evaluate(folder, "--Ns", "2-5") == 0
    accuracy = expected(config.model(), ts.DelayedMatchToSample((1,), p=0.5, plus_minus=True), range(2, 6))
    written = pd.read_csv(folder / "evaluation_rnn_N2_N4.csv")
    np.testing.assert_allclose(written["accuracy"], accuracy.values, rtol=1e-12)
    other = expected(config.model(), ts.DelayedMatchToSample((1,), p=0.5), range(2, 6))
    assert not np.array_equal(other.values, accuracy.values)


@pytest.mark.parametrize(("named", "k", "flags"), [("config", 9, []), ("folder", 9, []), ("config", 4, ["--k", "4"])])
def test_a_continuous_network_is_asked_at_a_time_resolution(
    named: str, k: int, flags: list[str], tmp_path: Path
) -> None:
    config = TrainConfig(num_neurons=6, model_type="continuous", duplicates=(7, 9, 8), seed=1)
    given = config if named == "config" else None
    folder = keep(tmp_path / config.name, config.model(), config=given)
    assert evaluate(folder, "--Ns", "2-5", *flags) == 0
    accuracy = expected(config.model().at_resolution(k), ts.Parity((1,), repeat=k), range(2, 6))
    written = pd.read_csv(folder / "evaluation_rnn_N2_N4.csv")
    np.testing.assert_allclose(written["accuracy"], accuracy.values, rtol=1e-12)


def test_a_cell_of_ones_own_is_named(tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=6, cell="problems:LinearCell", seed=1)
    folder = keep(tmp_path / config.name, config.model(), config=config)
    assert evaluate(folder, "--Ns", "2") == 2
    assert evaluate(folder, "--Ns", "2", "--cell", "problems:LinearCell") == 0


def test_the_run_folder_may_be_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keep(tmp_path / "single_dms_network_1", network(), "rnn_N4_N4")
    monkeypatch.chdir(folder)
    assert evaluate("rnn_N4_N4", "--Ns", "2-4") == 0
    written = pd.read_csv("evaluation_rnn_N4_N4.csv")
    accuracy = expected(network(shared_head=True), ts.DelayedMatchToSample((1,)), range(2, 5))
    np.testing.assert_allclose(written["accuracy"], accuracy.values, rtol=1e-12)


def test_the_initial_network_can_be_asked(tmp_path: Path) -> None:
    folder = keep(tmp_path / NAME, network(), "rnn_init")
    assert evaluate(folder / "rnn_init") == 0
    assert len(pd.read_csv(folder / "evaluation_rnn_init.csv")) == 15


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with something wrong with each but one."""
    base = tmp_path_factory.mktemp("runs")
    run = keep(base / NAME, network())
    (base / "run").symlink_to(run)
    (run / "stats.npy").write_bytes(b"numbers")
    (base / "empty").mkdir()
    keep(base / "noname", network())
    truncated = keep(base / "truncated", network()) / "rnn_N2_N4"
    truncated.write_bytes(truncated.read_bytes()[:1000])
    broken = network()
    torch.nn.init.constant_(next(broken.parameters()), torch.nan)
    keep(base / "nan", broken)
    foreign = keep(base / "foreign", network()) / "rnn_N2_N4"
    torch.save({"state_dict": {"conv.weight": torch.ones(3)}}, foreign)
    keep(base / "misfit", network(), config=TrainConfig(num_neurons=7))
    damaged = keep(base / "damaged", network())
    (damaged / "config.json").write_text('{"task": "parit"}')
    return base


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{base}/nowhere/rnn_N2_N2"], "no checkpoint at"),
        (["{base}/run/rnn_N2_N5"], "did you mean 'rnn_N2_N4'"),
        (["{base}/empty"], "holds no checkpoint"),
        (["{base}/run/stats.npy", "--task", "dms"], "is not a checkpoint of weights"),
        (["{run}", "--Ns", "0-3"], "expected ascending integers from 1"),
        (["{run}", "--Ns", "2,2"], "expected ascending integers from 1"),
        (["{run}", "--Ns", "5-2"], "invalid list of whole numbers"),
        (["{run}", "--Ns", "a"], "invalid list of whole numbers"),
        (["{run}", "--heads", "ovn"], "did you mean 'own'"),
        (["{run}", "-t", "paritty"], "did you mean 'parity'"),
        (["{run}", "--p", "1.5"], "p is 1.5: expected a probability (nearest valid value: 1.0)"),
        (["{run}", "--p", "nan"], "p is nan: expected a probability"),
        (["{run}", "--length", "3"], "length 3 is too short for N = 9"),
        (["{run}", "--length", "4", "--Ns", "2,7"], "length is 4: expected at least the largest N, 7"),
        (["{run}", "--sequences", "0"], "number of sequences is 0: expected at least 1"),
        (["{run}", "--seed", "-1"], "invalid seed, a whole number from 0"),
        (["{run}", "--k", "3"], "has no time resolution: expected 'continuous'"),
        (["{run}", "--device", "warp"], "device 'warp' cannot be used here"),
        (["{run}", "--seqences", "5"], "did you mean '--sequences'"),
        (["{base}/noname"], "expected a task, parity or dms"),
        (["{base}/truncated", "--task", "dms"], "is damaged: the end of its archive is missing"),
        (["{base}/nan", "--task", "dms"], "non-finite numbers"),
        (["{base}/foreign", "--task", "dms"], "holds no network that tauscope knows"),
        (["{base}/misfit"], "has shape [6], expected [7]"),
        (["{base}/damaged"], "config.json"),
        ([], "the following arguments are required: path"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, harmed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(harmed)
    code = main(["evaluate", *(one.format(base=harmed, run=harmed / NAME) for one in arguments)])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    (line,) = captured.err.splitlines()
    assert line.startswith("tauscope: error: ")
    assert message in line
    assert tree(harmed) == before


def test_a_network_that_answers_trials_is_refused_with_the_command_that_measures_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = learn_nothing(tmp_path)
    before = tree(tmp_path)
    assert evaluate(folder) == 2
    error = capsys.readouterr().err
    assert error.startswith("tauscope: error:")
    assert error.count("\n") == 1
    assert error.strip().endswith(f"tauscope analyze performance {folder}")
    assert tree(tmp_path) == before


def test_an_output_that_cannot_be_written_is_one_line_and_costs_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = keep(tmp_path / NAME, network())
    before = tree(tmp_path)
    assert evaluate(run, "-o", run / "rnn_N2_N4") == 2
    captured = capsys.readouterr()
    assert "60 sequences" in captured.out
    (line,) = captured.err.splitlines()
    assert "expected a writable folder as --output" in line
    assert tree(tmp_path) == before


@pytest.mark.reference
def test_the_published_accuracy_is_written_for_every_N(reference: Path, tmp_path: Path) -> None:
    path = reference / "trained_models" / "single_parity_network_1" / "rnn_N8_N8"
    assert evaluate(path, "--p", "0.5", "-o", tmp_path) == 0
    written = pd.read_csv(tmp_path / "evaluation_rnn_N8_N8.csv").set_index("N")
    assert written["accuracy"].idxmax() == 8
    assert written.loc[8, "accuracy"] > 0.9
    assert written.loc[2:7, "accuracy"].to_numpy() == pytest.approx(0.5, abs=0.25)
