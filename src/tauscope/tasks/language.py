"""Texts by name, and languages whose best prediction is known: read and measured without torch."""

from __future__ import annotations

import hashlib
import lzma
import re
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tauscope.errors import InputError, nearest

SHIPPED = {"milton": Path(__file__).parent / "texts" / "paradise_lost.txt.xz"}
"""Texts that come with the package, by name."""

LARGEST_FILE = 1 << 28
"""Bytes of a text at most: what is larger is no text that a network of this package learns, but a slip."""

_HMM = "hmm:"
_LETTERS = "abcdefgh"
_HMM_LENGTH, _MOST_STATES = 200_000, 64
_SAYS, _MOVES = 0.2, 0.1
"""Concentrations of the distributions of what a random state says and where it goes."""


@dataclass(frozen=True)
class Corpus:
    """A text as numbers.

    Attributes
    ----------
    characters : ndarray [character] of int
        Places in the vocabulary.
    vocabulary : str
        The different characters, in ascending order.
    sha256 : str
        Of the text in UTF-8.
    language : HiddenMarkov or None
        What the text was drawn from, where that is known.
    """

    characters: NDArray[np.int64]
    vocabulary: str
    sha256: str
    language: HiddenMarkov | None = None


def corpus(text: str, vocabulary: str = "") -> Corpus:
    """Return a text by its name or its file.

    Parameters
    ----------
    text : str
        ``milton`` (*Paradise Lost*), ``hmm:K`` (200 000 letters of a hidden-Markov language of K states, always the
        same), or a file in UTF-8.
    vocabulary : str
        Characters that are told apart, also such as the text does not have; by default those of the text.

    Raises
    ------
    InputError
        If there is no such text, it is none, or it has a character that is not in the vocabulary.

    Examples
    --------
    >>> found = corpus("milton")
    >>> len(found.characters), len(found.vocabulary), found.vocabulary[-3:]
    (465071, 65, 'xyz')
    """
    return _corpus(text, vocabulary, _stamp(text))


def _stamp(text: str) -> tuple[int, int]:
    """Return what tells that a file has changed since it was read."""
    if text in SHIPPED or text.startswith(_HMM):
        return 0, 0
    expected = nearest(text, [*SHIPPED, "hmm:K", "a file in UTF-8"])
    try:
        path, status = Path(text), Path(text).stat()
    except (OSError, ValueError) as error:
        raise InputError(f"text {text!r} is not there: {expected}") from error
    if not path.is_file():
        raise InputError(f"text {text!r} is no file: {expected}")
    if status.st_size > LARGEST_FILE:
        raise InputError(f"text {text!r} has {status.st_size} bytes: expected at most {LARGEST_FILE}")
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _corpus(text: str, vocabulary: str, stamp: tuple[int, int]) -> Corpus:
    del stamp
    language = _language(text) if text.startswith(_HMM) else None
    if language is None:
        content = _read(text)
    else:
        drawn = language.sample(_HMM_LENGTH, np.random.default_rng(0))
        content = "".join(_LETTERS[letter] for letter in drawn.tolist())
    own = "".join(sorted(set(content)))
    if len(own) < 2:
        raise InputError(f"text {text!r} has {len(own)} different characters: expected at least 2")
    known = "".join(sorted(set(vocabulary))) or own
    unknown = sorted(set(own) - set(known))
    if unknown:
        raise InputError(
            f"text {text!r} has the character {unknown[0]!r}: expected none outside the vocabulary {known!r}"
        )
    if language is not None:
        known = _LETTERS
    places = np.searchsorted(_codes(known), _codes(content))
    return Corpus(places, known, hashlib.sha256(content.encode()).hexdigest(), language)


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _read(text: str) -> str:
    try:
        if text in SHIPPED:
            return lzma.decompress(SHIPPED[text].read_bytes()).decode()
        return Path(text).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"text {text!r} cannot be read: {error.strerror}; expected a file in UTF-8") from error
    except UnicodeDecodeError as error:
        raise InputError(f"text {text!r} is not in UTF-8 at byte {error.start}: expected a file in UTF-8") from error


def _language(text: str) -> HiddenMarkov:
    number = text.removeprefix(_HMM)
    if not re.fullmatch(r"[1-9]\d?", number) or int(number) > _MOST_STATES:
        raise InputError(f"text {text!r}: expected 1 to {_MOST_STATES} states, such as hmm:4")
    return HiddenMarkov.random(int(number), len(_LETTERS), np.random.default_rng(int(number)))


@dataclass(frozen=True)
class HiddenMarkov:
    """A language of hidden states, each of which says a character and moves on.

    Attributes
    ----------
    steps : ndarray [character, from, to]
        T_x with T_x[i, j] the probability to say x in state i and to go on to j.

    Notes
    -----
    What the past says of the present state is a ← a T_x / Σ a T_x: up to its scale a network that multiplies state and
    input and has no nonlinearity. The probability of a text is 1' Π T_x applied to the stationary distribution.

    Examples
    --------
    >>> coin = HiddenMarkov(np.full((2, 1, 1), 0.5))
    >>> coin.surprise(np.array([0, 1, 1]))
    array([1., 1., 1.])
    """

    steps: NDArray[np.float64]

    @classmethod
    def random(cls, n_states: int, n_characters: int, generator: np.random.Generator) -> Self:
        """Return a language with emissions and transitions from Dirichlet distributions."""
        says = generator.dirichlet(np.full(n_characters, _SAYS), n_states)
        moves = generator.dirichlet(np.full(n_states, _MOVES), n_states)
        # Every character can be said and every state reached, however rarely, so that no text has probability 0.
        says, moves = (0.99 * part + 0.01 / part.shape[1] for part in (says, moves))
        return cls(says.T[:, :, None] * moves)

    @property
    def start(self) -> NDArray[np.float64]:
        """The stationary distribution of the states."""
        moves = self.steps.sum(axis=0)
        n = len(moves)
        start, *_ = np.linalg.lstsq(np.vstack([moves.T - np.eye(n), np.ones(n)]), np.eye(n + 1)[n], rcond=None)
        return np.abs(start) / np.abs(start).sum()

    def sample(self, n_characters: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return a text of so many characters."""
        n_states = self.steps.shape[1]
        # Of every state the cumulative probabilities of all pairs of a character and a next state.
        sums = self.steps.transpose(1, 0, 2).reshape(n_states, -1).cumsum(axis=1)
        tables = [row[:-1].tolist() for row in sums / sums[:, -1:]]
        state, said = int(generator.choice(n_states, p=self.start)), []
        for chance in generator.random(n_characters).tolist():
            character, state = divmod(bisect(tables[state], chance), n_states)
            said.append(character)
        return np.array(said, dtype=np.int64)

    def predictions(self, characters: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probabilities of every character given all before it, ``[time, character]``, by the forward algorithm."""
        state, after, found = self.start, self.steps.sum(axis=2), []
        for character in characters.tolist():
            found.append(after @ state)
            state = state @ self.steps[character]
            state = state / state.sum()
        return np.array(found)

    def surprise(self, characters: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the bits of every character given all before it: no prediction does better on average."""
        predictions = self.predictions(characters)
        bits: NDArray[np.float64] = -np.log2(predictions[np.arange(len(characters)), characters])
        return bits


def unigram_entropy(characters: NDArray[np.int64]) -> float:
    """Return the entropy of single characters in bits: the least bpc of a constant answer.

    Examples
    --------
    >>> unigram_entropy(np.array([0, 1, 0, 1]))
    1.0
    """
    shares = np.unique(characters, return_counts=True)[1] / len(characters)
    return float(-(shares * np.log2(shares)).sum())


def bigram_entropy(characters: NDArray[np.int64]) -> float:
    """Return the entropy of a character given the one before it in bits: the least bpc of an answer to that alone.

    Examples
    --------
    >>> bigram_entropy(np.array([0, 1, 0, 1]))
    0.0
    """
    pairs = characters[:-1] * (characters.max() + 1) + characters[1:]
    return unigram_entropy(pairs) - unigram_entropy(characters[:-1]) + 0.0


def parts(n_characters: int) -> dict[str, slice]:
    """Return where the training, validation and test text lie: 80, 10 and 10 % of a text, in this order.

    Examples
    --------
    >>> {name: part.stop - part.start for name, part in parts(465_071).items()}
    {'train': 372056, 'valid': 46507, 'test': 46508}
    """
    ends = [0, n_characters * 8 // 10, n_characters * 9 // 10, n_characters]
    names = ("train", "valid", "test")
    return {name: slice(first, last) for name, (first, last) in zip(names, pairwise(ends), strict=True)}
