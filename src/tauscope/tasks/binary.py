"""Memory of a stream of bits: N-parity and N-delayed-match-to-sample."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import require_draw, uniform
from tauscope._lazy import torch
from tauscope.errors import InputError, require_choice, require_count, require_probability
from tauscope.tasks.base import Batch, ClassificationTask, Head, require_fields, validate_Ns

if TYPE_CHECKING:
    from torch import Tensor

_SOURCE = "Khajehabdollahi et al., ICLR 2024, section 2 (https://openreview.net/forum?id=xwKt6bUkXj)"


def head_name(N: int) -> str:
    """Return the name of the head that answers N, in a task and in a network.

    Examples
    --------
    >>> head_name(5)
    'N5'
    """
    return f"N{N}"


@dataclass(frozen=True)
class BinaryMemoryTask(ClassificationTask):
    """A stream of bits, with a question about its last N bits for each N.

    Attributes
    ----------
    Ns : tuple of int
        Memory demands, ascending; the head that answers N is named ``N{N}``.
    p : float, optional
        Probability of a 1. ``None`` is the task's default: for N-parity drawn uniformly from [0, 1) for every
        sequence, for N-DMS 0.5, because a biased stream makes the answer "match" likelier.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    repeat : int
        Number k of steps for which each bit is shown; a step is 1/k of a bit.
    labels : {"last", "every"}
        Steps with an answer: the last step, or the last step of every bit from the N-th bit on.
    length : int or (int, int), optional
        Number of bits of a sequence, or the inclusive range from which every batch draws this number; the default range
        is ``{N_max + 2, ..., 4 N_max + 1}``.
    """

    Ns: Sequence[int] = (2,)
    p: float | None = None
    plus_minus: bool = False
    repeat: int = 1
    labels: str = "last"
    length: int | tuple[int, int] | None = None

    source: ClassVar[str] = _SOURCE

    def __post_init__(self) -> None:
        require_fields(self)
        object.__setattr__(self, "Ns", validate_Ns(self.Ns))
        if self.p is not None:
            require_probability("p", self.p)
        require_count("repeat", self.repeat)
        require_choice("labels", self.labels, ("last", "every"))
        if isinstance(self.length, Iterable) and len(tuple(self.length)) != 2:
            raise InputError(f"length {self.length!r}: expected a number of bits, or (shortest, longest)")
        for bound in self.length_range:
            require_count("length", bound)
        low, high = self.length_range
        if low > high:
            raise InputError(
                f"length {self.length} is not a range: expected (shortest, longest), such as {(high, low)}"
            )
        if low < self.Ns[-1]:
            raise InputError(
                f"length {self.length} is too short for N = {self.Ns[-1]}: expected at least {self.Ns[-1]}"
            )

    @property
    def heads(self) -> dict[str, Head]:
        """A head for each N."""
        return {head_name(N): Head(2, self.chance(N), 1.0) for N in self.Ns}

    @property
    def length_range(self) -> tuple[int, int]:
        """Shortest and longest sequence, in bits, both included."""
        if self.length is None:
            return self.Ns[-1] + 2, 4 * self.Ns[-1] + 1
        if isinstance(self.length, Iterable):
            low, high = self.length
            return low, high
        return self.length, self.length

    @abc.abstractmethod
    def chance(self, N: int) -> float:
        """Return the accuracy of the best constant answer to N."""

    @abc.abstractmethod
    def _bias(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Return the probability of a 1 in every sequence, ``[batch]``."""

    @abc.abstractmethod
    def _answers(self, bits: Tensor, shown: Tensor) -> Tensor:
        """Return the answers ``[answer, batch, head]`` after the first ``shown [answer]`` of ``bits [bit, batch]``."""

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw sequences of the same length, and their answers, as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [bits * repeat, batch, 1]``, ``targets [1, batch, head]`` for ``labels="last"``, else
            ``[bits * repeat, batch, head]`` with ``weight [bits * repeat, 1, head]``; ``info["p"] [batch]``.
        """
        del split
        require_draw(batch_size, generator)
        low, high = self.length_range
        n_bits = int(torch.randint(low, high + 1, (), generator=generator, device=generator.device))
        p = self._bias(batch_size, generator)
        bits = (uniform((n_bits, batch_size), generator) < p).float()
        return self.batch_of(bits, info={"p": p})

    def batch_of(self, bits: Tensor, info: dict[str, Tensor] | None = None) -> Batch:
        """Make the batch of a given stream.

        Parameters
        ----------
        bits : Tensor [bit, batch]
            A stream of 0 and 1, at least as long as the largest N.
        info : dict, optional
            ``info`` of the batch.

        Returns
        -------
        Batch
            Batch as returned by `sample`.

        Raises
        ------
        InputError
            If the stream is shorter than the largest N.

        Examples
        --------
        >>> import torch
        >>> Parity([2, 3]).batch_of(torch.tensor([[1.0], [1.0], [0.0], [1.0]])).targets
        tensor([[[1, 0]]])
        """
        if len(bits) < self.Ns[-1]:
            raise InputError(f"{len(bits)} bits are too few for N = {self.Ns[-1]}: expected at least {self.Ns[-1]}")
        inputs = (2 * bits - 1 if self.plus_minus else bits).repeat_interleave(self.repeat, dim=0).unsqueeze(-1)
        if self.labels == "last":
            longest = bits[-self.Ns[-1] :]
            shown = torch.tensor([len(longest)], device=bits.device)
            return Batch(inputs, self._answers(longest, shown), info=info or {})
        shown = torch.arange(1, len(bits) + 1, device=bits.device)
        answers = self._answers(bits, shown).repeat_interleave(self.repeat, dim=0)
        step = torch.arange(1, len(answers) + 1, device=bits.device)[:, None]
        enough = step >= torch.tensor(self.Ns, device=bits.device) * self.repeat
        weight = (enough & (step % self.repeat == 0)).to(bits.dtype).unsqueeze(1)
        return Batch(inputs, answers, weight=weight, info=info or {})


class Parity(BinaryMemoryTask):
    """N-parity: is the number of ones among the last N bits odd?

    The label is ``(sum of the last N bits) mod 2``. An optimal observer scores 1.

    Examples
    --------
    >>> import torch
    >>> batch = Parity([2, 3]).sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape[1:], batch.targets.shape
    (torch.Size([4, 1]), torch.Size([1, 4, 2]))
    """

    def chance(self, N: int) -> float:
        """Return the accuracy of the best constant answer.

        The sum of N bits is even with probability ``(1 + (1 - 2p)^N) / 2``; averaged over p ~ U(0, 1)
        this is ``(1 + 1 / (N + 1)) / 2`` for even N and 1/2 for odd N.

        Examples
        --------
        >>> Parity([2]).chance(3)
        0.5
        """
        if self.p is None:
            return 0.5 * (1 + 1 / (N + 1)) if N % 2 == 0 else 0.5
        return 0.5 * (1 + abs((1 - 2 * self.p) ** N))

    def _bias(self, batch_size: int, generator: torch.Generator) -> Tensor:
        if self.p is None:
            return uniform((batch_size,), generator)
        return torch.full((batch_size,), self.p, dtype=torch.float32, device=generator.device)

    def _answers(self, bits: Tensor, shown: Tensor) -> Tensor:
        ones = torch.cat([bits.new_zeros(1, bits.shape[1]), bits.cumsum(dim=0)])
        start = (shown[:, None] - torch.tensor(self.Ns, device=bits.device)).clamp(min=0)
        return ((ones[shown][:, None] - ones[start]) % 2).long().transpose(1, 2)


class DelayedMatchToSample(BinaryMemoryTask):
    """N-delayed-match-to-sample: does the last bit equal the bit N - 1 bits before it?

    The label is ``[S(M) == S(M - N + 1)]``. An optimal observer scores 1.

    Examples
    --------
    >>> import torch
    >>> DelayedMatchToSample([2, 3]).batch_of(torch.tensor([[1.0], [0.0], [1.0]])).targets
    tensor([[[0, 1]]])
    """

    def chance(self, N: int) -> float:
        """Return the accuracy of answering "match" always, ``p^2 + (1 - p)^2`` (1 for N = 1).

        Examples
        --------
        >>> DelayedMatchToSample([2]).chance(2)
        0.5
        """
        p = 0.5 if self.p is None else self.p
        return 1.0 if N == 1 else p**2 + (1 - p) ** 2

    def _bias(self, batch_size: int, generator: torch.Generator) -> Tensor:
        p = 0.5 if self.p is None else self.p
        return torch.full((batch_size,), p, dtype=torch.float32, device=generator.device)

    def _answers(self, bits: Tensor, shown: Tensor) -> Tensor:
        sample = (shown[:, None] - torch.tensor(self.Ns, device=bits.device)).clamp(min=0)
        return (bits[shown - 1][:, None] == bits[sample]).long().transpose(1, 2)
