"""What a reproduction will do, known before it does anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny_paper
from tauscope.errors import InputError
from tauscope.papers import PAPERS, paper
from tauscope.papers.reproduce.planning import Choice, Plan, make_plan
from tauscope.papers.vocabulary import Condition, Measure
from tauscope.runs.config import kind_of
from tauscope.runs.run import Run
from tiny_paper import PAPER, SCALES, TRAINING

TrainConfig = kind_of("parity")

TINY = "tiny_paper:PAPER"


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change something of the tiny paper, or of its quick scale."""

    def change(*, scale: dict[str, Any] | None = None, **parts: Any) -> None:
        quick = replace(SCALES["quick"], **(scale or {}))
        monkeypatch.setattr(tiny_paper, "PAPER", replace(PAPER, scales={"quick": quick}, **parts))

    return change


def condition(name: str, **options: Any) -> Condition:
    return Condition(name, name, options)


def plan(base: Path = Path("base"), scale: str = "quick", **choice: Any) -> Plan:
    return make_plan(TINY, scale, base, Choice(**choice))


def test_the_first_networks_of_all_conditions_come_first_and_each_has_a_seed_of_its_own() -> None:
    networks = plan().networks
    assert [network.numbers for network in networks] == [
        ((name, i),) for i in (1, 2) for name in ("multi", "single", "fixed", "late", "gated")
    ]
    assert [network.config.seed for network in networks] == [0] * 5 + [1] * 5
    assert [network.folder for network in networks] == [Path("base") / network.config.name for network in networks]
    assert [network.folder.name for network in networks[:5]] == [
        "cumulative_parity_size_8_network_1",
        "single_parity_size_8_network_1",
        "single_parity_size_8_T_1.0_network_1",
        "single_nocurr_parity_size_8_network_101",
        "cumulative_parity_size_8_gru_network_1",
    ]
    assert networks[8].folder.name == "single_nocurr_parity_size_8_network_102"


def test_conditions_that_a_scale_puts_first_come_before_all_others(put: Any) -> None:
    put(scale={"first": ("late", "single")})
    numbers = [network.numbers[0] for network in plan().networks]
    assert numbers[:4] == [("single", 1), ("late", 1), ("single", 2), ("late", 2)]
    others = ("multi", "fixed", "gated")
    assert numbers[4:] == [(name, i) for i in (1, 2) for name in others]


def test_options_of_the_scale_the_condition_and_the_condition_at_the_scale() -> None:
    configs = {network.numbers[0][0]: network.config for network in plan().networks}
    assert configs["multi"] == TrainConfig(**TRAINING, network_number=2, seed=1)
    assert (configs["multi"].epochs, configs["gated"].epochs) == (8, 2)
    assert (configs["single"].curriculum_type, configs["fixed"].tau, configs["late"].ns_init) == ("single", 1.0, 3)
    assert {network.config.max_N for network in plan().networks} == {4}


def test_a_choice_changes_the_networks_their_seeds_and_the_folder() -> None:
    assert len(plan(networks=3).networks) == 15
    assert [network.config.seed for network in plan(seed=7).networks] == [7] * 5 + [8] * 5
    assert make_plan(TINY, "quick").base == Path("reproductions/tiny-quick")
    chosen = Choice(cell="problems:LinearCell", task="dms")
    assert make_plan(TINY, "quick", None, chosen).base == Path("reproductions/tiny-quick-LinearCell-dms")


def test_another_task_is_asked_of_every_condition() -> None:
    assert {network.config.task for network in plan(task="dms").networks} == {"dms"}
    assert "cumulative_dms_size_8_network_1" in [network.config.name for network in plan(task="dms").networks]


def test_what_makes_no_sense_of_another_cell_is_left_out_and_why_is_said() -> None:
    found = plan(cell="lstm")
    assert {network.config.cell for network in found.networks} == {"lstm"}
    assert {network.numbers[0][0] for network in found.networks} == {"multi", "single", "late"}
    assert found.left_out["gated"] == "about cell gru, not lstm"
    assert found.left_out["fixed"].startswith("tau is 1.0, an option of the leaky cell")
    # The paper's own GRU has options of its own, and would be kept in the folder of this one.
    found = plan(cell="gru")
    assert "gated" in found.left_out
    assert "would share the folder cumulative_parity_size_8_gru_network_1" in found.left_out["gated"]


def test_a_learning_rate_of_one_optimiser_is_not_used_with_another() -> None:
    recipes = [
        network.config.recipe() for cell in ("lstm", "problems:LinearCell") for network in plan(cell=cell).networks
    ]
    assert {(recipe.optimizer, recipe.lr) for recipe in recipes} == {("adam", 0.001), ("sgd", 0.3)}


def test_conditions_that_the_scale_leaves_out() -> None:
    found = plan(scale="smoke")
    assert [network.numbers for network in found.networks] == [(("multi", 1),), (("gated", 1),)]
    assert found.left_out == dict.fromkeys(("single", "fixed", "late"), "not trained at scale smoke")


def test_conditions_that_are_trained_alike_share_their_networks(put: Any) -> None:
    put(conditions=(*PAPER.conditions, condition("again", curriculum_type="single", task="parity")),
        measures=(Measure("connectivity", ("single",)), Measure("forgetting", ("again",))))  # fmt: skip
    found = plan()
    assert len(found.networks) == 10
    (shared,) = [network for network in found.networks if ("again", 2) in network.numbers]
    assert shared.numbers == (("single", 2), ("again", 2))
    assert [measure.what for measure in shared.measures] == ["connectivity", "forgetting"]


def test_different_runs_in_one_folder_are_refused_before_anything_is_done(put: Any, tmp_path: Path) -> None:
    put(conditions=(*PAPER.conditions, condition("large", batch_size=16)))
    said = r"'multi' and 'large' would share the folder \S+_network_1, but differ in batch_size \(8, 16\): .* network_number"
    with pytest.raises(InputError, match=said):
        plan(tmp_path / "base")
    assert list(tmp_path.iterdir()) == []
    put(conditions=(*PAPER.conditions, condition("large", batch_size=16, network_number=11)))
    assert len(plan().networks) == 12


def test_what_is_measured_of_a_network() -> None:
    records = [
        {"epoch": i, "stage": f"N2_N{N}", "Ns": list(range(2, N + 1)), "solved": i != 3}
        for i, N in enumerate((2, 3, 3, 4), 1)
    ]
    networks = {network.name: network for network in plan().networks}
    results = Path("base/measured/quick")
    multi, run = networks["multi 1"].asked(records), "cumulative_parity_size_8_network_1"
    # At N = 3 nobody asked: the scale measures at 2, and the network's largest is 4.
    assert set(multi) == {("connectivity", 2), ("connectivity", 4), ("forgetting", 4), ("size", 4)}
    assert multi["connectivity", 2].checkpoint == Path("base") / run / "rnn_N2_N2"
    assert multi["connectivity", 2].target == results / run / "analysis" / "rnn_N2_N2_connectivity.nc"
    assert multi["forgetting", 4].options == {"n_sequences": 32, "beyond": 1}
    assert multi["size", 4].how is tiny_paper.SIZE
    assert networks["fixed 1"].asked(records) == {}
    elsewhere = replace(networks["multi 1"], measured_at={"connectivity": (3, 9), "forgetting": (2,)}).asked(records)
    assert set(elsewhere) == {("connectivity", 3), ("forgetting", 2), ("size", 4)}
    assert networks["multi 1"].asked([record | {"solved": False} for record in records]) == {}


def test_what_a_network_does_not_have_is_not_measured(put: Any) -> None:
    measures = tuple(Measure(what, ("multi", "gated")) for what in ("perturbation_tau", "connectivity", "resolution"))
    put(scale={"measurement_options": {}}, measures=measures)
    asked = {network.numbers[0][0]: [measure.what for measure in network.measures] for network in plan().networks}
    assert asked["multi"] == ["perturbation_tau", "connectivity"]
    assert asked["gated"] == ["connectivity"]


def test_a_run_that_fits_is_gone_on_with_and_another_is_refused(tmp_path: Path) -> None:
    config = plan().networks[0].config
    for epochs, seed in ((99, 0), (8, 5)):
        with Run(tmp_path / str(seed) / config.name, replace(config, epochs=epochs, seed=seed)) as run:
            run.begin()
    assert len(plan(tmp_path / "0").networks) == 10
    with pytest.raises(InputError, match=r"holds a different run: its seed is 5, not 0; expected another --base_path"):
        plan(tmp_path / "5")


@pytest.mark.parametrize(
    ("scale", "choice", "said"),
    [
        ("quik", {}, "scale 'quik' is unknown: expected one of smoke, quick; did you mean 'quick'"),
        ("quick", {"networks": 0}, "networks is 0: expected at least 1"),
        ("quick", {"seed": -1}, "seed is -1: expected at least 0"),
        ("quick", {"cell": "grru"}, "cell 'grru' is unknown: .*did you mean 'gru'"),
        ("quick", {"task": "paritty"}, "task 'paritty' is unknown: .*did you mean 'parity'"),
        ("quick", {"cell": "nowhere:Cell"}, "module 'nowhere' cannot be imported"),
    ],
)
def test_what_is_unknown_is_refused(scale: str, choice: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan(scale=scale, **choice)


def test_nothing_left_to_train_is_refused(put: Any) -> None:
    put(conditions=(condition("fixed", tau=1.0),), measures=(), scale={"by_condition": {}})
    with pytest.raises(InputError, match=r"no condition of tiny can be trained so: tau is 1.0, an option of the leaky"):
        plan(cell="gru")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"measures": (Measure("connectivty", ("multi",)),)}, "measurement 'connectivty' is unknown: .*'connectivity'"),
        ({"measures": (Measure("size", ("mult",)),)}, "condition 'mult' is unknown: .*did you mean 'multi'"),
        ({"scale": {"by_condition": {"sngle": None}}}, "condition 'sngle' is unknown: .*did you mean 'single'"),
        ({"scale": {"first": ("sngle",)}}, "condition 'sngle' is unknown: .*did you mean 'single'"),
        ({"scale": {"measurement_options": {"sizes": {}}}}, "measurement 'sizes' is unknown: .*did you mean 'size'"),
        ({"scale": {"out_of_reach": {"C5": ""}}}, "claim 'C5' is unknown: expected one of C1, C2, C3, C4"),
        ({"conditions": (condition("multi", num_neuron=8),), "measures": ()}, "'num_neuron' is unknown"),
    ],
)
def test_a_paper_that_names_what_it_does_not_have_is_refused(put: Any, parts: dict[str, Any], said: str) -> None:
    put(**{"scale": {"by_condition": {}}} | parts)
    with pytest.raises(InputError, match=said):
        plan()


def test_every_paper_can_be_planned_at_each_of_its_scales() -> None:
    for name in PAPERS:
        for scale in paper(name).scales:
            found = make_plan(name, scale, Path("base"))
            assert found.networks
            task = {"emergent-timescales": "dms"}.get(name)
            # These papers are about cells of their own: that add noise to their state, that act unit by unit, that are compared.
            own = {
                "offline-reactivation": ("noisy_gru",),
                "real-time-recurrent-learning": (),
                "closed-loop-control": (),
            }
            for cell in own.get(name, ("gru", "lstm")):
                assert make_plan(name, scale, Path("base"), Choice(cell=cell, task=task)).networks
            json.dumps([network.config.to_dict() for network in found.networks])
