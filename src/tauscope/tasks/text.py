"""Text of Lizaire et al. (2024): say at every character of a text which comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.tasks.base import OUT, Batch, ClassificationTask, Head, require_fields, weighted_sums
from tauscope.tasks.language import Corpus, corpus, parts, unigram_entropy

if TYPE_CHECKING:
    from torch import Tensor

_BITS = 1.4426950408889634  # in a nat


@dataclass(frozen=True)
class Text(ClassificationTask):
    """Say at every character of a text which one comes next.

    A trial is a window of the text, each character a vector with a single 1; the loss is the cross-entropy in nats a
    character, the score (bpc) the same in bits. 80 % of the text are for training, the next 10 % for validation, the
    last 10 % for tests.

    Attributes
    ----------
    text : str
        milton (Paradise Lost), hmm:K (a hidden-Markov language of K states), or a file in UTF-8.
    window : int
        Characters of a trial; the state is that of a start at the first of them.
    vocabulary : str
        Characters that are told apart; by default those of the text, in ascending order.
    sha256 : str
        SHA-256 that the text must have; by default any, and a run goes on with the text that it was begun with.

    Raises
    ------
    InputError
        If there is no such text, or it is another one, has other characters or is too short.

    Notes
    -----
    Source: Lizaire, Rizvi-Martel, Gamal & Rabusseau, ICML 2024 (arXiv 2406.05045), and published code, which takes
    windows of 50 characters one after the other. Chance is the entropy of single characters of the test text. The
    optimum is known for hidden-Markov languages alone; for other texts it is given as 0.

    Examples
    --------
    >>> task = Text(window=5)
    >>> batch = task.sample(1, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, task.spell(batch.inputs.argmax(dim=-1)[:, 0]), task.spell(batch.targets[:, 0, 0])
    (torch.Size([5, 1, 65]), 'd Tow', ' Towr')
    """

    text: str = "milton"
    window: int = 32
    vocabulary: str = ""
    sha256: str = ""

    source: ClassVar[str] = "Lizaire, Rizvi-Martel, Gamal & Rabusseau, ICML 2024 (arXiv 2406.05045), and published code"
    metric: ClassVar[str] = "bpc"

    def __post_init__(self) -> None:
        require_fields(self)
        require_at_least("window", self.window, 1)
        found = self.corpus
        if self.sha256 not in ("", found.sha256):
            raise InputError(
                f"text {self.text!r} has changed: its SHA-256 is {found.sha256}, expected {self.sha256}, that of the text "
                "that was meant"
            )
        shortest = min(part.stop - part.start for part in parts(len(found.characters)).values())
        if shortest <= self.window:
            raise InputError(
                f"window is {self.window}, of a text whose test part has {shortest} characters: expected less than that, and "
                "a text of at least 20"
            )

    @property
    def corpus(self) -> Corpus:
        """The whole text."""
        return corpus(self.text, self.vocabulary)

    def settled(self) -> Self:
        """Return the task with the vocabulary and the SHA-256 of the text as it is now."""
        return replace(self, vocabulary=self.corpus.vocabulary, sha256=self.corpus.sha256)

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels, one for each character of the vocabulary."""
        return len(self.corpus.vocabulary)

    @property
    def heads(self) -> dict[str, Head]:
        """The only question: the next character."""
        return {OUT: Head(self.n_inputs, *_levels(self.text, self.vocabulary, self.corpus.sha256))}

    def part(self, split: str) -> Tensor:
        """Return the training, validation or test text, ``[character]`` of int.

        Raises
        ------
        InputError
            If there is no such part.
        """
        known = parts(len(self.corpus.characters))
        require_choice("split", split, known)
        return torch.from_numpy(self.corpus.characters[known[split]])

    def spell(self, characters: Tensor) -> str:
        """Return characters ``[character]`` of int as text."""
        return "".join(self.corpus.vocabulary[place] for place in characters.tolist())

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw windows at random places of the part of the text that ``split`` names, as `Task.sample` says.

        Returns
        -------
        Batch
            ``inputs [window, batch, character]``; ``targets [window, batch, 1]``, the places of the next characters.
        """
        require_draw(batch_size, generator)
        text = self.part(split).to(generator.device)
        first = torch.randint(len(text) - self.window, (batch_size,), generator=generator, device=generator.device)
        steps = torch.arange(self.window + 1, device=generator.device)
        return self.batch_of(text[first + steps[:, None]])

    def rows(self, split: str, n_rows: int, longest: int | None = None) -> Batch:
        """Return a whole part of the text, cut into so many rows of equal length that are read side by side.

        Parameters
        ----------
        split : str
            Part of the text.
        n_rows : int
            Number of rows.
        longest : int, optional
            Characters of a row at most.

        Returns
        -------
        Batch
            As `sample` returns it. The characters at the end that fill no row are left out.

        Raises
        ------
        InputError
            If the part has fewer characters than rows.
        """
        text = self.part(split)
        if not 1 <= n_rows < len(text):
            raise InputError(f"rows are {n_rows}: expected 1 ... {len(text) - 1}, fewer than the text has characters")
        length = (len(text) - 1) // n_rows
        length = length if longest is None else min(length, longest)
        return self.batch_of(text[: length * n_rows + 1].unfold(0, length + 1, length).t())

    def batch_of(self, characters: Tensor) -> Batch:
        """Return the batch of given characters.

        Parameters
        ----------
        characters : Tensor [time + 1, batch] of int
            Places in the vocabulary.

        Returns
        -------
        Batch
            All but the last ones are shown, all but the first ones asked.
        """
        shape = (len(characters) - 1, characters.shape[1], self.n_inputs)
        inputs = torch.zeros(shape, dtype=torch.float32, device=characters.device)
        inputs.scatter_(-1, characters[:-1].unsqueeze(-1), 1.0)
        return Batch(inputs, characters[1:].unsqueeze(-1))

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the bits of all characters under ``outputs [answer, batch, 1, character]``, and their number."""
        nats = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), batch.targets.flatten(), reduction="none")
        return weighted_sums(_BITS * nats.view(batch.targets.shape), batch.weight)


@lru_cache(maxsize=8)
def _levels(text: str, vocabulary: str, sha256: str) -> tuple[float, float]:
    """Return chance and optimum on the test text; the SHA-256 tells whether the text is still the same."""
    del sha256
    found = corpus(text, vocabulary)
    test = found.characters[parts(len(found.characters))["test"]]
    return unigram_entropy(test), 0.0 if found.language is None else float(found.language.surprise(test).mean())
