"""
Ablate and perturb
==================

Which units does a network need, and how precise must its weights be? An intervention is a function that returns a changed
copy of a network; the original network stays as it is.
"""

import torch

import tauscope as ts
from tauscope.plotting.interventions import plot_ablation, plot_perturbation_of_networks

BASE = "../../trained_models"
multi = ts.load_model("cumulative", "parity", network_number=1, N_max=11, base_path=BASE)
single = ts.load_model("single", "parity", network_number=1, N_max=11, base_path=BASE)
task, N = ts.Parity([11]), 11

# %%
# An intervention
# ---------------
# Silence the ten slowest units of the multi-head network, all at once.

slowest = multi.tau.argsort(descending=True)[:10].tolist()
without = ts.analysis.ablate(multi, slowest)
for name, model in (("intact", multi), ("without the ten slowest", without)):
    print(name, ts.evaluate(model, ts.Parity(p=0.5), Ns=[2, 5, 8, 11]).round(3).values)

# %%
# Unit by unit
# ------------
# The accuracy without each of the ten slowest, the ten fastest, and ten random units as a control. All variants of a
# network run side by side, on the same bits.

protocol = ts.analysis.Protocol(n_trials=4, n_steps=500)
of_multi = plot_ablation(ts.analysis.ablation(multi, task, N, n=10, protocol=protocol))

# %%
# The same for the single-head network.

of_single = plot_ablation(ts.analysis.ablation(single, task, N, n=10, protocol=protocol))

# %%
# Perturbation of W
# -----------------
# The recurrent weights are moved by ε of their norm, in a random direction for every size and trial.


def perturbed(which: str) -> dict:
    """Return the accuracies of both networks, by curriculum; further networks would extend the dimension ``network``."""
    generator = torch.Generator().manual_seed(1)
    sizes = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    return {
        curriculum: ts.analysis.perturbation(
            model, task, N, which, epsilons=sizes, protocol=protocol, generator=generator
        ).expand_dims("network")
        for curriculum, model in (("cumulative", multi), ("single", single))
    }


weights = plot_perturbation_of_networks(perturbed("recurrent"))

# %%
# Perturbation of τ
# -----------------
# Every τ grows; the norm of all changes is ε times the norm of all τ.

timescales = plot_perturbation_of_networks(perturbed("tau"))
