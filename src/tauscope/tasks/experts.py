"""Experts to learn from: linear policies, by the Riccati equation where the plant is linear, by random search elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tauscope._draws import normal, require_generator
from tauscope._lazy import torch
from tauscope.errors import InputError, nearest, require_count
from tauscope.tasks.environment import Environment
from tauscope.tasks.gym import Gymnasium
from tauscope.tasks.plants import Springs

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = {path.stem: path for path in sorted((Path(__file__).parent / "policies").glob("*.json"))}
"""Files of the policies that come with the package, by the environment in which they act."""

_PARTS = ("gain", "mean", "scale")

Policy = Callable[["Tensor"], "Tensor"]
"""From ``observation [batch, channel]`` to the actions of an `Environment`."""


@dataclass(frozen=True)
class LinearPolicy:
    """Act in proportion to what is seen: ``gain (observation - mean) / scale``; of choices, the one with the largest.

    Attributes
    ----------
    gain : Tensor [action, channel]
        In float64; or ``[batch, action, channel]``, a policy for every episode.
    mean, scale : Tensor [channel]
        What observations are standardised by.
    continuous : bool
        Whether actions are real numbers.

    Examples
    --------
    >>> policy = LinearPolicy(torch.tensor([[2.0, 0.0]]), torch.tensor([1.0, 0.0]), torch.ones(2), continuous=True)
    >>> policy(torch.tensor([[1.5, 7.0]]))
    tensor([[1.]])
    """

    gain: Tensor
    mean: Tensor
    scale: Tensor
    continuous: bool

    @classmethod
    def from_json(cls, text: str, name: str = "the policy") -> LinearPolicy:
        """Return a policy as `to_json` wrote it.

        Raises
        ------
        InputError
            If the text is no such policy.
        """
        try:
            kept = json.loads(text)
            gain, mean, scale = (torch.tensor(kept[part], dtype=torch.float64, device="cpu") for part in _PARTS)
            continuous = kept["continuous"]
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise InputError(f"{name} is no linear policy: expected JSON as LinearPolicy.to_json writes it") from error
        found = cls(gain, mean, scale, continuous)
        found.require_finite(name)
        return found

    def to_json(self) -> str:
        """Return the policy as text, from which `from_json` makes it again exactly."""
        parts: dict[str, Any] = {name: getattr(self, name).tolist() for name in _PARTS}
        return json.dumps(parts | {"continuous": self.continuous})

    def require_finite(self, name: str) -> None:
        """Refuse a policy whose parts do not fit each other, or are not finite."""
        shape = tuple(self.gain.shape)
        expected = (*shape[:1], *self.mean.shape)
        if (
            len(shape) != 2
            or shape != expected
            or self.scale.shape != self.mean.shape
            or not isinstance(self.continuous, bool)
        ):
            raise InputError(
                f"{name} has a gain of shape {shape}: expected [action, channel], and a mean and a scale of every channel"
            )
        if not (all(getattr(self, part).isfinite().all() for part in _PARTS) and (self.scale > 0).all()):
            raise InputError(f"{name} is not finite, or has a scale of 0: expected finite numbers")

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the actions, ``[batch, action]`` as real numbers or ``[batch]`` as choices."""
        gain, mean, scale = (part.to(observation.device) for part in (self.gain, self.mean, self.scale))
        standardised = (observation.to(gain) - mean) / scale
        actions = (gain @ standardised.unsqueeze(-1)).squeeze(-1)
        return actions.to(observation.dtype) if self.continuous else actions.argmax(dim=-1)


def expert_of(environment: Environment, file: str = "") -> LinearPolicy:
    """Return who is known to act well in an environment.

    Masses on springs have their linear-quadratic regulator. Policies for some environments of Gymnasium come with the package, see
    ``tasks/policies``; they were found by `augmented_random_search`.

    Parameters
    ----------
    environment : Environment
        Where it acts, on full observations.
    file : str
        A policy of one's own, as `LinearPolicy.to_json` writes it.

    Raises
    ------
    InputError
        If nobody is known, or the file is no policy for this environment.
    """
    if file:
        return _fitting(LinearPolicy.from_json(read(file, "expert"), f"expert {file!r}"), environment, file)
    if isinstance(environment, Springs):
        gain = -torch.as_tensor(environment.gain(), dtype=torch.float64, device="cpu")
        zeros = gain.new_zeros(environment.n_inputs)
        return LinearPolicy(gain, zeros, torch.ones_like(zeros), continuous=True)
    name = environment.environment if type(environment) is Gymnasium else type(environment).__name__
    if name not in SHIPPED:
        known = nearest(name, ("springs", *SHIPPED))
        raise InputError(f"no expert is known for {name}: {known}; or a linear policy of your own as --expert FILE")
    return _fitting(LinearPolicy.from_json(SHIPPED[name].read_text(encoding="utf-8"), name), environment, name)


def _fitting(policy: LinearPolicy, environment: Environment, name: str) -> LinearPolicy:
    found, expected = tuple(policy.gain.shape), (environment.n_actions, environment.n_inputs)
    if found != expected or policy.continuous != environment.continuous:
        kind = "real numbers" if environment.continuous else "choices"
        raise InputError(f"expert {name} has a gain of shape {found}: expected {expected}, for actions that are {kind}")
    return policy


def read(file: str, what: str) -> str:
    """Return the text of a file, or refuse it in a line."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{what} {file!r} cannot be read ({reason}): expected a file") from error


def rollout(
    environment: Environment, policy: Policy, n: int, n_steps: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Let a policy act in a batch of episodes, each to its end or for ``n_steps`` steps.

    Parameters
    ----------
    environment : Environment
        Where it acts.
    policy : callable
        From ``observation [batch, channel]`` to actions; it is called once a step.
    n, n_steps : int
        Episodes, and steps of each at most.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    observations : Tensor [time, batch, channel]
    actions : Tensor [time, batch] or [time, batch, action]
    rewards : Tensor [time, batch]
        0 behind the end of an episode.
    going : Tensor [time, batch] of bool
        Which steps are before the end of their episode.
    """
    turn = environment.reset(n, generator)
    going, rows = ~turn.done, []
    for _ in range(n_steps):
        if not going.any():
            break
        actions = policy(turn.observation)
        after = environment.step(turn, actions, generator)
        rows.append((turn.observation, actions, torch.where(going, after.reward, 0.0), going))
        turn, going = after, going & ~after.done
    observations, taken, rewards, before_end = map(torch.stack, zip(*rows, strict=True))
    return observations, taken, rewards, before_end


def augmented_random_search(
    environment: Environment,
    generator: torch.Generator,
    *,
    n_updates: int,
    n_steps: int,
    n_directions: int = 16,
    n_best: int = 8,
    step_size: float = 0.02,
    noise: float = 0.03,
) -> LinearPolicy:
    """Search a linear policy by augmented random search (V2-t) with running normalisation.

    Every update tries ``M ± noise δ`` in ``n_directions`` random directions δ and goes ``step_size / (n_best σ) Σ (r₊ - r₋) δ``, a
    sum over the ``n_best`` directions in which the better of the two returns is largest; σ is the standard deviation of the returns
    in the sum. Observations are standardised by all that were seen before the update.

    Parameters
    ----------
    environment : Environment
        Where to act; in choices, the policy takes the one with the largest output.
    generator : torch.Generator
        Source of directions and episodes.
    n_updates : int
        Updates, each of ``2 n_directions`` episodes.
    n_steps : int
        Steps of an episode at most.
    n_directions, n_best : int
        Directions that are tried, and that are followed.
    step_size, noise : float
        Of an update, and of a direction.

    Returns
    -------
    LinearPolicy
        The policy after the last update.

    Raises
    ------
    InputError
        If a number is out of its range.

    Notes
    -----
    Mania, Guy & Recht, NeurIPS 2018.

    Examples
    --------
    >>> options = {"n_updates": 20, "n_steps": 50, "n_directions": 8, "n_best": 4, "step_size": 0.2, "noise": 0.1}
    >>> policy = augmented_random_search(Springs(), torch.Generator().manual_seed(0), **options)
    >>> found, expert = (
    ...     rollout(Springs(), acting, 20, 50, torch.Generator().manual_seed(1))[2].sum(dim=0).mean()
    ...     for acting in (policy, expert_of(Springs()))
    ... )
    >>> bool(found > 0.7 * expert)
    True
    """
    require_generator(generator)
    for name, value in {"n_updates": n_updates, "n_steps": n_steps, "n_best": n_best}.items():
        require_count(name, value)
    require_count("n_directions", n_directions, n_best)
    n_channels, n_actions = environment.n_inputs, environment.n_actions
    gain = torch.zeros(n_actions, n_channels, dtype=torch.float64, device="cpu")
    seen = _Moments(n_channels)
    for _ in range(n_updates):
        directions = normal((n_directions, n_actions, n_channels), generator).double().cpu()
        tried = torch.cat([gain + noise * directions, gain - noise * directions])
        policy = LinearPolicy(tried, seen.mean, seen.scale, environment.continuous)
        observations, _, rewards, going = rollout(environment, policy, 2 * n_directions, n_steps, generator)
        up, down = rewards.double().sum(dim=0).cpu().view(2, n_directions)
        best = torch.maximum(up, down).topk(n_best).indices
        spread = torch.cat([up[best], down[best]]).std(correction=0)
        if spread > 0:
            slope = torch.einsum("d,dac->ac", up[best] - down[best], directions[best])
            gain = gain + step_size / (n_best * spread) * slope
        seen = seen.with_more(observations[going].double().cpu())
    return LinearPolicy(gain, seen.mean, seen.scale, environment.continuous)


class _Moments:
    """Number, mean and squared deviations of what was seen; standard deviations of 1 where nothing varied."""

    def __init__(self, n_channels: int) -> None:
        self.n, self.mean = 0, torch.zeros(n_channels, dtype=torch.float64, device="cpu")
        self.squares = torch.zeros(n_channels, dtype=torch.float64, device="cpu")

    @property
    def scale(self) -> Tensor:
        if not self.n:
            return torch.ones_like(self.mean)
        scale = (self.squares / self.n).sqrt()
        return torch.where(scale > 1e-7, scale, 1.0)

    def with_more(self, values: Tensor) -> _Moments:
        """Return the moments with ``values [observation, channel]`` besides."""
        more = _Moments(len(self.mean))
        more.n = self.n + len(values)
        difference = values.mean(dim=0) - self.mean
        more.mean = self.mean + difference * len(values) / more.n
        within = (values - values.mean(dim=0)).square().sum(dim=0)
        more.squares = self.squares + within + difference.square() * self.n * len(values) / more.n
        return more
