"""Finding a network on disk, ours or a published one, and rebuilding it without being told what it is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tauscope as ts
from rounding import tolerance
from tauscope.models import LeakyCell
from tauscope.models.gated import GATED
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.config import kind_of
from tauscope.runs.loading import checkpoints_of, find_checkpoint, load, load_model, trained_Ns
from tauscope.runs.published import to_published

TrainConfig = kind_of("parity")

NETWORKS: dict[str, dict[str, Any]] = {
    "default": {},
    "mod": {"model_type": "mod", "afunc": "tanh"},
    "relu": {"afunc": "relu"},
    "continuous": {"model_type": "continuous", "afunc": "sigmoid", "duplicates": (2, 3)},
    "fixed tau": {"tau": 2.5},
    "two layers": {"num_layers": 2},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm", "num_layers": 2},
    "single": {"curriculum_type": "single"},
    "more heads": {"max_N": 120},
}


def keep(base: Path, name: str, model: ts.Model, *checkpoints: str, config: TrainConfig | None = None) -> Path:
    """Write a network into a run folder, with its configuration if there is one, and return the folder."""
    folder = base / name
    folder.mkdir()
    for checkpoint in checkpoints:
        save_weights(folder / checkpoint, to_published(model))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def small(**options: Any) -> ts.Model:
    return ts.build_model(**({"n_units": 4} | options), generator=torch.Generator().manual_seed(7))


def answers(model: ts.Model, N: int = 3) -> torch.Tensor:
    inputs = torch.randn(6, 2, 1, generator=torch.Generator().manual_seed(1))
    return model.readout(model(inputs)[0], f"N{N}")


def leaky(model: ts.Model) -> LeakyCell:
    cell = model.layers[0]
    assert isinstance(cell, LeakyCell)
    return cell


# --- networks of ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_any_network_of_ours_is_rebuilt_from_its_run(kind: str, tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=4, seed=5, **NETWORKS[kind])
    model = config.model()
    N_min = 3 if kind == "single" else 2
    keep(tmp_path, config.name, model, f"rnn_N{N_min}_N3", config=config)
    again = load_model(config.curriculum_type, "parity", 1, N_max=3, base_path=tmp_path)
    assert torch.equal(answers(again), answers(model))
    assert again.heads.shared == model.heads.shared
    assert again.heads.names == model.heads.names
    if isinstance(model.layers[0], LeakyCell):
        assert isinstance(leaky(again).raw_tau, torch.nn.Parameter) == (kind != "fixed tau")
        assert (leaky(again).form, leaky(again).afunc) == (config.model_type, config.afunc)


def test_a_cell_of_ones_own_is_imported_only_when_asked(tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=4, cell="problems:LinearCell")
    model = config.model()
    folder = keep(tmp_path, config.name, model, "rnn_N2_N3", config=config)
    for cell in (None, "problems:Accumulator"):
        with pytest.raises(ts.InputError, match="expected cell='problems:LinearCell' to allow importing it"):
            load(folder, cell=cell)
    again = load_model("cumulative", "parity", 1, 3, base_path=tmp_path, cell="problems:LinearCell")
    assert torch.equal(answers(again), answers(model))


GATED_BY_VERSION_0_1 = """{
  "curriculum_type": "cumulative", "task": "parity", "network_number": 1, "seed": 3, "ns_init": 2, "init_heads": 1,
  "add_heads": 1, "forget_heads": 1, "max_N": 3, "p": null, "plus_minus": null, "labels": "last", "model_type": "default",
  "afunc": "leakyrelu", "num_neurons": 4, "num_layers": 1, "tau": null, "cell": "CELL", "duplicates": null,
  "precision": "fp32", "epochs": 2, "steps_per_epoch": 2, "batch_size": 4, "test_steps": 1, "optimizer": null, "lr": null,
  "momentum": 0.1, "clip": 2.0
}"""


@pytest.mark.parametrize("by", ["torch's kernel", "ours"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_gated_network_of_version_0_1_is_the_layer_of_torch_that_it_was(
    cell: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(3)
    layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](1, 4, device="meta")
    weights = {f"{cell}.{name}": torch.randn(one.shape, generator=generator) for name, one in layer.named_parameters()}
    for head in range(100):
        weights[f"modulelist.{head}.weight"] = torch.randn(2, 4, generator=generator)
        weights[f"modulelist.{head}.bias"] = torch.randn(2, generator=generator)
    folder = tmp_path / f"cumulative_parity_size_4_{cell}_network_1"
    folder.mkdir()
    (folder / "config.json").write_text(GATED_BY_VERSION_0_1.replace("CELL", cell))
    torch.save({"state_dict": weights}, folder / "rnn_init")
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict({name.removeprefix(f"{cell}."): one for name, one in weights.items() if cell in name})

    monkeypatch.setattr(GATED[cell], "fast_from", 0 if by == "ours" else math.inf)
    model = load(folder / "rnn_init")
    inputs = torch.randn(6, 2, 1, generator=generator)
    expected, _ = layer(inputs)
    torch.testing.assert_close(model(inputs)[0], expected, rtol=tolerance(torch.float32, 4, 6), atol=1e-6)
    logits = expected @ weights["modulelist.1.weight"].t() + weights["modulelist.1.bias"]
    found = model.readout(model(inputs)[0], "N3")
    torch.testing.assert_close(found, logits, rtol=tolerance(torch.float32, 4, 6), atol=1e-5)


# --- folders without a configuration, as the published ones -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cumulative_parity_network_1", {}),
        ("cumulative_parity_size_4_network_1", {}),
        ("cumulative_parity_T_2.0_network_1", {}),
        ("cumulative_parity_mod_tanh_network_1", {"form": "mod", "afunc": "tanh"}),
        ("cumulative_parity_mod_leakyrelu_T_2.0_network_1", {"form": "mod"}),
        ("cumulative_parity_duplicates[7, 8, 9, 10]_mod_relu_network_1", {"form": "continuous", "afunc": "relu"}),
        ("cumulative_parity_layers_2_network_1", {"n_units": [4, 4]}),
        ("cumulative_parity_gru_network_1", {"cell": "gru"}),
        ("cumulative_parity_lstm_network_1", {"cell": "lstm", "n_units": [4, 4]}),
    ],
)
def test_a_network_is_rebuilt_from_its_weights_and_the_name_of_its_folder(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model = small(**options)
    keep(tmp_path, name, model, "rnn_N2_N3")
    again = load_model("cumulative", "parity", 1, N_max=3, base_path=tmp_path)
    assert torch.equal(answers(again), answers(model))
    assert again.heads.names == tuple(f"N{N}" for N in range(2, 102))
    assert not again.heads.shared


@pytest.mark.parametrize(("stored", "tau"), [(3.0, 3.0), (0.5, 1.0)])
def test_one_tau_in_the_file_is_a_fixed_one(stored: float, tau: float, tmp_path: Path) -> None:
    model = small()
    folder = keep(tmp_path, "cumulative_parity_T_3.0_network_1", model)
    save_weights(folder / "rnn_N2_N3", to_published(model) | {"parameterlist.0": torch.tensor([stored])})
    again = load(folder)
    assert again.tau is not None
    assert again.tau.tolist() == [tau] * 4
    assert not isinstance(leaky(again).raw_tau, torch.nn.Parameter)
    expected = small(tau=tau)
    expected.load_state_dict(model.state_dict() | {"cells.0.raw_tau": torch.full((4,), tau)})
    assert torch.equal(answers(again), answers(expected))


@pytest.mark.parametrize("kind", ["single", "single_nocurr"])
def test_a_single_head_answers_every_N_and_N_min_is_N_max(kind: str, tmp_path: Path) -> None:
    folder = keep(tmp_path, f"{kind}_parity_network_2", small(), "rnn_N5_N5")
    model = load_model(kind, "parity", 2, N_max=5, base_path=tmp_path)
    assert torch.equal(answers(model, 5), answers(model, 40))
    assert torch.equal(answers(load_model(kind, "parity", 2, 5, N_min=5, base_path=tmp_path)), answers(model))
    with pytest.raises(ts.InputError, match=r"no checkpoint rnn_N2_N5 in .*did you mean 'rnn_N5_N5'"):
        load_model(kind, "parity", 2, N_max=5, N_min=2, base_path=tmp_path)
    assert folder.is_dir()


def test_the_heads_of_a_published_sliding_network_are_those_of_its_window(tmp_path: Path) -> None:
    model = small()
    keep(tmp_path, "sliding_3_1_parity_network_1", model, "rnn_N4_N6")
    published = load_model("sliding_3_1", "parity", 1, N_max=6, N_min=4, base_path=tmp_path)
    # By position, as they were trained: its first head answers N = 4.
    assert torch.equal(answers(published, 4), answers(model, 2))
    assert torch.equal(answers(published, 6), answers(model, 4))


def test_the_heads_of_a_sliding_network_of_ours_keep_their_N(tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=4, curriculum_type="sliding", init_heads=3)
    keep(tmp_path, config.name, config.model(), "rnn_N4_N6", config=config)
    ours = load_model("sliding_3_1", "parity", 1, N_max=6, N_min=4, base_path=tmp_path)
    assert torch.equal(answers(ours, 4), answers(config.model(), 4))


@pytest.mark.reference
def test_the_published_networks_are_found_by_what_they_are(reference: Path) -> None:
    base = reference / "trained_models"
    for curriculum, N_min, N_max in (("cumulative", None, 8), ("single", None, 8), ("sliding_10_5", None, 11)):
        model = load_model(curriculum, "parity", 1, N_max, N_min, base_path=base)
        assert (model.n_units, len(model.heads.names)) == (500, 100)
        assert model.heads.shared == (curriculum == "single")


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_found_by_the_affixes_that_tell_it_apart(tmp_path: Path) -> None:
    small_run = keep(tmp_path, "cumulative_parity_size_4_network_1", small(), "rnn_N2_N3")
    again = load_model("cumulative", "parity", 1, 3, base_path=tmp_path)
    large = small(n_units=6)
    keep(tmp_path, "cumulative_parity_size_6_network_1", large, "rnn_N2_N3")
    with pytest.raises(ts.InputError, match=r"2 runs fit .*size_4_network_1, .*size_6_network_1; expected affixes"):
        load_model("cumulative", "parity", 1, 3, base_path=tmp_path)
    for affixes in (["size", "4"], ("size_4",)):
        assert torch.equal(
            answers(load_model("cumulative", "parity", 1, 3, base_path=tmp_path, affixes=affixes)), answers(again)
        )
    plain = keep(tmp_path, "cumulative_parity_network_1", large, "rnn_N2_N3")
    assert load_model("cumulative", "parity", 1, 3, base_path=tmp_path).n_units == 6
    assert small_run.is_dir()
    assert plain.is_dir()


def test_another_network_number_is_another_network(tmp_path: Path) -> None:
    for number in (1, 11):
        keep(tmp_path, f"cumulative_parity_network_{number}", small(n_units=number + 1), "rnn_N2_N3")
    assert load_model("cumulative", "parity", 11, 3, base_path=tmp_path).n_units == 12
    assert load_model("cumulative", "parity", 1, 3, base_path=tmp_path).n_units == 2


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            ("cumulative", "dms", 1, 3),
            r"no run cumulative_dms_network_1 in .*did you mean 'cumulative_parity_network_1'",
        ),
        (("cumulativ", "parity", 1, 3), "did you mean 'cumulative_parity_network_1'"),
        (("cumulative", "parity", 2, 3), "no run cumulative_parity_network_2"),
        (("cumulative", "parity", 1, 9), r"no checkpoint rnn_N2_N9 in .*expected one of rnn_N2_N3;"),
    ],
)
def test_what_there_is_instead_is_named(question: tuple[str, str, int, int], message: str, tmp_path: Path) -> None:
    keep(tmp_path, "cumulative_parity_network_1", small(), "rnn_N2_N3")
    with pytest.raises(ts.InputError, match=message):
        load_model(*question, base_path=tmp_path)


def test_a_base_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for base in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ts.InputError, match=f"{base} does not exist: expected a folder of runs"):
            load_model("cumulative", "parity", 1, 3, base_path=base)


def test_the_furthest_checkpoint_of_a_folder_is_meant(tmp_path: Path) -> None:
    names = ["rnn_N2_N9", "rnn_N2_N10", "rnn_init", "rnn_N3_N10", "rnn_N2_N101x", "stats.npy"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints_of(tmp_path)] == ["rnn_N2_N9", "rnn_N2_N10", "rnn_N3_N10"]
    assert find_checkpoint(tmp_path).name == "rnn_N3_N10"
    assert find_checkpoint(tmp_path / "rnn_init").name == "rnn_init"
    with pytest.raises(ts.InputError, match=r"no checkpoint rnn_N2_N11 in .*did you mean 'rnn_N2_N10'"):
        find_checkpoint(tmp_path / "rnn_N2_N11")


def test_a_folder_without_checkpoints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rnn_init").touch()
    with pytest.raises(ts.InputError, match="holds no checkpoint that solved an N: expected files such as rnn_N2_N10"):
        load(tmp_path)
    with pytest.raises(ts.InputError, match=r"no checkpoint at .*nowhere/rnn_N2_N2"):
        load(tmp_path / "nowhere" / "rnn_N2_N2")


def test_a_checkpoint_is_found_from_inside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keep(tmp_path, "single_parity_mod_tanh_network_1", small(form="mod", afunc="tanh"), "rnn_N5_N5")
    expected = load(folder / "rnn_N5_N5")
    monkeypatch.chdir(folder)
    for path in (".", "rnn_N5_N5", Path("../single_parity_mod_tanh_network_1")):
        inside = load(path)
        assert torch.equal(answers(inside, 5), answers(expected, 5))
        assert inside.heads.shared


def test_the_trained_range_is_in_the_name() -> None:
    assert [trained_Ns(Path(name)) for name in ("a/rnn_N4_N8", "rnn_init", "rnn_N2_N8.bak")] == [(4, 8), None, None]


def test_a_damaged_checkpoint_is_refused_by_its_path(tmp_path: Path) -> None:
    folder = keep(tmp_path, "cumulative_parity_network_1", small(), "rnn_N2_N3")
    whole = (folder / "rnn_N2_N3").read_bytes()
    (folder / "rnn_N2_N3").write_bytes(whole[:-100])
    with pytest.raises(ts.DamagedFileError, match=str(folder / "rnn_N2_N3")):
        load_model("cumulative", "parity", 1, 3, base_path=tmp_path)


def test_a_checkpoint_that_does_not_fit_its_configuration_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(num_neurons=5)
    keep(tmp_path, "run", small(), "rnn_N2_N3", config=config)
    with pytest.raises(ts.InputError, match=r"has shape \[4\], expected \[5\]"):
        load(tmp_path / "run")
