"""How a clone acts when what it does changes what it sees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError, require_count, require_instance
from tauscope.models.model import Model, own_precision
from tauscope.models.trace import generator_for
from tauscope.tasks.base import OUT, Task
from tauscope.tasks.cloning import Cloning
from tauscope.tasks.environment import Environment
from tauscope.tasks.experts import Policy, rollout
from tauscope.tasks.shifts import SHIFTS, Shift

UNSHIFTED = "none"
"""Name of the environment as it is, among shifts."""


@checked
@torch.no_grad()
def closed_loop(
    model: Model,
    task: Task,
    *,
    episodes: int = 3,
    shifts: Mapping[str, Shift] | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Let a clone act in the environment of its expert, as it is and under shifts, beside the expert.

    Starts, and all disturbances, are those of the generator whatever is done: equal under every shift, for the expert and for any other
    network. What is seen is standardised as the demonstrations are, and actions are those that the demonstrations have: real numbers from
    -1 to 1, or the choice with the largest logit.

    Parameters
    ----------
    model : Model
        The network, which answers `Cloning`; nothing of it is changed.
    task : Task
        The `Cloning` that says in which environment, with how many steps, and by what observations are standardised.
    episodes : int
        Episodes under each shift, a batch.
    shifts : dict of Shift, optional
        By name; by default those of `tauscope.tasks.shifts.SHIFTS` that the environment can have: a body is changed in MuJoCo and of
        springs alone.
    generator : torch.Generator, optional
        Source of starts, disturbances and private noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [shift, episode]
        ``return_``, the sum of all rewards, and ``length``, the steps before the end; ``expert`` and ``expert_length``, those of the expert
        under the same shift from the same start. ``kind [shift]`` is ``"none"``, ``"sensors"`` or ``"body"``.

    Raises
    ------
    InputError
        If the task is no `Cloning` or has no environment, the network does not fit it, or a shift is none for this environment.

    Examples
    --------
    >>> import tauscope as ts
    >>> from tauscope.tasks import Cloning
    >>> options = {"n_heads": 1, "shared_head": True, "generator": torch.Generator().manual_seed(0)}
    >>> model = ts.build_model("gru", 8, n_inputs=2, n_outputs=2, **options)
    >>> result = closed_loop(model, Cloning(n_demonstrations=4, n_steps=40), episodes=2)
    >>> result["shift"].values.tolist(), bool((result["expert"] > result["return_"]).all())
    (['none', 'noise', 'hold', 'mass', 'gear', 'bias'], True)
    """
    if not isinstance(task, Cloning):
        raise NotApplicableError(f"{type(task).__name__} is no task with a closed loop: expected Cloning")
    require_count("episodes", episodes)
    if shifts is not None:
        require_instance("shifts", shifts, Mapping, "shifts by name, such as tauscope.tasks.shifts.SHIFTS")
    environment, expert = task.acted_in(), task.policy()
    if model.n_inputs != task.n_inputs:
        raise InputError(
            f"the network has {model.n_inputs} inputs: expected {task.n_inputs}, as {task.environment} shows"
        )
    n_outputs, n_actions = model.readout(model.hidden(model.initial_state(1)), OUT).shape[-1], environment.n_actions
    if n_outputs != n_actions:
        raise InputError(
            f"the network has {n_outputs} outputs: expected {n_actions}, for the actions of {task.environment}"
        )
    generator = generator_for(model, generator)
    world, own = (int(seed) for seed in torch.randint(2**31, (2,), generator=generator, device=generator.device))
    kinds, found = {}, []
    for name, (kind, shifted) in _shifted(environment, task, shifts).items():
        kinds[name] = kind
        clone = _Clone(model, task, episodes, generator_for(model, None).manual_seed(own))
        found.append([*_acted(shifted, clone, episodes, task, world), *_acted(shifted, expert, episodes, task, world)])
    returns, lengths, of_expert, expert_lengths = (np.stack(rows) for rows in zip(*found, strict=True))
    dims = ("shift", "episode")
    return xr.Dataset(
        {
            "return_": (dims, returns, {"long_name": "return of the network", "units": "1"}),
            "length": (dims, lengths, {"long_name": "steps before the end", "units": "steps"}),
            "expert": (dims, of_expert, {"long_name": "return of the expert", "units": "1"}),
            "expert_length": (dims, expert_lengths, {"long_name": "steps before the end, of the expert", "units": "steps"}),
        },
        coords={"shift": list(kinds), "kind": ("shift", list(kinds.values()))},
        attrs={"environment": task.environment, "n_steps": task.n_steps, "seed": str(generator.initial_seed())},
    )  # fmt: skip


def _shifted(
    environment: Environment, task: Cloning, shifts: Mapping[str, Shift] | None
) -> dict[str, tuple[str, Environment]]:
    """Return the kind of every shift, and the environment under it, by name; first the environment as it is."""
    standard, found = task.standard(), {UNSHIFTED: ("none", environment)}
    for name, shift in (SHIFTS if shifts is None else dict(shifts)).items():
        require_instance(f"shift {name!r}", shift, Shift, "a shift, such as tauscope.tasks.shifts.Hold(0.3)")
        if name == UNSHIFTED:
            raise InputError(
                f"a shift is named {UNSHIFTED!r}: expected another name, since that is the environment as it is"
            )
        try:
            found[name] = (shift.kind, shift.apply(environment, standard))
        except NotApplicableError:
            if shifts is not None:
                raise
    return found


def _acted(
    environment: Environment, policy: Policy, episodes: int, task: Cloning, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the return and the length of every episode."""
    _, _, rewards, going = rollout(
        environment, policy, episodes, task.n_steps, torch.Generator("cpu").manual_seed(seed)
    )
    return rewards.double().sum(dim=0).numpy(), going.sum(dim=0).numpy()


class _Clone:
    """A network that acts, from what is seen now and its own state."""

    def __init__(self, model: Model, task: Cloning, episodes: int, generator: torch.Generator) -> None:
        self.model, self.standard, self.n_shown, self.continuous = (
            model,
            task.standard(),
            task.n_inputs,
            task.continuous,
        )
        self.generator, self.state = generator, model.initial_state(episodes, generator)

    def __call__(self, observation: Tensor) -> Tensor:
        like = self.model.hidden(self.state)
        seen = self.standard(observation)[:, : self.n_shown].to(like.device, like.dtype.to_real())
        noise = self.model.draw_noise(1, len(seen), self.generator)
        with own_precision():
            self.state = self.model.step(seen, self.state, None if noise is None else noise[0])
            output = self.model.readout(self.model.hidden(self.state).unsqueeze(0), [OUT])[0, :, 0]
        action = output.clamp(-1, 1) if self.continuous else output.argmax(dim=-1)
        return action.to(observation.device)
