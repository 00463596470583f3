"""
Prune a trained network
=======================

A network that learned N-parity loses half of its recurrent synapses, by five rules at equal counts, and is asked again.
"""

from pathlib import Path

import torch

import tauscope as ts
from tauscope.analysis import connectivity, evaluate, inverse_participation, lyapunov
from tauscope.plotting.pruning import plot_pruning

# %%
# A trained network
# -----------------
# It has a single head, and answers N = 5.

if __name__ == "__main__":
    here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
    folder = next(path for path in (here, *here.parents) if (path / "trained_models").is_dir()) / "trained_models"
    model = ts.load_model(folder / "single_parity_network_1" / "rnn_N5_N5")
    task = ts.Parity([5])
    bits = task.replace(length=60).sample(4, torch.Generator().manual_seed(0)).inputs
    print(f"{model.n_units} units, mean τ {float(model.tau.mean()):.2f} steps")

# %%
# Prune it
# --------
# `ts.prune` returns a network of its own, which every analysis takes. The last one has no recurrent weights: what the read-out
# can do without any.

if __name__ == "__main__":
    variants = {"dense": model}
    for method in ("random", "magnitude", "activity", "noise"):
        variants[method] = ts.prune(
            model, method, keep_synapses=0.5, inputs=bits, generator=torch.Generator().manual_seed(1)
        )
    variants["no recurrent weights"] = ts.prune(model, "random", keep_synapses=0.0)
    print("method                 accuracy     λ1  radius    IPR")
    for name, network in variants.items():
        accuracy = float(evaluate(network, task, [5], n_sequences=256).accuracy[0])
        exponent = float(lyapunov(network, 1, n_trials=2, n_steps=100, burn_in=50).exponents.mean())
        radius = float(connectivity(network).spectral_radius[0])
        weights = network.layers[0].weights()["recurrent.weight"].value.detach()
        print(f"{name:22} {accuracy:8.3f} {exponent:6.2f} {radius:7.2f} {inverse_participation(weights):6.3f}")

# %%
# At every share
# --------------
# The same for several shares and draws; ``tauscope analyze pruning RUN`` makes this figure. Lyapunov noise pruning, which measures
# as many exponents as there are units, is one of the rules there.

if __name__ == "__main__":
    result = ts.analysis.pruning_curves(
        model,
        task.replace(length=60),
        methods=["random", "magnitude", "noise"],
        shares=[0.75, 0.5, 0.25],
        n_trials=300,
        n_draws=2,
    )
    ax = plot_pruning(result)
