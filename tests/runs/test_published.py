"""The published code's files: their layout, their networks' outputs written out in NumPy, and their statistics."""

from __future__ import annotations

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.runs.checkpoints import load_weights, save_weights
from tauscope.runs.loading import load
from tauscope.runs.published import describe, load_published, read_stats, stats_bytes, to_published

NETWORKS: dict[str, dict[str, Any]] = {
    "one layer": {"n_units": 5},
    "two layers": {"n_units": [4, 4]},
    "three layers": {"n_units": [4, 4, 4], "form": "mod"},
    "fixed tau": {"n_units": 5, "tau": 2.5},
    "gru": {"cell": "gru", "n_units": 5},
    "two gru": {"cell": "gru", "n_units": [4, 3]},
    "lstm": {"cell": "lstm", "n_units": 5},
}

HEADS = ["N2", "N3", "N4"]


def network(kind: str, seed: int = 0) -> ts.Model:
    return ts.build_model(**NETWORKS[kind], n_heads=3, generator=torch.Generator().manual_seed(seed))


def linears(first: int, sizes: list[tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of consecutive linear maps."""
    names: dict[str, tuple[int, ...]] = {}
    for i, (n_out, n_in) in enumerate(sizes, start=first):
        names |= {f"modulelist.{i}.weight": (n_out, n_in), f"modulelist.{i}.bias": (n_out,)}
    return names


# --- layout -----------------------------------------------------------------------------------------------------------


def test_a_network_of_the_published_size_has_the_published_names_and_shapes() -> None:
    weights = to_published(ts.LeakyRNN(500, generator=torch.Generator().manual_seed(0)))
    expected = {"parameterlist.0": (500,)} | linears(0, [(500, 1), (500, 500), *[(2, 500)] * 100])
    assert {key: tuple(value.shape) for key, value in weights.items()} == expected
    assert max(int(key.split(".")[1]) for key in expected) == 101


def test_the_layers_of_a_stack_follow_as_recurrent_then_feed_forward_maps() -> None:
    weights = to_published(network("three layers"))
    expected: dict[str, tuple[int, ...]] = {f"parameterlist.{i}": (4,) for i in range(3)}
    expected |= linears(0, [(4, 1), *[(4, 4)] * 3, *[(4, 4)] * 2, *[(2, 4)] * 3])
    assert {key: tuple(value.shape) for key, value in weights.items()} == expected


@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4)])
def test_gated_networks_have_the_names_of_torch_and_their_heads_first(cell: str, gates: int) -> None:
    weights = to_published(network(cell))
    expected: dict[str, tuple[int, ...]] = linears(0, [(2, 5)] * 3)
    expected |= {f"{cell}.weight_ih_l0": (5 * gates, 1), f"{cell}.weight_hh_l0": (5 * gates, 5)}
    expected |= {f"{cell}.bias_ih_l0": (5 * gates,), f"{cell}.bias_hh_l0": (5 * gates,)}
    assert {key: tuple(value.shape) for key, value in weights.items()} == expected
    torch_net = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](1, 5, device="meta")
    assert {f"{cell}.{name}" for name, _ in torch_net.named_parameters()} <= set(expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_come_back_into_a_network_of_the_described_shape(kind: str, tmp_path: Path) -> None:
    model = network(kind)
    save_weights(tmp_path / "rnn_N2_N4", to_published(model))
    weights = load_weights(tmp_path / "rnn_N2_N4")
    options = describe(weights, tmp_path)
    form = NETWORKS[kind].get("form", "default")
    own = {} if options["cell"] != "leaky" else {"form": form}
    again = ts.build_model(**options, **own, generator=torch.Generator().manual_seed(9))
    load_published(again, weights, tmp_path)
    inputs = torch.randn(7, 3, 1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model(inputs)[0], again(inputs)[0])
    assert torch.equal(model.readout(model(inputs)[0], HEADS), again.readout(again(inputs)[0], HEADS))


def test_one_tau_stands_for_all_units() -> None:
    model = network("one layer")
    load_published(model, to_published(model) | {"parameterlist.0": torch.tensor([3.0])}, Path("x"))
    assert model.tau is not None
    assert model.tau.tolist() == [3.0] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modulelist.1.weight": torch.ones(5, 4)}, r"'modulelist.1.weight' has shape \[5, 4\], expected \[5, 5\]"),
        ({"modulelist.1.bias": None}, "'modulelist.1.bias' is missing"),
        ({"extra": torch.ones(1)}, "'extra' is unknown"),
        ({"parameterlist.0": torch.ones(4)}, r"'parameterlist.0' has shape \[4\], expected \[5\]"),
    ],
)
def test_weights_of_another_network_are_refused(change: dict[str, Any], message: str) -> None:
    model = network("one layer")
    weights = {key: one for key, one in (to_published(model) | change).items() if one is not None}
    with pytest.raises(ts.InputError, match=message):
        load_published(model, weights, Path("rnn_N2_N4"))


@pytest.mark.parametrize(
    "weights", [{}, {"w": torch.ones(2)}, {"modulelist.0.weight": torch.ones(2, 1)}, {"parameterlist.0": torch.ones(2)}]
)
def test_weights_of_no_known_network_are_refused(weights: dict[str, Any]) -> None:
    with pytest.raises(ts.InputError, match="holds no network that tauscope knows"):
        describe(weights, Path("rnn_N2_N4"))


# --- the published networks -------------------------------------------------------------------------------------------


def forward(weights: dict[str, np.ndarray], h: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return the states ``[time, batch, unit]`` by equation 1.1 of the specification, in float64."""
    tau = np.maximum(weights["parameterlist.0"], 1)
    W = weights["modulelist.1.weight"] * (1 - np.eye(len(tau)))
    states = []
    for x in inputs:
        drive = h @ W.T + weights["modulelist.1.bias"]
        drive += x @ weights["modulelist.0.weight"].T + weights["modulelist.0.bias"]
        z = (1 - 1 / tau) * h + drive / tau
        h = np.where(z > 0, z, 0.01 * z)
        states.append(h)
    return np.stack(states)


@pytest.mark.reference
@pytest.mark.parametrize(
    "path",
    [
        "cumulative_parity_network_1/rnn_init",
        "cumulative_parity_network_1/rnn_N2_N8",
        "single_parity_network_1/rnn_N8_N8",
        "sliding_10_5_parity_network_1/rnn_N2_N11",
    ],
)
def test_published_networks_give_the_outputs_of_their_equation(path: str, reference: Path) -> None:
    file = reference / "trained_models" / path
    weights = {key: value.double().numpy() for key, value in load_weights(file).items()}
    draw = np.random.default_rng(0)
    initial = draw.uniform(0, 0.1, (4, 500)).astype(np.float32)
    inputs = draw.integers(0, 2, (40, 4, 1)).astype(np.float32)
    expected = forward(weights, initial.astype(float), inputs.astype(float))

    model = load(file)
    with torch.no_grad():
        states, _ = model(torch.from_numpy(inputs), ((torch.from_numpy(initial),),))
        np.testing.assert_allclose(states.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        for i, head in enumerate(model.heads.names):
            logits = expected @ weights[f"modulelist.{2 + i}.weight"].T + weights[f"modulelist.{2 + i}.bias"]
            if not model.heads.shared or i == 0:
                ours = model.readout(states, head).numpy()
                np.testing.assert_allclose(ours, logits, rtol=0, atol=1e-5 * np.abs(logits).max())


@pytest.mark.reference
def test_published_accuracies_are_reproduced(reference: Path) -> None:
    folder = reference / "trained_models"
    task = ts.Parity((2,), p=0.5)
    single = ts.evaluate(load(folder / "single_parity_network_1/rnn_N8_N8"), task, range(2, 9), n_sequences=512)
    assert single.sel(N=slice(2, 7)).values == pytest.approx([0.5] * 6, abs=0.1)
    assert float(single.sel(N=8)) > 0.97
    multi = ts.evaluate(load(folder / "cumulative_parity_network_1/rnn_N2_N8"), task, range(2, 10), n_sequences=512)
    assert multi.sel(N=slice(2, 8)).values == pytest.approx([1.0] * 7, abs=0.02)
    assert float(multi.sel(N=9)) == pytest.approx(0.5, abs=0.1)
    sliding = ts.evaluate(
        load(folder / "sliding_10_5_parity_network_1/rnn_N2_N11"), task, range(2, 12), n_sequences=512
    )
    assert float(sliding.min()) > 0.9
    assert float(sliding.mean()) > 0.97


@pytest.mark.reference
def test_the_first_published_states_of_tau_are_those_of_the_specification(reference: Path) -> None:
    # Mean and STD of τ at N = 2 and 5, read off the published figure.
    for name, mean, std in (
        ("cumulative_parity_network_1/rnn_N2_N2", 1.50, 0.295),
        ("single_parity_network_1/rnn_N2_N2", 1.50, 0.30),
        ("single_parity_network_1/rnn_N5_N5", 1.48, 0.31),
    ):
        tau = load(reference / "trained_models" / name).tau
        assert tau is not None
        assert (tau.mean().item(), tau.std().item()) == pytest.approx((mean, std), abs=0.035)


# --- stats.npy --------------------------------------------------------------------------------------------------------


@pytest.mark.reference
def test_published_statistics_are_those_of_the_specification(reference: Path) -> None:
    folder = reference / "trained_models"
    single = read_stats(folder / "single_parity_network_1" / "stats.npy")
    solved = [epoch for epoch, one in enumerate(single["accuracy"], start=1) if one.mean() > 98 and one[-1] > 98]
    expected = {
        2: 1,
        3: 2,
        4: 3,
        5: 4,
        6: 5,
        7: 7,
        8: 10,
        9: 12,
        10: 15,
        11: 20,
        12: 24,
        13: 32,
        14: 40,
        15: 48,
        16: 56,
    }
    expected |= {17: 63, 18: 72, 19: 81, 20: 99, 28: 242}
    assert {N: solved[N - 2] for N in expected} == expected

    multi = read_stats(folder / "cumulative_parity_network_1" / "stats.npy")
    solved = [epoch for epoch, one in enumerate(multi["accuracy"], start=1) if one.mean() > 98 and one[-1] > 98]
    # One epoch for each N up to 12, but two for N = 6.
    assert solved[:11] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    assert len(multi["loss"]) == len(multi["accuracy"])
    assert all(loss > 0 for loss in multi["loss"])

    sliding = read_stats(folder / "sliding_10_5_parity_network_1" / "stats.npy")
    solved = [epoch for epoch, one in enumerate(sliding["accuracy"], start=1) if one.mean() > 98 and one[-1] > 98]
    assert solved[0] == 5
    assert len(sliding["accuracy"][0]) == 10


LOSSES, ACCURACIES = [0.7, 0.25], [[0.5], [1.0, 0.625]]


def test_our_statistics_are_read_by_numpy_as_the_published_ones_and_by_us(tmp_path: Path) -> None:
    content = stats_bytes(LOSSES, ACCURACIES)
    (tmp_path / "stats.npy").write_bytes(content)
    for stats in (np.load(io.BytesIO(content), allow_pickle=True).item(), read_stats(tmp_path / "stats.npy")):
        assert set(stats) == {"loss", "accuracy"}
        assert stats["loss"] == LOSSES
        assert [one.tolist() for one in stats["accuracy"]] == [[50.0], [100.0, 62.5]]


def object_array(pickled: bytes) -> bytes:
    """Return an ``.npy`` file of an object array with this pickle as its content."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": ()})
    return buffer.getvalue() + pickled


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i8", "|u1"])
def test_statistics_of_any_protocol_and_number_type_are_read(protocol: int, dtype: str, tmp_path: Path) -> None:
    numbers = np.asfortranarray(np.array([[50, 75], [100, 25]], dtype=dtype))
    stats = {"loss": [np.float64(0.5), 2, np.array(0.25)], "accuracy": [numbers[0], numbers[1].copy(), np.float32(75)]}
    for content in (stats, np.array(stats, dtype=object)):
        (tmp_path / "stats.npy").write_bytes(object_array(pickle.dumps(content, protocol)))
        read = read_stats(tmp_path / "stats.npy")
        assert read["loss"] == [0.5, 2.0, 0.25]
        assert [one.tolist() for one in read["accuracy"]] == [[50, 75], [100, 25], [75]]


class Call:
    """A pickle of this calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("wrapped", [False, True])
def test_code_in_statistics_is_refused_and_not_executed(wrapped: bool, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "stats.npy"
    code = Call(os.system, f"touch {marker}")
    path.write_bytes(object_array(pickle.dumps({"loss": [code], "accuracy": []} if wrapped else code)))
    with pytest.raises(ts.DamagedFileError, match=r"is no stats\.npy: it asks for (posix|nt)\.system"):
        read_stats(path)
    assert not marker.exists()
    np.load(path, allow_pickle=True)
    assert marker.exists()


@pytest.mark.parametrize(
    "function", [np.load, np.fromfile, eval, getattr, __import__, io.open, np.lib.format.open_memmap]
)
def test_no_function_is_called_by_reading_statistics(function: Any, tmp_path: Path) -> None:
    (tmp_path / "stats.npy").write_bytes(object_array(pickle.dumps(Call(function, "x"))))
    with pytest.raises(ts.DamagedFileError, match="it asks for"):
        read_stats(tmp_path / "stats.npy")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        object_array(b""),
        object_array(pickle.dumps([1.0])),
        object_array(pickle.dumps({"loss": [1.0]})),
        object_array(pickle.dumps({"loss": 1.0, "accuracy": []})),
        object_array(pickle.dumps({"loss": ["much"], "accuracy": []})),
        object_array(pickle.dumps({"loss": [], "accuracy": [np.array(["text"])]})),
        object_array(pickle.dumps({"loss": [], "accuracy": [{}]})),
    ],
)
def test_a_file_without_statistics_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "stats.npy"
    path.write_bytes(content)
    with pytest.raises(ts.DamagedFileError, match=f"{re.escape(str(path))} is no stats"):
        read_stats(path)


def test_statistics_that_are_missing_cut_off_or_no_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stats.npy"
    with pytest.raises(ts.DamagedFileError, match="No such file"):
        read_stats(path)
    np.save(path, np.ones(3))
    with pytest.raises(ts.DamagedFileError, match=r"an array of shape \(3,\) and type float64"):
        read_stats(path)
    whole = stats_bytes(LOSSES, ACCURACIES)
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(ts.DamagedFileError, match="is no stats"):
            read_stats(path)
