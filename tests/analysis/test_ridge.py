"""Read-outs that are fitted without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from problems import LinearCell
from tauscope import Batch, Head, Heads, InputError, Model, Task, fit_readout
from tauscope.analysis.ridge import Sums, ridge_weights
from tauscope.errors import NotApplicableError
from tauscope.models import LIFCell, run
from tauscope.tasks import OUT, Digits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Planted(Task):
    """Say what a given network with a given read-out says; the first steps do not count, and are wrong."""

    model: Model
    source: ClassVar[str] = "this test"

    @property
    def heads(self) -> dict[str, Head]:
        return {OUT: Head(2, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        del split
        inputs = torch.randn(30, batch_size, 1, generator=generator, dtype=torch.float64)
        targets = run(self.model, inputs, generator, heads=[OUT]).outputs.detach()
        weight = torch.ones(30, 1, 1)
        weight[:5], targets[:5] = 0, 100
        return Batch(inputs, targets, weight=weight[..., None])

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets)[5:].square().mean()[None]

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.loss(outputs, batch), torch.ones(1)


def linear(seed: int, bias: bool = True) -> Model:
    return Model([LinearCell(1, 6, generator())], Heads(6, [OUT], 2, False, generator(seed), bias)).double()


def test_a_planted_readout_is_found() -> None:
    planted, other = linear(1), linear(2)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    fitted = fit_readout(other, Planted(planted), n_trials=20, ridges=[0.0, 1.0])
    for name in ("weight", "bias"):
        found, expected = (getattr(model.heads.linears[0], name) for model in (fitted, planted))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in before.items())


def test_classes_are_fitted() -> None:
    model = Model([LIFCell(8, 40, generator())], Heads(40, [OUT], 10, False, generator(1)))
    task = Digits(row_steps=2)
    fitted = fit_readout(model, task, n_trials=300)
    batch = task.sample(200, generator(5), "test")
    score = task.score(run(fitted, batch, generator(), heads=[OUT], first=15).outputs, batch)
    assert float(score) > 0.3, "a tenth by chance"


def test_no_samples_sum_to_nothing() -> None:
    sums = Sums.zeros(2, 1)
    sums.add(torch.randn(9, 2, generator=generator()), torch.ones(9, 1))
    torch.testing.assert_close((sums - sums).gram, Sums.zeros(2, 1).gram)
    torch.testing.assert_close(ridge_weights(sums, [0.0, 1.0])[:, -1], torch.ones(2, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (linear(2), {"n_trials": 0}, "number of trials is 0"),
        (linear(2), {"ridges": []}, "ridges are .*expected penalties of at least 0"),
        (linear(2), {"ridges": [-1.0]}, "ridges are"),
        (linear(2, bias=False), {}, "heads without biases"),
        (
            Model([LinearCell(1, 6, generator())], Heads(6, ["other"], 2, False, generator())).double(),
            {},
            "no head 'out'",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(model: Model, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_readout(model, Planted(linear(1)), **options)  # type: ignore[arg-type]
    assert issubclass(NotApplicableError, InputError)
