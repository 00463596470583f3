"""The paper as it is written down: conditions, claims, figures, published values; judged on results nobody measured."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from synthetic_paper import STEPS_PER_EPOCH, World, without_networks
from tauscope.cli import main
from tauscope.papers.emergent_timescales import PAPER, quantities
from tauscope.papers.emergent_timescales.conditions import CONDITIONS, NO_CURRICULUM, SCALES
from tauscope.papers.emergent_timescales.quantities import published
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.reproduce.planning import Choice, Plan, make_plan
from tauscope.papers.reproduce.running import look
from tauscope.papers.vocabulary import Finding, Results, Trained, verdict
from tauscope.runs.environment import environment

KEYS = [f"C{i}" for i in range(1, 15)]
CLAIMS = {claim.key: claim for claim in PAPER.claims}
HOLDS, FAILS = World().results(), World(agrees=False).results()


def findings(key: str, results: Results | None = None) -> list[Finding]:
    return told(key) if results is None else list(CLAIMS[key].judge(results))


@cache
def told(key: str, agrees: bool = True) -> list[Finding]:
    return list(CLAIMS[key].judge(HOLDS if agrees else FAILS))


def plan(scale: str, base: Path, choice: Choice | None = None) -> Plan:
    return make_plan("emergent-timescales", scale, base, choice)


def left_out(scale: str) -> tuple[str, ...]:
    return tuple(name for name, options in SCALES[scale].by_condition.items() if options is None)


MEASURED = sorted((Path(__file__).parents[2] / "docs/results/emergent-timescales/standard-networks").glob("*.zip"))
"""Networks of the scale standard that were trained and measured, without their checkpoints."""


# --- scales -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_every_network_of_a_scale_is_a_valid_run_with_a_folder_of_its_own(scale: str, tmp_path: Path) -> None:
    planned = plan(scale, tmp_path)
    n_conditions = len(CONDITIONS) - len(left_out(scale))
    folders = [network.folder.name for network in planned.networks]
    assert len(set(folders)) == len(folders) == n_conditions * SCALES[scale].networks
    assert all(len(network.numbers) == 1 for network in planned.networks)
    assert set(planned.left_out) == set(left_out(scale))


def test_networks_of_a_scale_are_of_the_size_and_number_that_it_says(tmp_path: Path) -> None:
    sizes = {"smoke": 12, "quick": 128, "standard": 256, "paper": 500}
    assert list(SCALES) == list(sizes)
    for scale, size in sizes.items():
        networks = plan(scale, tmp_path / scale).networks
        assert {network.config.num_neurons for network in networks} - {size} <= {size // 2, 2 * size}
        first = 10 if scale == "standard" else 0
        assert {network.config.seed for network in networks} == set(range(first, first + SCALES[scale].networks))
    assert [SCALES[scale].networks for scale in sizes] == [2, 5, 5, 4]


def test_the_paper_scale_is_the_published_protocol(tmp_path: Path) -> None:
    configs = {network.numbers[0][0]: network.config for network in plan("paper", tmp_path).networks}
    recipe = configs["single"].recipe()
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size, recipe.lr) == (1000, 600, 256, 0.05)
    assert (configs["multi"].max_N, configs["multi"].num_neurons) == (101, 500)
    lstm = configs["multi_lstm"].recipe()
    assert (lstm.epochs, lstm.steps_per_epoch, lstm.batch_size, lstm.optimizer, lstm.lr) == (
        100,
        300,
        64,
        "adam",
        0.001,
    )
    assert configs["sliding"].curriculum().stage.ask["Ns"] == tuple(range(2, 12))
    assert configs["continuous"].duplicates == (7, 8, 9, 10)
    assert [configs[f"multi_tau{tau}"].tau for tau in (1, 2, 3)] == [1.0, 2.0, 3.0]
    for N in NO_CURRICULUM:
        assert configs[f"nocurr_{N}"].curriculum().stage.ask["Ns"] == (N,)


@pytest.mark.parametrize("scale", ["quick", "standard"])
def test_gated_networks_keep_the_learning_rate_of_their_optimiser(scale: str, tmp_path: Path) -> None:
    gated = [
        network.config.recipe() for network in plan(scale, tmp_path).networks if network.config.cell in ("gru", "lstm")
    ]
    assert len(gated) == 4 * SCALES[scale].networks
    assert {(recipe.optimizer, recipe.lr, recipe.batch_size) for recipe in gated} == {("adam", 0.001, 64)}


@pytest.mark.parametrize("scale", SCALES)
def test_every_claim_of_a_scale_is_judged_or_out_of_reach(scale: str) -> None:
    """Results of all conditions of the scale, far enough trained, leave nothing missing."""
    results = World(networks=SCALES[scale].networks, left_out=left_out(scale)).results()
    judged = {judged_claim.claim.key: judged_claim for judged_claim in judge(PAPER, SCALES[scale], results)}
    assert list(judged) == KEYS
    for key, judged_claim in judged.items():
        if key in SCALES[scale].out_of_reach:
            assert (judged_claim.verdict, judged_claim.findings) == ("not judged", ())
            assert judged_claim.reason
        else:
            assert judged_claim.findings
            assert {finding.verdict for finding in judged_claim.findings} <= {"holds", "not judged"}
    assert (scale == "smoke") == all(judged_claim.reason for judged_claim in judged.values())


def test_costly_measurements_are_made_where_the_scale_says_and_others_at_each_N(tmp_path: Path) -> None:
    networks = {network.numbers[0]: network for network in plan("quick", tmp_path).networks}
    records = [{"stage": f"N{N}_N{N}", "solved": True} for N in range(2, 12)]
    asked = {what: sorted(N for name, N in networks["single", 2].asked(records) if name == what)
             for what in ("retraining", "timescales", "forgetting")}  # fmt: skip
    assert asked == {"retraining": [8], "timescales": [2, 5, 10, 11], "forgetting": [11]}
    assert not networks["multi_lstm", 1].asked(records)
    assert not networks["single", 1].asked([{"stage": "N2_N2", "solved": False}])


def test_committed_networks_are_all_that_the_scale_asks_of_them(tmp_path: Path) -> None:
    for path in MEASURED:
        with zipfile.ZipFile(path) as packed:
            packed.extractall(tmp_path)
    here = environment("cpu")
    found = {network.name: look(network, here) for network in plan("standard", tmp_path).networks}
    complete = {name for name, network in found.items() if network.complete}
    assert len(complete) == len(MEASURED)
    assert complete >= {f"single {i}" for i in range(1, 5)}
    assert all(("timescales", 16) in found[f"single {i}"].measured for i in range(1, 5))


def test_another_cell_or_task_is_asked_what_it_has(tmp_path: Path) -> None:
    other_task = plan("quick", tmp_path / "dms", Choice(task="dms"))
    assert {network.config.task for network in other_task.networks} == {"dms"}
    assert {"multi_dms", "single_dms"} <= set(other_task.left_out)
    results = World(left_out=("multi_dms", "single_dms", *left_out("quick"))).results()
    assert [verdict(findings(key, results)) for key in ("C1", "C5", "C6", "C7")] == ["holds"] * 4
    other_cell = plan("quick", tmp_path / "gru", Choice(cell="gru"))
    assert {network.config.cell for network in other_cell.networks} == {"gru"}
    trained = {name for network in other_cell.networks for name, _ in network.numbers}
    some = World(left_out=tuple({condition.name for condition in CONDITIONS} - trained)).results()
    assert [verdict(findings(key, some)) for key in ("C1", "C5", "C9")] == ["holds"] * 3
    assert "missing" not in {finding.verdict for finding in findings("C3", some) if "single-head" in finding.statement}


# --- claims -----------------------------------------------------------------------------------------------------------


def test_all_claims_are_there_with_their_place_in_the_paper() -> None:
    assert list(CLAIMS) == KEYS
    assert all(claim.statement.endswith(".") and claim.where for claim in PAPER.claims)


@pytest.mark.parametrize("key", KEYS)
def test_a_claim_holds_where_networks_turn_out_as_published(key: str) -> None:
    for finding in findings(key):
        assert finding.verdict == "holds", finding
        assert finding.ours
        assert finding.effect
        assert finding.n in ("3", "3 + 3")


@pytest.mark.parametrize("key", KEYS)
def test_no_inequality_of_a_claim_holds_where_they_turn_out_the_other_way_round(key: str) -> None:
    for finding in told(key, agrees=False):
        assert finding.verdict == "does not hold", finding


@pytest.mark.parametrize("key", KEYS)
def test_one_network_is_no_sample(key: str) -> None:
    of_one = findings(key, without_networks(HOLDS))
    assert of_one
    assert {finding.verdict for finding in of_one} == {"missing"}
    assert {finding.n for finding in of_one} <= {"1", "1 + 1"}


@pytest.mark.parametrize("key", KEYS)
def test_nothing_trained_is_said_and_no_error(key: str) -> None:
    empty = Results(
        {condition.name: [] for condition in CONDITIONS}, {condition.name: condition.label for condition in CONDITIONS}
    )
    assert {finding.verdict for finding in findings(key, empty)} <= {"missing", "not judged"}
    assert {finding.verdict for finding in findings(key, Results({}, {}))} <= {"missing", "not judged"}


@pytest.mark.parametrize("key", ["C1", "C4", "C5", "C6", "C7"])
def test_both_tasks_are_asked_where_the_paper_has_both(key: str) -> None:
    judged = [finding.statement for finding in findings(key)]
    assert sum("N-DMS" in statement for statement in judged) == len(judged) / 2


def test_published_values_stand_beside_ours_with_their_marks() -> None:
    assert findings("C1")[0].published == "100, 101, 100, 101 against 37, 33, 35, 35 [D] after 1000 epochs"
    assert findings("C3")[0].published == "37, 33, 35, 35 against 24, 25, 24, 26 [D]"
    assert findings("C5")[0].published == "2.7 at N = 5, 7.1 at N = 100 [G]"
    assert findings("C6")[0].published == "-0.00103 against -0.00215 at N = 11 [D]"
    assert findings("C8")[0].published == "0.992 ± 0.0077 against 0.442 ± 0.049 at N = 30 [D]"
    said = [finding.published for key in KEYS for finding in findings(key) if finding.published]
    assert len(said) > 20
    assert all("[D]" in text or "[G]" in text for text in said)


def cut(results: Results, condition: str, epochs: int) -> Results:
    """Return results in which a condition was trained for some epochs only."""
    shorter = [replace(network, history=network.history[:epochs]) for network in results.networks[condition]]
    return Results({**results.networks, condition: shorter}, results.labels)


def test_conditions_are_compared_within_the_epochs_that_both_have() -> None:
    """Multi-head solves an N an epoch here, single-head one in two."""
    (parity, _) = findings("C1", cut(HOLDS, "single", 20))
    assert "within 20 epochs" in parity.statement
    assert parity.ours == "21 ± 0 against 11 ± 0"
    (parity, _) = findings("C1", cut(HOLDS, "multi", 10))
    assert "within 10 epochs" in parity.statement
    assert parity.ours == "11 ± 0 against 6 ± 0"


def test_a_run_that_ended_with_a_solved_N_is_called_a_lower_bound() -> None:
    (ended, _) = findings("C1", cut(HOLDS, "multi", 29))
    assert "2 of the larger ended with a solved N: lower bounds" in ended.effect
    assert not any("lower bound" in finding.effect for finding in findings("C1"))


def test_fixed_timescales_of_single_heads_are_judged_by_their_speed_before_the_largest_N_differs() -> None:
    reached = {"single": 20, "single_tau1": 19, "single_tau2": 19, "single_tau3": 19}
    judged = findings("C3", World(reached=reached).results())
    assert [finding.verdict for finding in judged] == ["holds"] * 6
    assert judged[0].statement == "single-head, τ = 1 takes more epochs up to N = 18 than single-head"
    # The N-th of the synthetic networks is solved after 3 (N - 1) epochs with fixed τ, and 2 (N - 1) with trained τ.
    assert judged[0].ours == "51 ± 0 against 34 ± 0"
    turned = findings("C3", World(agrees=False, reached=reached).results())
    assert [finding.verdict for finding in turned[:3]] == ["does not hold"] * 3
    # Whichever of the two gets to N = 24: that only trained τ must be asked would favour the claim.
    other = World(reached={"single": 20, "single_tau1": 26, "single_tau2": 19, "single_tau3": 19}).results()
    assert findings("C3", other)[0].statement.startswith("single-head solves a larger N than single-head, τ = 1 within")
    # In two epochs, none of its networks solves any N.
    stuck = cut(World(reached=reached).results(), "single_tau1", 2)
    assert findings("C3", stuck)[0].verdict == "missing"
    gone = World(left_out=("single_tau1", "single_tau2", "single_tau3")).results()
    assert [finding.verdict for finding in findings("C3", gone)][:3] == ["not judged"] * 3


def test_the_rise_of_tau_is_not_judged_below_the_N_it_begins_at() -> None:
    judged = findings("C4", World(reached={"single": 16}).results())
    assert [finding.verdict for finding in judged][:2] == ["holds"] * 2
    judged = findings("C4", World(reached={"single": 14}).results())
    assert [finding.verdict for finding in judged][:2] == ["not judged"] * 2
    assert "N = 8" in judged[4].statement
    assert "from 15 on" in judged[0].effect


def test_unsolved_runs_without_a_curriculum_count_as_lower_bounds() -> None:
    growth, against_single, _ = findings("C2")
    assert "6 runs unsolved" in growth.effect
    # The epochs are N², and as many more as the network has networks before it.
    assert 1.9 < float(growth.ours.split()[0]) < 2
    # The curricula get to N = 15, where no network from scratch did: each counts with its last epoch.
    assert "N = 15" in against_single.statement
    assert against_single.ours == "225 ± 0 against 28 ± 0"


def test_a_run_given_up_earlier_than_the_curriculum_needed_says_nothing() -> None:
    short = cut(cut(HOLDS, "nocurr_15", 20), "nocurr_12", 20)
    _, against_single, against_multi = findings("C2", short)
    assert "N = 10" in against_single.statement
    assert "N = 15" in against_multi.statement
    assert against_multi.ours == "20 ± 0 against 14 ± 0"


def test_networks_are_compared_at_the_largest_N_that_all_were_measured_at() -> None:
    judged = findings("C6", World(reached={"single": 21}).results())
    assert "(N = 20)" in judged[0].statement
    judged = findings("C6", World(reached={"single": 9}).results())
    assert "(N = 8)" in judged[0].statement
    judged = findings("C6", World(reached={"single": 7}).results())
    assert "no common N" in judged[0].statement
    assert (judged[0].verdict, judged[1].verdict) == ("missing", "holds")


def test_values_that_are_not_numbers_are_no_samples() -> None:
    network = HOLDS.networks["single"][0]
    broken = {
        key: dataset * np.nan if key[0] == "perturbation_tau" else dataset for key, dataset in network.measured.items()
    }
    networks = {**HOLDS.networks, "single": [replace(network, measured=broken), *HOLDS.networks["single"][1:]]}
    judged = findings("C9", Results(networks, HOLDS.labels))
    assert [(finding.n, finding.verdict) for finding in judged] == [("3 + 3", "holds"), ("3 + 2", "holds")]


# --- quantities -------------------------------------------------------------------------------------------------------


def test_robustness_is_the_area_over_the_logarithm_of_the_perturbation() -> None:
    """A network that is whole below an ε and gone above keeps the share of the grid below."""
    epsilons = np.array([0, *np.geomspace(1e-2, 10, 10)])
    relative = np.where(epsilons < 0.05, 1.0, 0.0)[:, None].repeat(3, axis=1)
    result = xr.Dataset({"relative_accuracy": (("epsilon", "trial"), relative)}, {"epsilon": epsilons})
    assert quantities.robustness(result) == pytest.approx(3 / 10)


def test_the_filter_on_tau_net_is_that_of_the_paper() -> None:
    result = xr.Dataset({"tau": ("unit", [1.0, 3.0, 2.0]), "tau_net": ("unit", [0.5, 2.0, 4.0])})
    assert quantities.tau_net_mean(result) == 3
    assert quantities.tau_net_std(result) == 1
    assert quantities.tau_mean(result) == 2
    assert quantities.tau_std(result) == pytest.approx(np.sqrt(2 / 3))


def test_memory_is_split_at_the_largest_trained_N() -> None:
    result = xr.Dataset({"accuracy": ("N", [0.5, 0.7, 0.95, 0.4])}, {"N": [2, 3, 4, 5], "trained": ("N", [0, 0, 1, 0])})
    result["trained"] = result["trained"].astype(bool)
    assert quantities.accuracy_on_smaller(result) == pytest.approx(0.6)
    assert quantities.forgotten(result) == pytest.approx(0.35)
    read = xr.Dataset({"accuracy": (("N", "trial"), [[1.0, 1.0], [0.8, 0.6], [0.6, 0.4]])}, {"N": [4, 5, 6]})
    assert quantities.beyond(4)(read) == pytest.approx(0.6)


def test_groups_of_ablated_units_are_told_apart() -> None:
    relative = [[1.0, 0.8], [0.6, 0.4], [0.2, 0.0]]
    result = xr.Dataset({"relative_accuracy": (("unit", "trial"), relative)},
                        {"group": ("unit", ["fastest", "slowest", "slowest"])})  # fmt: skip
    assert quantities.without("fastest")(result) == pytest.approx(0.9)
    assert quantities.without_fast_minus_slow(result) == pytest.approx(0.6)
    assert np.isnan(quantities.without("random")(result))


def test_finer_time_steps_are_compared_with_the_trained_one() -> None:
    accuracy = [[1.0, 0.9], [0.9, 0.7], [0.8, 0.6]]
    result = xr.Dataset({"accuracy": (("k", "N"), accuracy)}, {"k": [10, 20, 100], "N": [2, 3]})
    assert quantities.kept_at((20, 100), 10)(result) == pytest.approx(0.75 - 0.95)


def test_steps_of_a_resumed_run_are_those_of_whole_epochs() -> None:
    whole, rest = {"seconds": 4.0, "steps_per_second": 25.0}, {"seconds": 1.0, "steps_per_second": 30.0}
    assert quantities.steps(Trained("multi", 1, (whole, rest, whole), {})) == [100, 200, 300]
    assert quantities.steps(HOLDS.networks["multi"][0])[:2] == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]


# --- published values -------------------------------------------------------------------------------------------------


def test_every_published_value_has_a_known_mark() -> None:
    groups = {name: value for name, value in published().items() if isinstance(value, dict) and name != "marks"}
    assert {value["mark"] for value in groups.values()} == {"D", "G"}
    assert set(published()["marks"]) == {"P", "D", "G"}


def test_published_values_are_those_of_the_specification() -> None:
    values = published()
    assert values["max_N"]["multi"] == {"trained": [100, 101, 100, 101], "1": [101] * 4, "2": [87, 88, 87, 87],
                                        "3": [66, 70, 70, 72]}  # fmt: skip
    assert values["max_N"]["single"]["3"] == [25, 24, 24, 24]
    curve = values["epochs_to_solve"]["single"]
    assert dict(zip(curve["N"], curve["epoch"], strict=True))[20] == 99
    tau = values["tau"]["single"]["std"]
    assert dict(zip(tau["N"], tau["value"], strict=True))[32] == 1.095
    net = values["tau_net_mod"]["single"]["mean"]
    assert dict(zip(net["N"], net["value"], strict=True))[42] == 12.9
    assert values["dimensionality"]["multi"]["value"] == [3, 8, 14.2, 19.9, 22.6]
    ablation = {(name, N): values["ablation"][name][N] for name in ("single", "multi") for N in ("5", "30")}
    slow = {key: np.mean(accuracies["slowest"]) for key, accuracies in ablation.items()}
    fast = {key: np.mean(accuracies["fastest"]) for key, accuracies in ablation.items()}
    expected = {("single", "5"): (0.960, 0.994), ("single", "30"): (0.904, 0.442), ("multi", "5"): (0.985, 0.997),
                ("multi", "30"): (0.786, 0.992)}  # fmt: skip
    for key, (fastest, slowest) in expected.items():
        assert fast[key] == pytest.approx(fastest, abs=6e-4)
        assert slow[key] == pytest.approx(slowest, abs=6e-4)
    weights = values["perturbation_recurrent"]
    np.testing.assert_allclose(weights["single"]["mean"][4:8], [0.960, 0.736, 0.167, -0.009], atol=6e-4)
    np.testing.assert_allclose(values["perturbation_tau"]["multi"]["mean"][7:10], [0.894, 0.416, 0.012], atol=6e-4)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["network"] in {f"network_{i}" for i in range(1, 5)}]
    return [row for row in rows if row["network_type"] != "sliding" or row["N"] == "30"]


NAMES = {"single-head": "single", "cumulative": "multi", "sliding": "sliding"}


@pytest.mark.reference
@pytest.mark.parametrize("which", ["recurrent", "tau"])
def test_published_perturbations_are_those_of_the_published_file(which: str, reference: Path) -> None:
    values = published()[f"perturbation_{which}"]
    accuracy: dict[tuple[str, str, float], list[float]] = {}
    for row in _rows(reference / values["source"]):
        key = NAMES[row["network_type"]], row["network"], float(f"{float(row['epsilon']):.6g}")
        accuracy.setdefault(key, []).append(float(row["accuracy"]))
    for name in ("single", "multi"):
        for i, epsilon in enumerate(values[name]["epsilon"]):
            relative = [
                (np.mean(accuracy[name, network, epsilon]) - 0.5) / (np.mean(accuracy[name, network, 0.0]) - 0.5)
                for network in (f"network_{i}" for i in range(1, 5))
            ]
            of_file = [np.mean(relative), min(relative), max(relative)]
            np.testing.assert_allclose([values[name][key][i] for key in ("mean", "low", "high")], of_file, atol=6e-5)


@pytest.mark.reference
def test_published_ablations_are_those_of_the_published_file(reference: Path) -> None:
    values = published()["ablation"]
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for row in _rows(reference / values["source"]):
        relative = (float(row["accuracy_mean"]) - 0.5) / (float(row["baseline_max"]) - 0.5)
        found.setdefault((NAMES[row["network_type"]], row["N"], row["network"], row["group"]), []).append(relative)
    for name, N in [("single", "5"), ("single", "30"), ("multi", "5"), ("multi", "30"), ("sliding", "30")]:
        for group, of_file in (("slowest", "slow"), ("fastest", "fast")):
            expected = [np.mean(found[name, N, f"network_{i}", of_file]) for i in range(1, 5)]
            np.testing.assert_allclose(values[name][N][group], expected, atol=6e-5)


# --- figures ----------------------------------------------------------------------------------------------------------

FIGURES = {figure.name: figure for figure in PAPER.figures}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure | None]:
    figures = {name: figure.draw(HOLDS) for name, figure in FIGURES.items()}
    for figure in figures.values():
        assert figure is not None
        # What cannot be laid out warns here.
        figure.draw_without_rendering()
    return figures


def legends(figure: Figure) -> str:
    texts = [[legend.get_title(), *legend.get_texts()] for ax in figure.axes if (legend := ax.get_legend())]
    return "\n".join(text.get_text() for entries in texts for text in entries)


def test_figures_have_names_and_captions_of_their_own() -> None:
    assert len(FIGURES) == len(PAPER.figures)
    for number in range(3, 9):
        assert any(name.startswith(f"figure_{number}") for name in FIGURES)
    for figure in PAPER.figures:
        assert figure.caption.endswith(".")
        assert len(figure.caption) > 80


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_says_what_it_shows(name: str, drawn: dict[str, Figure]) -> None:
    figure = drawn[name]
    assert figure.get_figwidth() <= 7.0
    for ax in figure.axes:
        assert ax.get_xlabel() or [tick.get_text() for tick in ax.get_xticklabels()]
        assert ax.get_ylabel()
        assert ax.get_legend() is not None
    assert "network" in legends(figure)


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("figure_3_training", ["[D]"]),
        ("figure_4a_maximum_N", ["[D]"]),
        ("figure_4b_tau", ["[G]"]),
        ("figure_5cd_tau_net", ["[G]"]),
        ("figure_6_weights_dimensionality", ["[D]"]),
        ("figure_7_ablation", ["[D]"]),
        ("figure_8_robustness", ["[D]"]),
        ("supplement_mod", ["[G]"]),
        ("supplement_sliding_window", ["[D]"]),
    ],
)
def test_published_values_are_drawn_with_open_markers(name: str, marks: list[str], drawn: dict[str, Figure]) -> None:
    assert "published (500 units)" in legends(drawn[name])
    assert all(mark in legends(drawn[name]) for mark in marks)
    there = [line for ax in drawn[name].axes for line in ax.lines if "published" in str(line.get_label())]
    assert there
    assert {line.get_markerfacecolor() for line in there} == {"white"}


@pytest.mark.parametrize(
    "name",
    [
        "figure_4b_tau",
        "figure_5cd_tau_net",
        "figure_6_weights_dimensionality",
        "figure_7_ablation",
        "figure_8_robustness",
    ],
)
def test_published_networks_that_were_measured_as_ours_are_a_third_group(name: str, drawn: dict[str, Figure]) -> None:
    theirs = {kind: HOLDS.networks[kind][:1] for kind in ("multi", "single")}
    figure = FIGURES[name].draw(replace(HOLDS, published=theirs))
    assert figure is not None
    figure.draw_without_rendering()
    there = [line for ax in figure.axes for line in ax.lines if "published, measured here" in str(line.get_label())]
    assert {line.get_markeredgecolor() for line in there} == {"black"}
    assert not any("measured here" in str(line.get_label()) for ax in drawn[name].axes for line in ax.lines)
    if name == "figure_8_robustness":
        assert {str(line.get_label()).partition(", N")[2] for line in there} == {" = 25"}, "at a common N"
    elif name != "figure_7_ablation":
        # A published network that is one of ours lies where our network lies alone.
        alone = FIGURES[name].draw(replace(HOLDS, networks=HOLDS.networks | theirs))
        (ours,) = [line for line in alone.axes[0].lines if str(line.get_label()) == "multi-head, 1 network"]
        (same,) = [line for line in there if line.axes is figure.axes[0] and "multi-head" in str(line.get_label())]
        np.testing.assert_allclose(same.get_xydata(), ours.get_xydata())


def line(figure: Figure, panel: int, label: str) -> np.ndarray:
    (found,) = [found for found in figure.axes[panel].lines if str(found.get_label()).startswith(label)]
    return np.asarray(found.get_xydata())


def test_figures_show_our_numbers(drawn: dict[str, Figure]) -> None:
    tau = line(drawn["figure_4b_tau"], 0, "multi-head, 3 networks")
    own = HOLDS.values("timescales", "multi", quantities.tau_mean, 20)
    assert dict(tau)[20] == pytest.approx(np.mean(own))
    published_tau = line(drawn["figure_4b_tau"], 0, "single-head, published")
    assert dict(published_tau)[30] == 1.653
    slow = line(drawn["figure_7_ablation"], 0, "without one slowest unit")
    assert dict(slow)[8] == pytest.approx(np.mean([0.50, 0.51, 0.52]))
    time = line(drawn["supplement_continuous_time"], 0, "N = 2, 3 networks")
    assert dict(time)[0.01] == pytest.approx(0.977)
    progress = line(drawn["figure_3_training"], 1, "multi-head, 3 networks")
    assert progress[:2].tolist() == [[STEPS_PER_EPOCH, 2], [2 * STEPS_PER_EPOCH, 3]]
    given_up = [marker for marker in drawn["figure_3_training"].axes[0].lines if marker.get_marker() == "^"]
    assert sorted({marker.get_xdata()[0] for marker in given_up}) == [12, 15]


def test_chance_is_drawn_where_accuracy_is(drawn: dict[str, Figure]) -> None:
    for name in ("figure_7_ablation", "figure_8_robustness", "supplement_forgetting", "supplement_continuous_time"):
        assert "chance" in legends(drawn[name])


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_drawn_of_nothing(name: str) -> None:
    draw = FIGURES[name].draw
    assert draw(Results({}, {})) is None
    assert draw(Results({condition.name: [] for condition in CONDITIONS}, {})) is None
    failed = {condition.name: [Trained(condition.name, 1, (), {}, "diverged")] for condition in CONDITIONS}
    assert draw(Results(failed, {})) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_of_whatever_there_is(name: str) -> None:
    """One network of each condition, another far behind, and no DMS, fixed τ or LSTM."""
    gone = ("multi_dms", "single_dms", "single_tau1", "multi_tau2", "multi_lstm", "single_lstm", "multi_half")
    some = without_networks(World(reached={"single": 9, "multi": 16}, left_out=gone).results())
    assert FIGURES[name].draw(some) is not None


@pytest.mark.slow
def test_the_smoke_scale_goes_through(tmp_path: Path) -> None:
    assert main(["reproduce", "emergent-timescales", "--scale", "smoke", "-b", str(tmp_path)]) == 0
    there = {path.stem for path in (tmp_path / "results").glob("*.png")}
    assert there == set(FIGURES) - {"supplement_network_size"}
