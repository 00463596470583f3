"""Cells that multiply state and input: the identities between them, their fast sequences, and the sizes of published networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rounding import tolerance
from tauscope import InputError, build_model
from tauscope.models import (
    SECOND_ORDER,
    BilinearCell,
    Cell,
    CPCell,
    ElmanCell,
    MICell,
    MultiplicativeCell,
    SecondOrderCell,
)
from tauscope.models.budget import count_parameters, largest_n, largest_rank

N, V, T, B = 6, 5, 50, 3
EXACT = 1e-12


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_characters(seed: int = 1) -> Tensor:
    """Return one-hot inputs ``[T, B, V]``."""
    ids = torch.randint(V, (T, B), generator=generator(seed))
    return torch.nn.functional.one_hot(ids, V).double()


def states(cell: Cell, inputs: Tensor, start: Tensor | None = None) -> Tensor:
    """Return the states of a cell, step by step."""
    state = cell.initial_state(inputs.shape[1]) if start is None else (start,)
    return Cell.sequence(cell, inputs, state)[0]


def made(kind: type[MultiplicativeCell], **options: int) -> MultiplicativeCell:
    return kind(V, N, generator(), **options).double()  # type: ignore[call-arg]


@torch.no_grad()
def copied(cell: MultiplicativeCell, **values: Tensor) -> MultiplicativeCell:
    """Return the cell with these values of its parameters, by their names with _ for dots."""
    for name, parameter in cell.named_parameters():
        parameter.copy_(values[name.replace(".", "_")])
    return cell


def contracted(W: Tensor, inputs: Tensor) -> Tensor:
    """Return the states of h ← tanh(W ×₁ [h; 1] ×₂ [x; 1]), index order [state, input, out], from the definition."""
    h, found = torch.zeros(inputs.shape[1], W.shape[2], dtype=W.dtype), []
    ones = torch.ones(inputs.shape[1], 1, dtype=W.dtype)
    for x in inputs:
        h = torch.tanh(torch.einsum("bi,bc,icj->bj", torch.cat([h, ones], 1), torch.cat([x, ones], 1), W))
        found.append(h)
    return torch.stack(found)


def full_tensor(cell: ElmanCell, T_cij: Tensor) -> Tensor:
    """Return the tensor of a 2RNN, [state, input, out], with these second-order and the cell's first-order weights."""
    W = torch.zeros(N + 1, V + 1, N, dtype=torch.float64)
    W[:N, :V] = T_cij.transpose(0, 1)
    W[N, :V] = cell.input.weight.t()
    W[:N, V] = cell.recurrent.weight.t()
    W[N, V] = cell.input.bias
    return W


@torch.no_grad()
def test_a_second_order_cell_is_the_contraction_of_its_tensor_with_state_and_input() -> None:
    cell, inputs = made(SecondOrderCell), random_characters()
    assert isinstance(cell, SecondOrderCell)
    expected = contracted(full_tensor(cell, cell.tensor), inputs)
    torch.testing.assert_close(states(cell, inputs), expected, rtol=0, atol=EXACT)


@torch.no_grad()
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_cp_terms_are_a_second_order_network(rank: int) -> None:
    cp, inputs = made(CPCell, rank=rank), random_characters()
    assert isinstance(cp, CPCell)
    tensor = torch.einsum("ir,cr,jr->cij", cp.A, cp.B, cp.C)
    expected = contracted(full_tensor(cp, tensor), inputs)
    torch.testing.assert_close(states(cp, inputs), expected, rtol=0, atol=EXACT)
    first_order = {name.replace(".", "_"): value for name, value in cp.named_parameters() if "." in name}
    second = copied(made(SecondOrderCell), tensor=tensor, **first_order)
    torch.testing.assert_close(states(second, inputs), expected, rtol=0, atol=EXACT)


@torch.no_grad()
def test_multiplicative_integration_is_a_network_of_as_many_cp_terms_as_units() -> None:
    mi, inputs = made(MICell), random_characters()
    assert isinstance(mi, MICell)
    U, W = mi.recurrent.weight, mi.input.weight
    # From the definition, with h W written as the field writes it.
    h, expected = torch.zeros(B, N, dtype=torch.float64), []
    for x in inputs:
        Wx, Uh = x @ W.t(), h @ U.t()
        h = torch.tanh(mi.alpha * Wx * Uh + mi.beta_recurrent * Uh + mi.beta_input * Wx + mi.input.bias)
        expected.append(h)
    cp = copied(
        made(CPCell, rank=N),
        A=U.t(), B=W.t(), C=torch.diag(mi.alpha),
        recurrent_weight=mi.beta_recurrent[:, None] * U, input_weight=mi.beta_input[:, None] * W, input_bias=mi.input.bias,
    )  # fmt: skip
    for cell in (mi, cp):
        torch.testing.assert_close(states(cell, inputs), torch.stack(expected), rtol=0, atol=EXACT)


@torch.no_grad()
def test_no_cp_terms_are_a_first_order_network() -> None:
    elman, none, inputs = made(ElmanCell), made(CPCell, rank=0), random_characters()
    assert torch.equal(states(elman, inputs), states(none, inputs))
    h, expected = torch.zeros(B, N, dtype=torch.float64), []
    weights = dict(elman.named_parameters())
    for x in inputs:
        h = torch.tanh(x @ weights["input.weight"].t() + h @ weights["recurrent.weight"].t() + weights["input.bias"])
        expected.append(h)
    torch.testing.assert_close(states(elman, inputs), torch.stack(expected), rtol=0, atol=EXACT)


@torch.no_grad()
@pytest.mark.parametrize("factor", ["A", "B", "C"])
def test_a_zero_column_of_a_factor_changes_nothing(factor: str) -> None:
    cp, inputs = made(CPCell, rank=3), random_characters()
    values = {name.replace(".", "_"): value for name, value in cp.named_parameters()}
    longer = {
        name: torch.cat([values[name], torch.full((len(values[name]), 1), 0.0 if name == factor else 0.7)], dim=1)
        for name in "ABC"
    }
    larger = copied(made(CPCell, rank=4), **(values | longer))
    torch.testing.assert_close(states(larger, inputs), states(cp, inputs), rtol=0, atol=EXACT)


@torch.no_grad()
def test_the_order_and_the_scale_of_terms_change_nothing() -> None:
    cp, inputs = made(CPCell, rank=4), random_characters()
    values = {name.replace(".", "_"): value for name, value in cp.named_parameters()}
    order, scale = torch.tensor([2, 0, 3, 1]), torch.tensor([0.5, -3.0, 2.0, 10.0], dtype=torch.float64)
    moved = {"A": values["A"] * scale, "B": values["B"] / scale, "C": values["C"]}
    other = copied(made(CPCell, rank=4), **(values | {name: value[:, order] for name, value in moved.items()}))
    torch.testing.assert_close(states(other, inputs), states(cp, inputs), rtol=0, atol=EXACT)


@torch.no_grad()
@pytest.mark.parametrize(("n", "v"), [(3, 4), (4, 3)])
def test_every_tensor_is_reached_at_the_largest_rank(n: int, v: int) -> None:
    tensor = torch.randn(v, n, n, generator=generator(3), dtype=torch.float64)
    eye, channels, rank = torch.eye(n).double(), torch.eye(v).double(), n * min(n, v)
    if n <= v:
        # A term for every pair of units: e_i ∘ T[i, :, j] ∘ e_j.
        terms = [(eye[i], tensor[:, i, j], eye[j]) for i in range(n) for j in range(n)]
    else:
        terms = [(eye[i], channels[c], tensor[c, i]) for i in range(n) for c in range(v)]
    assert len(terms) == rank
    A, C_B, C = (torch.stack(one, dim=1) for one in zip(*terms, strict=True))
    cp = CPCell(v, n, generator(), rank=rank).double()
    for parameter, value in ((cp.A, A), (cp.B, C_B), (cp.C, C)):
        parameter.copy_(value)
    V_weights = cp.recurrent.weight
    expected = tensor.transpose(1, 2) + V_weights
    torch.testing.assert_close(cp.transitions(channels), expected, rtol=0, atol=EXACT)


@torch.no_grad()
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_under_a_character_a_step_is_linear_before_its_nonlinearity(name: str) -> None:
    cell = SECOND_ORDER[name](V, N, generator()).double()
    channels = torch.eye(V).double()
    h = torch.randn(V, N, generator=generator(2), dtype=torch.float64)
    alone = torch.atanh(cell.step(channels, (torch.zeros_like(h),))[0])
    expected = torch.tanh(torch.einsum("cij,cj->ci", cell.transitions(channels), h) + alone)
    torch.testing.assert_close(cell.step(channels, (h,))[0], expected, rtol=0, atol=1e-11)


@torch.no_grad()
def test_the_matrix_of_a_character_is_that_of_the_cp_terms() -> None:
    cp = made(CPCell, rank=3)
    assert isinstance(cp, CPCell)
    expected = [cp.recurrent.weight.t() + cp.A @ torch.diag(cp.B[c]) @ cp.C.t() for c in range(V)]
    found = cp.transitions(torch.eye(V).double())
    torch.testing.assert_close(found.transpose(1, 2), torch.stack(expected), rtol=0, atol=EXACT)


@pytest.mark.parametrize("kind", ["one-hot", "dense", "zero", "twice"])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_a_sequence_equals_the_loop_over_steps_in_values_and_gradients(name: str, kind: str) -> None:
    cell = SECOND_ORDER[name](V, N, generator()).double()
    inputs = random_characters()[:40]
    if kind == "dense":
        inputs = torch.randn(40, B, V, generator=generator(4), dtype=torch.float64)
    elif kind == "zero":
        inputs[7, 1] = 0
    elif kind == "twice":
        inputs[7, 1] = 1
    start = 0.3 * torch.randn(B, N, generator=generator(5), dtype=torch.float64)
    outcomes = []
    for run in (cell.sequence, lambda x, s: Cell.sequence(cell, x, s)):
        own = start.clone().requires_grad_()
        outputs, (last,) = run(inputs, (own,))
        loss = (outputs * torch.arange(40.0)[:, None, None]).sum() + last.square().sum()
        outcomes.append((outputs, last, *torch.autograd.grad(loss, [own, *cell.parameters()])))
    for fast, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=EXACT)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_one_hot_inputs_are_looked_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = SECOND_ORDER[name](V, N, generator()).double()
    inputs, looked_up = random_characters(), []
    whole = cell.sequence(inputs, cell.initial_state(B))[0]
    embedding = torch.nn.functional.embedding
    monkeypatch.setattr(torch.nn.functional, "embedding", lambda *given: looked_up.append(1) or embedding(*given))
    # As float32 sees the same characters, so does one that is asked for a gradient of its inputs, which rows have none of.
    rows = cell.sequence(inputs, cell.initial_state(B))[0]
    assert looked_up
    looked_up.clear()
    dense = cell.sequence(inputs.clone().requires_grad_(), cell.initial_state(B))[0]
    assert not looked_up
    torch.testing.assert_close(rows, dense, rtol=0, atol=EXACT)
    torch.testing.assert_close(rows, whole, rtol=0, atol=0)


# What torch does itself, once, when it loads its rules of forward mode.
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_transforms_of_one_hot_inputs_are_those_of_the_loop(name: str) -> None:
    cell = SECOND_ORDER[name](V, N, generator()).double()
    inputs = random_characters()[:6]
    tangent = torch.randn(inputs.shape, generator=generator(8), dtype=torch.float64)
    found = []
    for run in (cell.sequence, lambda x, s: Cell.sequence(cell, x, s)):

        def states(x: Tensor, run: Any = run) -> Tensor:
            outputs: Tensor = run(x, cell.initial_state(x.shape[1]))[0]
            return outputs

        each = torch.vmap(lambda trial: states(trial[:, None]), in_dims=1, out_dims=1)(inputs)
        found.append((each, torch.func.jvp(states, (inputs,), (tangent,))[1]))
    assert found[1][1].any()
    torch.testing.assert_close(*found, rtol=0, atol=EXACT)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_noise_and_held_states_are_those_of_the_loop(name: str) -> None:
    cell, inputs = SECOND_ORDER[name](V, N, generator()).double(), random_characters()
    noise = torch.randn(T, B, N, generator=generator(6), dtype=torch.float64)
    hold = torch.rand(T, B, generator=generator(7)) < 0.5
    outputs, _ = cell.sequence(inputs, cell.initial_state(B), noise=noise, hold=hold)
    (h,) = cell.initial_state(B)
    for t in range(T):
        (moved,) = cell.step(inputs[t], (h,), noise[t])
        h = torch.where(hold[t][:, None], h, moved)
        torch.testing.assert_close(outputs[t], h, rtol=0, atol=EXACT)
        h = outputs[t]
    quiet = torch.atanh(cell.step(inputs[0], (outputs[-1],))[0]) + noise[0]
    torch.testing.assert_close(torch.atanh(cell.step(inputs[0], (outputs[-1],), noise[0])[0]), quiet, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_first_derivatives_are_those_of_finite_differences(name: str) -> None:
    cell = SECOND_ORDER[name](2, 3, generator()).double()
    inputs = torch.randn(4, 2, 2, generator=generator(8), dtype=torch.float64).requires_grad_()
    start = torch.randn(2, 3, generator=generator(9), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h, *_: cell.sequence(x, (h,))[0], (inputs, start, *cell.parameters()))


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_all_parameters_start_within_one_over_the_root_of_the_units(name: str) -> None:
    model = build_model(name, 40, n_inputs=30, n_outputs=30, n_heads=1, rank=50, generator=generator())
    numbers = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    bound = 1 / math.sqrt(40)
    assert bool((numbers.abs() <= bound).all())
    # The variance of a uniform number, and four standard errors of it.
    assert float(numbers.var()) == pytest.approx(bound**2 / 3, rel=4 * math.sqrt(0.8 / len(numbers)))


def test_a_bilinear_network_starts_where_it_can_move() -> None:
    cell = made(BilinearCell)
    assert not states(cell, random_characters(), torch.zeros(B, N).double()).any()
    assert states(cell, random_characters()).abs().min(dim=0).values.max() > 0


@pytest.mark.parametrize(
    ("n", "rank", "expected"),
    [(32, 4, 8281), (75, 34, 29_485), (128, 192, 111_013), (400, 210, 430_511), (512, 1183, 1_697_056), (1024, 2550, 6_736_499)],
)  # fmt: skip
def test_published_pairs_have_their_numbers_of_parameters(n: int, rank: int, expected: int) -> None:
    assert count_parameters("cp", n, 101, rank) == expected


@pytest.mark.parametrize(("n", "rank"), [(32, 4), (75, 34)])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_parameters_are_counted_as_they_are(name: str, n: int, rank: int) -> None:
    model = build_model(name, n, n_inputs=11, n_outputs=11, n_heads=1, rank=rank, generator=generator())
    assert count_parameters(name, n, 11, rank) == sum(parameter.numel() for parameter in model.parameters())


def test_the_largest_networks_of_a_budget_are_those_of_the_table() -> None:
    for name, n, expected in (
        ("elman", 73, 14_957),
        ("mi", 72, 14_897),
        ("second_order", 14, 14_835),
        ("bilinear", 14, 13_715),
    ):
        assert largest_n(name, 15_000, 65) == n
        assert count_parameters(name, n, 65) == expected
    table = {24: (99, 14_972), 32: (75, 14_956), 40: (55, 14_880), 48: (39, 14_936), 56: (25, 14_962), 64: (12, 14_861)}
    for n, (rank, expected) in table.items():
        assert largest_rank(n, 15_000, 65) == rank
        assert count_parameters("cp", n, 65, rank) == expected


@given(st.sampled_from(sorted(SECOND_ORDER)), st.integers(200, 10**7), st.integers(1, 60))
def test_one_unit_more_would_break_the_budget(name: str, budget: int, n_characters: int) -> None:
    least = count_parameters(name, 1, n_characters)
    if budget < least:
        with pytest.raises(InputError, match=f"nearest valid value: {least}"):
            largest_n(name, budget, n_characters)
        return
    n = largest_n(name, budget, n_characters)
    assert count_parameters(name, n, n_characters) <= budget < count_parameters(name, n + 1, n_characters)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="rank is -1: expected at least 0"):
        CPCell(2, 3, generator(), rank=-1)
    with pytest.raises(InputError, match="did you mean 'mi'"):
        largest_n("mi2", 1000, 5)
    with pytest.raises(InputError, match="budget is 0"):
        largest_rank(4, 0, 5)
    with pytest.raises(InputError, match="did you mean 'second_order'"):
        build_model("secondorder", 3, generator=generator())


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_float32_agrees_with_float64(name: str) -> None:
    cell = SECOND_ORDER[name](V, N, generator())
    inputs = random_characters()
    single = cell.sequence(inputs.float(), cell.initial_state(B))[0]
    double = cell.double().sequence(inputs, cell.initial_state(B))[0]
    close = tolerance(torch.float32, N * V, steps=T)
    torch.testing.assert_close(single.double(), double, rtol=close, atol=close)
