"""Digits row by row against the images that they are."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from tauscope import InputError
from tauscope.tasks import Digits
from tauscope.tasks.digits import PARTS


@pytest.mark.parametrize("split", PARTS)
def test_a_trial_shows_an_image_of_its_split_row_by_row(split: str) -> None:
    task, images = Digits(row_steps=3), load_digits()
    batch = task.sample(40, torch.Generator().manual_seed(0), split)
    for trial, image in enumerate(batch.info["image"].tolist()):
        assert PARTS[split][0] <= image < PARTS[split][1]
        assert int(batch.targets[0, trial, 0]) == images.target[image]
        rows = batch.inputs[:, trial].reshape(8, 3, 8)
        assert torch.equal(rows[:, 0], rows[:, 2])
        torch.testing.assert_close(rows[:, 0].double(), torch.as_tensor(images.images[image] / 16))


def test_splits_are_apart_and_whole() -> None:
    images = [set(range(*part)) for part in PARTS.values()]
    assert sum(map(len, images)) == len(set.union(*images)) == len(load_digits().target)


@pytest.mark.parametrize(("row_steps", "said"), [(0, "row_steps is 0"), (1.5, "row_steps is of type float")])
def test_what_is_no_digits_is_refused(row_steps: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Digits(row_steps=row_steps)  # type: ignore[arg-type]
