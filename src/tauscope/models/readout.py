"""Named read-out heads, of which only those that are asked are evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_count, require_instance
from tauscope.models import init
from tauscope.models.weights import Weight, refresh


class Heads(nn.Module):
    """Linear read-outs of the top layer, each with a name.

    Parameters
    ----------
    n_units : int
        Number of units that are read.
    names : sequence of str
        Name of every head; ``N5`` answers N = 5.
    n_outputs : int
        Outputs of every head.
    shared : bool
        Whether the first head answers every name, as in single-head training.
    generator : torch.Generator
        Source of the initial weights.
    bias : bool
        Whether a head has a bias.

    Notes
    -----
    Each head is a parameter of its own, so that an optimiser neither moves nor decays a head that was not asked;
    the asked ones are stacked for one product.
    """

    def __init__(
        self,
        n_units: int,
        names: Sequence[str],
        n_outputs: int,
        shared: bool,
        generator: torch.Generator,
        bias: bool = True,
    ) -> None:
        super().__init__()
        listed = isinstance(names, Iterable) and not isinstance(names, str)
        if not (listed and all(isinstance(name, str) for name in names)):
            raise InputError(f"names of heads are {names!r}: expected a list of names, such as ['N2', 'N3']")
        require_count("number of heads", len(names))
        require_count("number of units", n_units)
        require_count("number of outputs", n_outputs)
        self.names = tuple(names)
        self.shared = shared
        self.linears = nn.ModuleList(init.linear(n_units, n_outputs, generator, bias) for _ in self.names)

    def index(self, name: str) -> int:
        """Return the position of the head of that name.

        Raises
        ------
        InputError
            If there is none.
        """
        if self.shared:
            return 0
        if name not in self.names:
            raise InputError(f"no head {name!r}: expected {' … '.join(dict.fromkeys((self.names[0], self.names[-1])))}")
        return self.names.index(name)

    def asked(self, names: str | Iterable[str]) -> list[nn.Linear]:
        """Return the head of that name, or several."""
        return [
            cast(nn.Linear, self.linears[self.index(name)]) for name in ([names] if isinstance(names, str) else names)
        ]

    def weights(self) -> dict[str, Weight]:
        """Return weights and biases of all heads, by their names among the read-outs."""
        found: dict[str, Weight] = {}
        for i, head in enumerate(self.linears):
            found[f"linears.{i}.weight"] = Weight("readout", head, "weight")
            if head.bias is not None:
                found[f"linears.{i}.bias"] = Weight("bias", head, "bias")
        return found

    def forward(self, hidden: Tensor, names: str | Iterable[str]) -> Tensor:
        """Read heads out.

        Parameters
        ----------
        hidden : Tensor [..., unit]
            States of the top layer.
        names : str or iterable of str
            Which heads.

        Returns
        -------
        Tensor [..., output], or [..., head, output] for several names
            Logits.

        Raises
        ------
        InputError
            If there is no such head, or the states are none of as many units in the heads' precision.
        """
        heads = self.asked(names)
        _require_states(hidden, heads[:1])
        for head in heads:
            refresh(head)
        weight = torch.cat([head.weight for head in heads])
        biases: list[Tensor] = [head.bias for head in heads if head.bias is not None]
        # The few outputs first and the many states last: the other order takes up to ten times as long where the batch is
        # stored innermost, and gives back a gradient that has to be transposed.
        states = hidden.reshape(-1, hidden.shape[-1])
        transposed = states.t()
        outputs = torch.addmm(torch.cat(biases)[:, None], weight, transposed) if biases else weight @ transposed
        outputs = outputs.t().view(*hidden.shape[:-1], len(weight))
        return outputs if isinstance(names, str) else outputs.unflatten(-1, (len(heads), -1))


def _require_states(hidden: object, heads: list[nn.Linear]) -> None:
    """Raise an `InputError` unless states can be read by a head, where there is one."""
    for head in heads:
        weight = head.weight
        require_instance("states", hidden, Tensor, f"a tensor [..., {weight.shape[1]}]")
        states = cast(Tensor, hidden)
        if states.shape[-1:] != weight.shape[1:]:
            raise InputError(f"states have shape {tuple(states.shape)}: expected [..., {weight.shape[1]}], one a unit")
        if states.dtype != weight.dtype and not torch.is_autocast_enabled(states.device.type):
            raise InputError(
                f"states are {states.dtype}, heads {weight.dtype}: expected one precision, such as heads.double()"
            )


def numbered(n_heads: int) -> tuple[str, ...]:
    """Return the names of heads that answer N = 2, 3, 4, …

    Examples
    --------
    >>> numbered(2)
    ('N2', 'N3')
    """
    require_count("number of heads", n_heads)
    return tuple(f"N{N}" for N in range(2, 2 + n_heads))
