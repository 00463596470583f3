"""Cells in two parts: the fast recurrence equals the loop over the step, and bad parts are refused in one line."""

# ruff: noqa: ARG002 -- cells are given more than each of them uses
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from rounding import tolerance
from tauscope import GRUCell, InputError, LSTMCell, Maps, TwoPartCell
from tauscope.models import State
from tauscope.models.kernels import blocks
from tauscope.models.kernels import two_parts as kernel
from tauscope.models.solvers import loop

T, B, C, N = 5, 3, 2, 4


class Summed(TwoPartCell):
    """A cell whose gates all receive the sum of input and units."""

    n_gates = 1

    def __init__(self, n_inputs: int = C, n_units: int = N) -> None:
        super().__init__(n_inputs, n_units)
        generator = torch.Generator().manual_seed(0)
        rows = self.n_gates * n_units
        self.input = nn.Linear(n_inputs, rows, device="meta").to_empty(device="cpu").double()
        self.recurrent = nn.Linear(n_units, rows, device="meta").to_empty(device="cpu").double()
        self.own = nn.Parameter(torch.empty(n_units, dtype=torch.float64))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))

    def maps(self) -> Maps:
        return Maps.of(self.input, self.recurrent)


class Tanh(Summed):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z if noise is None else z + noise),)


class Peephole(Summed):
    """Two gates, a threshold of its own, and the noise within."""

    n_gates = 2
    n_states = 2

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        h, c = state
        gate, new = z.chunk(2, dim=-1)
        keep = torch.sigmoid(gate + self.own * c)
        c = keep * c + (1 - keep) * torch.tanh(new if noise is None else new + noise)
        return c * torch.cos(h), c


class Passing(Summed):
    """The second tensor of the state is the first one of the step before, untouched."""

    n_states = 2

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        h, before = state
        h_next = torch.sin(z + self.own * before)
        return h_next if noise is None else h_next + noise, h


class Wide(Summed):
    """A state with a tensor of another width, and a pointwise part that mixes units."""

    n_states = 2
    elementwise = False

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        _, mean = state
        new = torch.tanh(z + mean + (0 if noise is None else noise))
        return new, 0.5 * mean + new.mean(dim=-1, keepdim=True)

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        return self.own.new_zeros(batch_size, self.n_units), self.own.new_zeros(batch_size, 1)


class Apart(Summed):
    """Rows of the input alone, of both, and of the units alone."""

    n_gates = 2

    def maps(self) -> Maps:
        return Maps(self.input.weight, self.recurrent.weight, torch.cat([self.input.bias, self.own]))

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        from_x, both, from_h = z.chunk(3, dim=-1)
        h = torch.tanh(from_x * from_h) + torch.sigmoid(both) * state[0]
        return (h if noise is None else h + noise,)


class Clipped(Peephole):
    clip = 0.02


class Constant(Summed):
    """A unit's second tensor does not depend on anything."""

    n_states = 2

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return torch.tanh(z if noise is None else z + noise), torch.ones_like(state[1])


class LowRank(Summed):
    """Recurrent weights that are the product of two factors, here the first columns and rows of one matrix."""

    def maps(self) -> Maps:
        factors = self.recurrent.weight[:, :2] @ self.recurrent.weight[:2]
        return Maps(self.input.weight, factors, self.input.bias + self.own)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z if noise is None else z + noise),)


CELLS: list[type[Summed]] = [Tanh, Peephole, Passing, Wide, Apart, Constant, LowRank]


@pytest.fixture(autouse=True, scope="module")
def kernel_of_small_networks() -> Iterator[None]:
    """Let small networks run by the kernel too, instead of by plain operations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_PLAIN_BELOW", 0)
        yield


@pytest.fixture(params=["plain", "fused", "apart"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the products of small networks, or those of large ones, in blocks of two steps."""
    if request.param == "plain":
        monkeypatch.setattr(kernel, "_PLAIN_BELOW", 1 << 25)
    if request.param == "apart":
        for name, value in {"_FUSED_BELOW": 0, "_BLOCK": 2 * B * N, "_COLUMNS": 2 * B, "_NARROW": 0}.items():
            monkeypatch.setattr(blocks, name, value)
    return str(request.param)


def problem(cell: Summed, n_steps: int = T) -> tuple[Tensor, State, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    state = tuple(drawn(*part.shape) for part in cell.initial_state(B))
    hold = torch.rand(n_steps, B, generator=generator) < 0.4
    return drawn(n_steps, B, C), state, drawn(n_steps, B, N), hold


def gradients(run: Callable[..., tuple[Tensor, State]], cell: Summed, **options: Any) -> dict[str, Tensor]:
    inputs, state, noise, hold = problem(cell)
    given = {"noise": noise if options["noisy"] else None, "hold": hold if options["held"] else None}
    states, last = run(inputs, state, **given)
    weights = torch.linspace(-1, 1, states.numel(), dtype=torch.float64).view_as(states)
    loss = (states * weights).sum() + sum(part.square().sum() for part in last)
    wanted = {"inputs": inputs, "noise": noise, **dict(cell.named_parameters())}
    wanted |= {f"state {place}": part for place, part in enumerate(state)}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    named = {name: gradient for name, gradient in zip(wanted, found, strict=True) if gradient is not None}
    return {"states": states.detach(), "last": torch.cat([part.detach() for part in last], dim=1)} | named


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_sequence_equals_the_loop_over_step_in_values_and_gradients(
    kind: type[Summed], noisy: bool, held: bool
) -> None:
    cell = kind()
    fast = gradients(cell.sequence, cell, noisy=noisy, held=held)
    plain = gradients(lambda x, s, *, noise, hold: loop(cell, x, s, noise, hold), cell, noisy=noisy, held=held)
    # A parameter that nothing depends on has no gradient, or one of zeros.
    assert {"inputs", "recurrent.weight", "state 0"} <= fast.keys() & plain.keys()
    for name in fast.keys() | plain.keys():
        if name not in plain:
            assert not fast[name].any()
            continue
        torch.testing.assert_close(fast[name], plain[name], rtol=tolerance(torch.float64, 20, T), atol=1e-12, msg=name)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_are_those_of_finite_differences(kind: type[Summed]) -> None:
    cell = kind()
    inputs, state, noise, hold = problem(cell, 3)
    parameters = list(cell.parameters())

    def run(inputs: Tensor, noise: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        states, last = cell.sequence(inputs, others[: len(state)], noise=noise, hold=hold)
        return states, *last

    assert torch.autograd.gradcheck(run, (inputs, noise, *state, *parameters))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("which", ["states", "last"])
def test_a_loss_on_the_last_state_alone_or_on_none_of_it(kind: type[Summed], which: str) -> None:
    cell = kind()
    inputs, state, _, _ = problem(cell)
    found = []
    for run in (cell.sequence, lambda x, s: loop(cell, x, s, None, None)):
        states, last = run(inputs, state)
        chosen = states[1] if which == "states" else last[-1]
        if not chosen.requires_grad:
            return
        found.append(torch.autograd.grad(chosen.sum(), [inputs, state[0]], allow_unused=True))
    for fast, plain in zip(*found, strict=True):
        fast, plain = (torch.zeros(()) if one is None else one for one in (fast, plain))
        torch.testing.assert_close(fast.sum(), plain.sum().to(fast.dtype), rtol=1e-10, atol=1e-12)


def test_the_backward_pass_can_be_repeated() -> None:
    cell = Peephole()
    inputs, state, _, _ = problem(cell)
    states, _ = cell.sequence(inputs, state)
    loss = states.square().sum()
    first, second = (torch.autograd.grad(loss, list(cell.parameters()), retain_graph=True) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=tolerance(torch.float64, 20, T), atol=1e-12)


def test_the_gradient_of_z_is_clipped_at_every_step_and_that_of_the_step_is_not() -> None:
    cell, free = Clipped(), Peephole()
    inputs, state, _, _ = problem(cell)
    (clipped,) = torch.autograd.grad(cell.sequence(inputs, state)[0].sum(), cell.recurrent.bias)

    h, bound = state, cell.clip
    outputs = []
    for x in inputs:
        z = nn.functional.linear(x, cell.input.weight, cell.input.bias) + cell.recurrent(h[0])
        z.register_hook(lambda gradient: gradient.clamp(-bound, bound))
        h = cell.pointwise(z, h, None)
        outputs.append(h[0])
    (by_hand,) = torch.autograd.grad(torch.stack(outputs).sum(), cell.recurrent.bias)
    torch.testing.assert_close(clipped, by_hand, rtol=1e-10, atol=1e-12)
    (unclipped,) = torch.autograd.grad(free.sequence(inputs, state)[0].sum(), free.recurrent.bias)
    assert not torch.allclose(clipped, unclipped)
    (of_step,) = torch.autograd.grad(loop(cell, inputs, state, None, None)[0].sum(), cell.recurrent.bias)
    torch.testing.assert_close(of_step, unclipped)


@settings(max_examples=25, deadline=None)
@given(
    strategies.integers(1, 6), strategies.integers(1, 20), strategies.integers(1, 5), strategies.integers(1, 20),
    strategies.sampled_from([Tanh, Peephole, Passing, Apart]),
)  # fmt: skip
def test_any_size_equals_the_loop(steps: int, batch: int, channels: int, units: int, kind: type[Summed]) -> None:
    cell = kind(channels, units)
    generator = torch.Generator().manual_seed(steps)
    inputs = torch.randn(steps, batch, channels, generator=generator, dtype=torch.float64)
    state = cell.initial_state(batch)
    found = [
        (states, *torch.autograd.grad(states.square().sum(), [cell.input.weight, cell.recurrent.weight]))
        for states, _ in (cell.sequence(inputs, state), loop(cell, inputs, state, None, None))
    ]
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", CELLS)
def test_second_derivatives_are_those_of_the_loop(kind: type[Summed]) -> None:
    cell = kind()
    inputs, state, noise, hold = problem(cell, 3)
    wanted = [inputs, noise, *state, *cell.parameters()]

    def moved(run: Callable[..., tuple[Tensor, State]]) -> list[Tensor]:
        states, _ = run(inputs, state, noise=noise, hold=hold)
        first = torch.autograd.grad(states.sin().sum(), wanted, create_graph=True, allow_unused=True)
        penalty = sum(one.square().sum() for one in first if one is not None)
        found = torch.autograd.grad(penalty, wanted, allow_unused=True)
        return [torch.zeros_like(one) if two is None else two for one, two in zip(wanted, found, strict=True)]

    fast, plain = moved(cell.sequence), moved(lambda x, s, *, noise, hold: loop(cell, x, s, noise, hold))
    assert plain[0].any()
    torch.testing.assert_close(fast, plain, rtol=tolerance(torch.float64, 20, 100), atol=1e-11)


@pytest.mark.parametrize("kind", CELLS)
def test_batched_gradients_are_those_of_the_loop(kind: type[Summed]) -> None:
    cell = kind()
    inputs, state, _, _ = problem(cell, 3)
    directions = torch.randn(4, 3, B, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = [inputs, cell.input.weight, cell.recurrent.weight]
    found = [
        torch.autograd.grad(states, wanted, directions, is_grads_batched=True)
        for states, _ in (cell.sequence(inputs, state), loop(cell, inputs, state, None, None))
    ]
    torch.testing.assert_close(*found, rtol=tolerance(torch.float64, 20, T), atol=1e-12)


@pytest.mark.usefixtures("product")
def test_a_backward_pass_for_some_of_the_gradients_leaves_nothing_to_the_next() -> None:
    cell = Peephole()
    inputs, state, _, _ = problem(cell)
    states, _ = cell.sequence(inputs, state)
    torch.autograd.grad(states.sum(), state[0], retain_graph=True)
    torch.autograd.grad(states[:2].sum(), cell.recurrent.weight, retain_graph=True)
    (found,) = torch.autograd.grad(states.square().sum(), cell.recurrent.weight)
    (plain,) = torch.autograd.grad(loop(cell, inputs, state, None, None)[0].square().sum(), cell.recurrent.weight)
    torch.testing.assert_close(found, plain, rtol=tolerance(torch.float64, 20, T), atol=1e-12)


class _Allocations(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, and their largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place not in self._known:
            self._known.add(place)
            self.alive += size
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.alive -= size


def peak_bytes(cell: TwoPartCell, n_steps: int) -> int:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n_steps, B, C, generator=generator, dtype=torch.float64)
    with _Allocations() as allocations:
        states, _ = cell.sequence(inputs, cell.initial_state(B))
        states.square().sum().backward()
    return allocations.peak


def gated(kind: type[GRUCell] | type[LSTMCell]) -> TwoPartCell:
    cell = kind(C, N, torch.Generator().manual_seed(0)).double()
    cell.fast_from = 0
    return cell


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize(
    "build", [Peephole, Wide, Apart, partial(gated, GRUCell), partial(gated, LSTMCell)],
    ids=["peephole", "wide", "apart", "gru", "lstm"],
)  # fmt: skip
def test_peak_memory_of_both_passes_is_linear_in_time(build: Callable[[], TwoPartCell]) -> None:
    short, middle, long = (peak_bytes(build(), n_steps) for n_steps in (40, 80, 160))
    assert short > 40 * B * N * 8
    assert long - middle <= 2.02 * (middle - short)


def test_frozen_parameters_get_no_gradient_and_the_others_theirs() -> None:
    cell = Peephole()
    cell.own.requires_grad_(False)
    cell.input.weight.requires_grad_(False)
    inputs, state, _, _ = problem(cell)
    cell.sequence(inputs.detach(), tuple(part.detach() for part in state))[0].sum().backward()
    assert cell.own.grad is None
    assert cell.input.weight.grad is None
    assert bool(cell.recurrent.weight.grad.any())


# What is refused.


class Changing(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (z.tanh_(),)


class ChangingState(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (state[0].mul_(0.5) + z,)


class ChangingNoise(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (z if noise is None else noise.add_(z),)


class Mixing(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.softmax(z, dim=-1),)


class Rolling(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z) + state[0].roll(1, dims=-1),)


class Narrow(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z)[:, :2],)


class Bare(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return torch.tanh(z)  # type: ignore[return-value]


class TooMany(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return z, z


class Nothing(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return None  # type: ignore[return-value]


class OtherType(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z).float(),)


class Detached(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.tanh(z.detach()),)


class Step(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return ((z > 0).to(z.dtype),)


class ByNumPy(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        return (torch.from_numpy(z.numpy() ** 2),)


class Random(Tanh):
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        self.calls = getattr(self, "calls", 0) + 1
        return (torch.tanh(z) + self.calls,)


class TransposedMaps(Tanh):
    def maps(self) -> Maps:
        return Maps(self.input.weight.t(), self.recurrent.weight, self.recurrent.bias)


class NoBias(Tanh):
    def maps(self) -> Maps:
        return Maps(self.input.weight, self.recurrent.weight, self.recurrent.bias[:2])


class TooManyBiases(Tanh):
    def maps(self) -> Maps:
        return Maps(self.input.weight, self.recurrent.weight, self.own.repeat(3))


REFUSED = {
    Changing: "pointwise of Changing changes z in place: expected new tensors",
    ChangingState: "pointwise of ChangingState changes its state in place",
    ChangingNoise: "pointwise of ChangingNoise changes the noise in place",
    Mixing: "pointwise of Mixing mixes units, but elementwise is True: expected each unit to depend on its own rows",
    Rolling: "pointwise of Rolling mixes units",
    Narrow: r"returned a tensor of shape \[2, 2\] in float64 as tensor 0 of the state: expected \[batch, 4\] in float64",
    Bare: r"returned a tensor of shape \[2, 4\] in float64: expected a tuple of 1 tensors",
    TooMany: "returned 2 tensors: expected a tuple of 1 tensors",
    Nothing: "returned a NoneType: expected a tuple",
    OtherType: r"in float32 as tensor 0 of the state: expected \[batch, 4\] in float64",
    Detached: "pointwise of Detached cannot be differentiated: expected units that come from z",
    Step: "pointwise of Step cannot be differentiated",
    ByNumPy: "pointwise of ByNumPy cannot be differentiated: Can't call numpy",
    Random: "returned two states for the same arguments: expected a pure function",
    TransposedMaps: r"maps of TransposedMaps: input weights have shape \(2, 4\) beside 4 biases: expected \[row, 2\]",
    NoBias: "maps of NoBias: input weights have shape .* beside 2 biases",
    TooManyBiases: "maps of TooManyBiases: 12 biases for 4 rows of the input and 4 of the units",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_parts_are_named_in_one_line_at_the_first_use(kind: type[Summed]) -> None:
    cell = kind()
    inputs, state = torch.zeros(2, B, C, dtype=torch.float64), cell.initial_state(B)
    with pytest.raises(InputError, match=REFUSED[kind]) as caught:
        cell.sequence(inputs, state)
    assert "\n" not in str(caught.value)


def test_a_cell_is_judged_once() -> None:
    class Counting(Tanh):
        calls = 0

        def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
            Counting.calls += 1
            return super().pointwise(z, state, noise)

    cell = Counting()
    inputs, state, _, _ = problem(cell)
    cell.sequence(inputs, state)
    before = Counting.calls
    cell.sequence(inputs, state)
    assert Counting.calls - before == T


def test_pruned_weights_are_what_is_multiplied() -> None:
    cell = Tanh()
    nn.utils.prune.l1_unstructured(cell.recurrent, "weight", amount=6)
    with torch.no_grad():
        cell.recurrent.weight_orig.mul_(2)
    expected = cell.recurrent.weight_orig * cell.recurrent.weight_mask
    torch.testing.assert_close(cell.maps().recurrent, expected)
