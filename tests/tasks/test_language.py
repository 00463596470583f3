"""Texts and what is known of them: files as they are, entropies by counting, hidden-Markov languages by all their paths."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError
from tauscope.tasks import language
from tauscope.tasks.language import HiddenMarkov, bigram_entropy, corpus, parts, unigram_entropy

PUBLISHED_FILE = "017f904a417a3cf3534fde361eb5e9ce001630e9801a734e823ffc20d7b98943"


def spelt(found: language.Corpus) -> str:
    return "".join(found.vocabulary[place] for place in found.characters)


def test_the_shipped_poem_is_that_of_its_source() -> None:
    found = corpus("milton")
    text = spelt(found).encode()
    assert hashlib.sha256(text + b"\x1a").hexdigest() == PUBLISHED_FILE
    assert found.sha256 == hashlib.sha256(text).hexdigest()
    note = (language.SHIPPED["milton"].parent / "README.md").read_text()
    assert PUBLISHED_FILE in note
    assert found.sha256 in note
    assert (len(text), len(found.vocabulary)) == (465_071, 65)
    assert list(found.vocabulary) == sorted(set(text.decode()))
    assert unigram_entropy(found.characters) == pytest.approx(4.572, abs=5e-4)
    assert bigram_entropy(found.characters) == pytest.approx(3.497, abs=5e-4)


TEXTS = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\ufeff"), min_size=2, max_size=200
).filter(lambda text: len(set(text)) > 1)


@settings(deadline=None)
@given(TEXTS)
def test_any_text_is_read_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("texts") / "text.txt"
    file.write_bytes(text.encode())
    found = corpus(str(file))
    assert spelt(found) == text
    assert found.vocabulary == "".join(sorted(set(text)))
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()


@given(TEXTS)
def test_entropies_are_those_of_counts(text: str) -> None:
    places = np.unique(list(text), return_inverse=True)[1].astype(np.int64)

    def entropy(counts: Counter[object]) -> float:
        n = sum(counts.values())
        return -sum(count / n * math.log2(count / n) for count in counts.values())

    assert unigram_entropy(places) == pytest.approx(entropy(Counter(text)), abs=1e-9)
    pairs = list(itertools.pairwise(text))
    of_each = Counter(first for first, _ in pairs)
    expected = sum(
        n / len(pairs) * entropy(Counter(second for one, second in pairs if one == first))
        for first, n in of_each.items()
    )
    assert bigram_entropy(places) == pytest.approx(expected, abs=1e-9)


def test_a_byte_order_mark_is_no_character_and_line_ends_are_characters(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    assert spelt(corpus(str(file))) == "a\r\nb\r\n"


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    for text in ("abab", "cdcdcd"):
        file.write_text(text)
        assert spelt(corpus(str(file))) == text


def test_a_vocabulary_is_sorted_and_can_have_more(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("bcb")
    found = corpus(str(file), "dcba")
    assert found.vocabulary == "abcd"
    assert found.characters.tolist() == [1, 2, 1]
    with pytest.raises(InputError, match=r"has the character 'c': expected none outside the vocabulary 'ab'"):
        corpus(str(file), "ab")


REFUSED = {
    "millton": "did you mean 'milton'",
    "": "text '' is no",
    "nowhere/text.txt": "is not there: expected one of milton, hmm:K, a file in UTF-8",
    "hmm:0": "expected 1 to 64 states, such as hmm:4",
    "hmm:65": "expected 1 to 64 states",
    "hmm:-3": "expected 1 to 64 states",
    "hmm:four": "expected 1 to 64 states",
    "hmm:": "expected 1 to 64 states",
    "hmm:3.5": "expected 1 to 64 states",
    "hmm:٣": "expected 1 to 64 states",
    "a\0b": "is not there",
    "x" * 5000: "is not there",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:12]))
def test_a_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=REFUSED[text]):
        corpus(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has 0 different characters: expected at least 2"),
        (b"aaaa", "has 1 different characters"),
        (b"abc\xff", "is not in UTF-8 at byte 3"),
        ("Straße".encode("latin-1"), "is not in UTF-8 at byte 4"),
        ("abc".encode("utf-16"), "is not in UTF-8 at byte 0"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said):
        corpus(str(file))


def test_folders_and_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no file"):
        corpus(str(tmp_path))
    with pytest.raises(InputError, match="is no file"):
        corpus("/dev/zero")
    file = tmp_path / "text.txt"
    file.write_text("abcd")
    monkeypatch.setattr(language, "LARGEST_FILE", 3)
    with pytest.raises(InputError, match="has 4 bytes: expected at most 3"):
        corpus(str(file))


@given(st.integers(0, 10**6))
def test_the_parts_are_the_whole_text_in_its_order(n: int) -> None:
    cut = list(parts(n).values())
    assert [piece for part in cut for piece in (part.start, part.stop)] == [
        0,
        cut[0].stop,
        cut[0].stop,
        cut[1].stop,
        cut[1].stop,
        n,
    ]
    assert abs(cut[0].stop - 0.8 * n) < 1
    assert abs(cut[1].stop - 0.9 * n) < 1


def small(n_states: int = 3, n_characters: int = 4) -> HiddenMarkov:
    return HiddenMarkov.random(n_states, n_characters, np.random.default_rng(n_states))


def probability(found: HiddenMarkov, text: tuple[int, ...]) -> float:
    """Return the probability of a text as the sum over all paths of states."""
    states = range(found.steps.shape[1])
    return sum(
        found.start[path[0]]
        * math.prod(found.steps[x, i, j] for x, (i, j) in zip(text, itertools.pairwise(path), strict=True))
        for path in itertools.product(states, repeat=len(text) + 1)
    )


def test_the_surprise_of_a_text_is_that_of_all_its_paths() -> None:
    found = small()
    for text in [(0,), (3, 1), (2, 2, 0, 1), (1, 3, 0, 0, 2)]:
        bits = found.surprise(np.array(text))
        assert bits.sum() == pytest.approx(-math.log2(probability(found, text)), abs=1e-10)
        for t in range(len(text)):
            expected = -math.log2(probability(found, text[: t + 1]) / (probability(found, text[:t]) if t else 1))
            assert bits[t] == pytest.approx(expected, abs=1e-10)


def test_probabilities_of_all_texts_of_a_length_add_up_to_one() -> None:
    found = small()
    assert sum(probability(found, text) for text in itertools.product(range(4), repeat=3)) == pytest.approx(1)
    assert found.steps.sum(axis=(0, 2)) == pytest.approx(1)
    assert found.start @ found.steps.sum(axis=0) == pytest.approx(found.start)
    assert found.predictions(np.array([0, 1, 2])).sum(axis=1) == pytest.approx(1)


def test_a_sample_has_the_probabilities_of_its_language() -> None:
    found, n = small(), 40_000
    text = found.sample(n, np.random.default_rng(0))
    for pair in itertools.product(range(4), repeat=2):
        expected = probability(found, pair)
        share = np.mean((text[:-1] == pair[0]) & (text[1:] == pair[1]))
        # Neighbours are not independent; of so slow a chain a tenth of them are.
        assert share == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / (n / 10)) + 1e-4)


def test_no_prediction_beats_the_forward_algorithm_on_average() -> None:
    found = small()
    text = found.sample(40_000, np.random.default_rng(1))
    best = found.surprise(text).mean()
    assert best < bigram_entropy(text) < unigram_entropy(text)


def test_a_language_of_one_state_draws_independently() -> None:
    found = HiddenMarkov(np.array([0.5, 0.25, 0.25]).reshape(3, 1, 1))
    assert found.surprise(np.array([0, 1, 2, 0])).tolist() == [1, 2, 2, 1]


def test_a_named_language_is_always_the_same() -> None:
    first = corpus("hmm:4")
    language._corpus.cache_clear()
    assert corpus("hmm:4").sha256 == first.sha256
    assert corpus("hmm:4").vocabulary == "abcdefgh"
    assert corpus("hmm:4").sha256 != corpus("hmm:5").sha256
