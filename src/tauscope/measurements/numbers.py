"""From a result to a few numbers by their names, units included."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tauscope.analysis.fit_quality import is_described, with_goodness
from tauscope.analysis.timescales import timescales_summary

MOST_OF_THE_GRADIENT = 0.9
"""Cosine from which on a gradient counts as near to the full one."""


def timescale_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up timescales; of units without timescales of their own, τ_net alone. Poor fits count in no mean of τ_net."""
    result = with_goodness(result)
    summary = timescales_summary(result)
    every, long = summary.isel(units=0), summary.isel(units=1)
    own = {
        "mean tau (steps)": float(every["tau_mean"]),
        "STD tau (steps)": float(every["tau_std"]),
        "share of units at tau = 1": float((result["tau"] <= 1).mean()),
    }
    return (own if result["tau"].notnull().any() else {}) | {
        "mean tau_net, all units (steps)": float(every["tau_net_mean"]),
        "mean tau_net, units > 1 (steps)": float(long["tau_net_mean"]),
        **({"its standard error over trials (steps)": float(long["tau_net_error"])} if "tau_net_error" in long else {}),
        "STD tau_net, units > 1 (steps)": float(long["tau_net_std"]),
        "units": float(result.sizes["unit"]),
        "units fitted": float(every["n_units"]),
        "units fitted poorly": float(result["poor_fit"].sum()),
        "units fitted poorly that oscillate": float(result["oscillates"].sum()),
        "median residual of the fits (standard errors)": float(result["residual_ratio"].median()),
        "units with tau_net > 1": float(long["n_units"]),
        f"units with tau_net at its bound of {float(result.attrs['tau_max']):g} steps": float(
            (is_described(result) & (result["at_bound"] > 0)).sum()
        ),
    }


def dimensionality_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up the dimensionality: means over trials."""
    fraction = float(result.attrs["fraction"])
    return {
        f"components for {fraction:.0%} of the variance": float(result["n_components"].mean()),
        "participation ratio": float(result["participation_ratio"].mean()),
    }


_WEIGHT_NUMBERS = {
    "mean": "mean weight",
    "std": "STD of weights",
    "share_positive": "share of positive weights",
    "spectral_radius": "spectral radius",
}


def connectivity_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up every recurrent matrix."""
    numbers = {}
    for i in range(result.sizes["matrix"]):
        matrix = result.isel(matrix=i)
        where = f"layer {int(matrix['layer'])}, {matrix['gate'].item()}"
        for name, quantity in _WEIGHT_NUMBERS.items():
            numbers[f"{quantity} ({where})"] = float(matrix[name])
    return numbers


def lyapunov_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the largest exponent, averaged over trials, and how far it is from having converged."""
    largest, trace = result["exponents"].isel(exponent=0), result["trace"].isel(exponent=0)
    halfway = trace.sel(step=float(trace["step"][-1]) / 2, method="nearest")
    with np.errstate(invalid="ignore"):  # a direction that a step collapses grows by -inf
        change, error = largest - halfway, largest.std("trial", ddof=1) if largest.sizes["trial"] > 1 else np.nan
    return {
        "largest Lyapunov exponent (nats/step)": float(largest.mean()),
        "its standard error over trials (nats/step)": float(error) / largest.sizes["trial"] ** 0.5,
        "its change over the second half of the steps (nats/step)": float(change.mean()),
    }


def fixed_point_numbers(result: xr.Dataset) -> dict[str, float]:
    """Count fixed and slow points, and return the slowest timescale of a decaying mode of a stable point."""
    fixed, stable = result["fixed"].values, result["n_unstable"].values == 0
    slowest = result["timescale"].values[fixed & stable]
    return {
        "fixed points": float(fixed.sum()),
        "stable fixed points": float((fixed & stable).sum()),
        "slow points": float((~fixed).sum()),
        "unstable modes of a point, at most": float(result["n_unstable"].max()) if fixed.size else np.nan,
        "slowest mode of a stable point (steps)": float(slowest.max()) if slowest.size else np.nan,
        "starts that led to no point": float(result.attrs["n_not_converged"] + result.attrs["n_out_of_reach"]),
    }


_SEQUENCE_NUMBERS = {
    "sequentiality": "sequentiality index (nats)",
    "baseline": "sequentiality index with time shuffled (nats)",
    "entropy": "entropy of peak times (nats)",
    "ridge_to_background": "log of ridge over background (nats)",
    "n_units": "active units",
    "forward": "mean weight to a later peak",
    "backward": "mean weight to an earlier peak",
}


def sequentiality_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up the sequentiality: means over trials."""
    return {what: float(result[name].mean()) for name, what in _SEQUENCE_NUMBERS.items() if name in result}


def balance_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up how far excitation and inhibition cancel: means over units."""
    return {
        "mean current over its excitation and inhibition": float(result["imbalance"].mean()),
        "correlation of excitation and inhibition": float(result["correlation"].mean()),
    }


def performance_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the fractional loss, its chance level, and the loss at each delay where there are several; or all scores."""
    if "score" in result:
        return _score_numbers(result)
    numbers = {
        "fractional loss": float(result["fractional_loss"]),
        "standard error over trials": float(result["standard_error"]),
        "fractional loss at chance": float(result["chance"]),
    }
    if result.sizes["delay"] == 1:
        return numbers
    return numbers | {
        f"fractional loss at a delay of {int(delay)} steps": float(result["loss_at_delay"].sel(delay=delay))
        for delay in result["delay"].values
    }


def _score_numbers(result: xr.Dataset) -> dict[str, float]:
    metric, unit = str(result.attrs["metric"]).replace("_", " "), result["score"].attrs.get("units", "1")
    found = {}
    for name in result["head"].values:
        of, where = result.sel(head=name), f"({name})" if unit == "1" else f"({name}, {unit})"
        found[f"{metric} {where}"] = float(of["score"])
        found[f"standard error over trials {where}"] = float(of["standard_error"])
        found[f"{metric} at chance {where}"] = float(of["chance"])
    return found


def _mean_over_trials(relative: xr.DataArray) -> xr.DataArray:
    """Return the mean relative accuracy; not a number where the intact network is at chance, which divides by zero."""
    with np.errstate(invalid="ignore"):
        return relative.mean("trial")


def ablation_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the accuracy of the intact network and the mean of what each group leaves of it."""
    relative = _mean_over_trials(result["relative_accuracy"]).groupby("group").mean()
    groups = {f"relative accuracy without one {group} unit": float(relative.sel(group=group))
              for group in relative["group"].values}  # fmt: skip
    return {"accuracy of the intact network": float(result["baseline"].mean())} | groups


def perturbation_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the mean of what each size of perturbation leaves of the accuracy."""
    relative = _mean_over_trials(result["relative_accuracy"])
    return {
        f"relative accuracy at epsilon {float(e):.3g}": float(relative.sel(epsilon=e)) for e in result["epsilon"].values
    }


def perturbation_error_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the error of the network itself and the largest perturbation of every block that is borne."""
    borne = {
        f"largest perturbation that is borne ({part})": float(result["beta_star"].sel(part=part))
        for part in result["part"].values
    }
    return {"error, not perturbed": float(result["error"][0, 0])} | borne


def memory_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up the memory function, and how far it is from what was asked where that is known."""
    numbers = {
        "half of all memory (steps)": float(result["half_life"]),
        "slope of log memory by log lag": float(result["log_log_slope"]),
        "slope of log memory (1/step)": float(result["semi_log_slope"]),
    }
    if "target" not in result:
        return numbers
    return numbers | {"largest difference from what is asked": float(abs(result["memory"] - result["target"]).max())}


def credit_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return how much of the full gradient is in the shortest window, and the window from which on most of it is."""
    shortest, enough = result.isel(window=0), (result["cosine"] >= MOST_OF_THE_GRADIENT).values
    # From there on, since the cosine need not grow with the window.
    from_there = np.logical_and.accumulate(enough[::-1])[::-1]
    found = {
        f"cosine with the full gradient at k = {int(shortest['window'])}": float(shortest["cosine"]),
        f"norm over that of the full gradient at k = {int(shortest['window'])}": float(shortest["norm_ratio"]),
        f"credit for a cosine of {MOST_OF_THE_GRADIENT:g} (steps)": float(
            result["window"][from_there].min() if from_there.any() else np.nan
        ),
    }
    if "rtrl_cosine" in result:
        found["cosine with the full gradient (RTRL)"] = float(result["rtrl_cosine"])
    return found


def pruning_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the mean score over heads and draws of the network, without recurrent weights, and by every rule at half its synapses."""
    metric, score = str(result.attrs["metric"]).replace("_", " "), result["score"].mean(("head", "draw"))
    half = score.sel(share=0.5, method="nearest")
    return {
        f"{metric}, not pruned": float(score.sel(share=1.0).mean()),
        f"{metric} without recurrent weights": float(score.sel(share=0.0).mean()),
        **{
            f"{metric}, {float(half['share']):.0%} of the synapses kept ({name})": float(half[i])
            for i, name in enumerate(result["rule"].values)
        },
    }


def forgetting_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the mean accuracy on smaller, trained and larger N."""
    Ns, trained = result["N"], result["trained"]
    low, high = Ns[trained].min(), Ns[trained].max()
    parts = {"smaller": Ns < low, "trained": trained, "larger": Ns > high}
    return {
        f"mean accuracy on {name} N": float(result["accuracy"][part].mean())
        for name, part in parts.items()
        if part.any()
    }


def resolution_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the mean accuracy at every time step."""
    accuracy = result["accuracy"].mean("N")
    return {f"mean accuracy at {int(k)} steps a bit": float(accuracy.sel(k=k)) for k in result["k"].values}


def parallelizability_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return λ1, iterations over the longest sequence, and how fast engines of training are."""
    longest = int(result["length"][-1])
    numbers = {"largest Lyapunov exponent (nats/step)": float(result["largest_exponent"].mean())}
    for name in result["solver"].values:
        iterations = result["iterations"].sel(solver=name).isel(length=-1)
        numbers[f"iterations over {longest} steps ({name})"] = float(iterations.mean(skipna=False))
    numbers["share of trials that Newton's method solves"] = float(
        result["iterations"].sel(solver="newton").isel(length=-1).notnull().mean()
    )
    if "seconds" not in result:
        return numbers
    speed = result["seconds"].sel(engine="loop") / result["seconds"]
    for name in speed["engine"].values[1:]:
        faster = speed["length"].values[speed.sel(engine=name).values > 1]
        numbers[f"speed of engine {name} over {longest} steps (loop: 1)"] = float(
            speed.sel(engine=name).isel(length=-1)
        )
        numbers[f"shortest sequence on which {name} was faster (steps)"] = float(min(faster, default=np.nan))
    return numbers


def generalisation_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the accuracy at every N, and at how many N the chosen penalty is the largest or smallest that was tried."""
    edges = result["ridge"].min(), result["ridge"].max()
    at_edge = (result["chosen_ridge"] == edges[0]) | (result["chosen_ridge"] == edges[1])
    accuracy = _by_N(result["accuracy"], "accuracy of a fresh read-out")
    return accuracy | {"N with a penalty at the edge of those tried": float(at_edge.sum())}


_RUN_NUMBERS = {
    "kl_late": "KL from the task, later half (nats)",
    "variance": "variance within a run ({unit}^2)",
    "step": "mean step ({unit})",
    "kl": "KL from the task (nats)",
    "stationarity": "KL of the last quarter from the one before (nats)",
    "pooled_variance": "variance of all runs ({unit}^2)",
    "velocity": "mean velocity ({unit}/step)",
    "turning": "mean cosine of successive steps",
    "exponent": "exponent of the mean squared displacement",
    "norm_ratio": "norm of the states over that in the task",
    "share": "share of the variance in the components of the task",
    "drift": "cosine of drift and gradient of the log density",
}


_OF_EVERY_RUN = 3
"""How many of these are told of other runs than that from states of the task."""


def reactivation_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the score, all numbers of the silent run from states of the task, and the first ones of the task and other runs."""
    unit = str(result.attrs["unit"])
    found = {
        f"score of the task ({unit})": float(result["score"]),
        f"score of the task under the noise of silence ({unit})": float(result["score_noisy"]),
        "spread of units over that of their noise": float(result["signal_to_noise"]),
        "components of the task": float(result["n_components"]),
        "KL of uniform positions from the task (nats)": float(result["kl_uniform"]),
    }
    for run in result["run"].values:
        told = list(_RUN_NUMBERS)[: None if run == "active" else _OF_EVERY_RUN]
        numbers = {what: float(result[what].sel(run=run)) for what in told}
        found |= {
            f"{_RUN_NUMBERS[what].format(unit=unit)}, {run}": number
            for what, number in numbers.items()
            if np.isfinite(number)
        }
    return found


def retraining_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the relative accuracy at every N."""
    return _by_N(result["relative_accuracy"], "relative accuracy after retraining")


def _by_N(values: xr.DataArray, what: str) -> dict[str, float]:
    return {f"{what} at N = {int(N)}": float(values.sel(N=N).mean()) for N in values["N"].values}


def number_table(numbers: dict[str, float]) -> list[tuple[str, str]]:
    """Return numbers as they are printed.

    Examples
    --------
    >>> number_table({"units fitted": 500.0, "mean tau (steps)": 1.38912})
    [('units fitted', '500'), ('mean tau (steps)', '1.389')]
    """
    return [
        (name, f"{value:.0f}" if np.isfinite(value) and value == round(value) and abs(value) >= 2 else f"{value:.4g}")
        for name, value in numbers.items()
    ]


def gradient_decay_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the rate, averaged over trials."""
    return {"decay of the gradient (nats/step)": float(result["rate"].mean())}


def drives_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the share of the variance that the first components hold, of every part."""
    n = result.attrs["n_components"]
    parts = zip(result["source"].values, result["gate"].values, result["share"].values, strict=True)
    named = {" ".join(dict.fromkeys((source, gate))).strip(): float(share) for source, gate, share in parts}
    return {f"share of the variance in {n} components, {name}": share for name, share in named.items()}
