"""Handwritten digits, row by row."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import require_choice, require_count
from tauscope.tasks.base import OUT, Batch, ClassificationTask, Head, require_fields

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 8
"""Rows of an image, and pixels of a row."""

PARTS = {"train": (0, 1000), "valid": (1000, 1200), "test": (1200, 1797)}
"""First image of each split and the one behind its last."""


@functools.cache
def _images() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.as_tensor(found.images / 16, dtype=torch.float32, device="cpu")
    return images, torch.as_tensor(found.target, dtype=torch.int64, device="cpu")


@dataclass(frozen=True)
class Digits(ClassificationTask):
    """Say which digit was shown, row by row, when its last row has been seen.

    Attributes
    ----------
    row_steps : int
        steps for which each of the eight rows is shown

    Notes
    -----
    The 1797 images of 8 × 8 pixels that come with scikit-learn (Alpaydin & Kaynak, 1998), in their order: 1000 to train, 200 to
    choose by, 597 to test. Without recurrent weights too, about 93 % are told by a linear read-out of spiking units: no task of
    long memory.

    Examples
    --------
    >>> batch = Digits().sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([40, 4, 8]), torch.Size([1, 4, 1]))
    """

    row_steps: int = 5

    source: ClassVar[str] = "the digits of scikit-learn, after Chakraborty et al., ICLR 2024"
    n_inputs: ClassVar[int] = SIZE

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("row_steps", self.row_steps)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: which digit."""
        return {OUT: Head(10, 0.1, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw images of a split.

        Returns
        -------
        Batch
            ``inputs [time, batch, pixel]`` between 0 and 1, ``targets [1, batch, 1]``; ``info`` with ``image [batch]``.
        """
        require_draw(batch_size, generator)
        require_choice("split", split, PARTS)
        low, high = PARTS[split]
        chosen = low + torch.randint(high - low, (batch_size,), generator=generator, device=generator.device)
        images, digits = (kept.to(generator.device) for kept in _images())
        inputs = images[chosen].transpose(0, 1).repeat_interleave(self.row_steps, dim=0)
        return Batch(inputs, digits[chosen][None, :, None], info={"image": chosen})
