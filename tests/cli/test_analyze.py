from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from few import applicable, few
from tauscope.analysis import connectivity
from tauscope.cli import main
from tauscope.measurements import MEASUREMENTS, WHAT, Subject
from tauscope.measurements import keeping as measuring
from tauscope.measurements.keeping import subject_of
from tauscope.runs import published
from tauscope.runs.checkpoints import load_weights, save_weights
from tauscope.runs.results import load_result
from trial_runs import TRIALS, learn_nothing

RUN = "cumulative_parity_size_12_network_1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two checkpoints of untrained networks, named as a run of the published code would name them."""
    folder = tmp_path / RUN
    folder.mkdir()
    for last in (2, 3):
        model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(last), n_heads=4)
        save_weights(folder / f"rnn_N2_N{last}", published.to_published(model))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_measurement_of_a_run_measures_each_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "connectivity", str(run)]) == 0
    kept = sorted(path.name for path in (run / "analysis").iterdir())
    assert kept == sorted(
        f"rnn_N2_N{last}_connectivity{end}"
        for last in (2, 3)
        for end in (".nc", ".csv", "_eigenvalues.png", "_weights.png")
    )
    result, source = load_result(run / "analysis" / "rnn_N2_N3_connectivity.nc")
    xr.testing.assert_allclose(result, connectivity(ts.load(run / "rnn_N2_N3")))
    assert source["checkpoint"] == f"{RUN}/rnn_N2_N3"
    assert source["options"] == {"seed": 0}
    out = capsys.readouterr().out
    assert "spectral radius" in out
    assert f"{float(result['spectral_radius'][0]):.4g}" in out


@pytest.mark.parametrize(
    "names",
    [
        ["connectivity", "dimensionality"],
        ["connectivity,dimensionality"],
        ["dimensionality,connectivity", "connectivity"],
    ],
)
def test_several_measurements_at_once_are_made_once_each(
    names: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", *names, str(run / "rnn_N2_N2"), str(run / "rnn_N2_N3"), "--last"]) == 0
    kept = sorted(path.name for path in (run / "analysis").glob("*.nc"))
    assert kept == [f"rnn_N2_N{N}_{name}.nc" for N in (2, 3) for name in ("connectivity", "dimensionality")]
    out = capsys.readouterr().out
    assert [out.count(name) for name in (" connectivity ", " dimensionality ")] == [2, 2]


def test_a_folder_that_is_named_like_a_measurement_is_told_by_its_path(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent)
    monkeypatch.setitem(WHAT, RUN, ("connectivity",))
    assert main(["analyze", "connectivity", RUN, "--last"]) == 2
    assert "expected checkpoints or run folders after them, and ./NAME" in capsys.readouterr().err
    assert main(["analyze", "connectivity", f"./{RUN}", "--last"]) == 0
    # After the first path all are paths.
    assert main(["analyze", "connectivity", f"./{RUN}/rnn_N2_N2", RUN, "--last", "--force"]) == 0


def test_what_is_asked_by_its_name_beside_all_must_be_there(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(WHAT, "all", ("connectivity", "performance", "resolution"))
    assert main(["analyze", "all", "resolution", str(run), "--last"]) == 3
    said = capsys.readouterr()
    (error,) = said.err.splitlines()
    assert "rnn_N2_N3 resolution: " in error
    assert "passed over: " in said.out
    assert "performance" in said.out


def test_last_takes_the_furthest_checkpoint_and_output_another_folder(run: Path, tmp_path: Path) -> None:
    before = files(run)
    assert main(["analyze", "connectivity", str(run), "--last", "-o", str(tmp_path / "out")]) == 0
    assert files(run) == before
    there = tmp_path / "out" / RUN / "analysis"
    assert sorted(path.name for path in there.glob("*.nc")) == ["rnn_N2_N3_connectivity.nc"]


def test_a_current_result_is_not_measured_again(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "forgetting", str(run), "--last"]) == 0
    first = capsys.readouterr().out
    before = files(run)

    def measured_again(_: Subject) -> xr.Dataset:
        raise AssertionError("measured again")

    changed = replace(MEASUREMENTS["forgetting"], measure=measured_again)
    monkeypatch.setattr(measuring, "MEASUREMENTS", MEASUREMENTS | {"forgetting": changed})
    assert main(["analyze", "forgetting", str(run), "--last"]) == 0
    assert capsys.readouterr().out == first
    assert files(run) == before


def test_another_result_is_overwritten_with_force_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "lyapunov", str(run), "--last"]) == 0
    before = files(run)
    assert main(["analyze", "lyapunov", str(run), "--last", "--seed", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--force" in error
    assert files(run) == before
    assert main(["analyze", "lyapunov", str(run), "--last", "--seed", "1", "--force"]) == 0
    assert load_result(run / "analysis" / "rnn_N2_N3_lyapunov.nc")[1]["options"] == {"seed": 1}


def test_a_damaged_network_does_not_keep_the_others_from_their_results(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "rnn_N2_N2").write_bytes(b"nothing")
    assert main(["analyze", "connectivity", str(run)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("tauscope: error:")
    assert error.count("\n") == 1
    assert "rnn_N2_N2" in error
    assert [path.name for path in (run / "analysis").glob("*.nc")] == ["rnn_N2_N3_connectivity.nc"]


def test_several_at_a_time_give_what_one_after_the_other_gives(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "rnn_N2_N4").write_bytes(b"no network")
    assert main(["analyze", "dimensionality", str(run), "-o", str(tmp_path / "one")]) == 3
    alone = capsys.readouterr()
    assert main(["analyze", "dimensionality", str(run), "-o", str(tmp_path / "two"), "--jobs", "2"]) == 3
    together = capsys.readouterr()
    assert together.err == alone.err
    assert "rnn_N2_N4" in alone.err
    assert together.out.partition("results (")[0] == alone.out.partition("results (")[0]
    for last in (2, 3):
        name = Path(RUN, "analysis", f"rnn_N2_N{last}_dimensionality.nc")
        ours, theirs = (load_result(tmp_path / folder / name)[0] for folder in ("one", "two"))
        xr.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_foreign_file_in_the_place_of_a_result_stays(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "analysis").mkdir()
    foreign = run / "analysis" / "rnn_N2_N3_connectivity.nc"
    foreign.write_bytes(b"mine")
    assert main(["analyze", "connectivity", str(run), "--last"]) == 2
    assert "is not a result of tauscope" in capsys.readouterr().err
    assert foreign.read_bytes() == b"mine"


def test_ctrl_c_ends_in_one_line_and_keeps_what_was_finished(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Subject) -> xr.Dataset:
        raise KeyboardInterrupt

    assert main(["analyze", "connectivity", str(run), "--last"]) == 0
    before = files(run)
    changed = replace(MEASUREMENTS["lyapunov"], measure=interrupted)
    monkeypatch.setattr(measuring, "MEASUREMENTS", MEASUREMENTS | {"lyapunov": changed})
    assert main(["analyze", "lyapunov", str(run)]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert files(run) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["timescale", "RUN"], "did you mean 'timescales'"),
        (["connectivity", "dimensionalty", "RUN"], "did you mean 'dimensionality'"),
        (["connectivity,dimensionalty", "RUN"], "did you mean 'dimensionality'"),
        (["connectivity", "dimensionality", "--last", "RUN"], "the flags before or after"),
        (["connectivity", "RUN/../nowhere"], "a run folder"),
        (["connectivity", "RUN/rnn_N2_N9"], "rnn_N2_N3"),
        (["connectivity", "RUN", "--epochs", "0"], "epochs"),
        (["connectivity", "RUN", "--jobs", "0"], "jobs is 0: expected at least 1"),
        (["connectivity", "RUN", "--jobs", "2", "--threads", "1"], "expected one of them"),
        (["connectivity", "RUN", "--forc"], "--force"),
        (["connectivity"], "path"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(run.parent)
    assert main(["analyze", *(one.replace("RUN", str(run)) for one in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tauscope: error:")
    assert error.count("\n") == 1
    assert said in error
    assert files(run.parent) == before


def test_everything_but_perturbation_is_asked_by_its_own_name() -> None:
    assert {*WHAT["all"], "pruning", "closed_loop", "retraining"} == set(MEASUREMENTS), (
        "all leaves out what is asked by its own name"
    )
    assert {name for names in WHAT.values() for name in names} == set(MEASUREMENTS)
    assert WHAT["perturbation"] == ("perturbation_recurrent", "perturbation_tau")


def test_what_a_network_lacks_is_no_failure_of_everything(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(WHAT, "all", ("connectivity", "performance", "resolution"))
    assert main(["analyze", "all", str(run), "--last"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    loss, line = [line for line in said.out.splitlines() if line.startswith("passed over:")]
    assert "rnn_N2_N3 performance: the network has no fractional loss" in loss
    assert "rnn_N2_N3 resolution" in line
    assert "continuous time" in line
    assert [path.name for path in (run / "analysis").glob("*.nc")] == ["rnn_N2_N3_connectivity.nc"]
    assert main(["analyze", "resolution", str(run), "--last"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tauscope: error:")
    assert "continuous time" in error


def test_of_a_run_on_trials_all_that_applies_is_measured_and_the_rest_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = learn_nothing(tmp_path)
    subject = subject_of(folder / "rnn_N2_N2")
    quick = {
        name: replace(listed, measure=partial(listed.measure, **few(name, subject)), figures={})
        for name, listed in MEASUREMENTS.items()
    }
    monkeypatch.setattr(measuring, "MEASUREMENTS", quick)
    assert main(["analyze", "all", str(folder), "--last"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    line, noiseless = [line for line in said.out.splitlines() if line.startswith("passed over:")]
    assert "rnn_N2_N2 reactivation: " in noiseless
    assert "rnn_N2_N2 ablation, perturbation_recurrent, perturbation_tau, forgetting, " in line
    assert "expected one that was trained on N-parity or N-DMS" in line
    kept = {path.stem.removeprefix("rnn_N2_N2_") for path in (folder / "analysis").glob("*.nc")}
    assert kept == set(applicable(subject)) - {"pruning"}
    assert main(["analyze", "ablation", str(folder), "--last"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ablation: the network answers trials" in error


def test_a_delay_that_is_too_short_for_a_timescale_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(WHAT, "all", ("timescales", "connectivity"))
    folder = learn_nothing(tmp_path, replace(TRIALS, delay_steps=(6,)))
    assert main(["analyze", "all", str(folder), "--last"]) == 0
    assert "rnn_N2_N2 timescales: a delay of 6 steps is too short" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "stage", "lacking"),
    [
        ("--task cue-game --span 2", "task", ("performance", "perturbation_error", "credit")),
        ("--task history --cell ssm --horizons 3", "horizon3", ("connectivity",)),
        ("--task cue --cell bilinear --span 2", "task", ("connectivity",)),
        ("--task parity --cell egru --max_N 3", "N2_N2", ("connectivity", "perturbation_recurrent")),
    ],
)
def test_recurrent_weights_and_answers_that_are_not_there_are_passed_over(
    line: str,
    stage: str,
    lacking: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(WHAT, "all", lacking)
    few = ["-nn", "4", "--epochs", "1", "--steps_per_epoch", "1", "--batch_size", "2", "--test_steps", "1"]
    assert main(["train", "-b", str(tmp_path), *line.split(), *few]) == 0
    (folder,) = tmp_path.iterdir()
    # What was not solved in an epoch is measured all the same.
    save_weights(folder / f"rnn_{stage}", load_weights(folder / "rnn_init"))
    capsys.readouterr()
    assert main(["analyze", "all", str(folder), "--last"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert all(name in said.out for name in lacking)
    assert not list(folder.glob("analysis/*.nc"))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gated_networks_have_a_gate_timescale_in_the_place_of_tau(cell: str) -> None:
    model = ts.build_model(cell, 6, generator=torch.Generator().manual_seed(0), n_heads=2)
    subject = Subject(model, ts.Parity((1,)), (2, 3), seed=0)
    own = subject.tau()
    assert own is not None
    np.testing.assert_array_equal(own, ts.analysis.gate_timescales(model, **subject.drive()))
    assert bool((own > 1).all())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["default", "gru", "lstm"])
def test_all_runs_on_a_small_network_of_any_kind(kind: str, tmp_path: Path) -> None:
    options = [] if kind == "default" else ["--cell", kind]
    size = ["-nn", "12", "--max_N", "2", "--steps_per_epoch", "150", "--batch_size", "64", "--epochs", "8"]
    faster = ["--lr", "0.1"] if kind == "default" else ["--lr", "0.01"]
    assert main(["train", "-s", "0", "-b", str(tmp_path), *size, *faster, *options]) == 0
    (folder,) = tmp_path.iterdir()
    code = main(["analyze", "all", "pruning", "retraining", str(folder), "--last", "--epochs", "1"])
    kept = {path.stem.removeprefix("rnn_N2_N2_") for path in (folder / "analysis").glob("*.nc")}
    # A gated network has no τ to perturb, and none of these a time step, a fractional loss or a loop to close: that is
    # said and no failure.
    missing = {"performance", "resolution", "reactivation", "closed_loop"} | (
        set() if kind == "default" else {"perturbation_tau", "balance"}
    )
    assert kept == set(MEASUREMENTS) - missing
    assert code == 0
    assert main(["report", str(folder)]) == 0


def test_every_option_of_a_measurement_is_a_flag_and_is_kept(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--n_trials 2 --n-steps 30 --p 0.25 --warm_up 20 --epsilons 0.5,1 --together yes --n 2 --mode published"
    names = "ablation,perturbation_recurrent,connectivity".replace("perturbation_recurrent", "perturbation")
    assert main(["analyze", names, str(run), "--last", *flags.split()]) == 0
    shared = {"seed": 0, "n_trials": 2, "n_steps": 30, "p": 0.25, "warm_up": 20}
    expected = {
        "ablation": shared | {"together": True, "n": 2, "mode": "published"},
        "perturbation_recurrent": shared | {"epsilons": [0.5, 1.0]},
        "connectivity": {"seed": 0},
    }
    for name, options in expected.items():
        assert load_result(run / "analysis" / f"rnn_N2_N3_{name}.nc")[1]["options"] == options
    capsys.readouterr()
    # Asked again without them, another result is wanted.
    assert main(["analyze", "ablation", str(run), "--last"]) == 2
    assert "expected --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("ablation --n_trials few", "n_trials is 'few': expected a whole number"),
        ("ablation --n_trials 0", "number of trials is 0: expected at least 1"),
        ("ablation --together perhaps", "together is 'perhaps': expected yes or no"),
        ("perturbation --epsilons a,b", "epsilons is 'a,b': expected numbers, such as 0.5,1,2"),
        ("timescales --p likely", "p 'likely' is unknown: expected one of quantiles, uniform"),
        ("ablation --n_trails 3", "did you mean '--n_trials'"),
        ("connectivity --n_trials 3", "unknown argument '--n_trials'"),
    ],
)
def test_an_option_with_a_bad_value_is_one_line(
    flags: str, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(run.parent)
    name, *options = flags.split()
    assert main(["analyze", name, str(run), "--last", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tauscope: error:")
    assert said in error
    assert files(run.parent) == before


def test_the_help_of_a_measurement_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["analyze", "generalisation", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for text in ("--n_folds", "--ridges", "(default: 3000)", "--beyond", "Folds of the cross-validation"):
        assert text in out
    assert "--max_lag" not in out


def test_all_says_what_each_part_costs_and_where_it_is(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(WHAT, "all", ("connectivity", "dimensionality"))
    assert main(["analyze", "all", str(run), "--last"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("processor time (min:s), estimated: ")
    assert "dimensionality 0:0" in lines[0]
    assert lines[1].startswith("not in all: retraining, about ")
    assert lines[2:4] == [f"{i} of 2: {RUN}/rnn_N2_N3 {name}" for i, name in enumerate(WHAT["all"], 1)]
    assert main(["analyze", "all", str(run), "--last"]) == 0
    assert "estimated" not in capsys.readouterr().out, "what is there costs nothing"
