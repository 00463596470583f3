"""How fast the influence of a state on later ones fades: norms of products of Jacobians along trials."""

from __future__ import annotations

from dataclasses import replace

import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import flatten, forward_derivatives, push
from tauscope.errors import InputError, NotApplicableError, require_count
from tauscope.models.cell import State
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.tasks import Batch, Task

N_LAGS, BURN_IN = 20, 10


@checked
@flushing()
@torch.no_grad()
def gradient_decay(
    model: Model,
    task: Task,
    *,
    n_trials: int = 5,
    n_lags: int | None = None,
    first_lag: int | None = None,
    burn_in: int | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure how the derivative of a state with respect to an earlier one shrinks with the steps between them.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; its state is all tensors of all layers.
    task : Task
        What its trials are of.
    n_trials : int
        Number of trials.
    n_lags : int, optional
        Largest lag in steps; by default 20, or what the burn-in leaves of shorter trials.
    first_lag : int, optional
        First lag of the fit, 1 … n_lags - 1; by default a quarter of n_lags.
    burn_in : int, optional
        Steps before the first derivative; by default 10, or a third of shorter trials.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, lag]
        ``log_norm [trial, lag]``, the mean over the windows of a trial of ln ‖∂z_{t+k}/∂z_t‖, the Frobenius norm of the
        derivative of the whole state z, for k = 1 … n_lags, -inf where the state is forgotten wholly; and ``rate [trial]`` in
        nats a step, the fall of its straight line over the lags from the first one of the fit on, positive where gradients fade.
        Windows follow one another without overlap, and steps
        at which the state is held count.

    Raises
    ------
    NotApplicableError
        If trials have too few steps.
    InputError
        If an option is out of range, or the state does not stay finite.

    Notes
    -----
    ∂z_{t+k}/∂z_t = J_{t+k} … J_{t+1}, with J the Jacobian of the step. Its rate approaches minus the largest Lyapunov exponent
    where lags are long; over a few steps it also has what is lost at once. Source: Tumma et al., ICLR 2024.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = gradient_decay(model, ts.Parity([2], length=60), n_trials=2)
    >>> dict(result.sizes), bool((result.rate > 0).all())
    ({'trial': 2, 'lag': 20}, True)
    """
    require_count("number of trials", n_trials)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    batch = task.sample(n_trials, generator)
    n_lags, first_lag, burn_in = _lags(len(batch.inputs), n_lags, first_lag, burn_in)
    state = model.initial_state(n_trials, generator, batch.start)
    noise = model.draw_noise(len(batch.inputs), n_trials, generator)
    norms = _log_norms(model, replace(batch, inputs=batch.inputs.to(state[0][0])), state, noise, burn_in, n_lags)
    rate = -_slope(norms[:, first_lag - 1 :])
    return xr.Dataset(
        {
            "log_norm": (
                ("trial", "lag"),
                norms.cpu().numpy(),
                {"long_name": "ln of the norm of the derivative", "units": "1"},
            ),
            "rate": ("trial", rate.cpu().numpy(), {"long_name": "decay of the gradient", "units": "nats/step"}),
        },
        coords={"lag": ("lag", range(1, n_lags + 1), {"units": "steps"})},
        attrs={"n_trials": n_trials, "first_lag": first_lag, "burn_in": burn_in, "seed": str(seed)},
    )


def _lags(n_steps: int, n_lags: int | None, first_lag: int | None, burn_in: int | None) -> tuple[int, int, int]:
    """Return the largest lag, the first of the fit and the burn-in, by default those that fit into trials of some steps."""
    burn_in = min(BURN_IN, n_steps // 3) if burn_in is None else burn_in
    n_lags = min(N_LAGS, n_steps - burn_in) if n_lags is None else n_lags
    first_lag = max(n_lags // 4, 1) if first_lag is None else first_lag
    require_count("burn-in", burn_in, 0)
    require_count("n_lags", n_lags)
    require_count("first_lag", first_lag)
    if n_lags < 2 or n_steps < burn_in + n_lags:
        raise NotApplicableError(
            f"trials have {n_steps} steps with a burn-in of {burn_in} and {n_lags} lags: expected at least {burn_in + max(n_lags, 2)}"
        )
    if first_lag >= n_lags:
        raise InputError(f"first_lag is {first_lag}: expected less than {n_lags}, the largest lag")
    return n_lags, first_lag, burn_in


def _log_norms(
    model: Model, batch: Batch, state: tuple[State, ...], noise: Tensor | None, burn_in: int, n_lags: int
) -> Tensor:
    """Return the mean logarithm of the norm over windows, ``[trial, lag]``."""
    z, step = flatten(model, state)
    one = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
    product, norms, windows = one, list[Tensor](), list[Tensor]()
    # Products are kept at norm 1, so that those over many steps do not become subnormal.
    grown = z.new_zeros(len(z), dtype=torch.float64)
    with forward_derivatives():
        for t, x in enumerate(batch.inputs):
            before, private = (z, product), None if noise is None else noise[t]
            z, product = (step(x, z, private), one) if t < burn_in else push(step, x, z, product, private)
            if batch.hold is not None:
                held = batch.hold[t][:, None]
                z, product = torch.where(held, before[0], z), torch.where(held[..., None], before[1], product)
            if not z.isfinite().all():
                raise InputError(f"the network diverged within {t + 1} steps: expected finite states")
            if t < burn_in:
                continue
            norm = torch.linalg.matrix_norm(product.double())
            grown = grown + norm.log()
            norms.append(grown)
            product = product / torch.where(norm > 0, norm, 1.0).to(product)[:, None, None]
            if len(norms) == n_lags:
                windows.append(torch.stack(norms, dim=1))
                product, norms, grown = one, [], torch.zeros_like(grown)
    return torch.stack(windows).mean(dim=0)


def _slope(values: Tensor) -> Tensor:
    """Return the slope of the line of least squares through values at successive lags, ``[trial]``; of -inf, -inf."""
    lags = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
    centred = lags - lags.mean()
    slope = (values.nan_to_num(neginf=0.0) @ centred) / centred.square().sum()
    return torch.where(values.isneginf().any(dim=1), -torch.inf, slope)
