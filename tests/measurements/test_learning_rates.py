"""The largest learning rate that trains."""

from __future__ import annotations

import math

import pytest
import torch

import tauscope as ts
from tauscope import Heads, InputError, Model, Recipe
from tauscope.measurements.learning_rates import learning_rates
from tauscope.models import ResidualCell
from tauscope.tasks import Functional


def test_the_largest_rate_that_trains_is_found_and_divergence_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([ResidualCell(1, 4, generator, "identity", "exp")], Heads(4, ["out"], 1, False, generator))
    before = {name: kept.clone() for name, kept in model.named_parameters()}
    recipe = Recipe(
        epochs=1, steps_per_epoch=40, batch_size=8, test_steps=4, optimizer="adam", clip=math.inf, dtype="float64"
    )
    result = learning_rates(model, Functional("exp", 30), recipe, threshold=0.3, lrs=[50.0, 0.05, 1e-6])
    assert result["trains"].values.tolist() == [False, True, False]
    assert float(result["largest_lr"]) == 0.05
    assert all(torch.equal(before[name], kept) for name, kept in model.named_parameters()), "nothing is changed"


def test_where_none_trains_there_is_no_largest() -> None:
    model = ts.LeakyRNN(4, n_heads=1, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(epochs=1, steps_per_epoch=1, batch_size=4, test_steps=1)
    assert math.isnan(float(learning_rates(model, ts.Parity([2]), recipe, threshold=1.1, lrs=[0.1])["largest_lr"]))


@pytest.mark.parametrize(
    ("lrs", "line"),
    [([], "lrs are .*: expected one learning rate"), ([0.0], "a learning rate is 0.0: expected a number above 0")],
)
def test_bad_rates_are_refused(lrs: list[float], line: str) -> None:
    model = ts.LeakyRNN(4, n_heads=1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=line):
        learning_rates(model, ts.Parity([2]), Recipe(), threshold=0.5, lrs=lrs)
