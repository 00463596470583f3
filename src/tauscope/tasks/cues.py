"""What must be said again after a while: a sequence of bits, and a single cue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import require_count
from tauscope.tasks.base import OUT, Batch, ClassificationTask, Head, require_fields
from tauscope.tasks.environment import Environment, Turn

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = "Irie, Gopalakrishnan & Schmidhuber, ICLR 2024, and published code"
BLANK = 2


@dataclass(frozen=True)
class Copy(ClassificationTask):
    """Say n bits again as soon as they have ended, for n from 1 to the longest.

    Bits are shown at the first n steps and blanks up to step 2 · longest; the answers at steps n + 1 … 2n alone are asked. The
    score is the share of sequences that are right in every bit.

    Attributes
    ----------
    longest : int
        largest number of bits of a trial
    """

    longest: int = 3

    source: ClassVar[str] = SOURCE
    n_inputs: ClassVar[int] = 3

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("longest", self.longest)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: 0, 1, or a blank, which is never asked."""
        chance = sum(2.0**-n for n in range(1, self.longest + 1)) / self.longest
        return {OUT: Head(3, chance, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials; ``split`` is ignored, every trial is drawn anew.

        Returns
        -------
        Batch
            ``inputs [time, batch, 3]`` with a single 1 a step; ``targets [time, batch, 1]`` with weight 1 where a bit is asked and
            0 elsewhere; ``info`` with ``length [batch]``, the number of bits.

        Examples
        --------
        >>> batch = Copy(longest=2).sample(1, torch.Generator().manual_seed(1))
        >>> batch.inputs[:, 0].argmax(-1), batch.targets[:, 0, 0], batch.weight[:, 0, 0]
        (tensor([1, 0, 2, 2]), tensor([2, 2, 1, 0]), tensor([0., 0., 1., 1.]))
        """
        del split
        require_draw(batch_size, generator)
        L, device = self.longest, generator.device
        length = 1 + torch.randint(L, (batch_size,), generator=generator, device=device)
        bits = torch.randint(2, (L, batch_size), generator=generator, device=device)
        step = torch.arange(2 * L, device=device)[:, None]
        asked = (step >= length) & (step < 2 * length)
        shown = torch.where(step < length, bits.repeat(2, 1), BLANK)
        earlier = bits.gather(0, (step - length).clamp(0, L - 1))
        targets = torch.where(asked, earlier, BLANK).unsqueeze(-1)
        inputs = torch.nn.functional.one_hot(shown, 3).to(torch.float32)
        return Batch(inputs, targets, weight=asked.to(torch.float32).unsqueeze(-1), info={"length": length})

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return how many sequences are right in every bit that is asked, and how many there are, ``[head]`` each."""
        assert batch.weight is not None
        wrong = (outputs.argmax(dim=-1) != batch.targets) & (batch.weight > 0)
        right = ~wrong.any(dim=0)
        return right.to(outputs.dtype).sum(dim=0), torch.full_like(outputs[0, 0, :, 0], right.shape[0])


@dataclass(frozen=True)
class Cue(ClassificationTask):
    """Say which of two cues was shown at the first step, when a signal asks for it after a span of blanks.

    Attributes
    ----------
    span : int
        steps from the cue to the signal
    """

    span: int = 20

    source: ClassVar[str] = "ours; after the memory length of bsuite (Osband et al., ICLR 2020)"
    n_inputs: ClassVar[int] = 4

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("span", self.span)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: which cue."""
        return {OUT: Head(2, 0.5, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials of ``span + 1`` steps; ``split`` is ignored, every trial is drawn anew.

        Examples
        --------
        >>> batch = Cue(span=2).sample(2, torch.Generator().manual_seed(0))
        >>> batch.inputs[:, 0], batch.targets.shape
        (tensor([[1., 0., 0., 0.],
                [0., 0., 1., 0.],
                [0., 0., 0., 1.]]), torch.Size([1, 2, 1]))
        """
        del split
        require_draw(batch_size, generator)
        cue = torch.randint(2, (batch_size,), generator=generator, device=generator.device)
        inputs = torch.stack([flags(cue, step, self.span) for step in range(self.span + 1)])
        return Batch(inputs, cue[None, :, None])


def flags(cue: Tensor, step: int, span: int, shown: bool = False) -> Tensor:
    """Return what is seen at a step, ``[batch, 4]``: cue 0, cue 1, a blank, or the signal; with ``shown`` the cue at every step.

    Examples
    --------
    >>> flags(torch.tensor([0, 1]), 3, 3, shown=True)
    tensor([[1., 0., 0., 1.],
            [0., 1., 0., 1.]])
    """
    seen = torch.zeros(len(cue), 4, dtype=torch.float32, device=cue.device)
    if shown or step == 0:
        seen.scatter_(1, cue[:, None], 1.0)
    if 0 < step < span:
        seen[:, 2] = 1.0
    if step == span:
        seen[:, 3] = 1.0
    return seen


@dataclass(frozen=True)
class CueGame(Environment):
    """Act as one of two cues said at the first step, when a signal asks for it after a span of blanks.

    There are three actions; at the signal the cue's brings a reward of 1 and the others -1, at other steps nothing does.

    Attributes
    ----------
    span : int
        steps from the cue to the signal
    shown : bool
        show the cue at every step, so that nothing has to be remembered
    """

    span: int = 20
    shown: bool = False

    source: ClassVar[str] = "ours; after the memory length of bsuite (Osband et al., ICLR 2020)"
    n_inputs: ClassVar[int] = 4
    n_actions: ClassVar[int] = 3
    chance: ClassVar[float] = 0.0
    optimum: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("span", self.span)

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        """Begin episodes, as `Environment` says."""
        require_draw(n, generator)
        cue = torch.randint(2, (n,), generator=generator, device=generator.device)
        seen = flags(cue, 0, self.span, self.shown)
        return Turn(seen, torch.zeros_like(seen[:, 0]), torch.zeros_like(cue, dtype=torch.bool), (cue, 0))

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        """Act, as `Environment` says."""
        del generator
        cue, step = turn.world
        over = step == self.span
        reward = torch.where(actions == cue, 1.0, -1.0) if over else torch.zeros_like(turn.reward)
        seen = flags(cue, min(step + 1, self.span), self.span, self.shown)
        return Turn(seen, reward, torch.full_like(turn.done, over), (cue, step + 1))
