"""A network from a step function or a recurrent module of one's own, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from tauscope.errors import InputError, require_count, require_instance
from tauscope.models.cell import Cell, State, reference_of
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.model import Model
from tauscope.models.readout import Heads
from tauscope.models.torch_layers import cells_of, is_torch_layer

Step = Callable[[Tensor, Tensor], Tensor]


class WrappedCell(Cell):
    """A cell whose step is a given function of input and state, plus the noise.

    Parameters
    ----------
    step : callable
        ``step(x [batch, channel], h [batch, unit]) -> h [batch, unit]``, pure and differentiable; where it is a
        `torch.nn.Module`, its parameters are the cell's.
    n_inputs, n_units : int
        Channels of the input, number of units.
    initial : Tensor [unit], optional
        State before the first step, which also tells device and precision; if not given, zeros of those of the
        module, and of a function in float32 on the CPU.

    Examples
    --------
    >>> cell = WrappedCell(lambda x, h: 0.5 * h + x, 1, 1)
    >>> cell.step(torch.ones(1, 1), cell.initial_state(1))
    (tensor([[1.]]),)
    """

    initial: Tensor

    def __init__(self, step: Step, n_inputs: int, n_units: int, initial: Tensor | None = None) -> None:
        super().__init__(n_inputs, n_units)
        if initial is None:
            module = step if isinstance(step, nn.Module) else self
            initial = reference_of(module).new_zeros(n_units)
        require_instance("the initial state", initial, Tensor, f"a tensor [{n_units}]")
        if initial.shape != (n_units,):
            raise InputError(f"the initial state has shape {tuple(initial.shape)}: expected ({n_units},)")
        if not (initial.is_floating_point() or initial.is_complex()):
            raise InputError(f"the initial state is of {_name(initial.dtype)}: expected real numbers, such as float32")
        _require_step(step, n_inputs, initial)
        self.function = step
        self.register_buffer("initial", initial.clone())

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return the given state, the same for the whole batch."""
        del generator
        return (self.initial.expand(batch_size, -1),)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the given function."""
        h = self.function(x, state[0])
        _require_like(h, state[0])
        return (h if noise is None else h + noise,)

    def train(self, mode: bool = True) -> WrappedCell:
        """Switch the module to training, unless its step is no function of input and state then."""
        super().train(mode)
        # A module calls this before there is a step, too.
        if mode and isinstance(getattr(self, "function", None), nn.Module):
            _require_step(self.function, self.n_inputs, self.initial)
        return self


def wrap(
    step: Step | nn.RNNBase | nn.RNNCellBase | ExportedProgram,
    n_inputs: int | None = None,
    n_units: int | None = None,
    *,
    initial: Tensor | None = None,
    heads: Heads | nn.Linear | Mapping[str, nn.Linear] | None = None,
) -> Model:
    """Make a network of a step function or of a recurrent module of torch, on which every analysis runs.

    Parameters
    ----------
    step : callable, nn.Module or torch.export.ExportedProgram
        As in `WrappedCell`, also one that was exported, for batches of any size; or a `torch.nn.RNN`, ``GRU`` or
        ``LSTM``, or one of their cells, of which every layer becomes a cell that has its parameters. A state of several
        tensors needs a `Cell` of its own.
    n_inputs, n_units : int
        Channels of the input, number of units; of torch's layers, units of each, which the layers know themselves.
    initial : Tensor [unit], optional
        As in `WrappedCell`; torch's layers start at 0.
    heads : Heads, nn.Linear or mapping of nn.Linear, optional
        Its read-outs, whose parameters it shares: a single layer answers whatever is asked, several have the names of
        heads. Without any, what reads answers out refuses the network.

    Returns
    -------
    Model
        The network; its inputs are ``[time, batch, channel]``, whatever the order that a module of torch takes.

    Raises
    ------
    InputError
        If the sizes do not fit, or the step is no pure function of input and state.

    Examples
    --------
    >>> model = wrap(lambda x, h: torch.tanh(0.9 * h + x), n_inputs=1, n_units=3)
    >>> states, last = model(torch.zeros(4, 2, 1))
    >>> states.shape
    torch.Size([4, 2, 3])
    >>> wrap(torch.nn.GRU(1, 8, num_layers=2), heads=torch.nn.Linear(8, 2)).n_units
    16
    """
    if is_torch_layer(step):
        n_inputs = step.input_size if n_inputs is None else n_inputs  # type: ignore[union-attr]
        n_units = step.hidden_size if n_units is None else n_units  # type: ignore[union-attr]
    require_count("number of units", n_units)
    require_count("number of inputs", n_inputs, 0)
    # Now known to be numbers.
    n_inputs, n_units = cast(int, n_inputs), cast(int, n_units)
    cells: list[Cell] = []
    if is_torch_layer(step):
        if initial is not None:
            raise InputError(f"an initial state for a {type(step).__name__}: expected none, it starts at 0")
        cells.extend(cells_of(step, n_inputs, n_units))  # type: ignore[arg-type]
    else:
        function = _Exported(step.module()) if isinstance(step, ExportedProgram) else step
        cells.append(WrappedCell(cast(Step, function), n_inputs, n_units, initial))
    return Model(cells, _NoHeads() if heads is None else _heads(heads, n_units))


class _Exported(nn.Module):
    """An exported program as a module: it computes the same in training and evaluation, but refuses to be told."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.program(x, h)

    def train(self, mode: bool = True) -> _Exported:
        self.training = mode
        return self


def _heads(given: Heads | nn.Linear | Mapping[str, nn.Linear], n_units: int) -> Heads:
    """Return read-outs that are linear layers of somebody's own."""
    if isinstance(given, Heads):
        return given
    linears = dict(given) if isinstance(given, Mapping) else {"N": given}
    expected = "expected tauscope Heads, or layers torch.nn.Linear of the same sizes"
    if not linears:
        raise InputError(f"no heads: {expected}")
    for name, linear in linears.items():
        require_instance(
            f"head {name!r}" if len(linears) > 1 else "heads", linear, nn.Linear, expected.removeprefix("expected ")
        )
    first = next(iter(linears.values()))
    for name, linear in linears.items():
        if linear.in_features != n_units:
            raise InputError(
                f"head {name!r} reads {linear.in_features} units: expected {n_units}, those of the top layer"
            )
        if linear.out_features != first.out_features or (linear.bias is None) != (first.bias is None):
            raise InputError(f"head {name!r} has {linear.out_features} outputs: {expected}, with biases or without")
    heads = Heads(
        n_units, list(linears), first.out_features, not isinstance(given, Mapping),
        torch.Generator(first.weight.device), bias=first.bias is not None,
    )  # fmt: skip
    heads.linears = nn.ModuleList(linears.values())
    return heads


class _NoHeads(Heads):
    """The read-outs of a network that has none."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.names, self.shared, self.linears = (), False, nn.ModuleList()

    def index(self, name: str) -> int:
        raise InputError(f"no head {name!r}: the network has no read-outs, expected heads")


def _require_step(step: object, n_inputs: int, initial: Tensor) -> None:
    """Raise an `InputError` unless a step of two trials gives a state, changes nothing and draws nothing."""
    expected = "expected a pure function step(x [batch, channel], h [batch, unit]) -> h [batch, unit]"
    if isinstance(step, type) or not callable(step):
        require_instance("step", step, nn.Module, f"a module or a {expected.removeprefix('expected a ')}")
    x, h = initial.new_ones(2, n_inputs, dtype=initial.dtype.to_real()), initial.repeat(2, 1)
    watched = [x, h, *(step.buffers() if isinstance(step, nn.Module) else ())]
    before, versions = [tensor.clone() for tensor in watched], [tensor._version for tensor in watched]
    devices = [h.device] if h.device.type == "cuda" else []
    with torch.no_grad(), flushing(), torch.random.fork_rng(devices):
        chance = _global_chance(devices)
        try:
            moved, again = step(x, h), step(x, h)  # type: ignore[operator]
        except InputError:
            raise
        except Exception as error:  # whatever a function of somebody's own can raise
            why = " ".join(str(error).split())
            raise InputError(
                f"the step fails on x {tuple(x.shape)} and h {tuple(h.shape)} in {_name(h.dtype)} "
                f"({type(error).__name__}: {why}): {expected}; `initial` tells precision and device"
            ) from error
        drawn = not torch.equal(chance, _global_chance(devices))
        changed = [tensor._version for tensor in watched] != versions
        for tensor, kept in zip(watched, before, strict=True):
            tensor.copy_(kept)
    if drawn:
        raise InputError(
            f"the step draws from torch's global generator: {expected}; a module's dropout ends by .eval()"
        )
    if changed:
        raise InputError(f"the step changes its input, its state or a buffer in place: {expected}, or .eval()")
    _require_like(moved, h)
    if not torch.allclose(moved, again, equal_nan=True):
        raise InputError(f"the step gives another state when it is called again: {expected}")


def _global_chance(devices: list[torch.device]) -> Tensor:
    """Return the states of torch's global generators, of the CPU and of these devices."""
    return torch.cat([torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)])


def _require_like(moved: object, before: Tensor) -> None:
    """Raise an `InputError` unless a step returned a state like the one before."""
    if not isinstance(moved, Tensor):
        raise InputError(f"the step returned a {type(moved).__name__}: expected a tensor {tuple(before.shape)}")
    if moved.shape != before.shape:
        raise InputError(f"the step returned a state of shape {tuple(moved.shape)}: expected {tuple(before.shape)}")
    if moved.dtype != before.dtype or moved.device != before.device:
        raise InputError(
            f"the step returned {_name(moved.dtype)} on {moved.device} for a state in {_name(before.dtype)} on "
            f"{before.device}: expected the same; `initial` tells both"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
