"""From a subject to a result: every measurement with the defaults that fit the network at hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import xarray as xr
from torch import Tensor

from tauscope.analysis.balance import input_balance, input_map
from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.analysis.credit import Answered, compare, credit
from tauscope.analysis.dimensionality import dimensionality
from tauscope.analysis.fixed_points import fixed_points
from tauscope.analysis.generalisation import generalise
from tauscope.analysis.interventions import GROUPS, Protocol, ablation, perturbation
from tauscope.analysis.lyapunov import flatten, lyapunov
from tauscope.analysis.memory_function import memory_function
from tauscope.analysis.parallelizability import parallelizability, trial_parallelizability
from tauscope.analysis.performance import performance, scores
from tauscope.analysis.perturbation_error import perturbation_error
from tauscope.analysis.reactivation import reactivation
from tauscope.analysis.resolution import resolution
from tauscope.analysis.sequentiality import peak_order, sequentiality_index, task_states, weights_by_peak_difference
from tauscope.analysis.timescales import timescales
from tauscope.analysis.trials import trial_dimensionality, trial_lyapunov, trial_timescales
from tauscope.errors import InputError, NotApplicableError, require_at_least
from tauscope.measurements.online_credit import online_gradient
from tauscope.measurements.retraining import RETRAINING, forgetting, retrain
from tauscope.measurements.subject import Subject
from tauscope.models.model import Model
from tauscope.tasks import BinaryMemoryTask, CodedTask, DelayedResponseTask, Functional, head_name
from tauscope.tasks.functional import memory_kernel

BEYOND = 10
"""How many N beyond the trained ones are looked at."""

EXPONENTS = 10
"""Lyapunov exponents; fewer in a network of fewer states."""

ABLATED = 20
"""Units of each group that are ablated; fewer in a network too small for so many of each."""

RETRAINED = 5
"""At how many N a network is retrained, from its largest on."""

BALANCED = 50
"""Trials over which excitation and inhibition are averaged."""

SEQUENCES = 300
"""Trials of which the sequentiality index is the mean, as published."""


def measure_timescales(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure τ_net, and beside it what stands for τ in the network at hand."""
    result = subject.driven(timescales, trial_timescales, **options)
    own = subject.tau()
    return result if own is None or subject.model.tau is not None else result.assign(tau=own)


def measure_dimensionality(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the dimensionality, under random bits or of the network's trials."""
    by_bits = partial(dimensionality, p=0.5)
    return cast(xr.Dataset, subject.driven(by_bits, trial_dimensionality, **options))


def measure_lyapunov(subject: Subject, n_exponents: int = EXPONENTS, **options: Any) -> xr.Dataset:
    """Measure Lyapunov exponents, under random bits or in the delay of the network's trials.

    Parameters
    ----------
    n_exponents : int
        Number of exponents; fewer in a network of fewer states.
    """
    n_states = flatten(subject.model, subject.model.initial_state(1))[0].shape[1]
    result = subject.driven(lyapunov, trial_lyapunov, n_exponents=min(n_exponents, n_states), **options)
    return cast(xr.Dataset, result)


def measure_fixed_points(subject: Subject, **options: Any) -> xr.Dataset:
    """Find fixed and slow points from states that the network visits on its trials, or on a stream of bits."""
    return fixed_points(subject.model, subject.trials(), generator=subject.generator(), **options)


def measure_sequentiality(
    subject: Subject, n_trials: int = SEQUENCES, mode: str = "robust", trial_steps: int | None = None
) -> xr.Dataset:
    """Measure the sequentiality index, and beside it what its figures show: units by their peaks, and their weights.

    Parameters
    ----------
    n_trials : int
        Trials of which the index is the mean.
    mode : {"robust", "reference"}
        As in `tauscope.analysis.sequentiality_index`; "reference" is the published code.
    trial_steps : int, optional
        Steps of a trial of a stream of bits; by default 150, or as many as the largest N asks for.
    """
    generator = subject.generator()
    states, _ = task_states(subject.model, subject.trials(trial_steps), n_trials, generator)
    result = sequentiality_index(states, mode=mode, generator=generator)
    parts = [result, peak_order(states)]
    weights = candidate_weights(subject.model)
    if weights is not None:
        parts.append(weights_by_peak_difference(weights, states[..., : len(weights)]))
    attributes = {"n_trials": n_trials, "seed": str(subject.seed), "task": type(subject.task).__name__}
    return xr.merge(parts, combine_attrs="drop").assign_attrs(result.attrs | attributes)


def candidate_weights(model: Model) -> np.ndarray | None:
    """Return the recurrent weights of the first layer, ``[to, from]``, of gated cells those of the candidate state.

    ``None`` where they are not known.
    """
    try:
        matrices = recurrent_matrices(model.layers[0])
    except InputError:
        return None
    names = [name for name in ("recurrent", "new", "cell") if name in matrices]
    weights: np.ndarray = matrices[names[0]].double().cpu().numpy()
    return weights


def measure_connectivity(subject: Subject) -> xr.Dataset:
    """Measure the recurrent weights of every layer."""
    return connectivity(subject.model)


def first_weights(_: xr.Dataset, subject: Subject) -> tuple[Tensor]:
    """Return the recurrent weights of the first layer, of gated cells those of the first gate."""
    return (next(iter(recurrent_matrices(subject.model.layers[0]).values())).detach(),)


def measure_balance(subject: Subject, n_trials: int = BALANCED, trial_steps: int | None = None) -> xr.Dataset:
    """Measure how far excitation and inhibition cancel in what every unit receives in its trials.

    Parameters
    ----------
    n_trials : int
        Trials that are averaged.
    trial_steps : int, optional
        Steps of a trial of a stream of bits; by default 150, or as many as the largest N asks for.
    """
    states, batch = task_states(subject.model, subject.trials(trial_steps), n_trials, subject.generator())
    return input_balance(subject.model, states, batch.inputs)


def lacks_weighted_sums(subject: Subject) -> str:
    """Say what a network lacks for excitation and inhibition to be told apart; empty if every unit adds them up."""
    try:
        for cell in subject.model.layers:
            input_map(cell)
    except NotApplicableError as error:
        return str(error)
    return ""


def measure_performance(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the fractional loss on fresh trials, or the score of a task that has none."""
    if lacking := lacks_trials(subject):
        raise NotApplicableError(lacking)
    if isinstance(subject.task, DelayedResponseTask):
        return performance(subject.model, subject.task, generator=subject.generator(), **options)
    return scores(subject.model, subject.task, generator=subject.generator(), **options)


def measure_ablation(
    subject: Subject, n: int = ABLATED, together: bool = False, mode: str = "silence", **protocol: Any
) -> xr.Dataset:
    """Ablate the slowest, the fastest and random units, or random ones alone where none is slow or fast.

    Parameters
    ----------
    n : int
        Units of each group; fewer in a network too small for so many of each, which, of less than three units, has
        random ones alone.
    together : bool
        Ablate each group at once, instead of one unit at a time.
    mode : {"silence", "published"}
        As in `tauscope.analysis.ablate`.
    """
    own, n_units = subject.tau(), subject.model.n_units
    groups = ("random",) if own is None or n_units < len(GROUPS) else GROUPS
    return ablation(
        subject.model,
        asked_bits(subject),
        subject.trained[1],
        groups=groups,
        n=min(n, n_units // len(groups)),
        together=together,
        mode=mode,
        tau=None if own is None else own.values,
        protocol=Protocol(**protocol),
        generator=subject.generator(),
    )


def measure_perturbation(
    subject: Subject, which: str, epsilons: Sequence[float] | None = None, **protocol: Any
) -> xr.Dataset:
    """Perturb recurrent weights or τ.

    Parameters
    ----------
    which : {"recurrent", "tau"}
        What is perturbed.
    epsilons : sequence of float, optional
        Sizes of the perturbation, relative to the norm of what is perturbed; by default the published ones.
    """
    return perturbation(
        subject.model,
        asked_bits(subject),
        subject.trained[1],
        which,
        epsilons=epsilons,
        protocol=Protocol(**protocol),
        generator=subject.generator(),
    )


def measure_perturbation_error(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the error after perturbations of every block of parameters, on the network's own trials, or at its largest N."""
    task = subject.task if subject.bits is None else asked_bits(subject).replace(Ns=(subject.trained[1],))
    return perturbation_error(subject.model, task, generator=subject.generator(), **options)


def measure_memory_function(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the memory function of the head that answers, and beside it the memory that was asked for, where it is known."""
    answering = head_name(subject.trained[1]) if subject.bits is not None else list(subject.task.heads)[-1]
    head = options.pop("head", None) or answering
    result = memory_function(subject.model, head=head, generator=subject.generator(), **options)
    if not isinstance(subject.task, Functional):
        return result
    asked = memory_kernel(subject.task.rho, result.sizes["lag"]).abs().numpy()
    return result.assign(target=("lag", asked, {"long_name": "memory that is asked", "units": "1"}))


def measure_credit(subject: Subject, **options: Any) -> xr.Dataset:
    """Compare truncated gradients with the full one, and beside them that of real-time recurrent learning, where there is one."""
    task = subject.task if subject.bits is None else asked_bits(subject).replace(Ns=(subject.trained[1],))
    result = credit(subject.model, task, generator=subject.generator(), **options)
    n_trials, n_answers = (result.attrs[name] for name in ("n_trials", "n_answers"))
    answered = Answered.of(subject.model, task, n_trials, n_answers, subject.generator())
    if (online := online_gradient(answered)) is None:
        return result
    cosine, ratio = compare(online, answered.full())
    return result.assign(
        rtrl_cosine=((), cosine, result["cosine"].attrs), rtrl_norm_ratio=((), ratio, result["norm_ratio"].attrs)
    )


def measure_retraining(subject: Subject, n_Ns: int = RETRAINED, **recipe: Any) -> xr.Dataset:
    """Retrain the network at larger N.

    Parameters
    ----------
    n_Ns : int
        At how many N, from its largest on.
    """
    require_at_least("n_Ns", n_Ns, 1)
    last = subject.trained[1]
    chosen = replace(RETRAINING, **({"seed": subject.seed} | recipe))

    def report(N: int, record: dict[str, Any]) -> None:
        subject.tell(f"N = {N}, epoch {record['epoch']} of {chosen.epochs}")

    return retrain(subject.model, asked_bits(subject), range(last, last + n_Ns), recipe=chosen, on_epoch=report)


def measure_forgetting(subject: Subject, beyond: int = BEYOND, **options: Any) -> xr.Dataset:
    """Measure the accuracy on smaller and larger N.

    Parameters
    ----------
    beyond : int
        How many N beyond the trained ones are asked.
    """
    accuracy = forgetting(
        subject.model,
        asked_bits(subject),
        subject.trained,
        Ns=_Ns_with(subject, beyond),
        generator=subject.generator(),
        **options,
    )
    return accuracy.to_dataset().assign_attrs(accuracy.attrs)


def measure_generalisation(subject: Subject, beyond: int = BEYOND, **options: Any) -> xr.Dataset:
    """Measure the accuracy of fresh read-outs for smaller and larger N.

    Parameters
    ----------
    beyond : int
        How many N beyond the trained ones are asked.
    """
    task, Ns = asked_bits(subject), _Ns_with(subject, beyond)
    return generalise(subject.model, task, Ns, generator=subject.generator(), **options)


def _Ns_with(subject: Subject, beyond: int) -> range:
    """Return all N from 2 to so many beyond the trained ones."""
    require_at_least("beyond", beyond, 0)
    return range(2, subject.trained[1] + beyond + 1)


def measure_resolution(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure the accuracy at other time steps."""
    Ns = range(subject.trained[0], subject.trained[1] + 1)
    return resolution(subject.model, asked_bits(subject), Ns, generator=subject.generator(), **options)


def measure_reactivation(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure what the network does without input, beside its task and the network before its training."""
    untrained, generator = subject.course.get(0), subject.generator()
    return reactivation(subject.model, subject.trials(), untrained=untrained, generator=generator, **options)


def lacks_noise(subject: Subject) -> str:
    """Say what a network lacks to be left alone with its noise; empty if it has noise, or a task that decodes positions."""
    if isinstance(subject.task, CodedTask) or subject.model.draw_noise(1, 1, subject.generator()) is not None:
        return ""
    return "the network has no private noise, and its task decodes no positions: expected one of these"


def measure_parallelizability(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure whether the states can be found for all steps at once, under random bits or in the network's trials."""
    return cast(xr.Dataset, subject.driven(parallelizability, trial_parallelizability, **options))


def asked_bits(subject: Subject) -> BinaryMemoryTask:
    """Return the task, refusing one that has no Ns to ask.

    Raises
    ------
    NotApplicableError
        If the task is not one of random bits, or the network has no head that answers an N.
    """
    if (lacks := lacks_Ns(subject)) or subject.bits is None:
        raise NotApplicableError(lacks)
    return subject.bits


def lacks_Ns(subject: Subject) -> str:
    """Say what a network lacks to be asked for several N; empty if it lacks nothing."""
    if subject.bits is None:
        return "the network answers trials and knows no N: expected one that was trained on N-parity or N-DMS"
    heads = subject.model.heads
    # A curriculum of a user's own may name heads otherwise.
    if not heads.shared and not any(re.fullmatch(r"N\d+", name) for name in heads.names):
        return (
            f"the network has the heads {', '.join(heads.names)}: expected heads that are named after an N, such as N2"
        )
    return ""


def lacks_question(subject: Subject) -> str:
    """Say what a network lacks to be asked what it was trained on; empty if it lacks nothing."""
    return "" if subject.bits is None else lacks_Ns(subject)


def lacks_trials(subject: Subject) -> str:
    """Say what a network that answers a stream of bits lacks to have a fractional loss; empty for any other."""
    if subject.bits is None:
        return ""
    return "the network has no fractional loss: expected one that was trained on trials with a delay"


def lacks_tau(subject: Subject) -> str:
    """Say what a network lacks for its τ to be perturbed; empty if it lacks nothing."""
    own = "" if subject.model.tau is not None else "the network has no τ to perturb: expected a leaky one"
    return lacks_Ns(subject) or own


def lacks_time_steps(subject: Subject) -> str:
    """Say what a network lacks to be asked at other time steps; empty if it lacks nothing."""
    try:
        subject.model.at_resolution(1)
    except InputError:
        return lacks_Ns(subject) or "the network has no time step to change: expected one in continuous time"
    return lacks_Ns(subject)
