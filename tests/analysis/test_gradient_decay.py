"""How gradients fade: closed forms of linear networks, brute force through autograd, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import tauscope as ts
from cells import NETWORKS, network
from problems import LinearCell
from tauscope.analysis.gradient_decay import gradient_decay
from tauscope.errors import InputError, NotApplicableError
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.tasks import Batch


@dataclass(frozen=True)
class Noise(ts.Parity):
    """Trials of white noise, of which some steps hold the state."""

    length: int | None = 40
    held: float = 0.0

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        del split
        inputs = torch.randn(self.length or 1, batch_size, 1, generator=generator)
        hold = torch.rand(inputs.shape[:2], generator=generator) < self.held
        return Batch(inputs, torch.zeros(1, batch_size, 1), hold=hold if self.held else None)


def linear(W: Tensor) -> ts.Model:
    cell = LinearCell(1, len(W), torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        cell.recurrent.copy_(W)
    return ts.Model([cell], ts.Heads(len(W), ["out"], 1, False, torch.Generator())).double()


def symmetric(n: int = 6, seed: int = 0) -> Tensor:
    W = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.4 * (W + W.t()) / n**0.5


def test_norms_of_a_linear_network_are_those_of_powers_of_its_weights() -> None:
    W = symmetric()
    result = gradient_decay(linear(W), Noise(), n_trials=3, n_lags=12)
    expected = [float(torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k)).log()) for k in range(1, 13)]
    np.testing.assert_allclose(result.log_norm, np.tile(expected, (3, 1)), rtol=0, atol=1e-9)


def test_the_rate_of_a_symmetric_linear_network_is_that_of_its_spectral_radius() -> None:
    W = symmetric()
    result = gradient_decay(linear(W), Noise(length=130), n_trials=1, n_lags=120, first_lag=100)
    radius = float(torch.linalg.eigvalsh(W).abs().max())
    assert float(result.rate[0]) == pytest.approx(-np.log(radius), abs=1e-6)


def test_a_network_without_recurrent_weights_forgets_at_once() -> None:
    result = gradient_decay(linear(torch.zeros(4, 4)), Noise(), n_trials=2, n_lags=5)
    assert np.isneginf(result.log_norm).all()
    assert np.isposinf(result.rate).all()


@pytest.mark.parametrize("held", [0.0, 0.3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "wrapped"])
def test_norms_are_those_of_derivatives_by_autograd(name: str, held: float) -> None:
    model, task = network(name), Noise(length=14, held=held)
    result = gradient_decay(model, task, n_trials=2, n_lags=4, burn_in=5, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    batch = task.sample(2, generator)
    state = model.initial_state(2, generator, batch.start)
    noise = model.draw_noise(14, 2, generator)
    sizes = [part.shape for layer in state for part in layer]

    def walk(z: Tensor, first: int, last: int) -> Tensor:
        """Go on from the state of the trials side by side."""
        parts = iter(
            part.reshape(size)
            for part, size in zip(z.split([size[1:].numel() for size in sizes], 1), sizes, strict=True)
        )
        now = tuple(tuple(next(parts) for _ in layer) for layer in state)
        for t in range(first, last):
            moved = model.step(batch.inputs[t].double(), now, None if noise is None else noise[t])
            if batch.hold is not None:
                where = batch.hold[t].view(2, *[1] * 1)
                moved = tuple(
                    tuple(
                        torch.where(where.view(2, *[1] * (new.dim() - 1)), old, new)
                        for old, new in zip(before, after, strict=True)
                    )
                    for before, after in zip(now, moved, strict=True)
                )
            now = moved
        return torch.cat([part.flatten(1) for layer in now for part in layer], dim=1)

    z = walk(torch.cat([part.flatten(1) for layer in state for part in layer], dim=1), 0, 5).detach()
    expected = np.zeros((2, 4))
    for window in range(2):
        start = 5 + 4 * window
        for k in range(1, 5):
            J = torch.autograd.functional.jacobian(
                lambda point, last=start + k, first=start: walk(point, first, last), z
            )
            for trial in range(2):
                expected[trial, k - 1] += float(torch.linalg.matrix_norm(J[trial, :, trial]).log()) / 2
        z = walk(z, start, start + 4).detach()
    np.testing.assert_allclose(result.log_norm, expected, rtol=0, atol=1e-7)


def test_derivatives_over_many_steps_do_not_vanish_by_rounding() -> None:
    W = 0.1 * torch.eye(4, dtype=torch.float64)
    result = gradient_decay(linear(W).float(), Noise(length=130), n_trials=2, n_lags=120)
    np.testing.assert_allclose(result.rate, -np.log(0.1), rtol=1e-5)


def test_short_trials_have_fewer_lags() -> None:
    result = gradient_decay(linear(symmetric()), Noise(length=9), n_trials=2)
    assert (result.sizes["lag"], result.attrs["burn_in"], result.attrs["first_lag"]) == (6, 3, 1)
    assert gradient_decay(linear(symmetric()), Noise(length=200), n_trials=1).sizes["lag"] == 20


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        ({"n_lags": 0}, InputError, "n_lags"),
        ({"n_lags": 5, "first_lag": 5}, InputError, "first_lag is 5: expected less than 5"),
        ({"burn_in": -1}, InputError, "burn-in"),
        ({"n_trials": 0}, InputError, "number of trials"),
        ({"n_lags": 40}, NotApplicableError, "expected at least 50"),
        ({"burn_in": 39}, NotApplicableError, "trials have 40 steps"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, int], kind: type[Exception], expected: str) -> None:
    with pytest.raises(kind, match=expected):
        gradient_decay(linear(symmetric()), Noise(), **options)  # type: ignore[arg-type]


def test_a_network_that_diverges_is_refused() -> None:
    with pytest.raises(InputError, match="diverged"):
        gradient_decay(linear(1e200 * torch.eye(3)), Noise())


def test_the_measurement_follows_the_networks_trials() -> None:
    listed = MEASUREMENTS["gradient_decay"]
    subject = Subject(
        ts.LeakyRNN(8, n_heads=4, generator=torch.Generator().manual_seed(0)), ts.Parity((4,)), (2, 4), seed=1
    )
    result = listed.measure(subject, n_trials=2)
    assert listed.numbers(result)["decay of the gradient (nats/step)"] == pytest.approx(float(result.rate.mean()))
    axes = listed.figures[""](result, subject)
    assert axes.get_ylabel() == "norm of ∂z(t+k)/∂z(t)"
