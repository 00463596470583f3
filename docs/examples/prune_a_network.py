"""
Prune a trained network
=======================

A network that learned N-parity loses a tenth of its units and half of its recurrent synapses, by several rules at equal counts, and is
asked again without any training.
"""

import torch

import tauscope as ts
from tauscope.analysis import LyapunovNoise, connectivity, inverse_participation, lyapunov, pruning_curves
from tauscope.plotting.pruning import plot_pruning

BASE = "../../trained_models"
model = ts.load_model("single", "parity", network_number=1, N_max=5, base_path=BASE)
task = ts.Parity([5], p=0.5)

# %%
# Prune it
# --------
# `ts.prune` returns a network of its own, which every analysis takes. Activity and Lyapunov exponents are measured under random bits.
# The last network has no recurrent weights: what the read-out can do without any.

bits = task.replace(length=60).sample(1, torch.Generator().manual_seed(0)).inputs
rules = {
    "random": "random",
    "magnitude": "magnitude",
    "activity": "activity",
    "noise": "noise",
    "lyapunov, steps 1 and 2": LyapunovNoise(steps=(1, 2)),
}
variants = {"dense": model}
for name, rule in rules.items():
    generator = torch.Generator().manual_seed(1)
    variants[name] = ts.prune(model, rule, keep_synapses=0.5, keep_units=0.9, generator=generator, inputs=bits)
variants["no recurrent weights"] = ts.prune(model, "random", keep_synapses=0.0)

# %%
# What is left
# ------------
# Accuracy, the mean timescale of the units that are left, the largest Lyapunov exponent, the spectral radius of the recurrent
# weights, and how localised their eigenvectors are.

print(f"{'':24} accuracy  tau      λ1  radius    IPR")
for name, network in variants.items():
    accuracy = float(ts.evaluate(network, task, [5], n_sequences=512)[0])
    alive = network.layers[0].mask.bool() if name != "dense" else torch.ones(model.n_units, dtype=torch.bool)
    tau = float(network.tau[alive].detach().mean())
    exponent = float(lyapunov(network, 1, n_trials=2, n_steps=100, burn_in=50).exponents.mean())
    radius = float(connectivity(network).spectral_radius[0])
    weights = network.layers[0].weights()["recurrent.weight"].value.detach()[alive][:, alive]
    participation = inverse_participation(weights) if weights.any() else float("nan")
    print(f"{name:24} {accuracy:8.3f} {tau:4.2f} {exponent:7.3f} {radius:7.3f} {participation:6.4f}")

# %%
# At every share
# --------------
# ``tauscope analyze pruning RUN`` makes this figure of a network of a run, with more rules, shares and draws.

result = pruning_curves(
    model,
    task.replace(length=60),
    methods=["random", "magnitude", "noise"],
    shares=[0.5, 0.25],
    n_trials=400,
    n_draws=1,
)
of_rules = plot_pruning(result)
