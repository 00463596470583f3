"""The task of texts: windows of the right part, the next character as the answer, bits as the score."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError
from tauscope.tasks.check import check_task
from tauscope.tasks.text import Text


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 2**31), st.sampled_from(["train", "valid", "test"]))
def test_windows_lie_in_their_part_and_ask_the_next_character(window: int, n: int, seed: int, split: str) -> None:
    task = Text(window=window)
    batch, whole = task.sample(n, generator(seed), split), task.spell(task.part(split))
    assert batch.inputs.shape == (window, n, 65)
    assert batch.targets.shape == (window, n, 1)
    assert bool((batch.inputs.sum(dim=-1) == 1).all())
    assert set(batch.inputs.unique().tolist()) <= {0.0, 1.0}
    for row in range(n):
        shown = task.spell(batch.inputs[:, row].argmax(dim=-1))
        asked = task.spell(batch.targets[:, row, 0])
        assert shown[1:] == asked[:-1]
        assert shown + asked[-1] in whole


def test_the_parts_are_those_of_the_text_in_its_order() -> None:
    task = Text()
    parts = [task.part(split) for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [372_056, 46_507, 46_508]
    assert task.spell(torch.cat(parts)).startswith("\nPARADISE LOST")
    assert task.spell(torch.cat(parts)).rstrip().endswith("THE END.")


def test_every_window_of_a_part_can_be_drawn(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("abcdefghijklmnopqrst" * 2)
    task = Text(str(file), window=2)
    # The test part has the 4 characters qrst, of which 2 windows have a next one.
    batch = task.sample(200, generator(), "test")
    drawn = {task.spell(batch.inputs[:, row].argmax(dim=-1)) for row in range(200)}
    assert drawn == {"qr", "rs"}


@pytest.mark.parametrize("n_rows", [1, 7, 64, 1000, 46_507])
def test_rows_are_the_text_side_by_side(n_rows: int) -> None:
    task = Text()
    text, length, batch = task.part("test").tolist(), 46_507 // n_rows, task.rows("test", n_rows)
    assert batch.inputs.shape[:2] == (length, n_rows)
    for row in sorted({0, n_rows // 2, n_rows - 1}):
        assert batch.inputs[:, row].argmax(dim=-1).tolist() == text[row * length : (row + 1) * length]
        assert batch.targets[:, row, 0].tolist() == text[row * length + 1 : (row + 1) * length + 1]


def test_the_score_is_the_cross_entropy_in_bits() -> None:
    task = Text(window=7)
    batch = task.sample(5, generator())
    outputs = torch.randn(7, 5, 1, 65, generator=generator(1), dtype=torch.float64)
    p = outputs.softmax(dim=-1)
    bits = [-math.log2(p[t, row, 0, batch.targets[t, row, 0]]) for t in range(7) for row in range(5)]
    assert float(task.score(outputs, batch)) == pytest.approx(sum(bits) / 35)
    assert float(task.loss(outputs, batch)) == pytest.approx(math.log(2) * sum(bits) / 35)
    assert task.tally(outputs, batch)[1].tolist() == [35]


def test_chance_is_the_best_constant_answer_to_the_test_text() -> None:
    task = Text()
    counts = torch.bincount(task.part("test"), minlength=65).double()
    batch = task.rows("test", 1)
    outputs = (counts / counts.sum()).clamp(min=1e-300).log().expand(len(batch.targets), 1, 1, 65)
    (head,) = task.heads.values()
    assert float(task.score(outputs, batch)) == pytest.approx(head.chance, abs=1e-3)
    assert (head.n_outputs, head.optimum) == (65, 0.0)


def test_the_optimum_of_a_hidden_markov_language_is_below_chance() -> None:
    (head,) = Text("hmm:4").heads.values()
    assert 1 < head.optimum < head.chance - 0.5


@pytest.mark.parametrize("text", ["milton", "hmm:3"])
def test_the_task_is_what_it_says(text: str) -> None:
    check_task(Text(text, window=5))


def test_a_text_that_has_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("to be or not to be " * 20)
    task = Text(str(file), window=5).settled()
    assert task.vocabulary == " benort"
    assert task.settled() == task
    file.write_text("to be or not to ebb " * 20)
    with pytest.raises(InputError, match=f"has changed: its SHA-256 is [0-9a-f]{{64}}, expected {task.sha256}"):
        task.replace(window=6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 0}, "window is 0: expected at least 1"),
        ({"window": 46_508}, "test part has 46507 characters: expected less"),
        ({"sha256": "abc"}, "expected abc"),
        ({"vocabulary": "abc"}, "expected none outside the vocabulary 'abc'"),
        ({"text": "miltn"}, "did you mean 'milton'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Text(**options)  # type: ignore[arg-type]


def test_a_text_of_few_characters_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("abcdefghi")
    with pytest.raises(InputError, match="a text of at least 20"):
        Text(str(file), window=1)


def test_parts_and_rows_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'valid'"):
        Text().sample(2, generator(), "validation")
    with pytest.raises(InputError, match="rows are 0"):
        Text().rows("test", 0)
    with pytest.raises(InputError, match="batch size is 0"):
        Text().sample(0, generator())


@pytest.mark.parametrize(
    ("batch_size", "chance", "said"),
    [
        (2.5, generator(), "batch size is 2.5: expected a whole number"),
        (2, 0, "generator is of type int: expected"),
        (2, None, "generator is of type NoneType"),
    ],
)
def test_what_windows_cannot_be_drawn_from_is_refused(batch_size: object, chance: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Text().sample(batch_size, chance)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["text", "vocabulary", "sha256", "window"])
@pytest.mark.parametrize("value", [None, [1, 2], 2.5, torch.ones(2)])
def test_fields_of_another_type_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{field} is "):
        Text(**{field: value})  # type: ignore[arg-type]
