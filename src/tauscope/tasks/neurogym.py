"""Tasks of neurogym: whole trials of its environments, padded to equal length, with all chance from our generator."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope._named import imported
from tauscope.errors import InputError, nearest
from tauscope.tasks.base import OUT, Batch, ClassificationTask, Head, require_fields

if TYPE_CHECKING:
    from torch import Tensor

_DECISION = "decision"
# Trials that tell the score of the best constant answer.
_SAMPLED = 500
# How often, and how many trials, are played again to tell whether a seed always plays the same ones.
_REPEATS, _REPEATED = 4, 50


@dataclass(frozen=True)
class Neurogym(ClassificationTask):
    """Give at every step the answer that an environment of neurogym holds for right, and be scored at the decision.

    A batch is a session: an environment is made anew, seeded from the generator, and plays one trial after the other, so
    that what it carries over from trial to trial is kept. Shorter trials are padded with zeros, which count for nothing.

    Attributes
    ----------
    env : str
        name of the environment, such as PerceptualDecisionMaking-v0
    env_options : str
        its options in JSON, such as {"timing": {"delay": 1000}}
    decision : str
        period whose last step is scored; by default the period decision, or every step where an environment has none

    Raises
    ------
    InputError
        If neurogym is not installed or has no such environment; if the environment does not take its options, observes
        or answers other things than `Box` and `Discrete`, tells no right answers, or draws from chance that its seed
        does not reach.

    Notes
    -----
    Source: Molano-Mazón et al., *NeuroGym: An open resource for developing and sharing neuroscience tasks*, 2022. The
    loss is the cross-entropy of all steps of a trial. Chance is the score of the best constant answer in 500 trials; the
    optimum is given as 1, which an environment with trials that cannot be told apart does not let a network reach.
    """

    env: str = "PerceptualDecisionMaking-v0"
    env_options: str = ""
    decision: str = ""

    source: ClassVar[str] = "neurogym (Molano-Mazón et al., 2022)"

    def __post_init__(self) -> None:
        require_fields(self)
        options_from(self.env_options)
        _about(self)

    def settled(self) -> Self:
        """Return the task with its options written in one way."""
        return replace(self, env_options=canonical(self.env_options))

    @property
    def question(self) -> str:
        """What is asked, in a line."""
        return f"Give the answers of {self.env} of neurogym, and be scored at the decision."

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels: the numbers of an observation."""
        return _about(self).n_inputs

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: the actions of the environment."""
        about = _about(self)
        return {OUT: Head(about.n_actions, about.chance, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials; ``split`` is ignored, every trial is drawn anew.

        Returns
        -------
        Batch
            ``inputs [time, batch, channel]``, the observations; ``targets [time, batch, 1]``, the right actions, with weight 1
            inside a trial and 0 behind its end; ``info`` with ``length [batch]`` in steps and ``decision [time, batch, 1]``, which
            is 1 where the answer is scored.
        """
        del split
        require_draw(batch_size, generator)
        # What numpy takes as a seed.
        seed = int(torch.randint(2**32, (), generator=generator, device=generator.device))
        return _padded(_trials(self, seed, batch_size), generator.device)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return how many decisions are right, and how many there are, ``[head]`` each."""
        asked = batch.info["decision"].to(outputs.dtype)
        right = (outputs.argmax(dim=-1) == batch.targets).to(outputs.dtype)
        return (right * asked).sum(dim=(0, 1)), asked.sum(dim=(0, 1))


def options_from(text: str) -> dict[str, Any]:
    """Return the options of an environment from JSON; none from an empty text.

    Raises
    ------
    InputError
        If it is no object in JSON.

    Examples
    --------
    >>> options_from('{"sigma": 0.5}')
    {'sigma': 0.5}
    >>> options_from("sigma=0.5")
    Traceback (most recent call last):
    tauscope.errors.InputError: env_options is 'sigma=0.5': expected JSON, such as {"timing": {"delay": 1000}}
    """
    try:
        options = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise InputError(f'env_options is {text!r}: expected JSON, such as {{"timing": {{"delay": 1000}}}}')
    return options


def canonical(text: str) -> str:
    """Return options in JSON as they are written down: in alphabetical order, without spaces, empty if there is none.

    Examples
    --------
    >>> canonical('{"sigma": 0.5, "dt": 20}'), canonical(" {} ")
    ('{"dt":20,"sigma":0.5}', '')
    """
    options = options_from(text)
    return json.dumps(options, sort_keys=True, separators=(",", ":")) if options else ""


@dataclass(frozen=True)
class _Trial:
    """One trial: what is observed ``[time, channel]``, the right actions ``[time]``, and where they are scored ``[time]``."""

    observations: NDArray[Any]
    actions: NDArray[Any]
    scored: NDArray[Any]


@dataclass(frozen=True)
class _About:
    """What a task tells of its environment."""

    n_inputs: int
    n_actions: int
    chance: float


@functools.lru_cache(maxsize=32)
def _about(task: Neurogym) -> _About:
    """Return what the task tells of its environment, refusing one that cannot be learnt from its trials."""
    name, env = task.env, _made(task.env, task.env_options)
    seen, answered = env.observation_space, env.action_space
    if type(seen).__name__ != "Box":
        raise InputError(f"{name} observes a {type(seen).__name__}: expected a Box of numbers")
    if type(answered).__name__ != "Discrete" or int(getattr(answered, "start", 0)) != 0:
        raise InputError(f"{name} answers with a {answered}: expected a Discrete space of actions from 0")
    n_actions = int(answered.n)
    trials = _trials(task, 0, _SAMPLED)
    _require_seeded(task, trials)
    actions = np.concatenate([trial.actions for trial in trials])
    if actions.min() < 0 or actions.max() >= n_actions:
        wrong = actions.max() if actions.max() >= n_actions else actions.min()
        raise InputError(f"{name} holds the action {wrong} for right: expected 0 … {n_actions - 1}, as it says itself")
    scored = np.concatenate([trial.actions[trial.scored] for trial in trials])
    if not len(scored):
        raise InputError(f"the period {task.decision or _DECISION} of {name} has no steps: expected at least one")
    chance = Counter(scored.tolist()).most_common(1)[0][1] / len(scored)
    return _About(trials[0].observations.shape[1], n_actions, chance)


def _require_seeded(task: Neurogym, trials: Sequence[_Trial]) -> None:
    """Refuse an environment that plays other trials from the same seed: a run of it could not be resumed."""
    again = (_trials(task, 0, _REPEATED) for _ in range(_REPEATS))
    for ours, other in itertools.chain.from_iterable(zip(trials, played, strict=False) for played in again):
        same = np.array_equal(ours.observations, other.observations, equal_nan=True)
        if not (same and np.array_equal(ours.actions, other.actions)):
            raise InputError(
                f"{task.env} plays other trials from the same seed: expected an environment that draws all chance after "
                "env.seed, from env.rng"
            )


def _trials(task: Neurogym, seed: int, n_trials: int) -> list[_Trial]:
    """Play so many trials of an environment that is made anew."""
    env = _made(task.env, task.env_options)
    # Wrappers of neurogym, such as schedules of blocks, make trials too: the outermost does.
    while not hasattr(type(env), "new_trial"):
        env = env.env
    try:
        with warnings.catch_warnings():
            # Of gymnasium, that wrappers hand on attributes.
            warnings.simplefilter("ignore")
            _seed(env, seed)
            env.reset()
            seen: dict[int, object] = {}
            return [_trial(task, env, seen) for _ in range(n_trials)]
    except InputError:
        raise
    except Exception as error:  # an environment can raise anything
        raise InputError(
            f"{task.env} cannot play a trial: {type(error).__name__}: {error}; expected a trial-based environment"
        ) from error


def _trial(task: Neurogym, env: Any, seen: dict[int, object]) -> _Trial:
    """Play a trial; ``seen`` holds the arrays of those before it, which one without arrays of its own would show again."""
    env.new_trial()
    # A wrapper may have put another environment in the place of the one before.
    within = env.unwrapped
    for name, what in (("ob", "observations"), ("gt", "right actions (ground truth)")):
        array = getattr(within, name, None)
        if array is None or id(array) in seen:
            raise InputError(
                f"{task.env} tells no {what} of a whole trial: expected one for supervised learning, such as DelayComparison-v0"
            )
        seen[id(array)] = array
    observations, actions = np.asarray(within.ob), np.asarray(within.gt)
    n_steps = len(observations)
    if not n_steps or actions.shape != (n_steps,):
        raise InputError(
            f"a trial of {task.env} has {n_steps} observations and actions of shape {actions.shape}: expected one action for each"
        )
    return _Trial(observations.reshape(n_steps, -1), actions, _scored(task, within, n_steps))


def _scored(task: Neurogym, env: Any, n_steps: int) -> NDArray[np.bool_]:
    """Return the steps at which the answer is scored."""
    periods = dict(env.start_ind)
    if task.decision and task.decision not in periods:
        raise InputError(f"{task.env} has no period {task.decision!r}: {nearest(task.decision, periods)}")
    name = task.decision or _DECISION
    if name not in periods:
        return np.ones(n_steps, dtype=bool)
    last = min(int(env.end_ind[name]), n_steps) - 1
    return (np.arange(n_steps) == last) & (last >= int(periods[name]))


def _seed(env: Any, seed: int) -> None:
    """Seed an environment, and the generators of its own that its seed does not reach."""
    env.seed(seed)
    within = env.unwrapped
    for i, (name, value) in enumerate(sorted(vars(within).items())):
        if isinstance(value, np.random.Generator):
            setattr(within, name, np.random.default_rng([seed, i]))


def _made(name: str, options: str) -> Any:
    """Return an environment with its wrappers."""
    given, registration = options_from(options), _neurogym()
    known = registration.all_envs(psychopy=True, collections=True)
    if name not in known:
        # Only what neurogym registers itself is made: gymnasium imports any module that a name asks for.
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"did you mean {close[0]!r}?" if close else nearest(name, known)
        raise InputError(f"neurogym has no environment {name!r}: {hint}")
    try:
        with warnings.catch_warnings():
            # Of gymnasium, about versions of environments.
            warnings.simplefilter("ignore")
            return registration.make(name, **given)
    except Exception as error:  # an environment can raise anything
        maker = imported(registration.ALL_EXTENDED_ENVS[name], "environment")
        # A class of neurogym is called by way of another one's signature.
        maker = functools.partial(inspect.getattr_static(maker, "__init__"), None) if isinstance(maker, type) else maker
        taken = inspect.signature(maker).parameters
        if unknown := [option for option in given if option not in taken]:
            raise InputError(f"{name} has no option {unknown[0]!r}: {nearest(unknown[0], taken)}") from error
        raise InputError(
            f"{name} cannot be made with {options or 'its defaults'}: {type(error).__name__}: {error}; expected other env_options"
        ) from error


def _neurogym() -> Any:
    try:
        with warnings.catch_warnings():
            # Of packages that it imports.
            warnings.simplefilter("ignore")
            from neurogym.envs import registration
    except ImportError as error:
        raise InputError("neurogym is not installed: expected pip install 'tauscope[neurogym]'") from error
    return registration


def _padded(trials: Sequence[_Trial], device: torch.device) -> Batch:
    """Return trials as a batch, as long as the longest of them."""
    length = [len(trial.actions) for trial in trials]
    shape = (max(length), len(trials))
    inputs = np.zeros((*shape, trials[0].observations.shape[1]), dtype=np.float32)
    targets = np.zeros((*shape, 1), dtype=np.int64)
    weight, decision = np.zeros((2, *shape, 1), dtype=np.float32)
    for i, trial in enumerate(trials):
        inputs[: length[i], i] = trial.observations
        targets[: length[i], i, 0] = trial.actions
        weight[: length[i], i] = 1.0
        decision[: length[i], i, 0] = trial.scored
    info = {"length": torch.tensor(length, device=device), "decision": torch.from_numpy(decision).to(device)}
    kept = (torch.from_numpy(array).to(device) for array in (inputs, targets, weight))
    made, answers, counted = kept
    return Batch(made, answers, weight=counted, info=info)
