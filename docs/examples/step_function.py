"""
Measure a step function of your own
===================================

An analysis asks a network for its next state, and for little else. So a function ``step(x, h)`` is enough:
`tauscope.wrap` makes a network of it in one line.
"""

import math

import matplotlib
import torch

import tauscope as ts
from tauscope.plotting.memory import plot_generalisation
from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes

# %%
# Slow without slow units
# -----------------------
# No unit of this network has a memory of its own: what it knows of the past is the mean m of all units, with a gain
# g < 1. Half of the units also see the input. The mean obeys :math:`m_{t+1} = g\, m_t + x_t / 2`, so that τ_net must come
# out as :math:`-1 / \ln g` steps and the largest Lyapunov exponent as :math:`\ln g` nats a step.

n_units = 50
sees_input = (torch.arange(n_units) % 2).float()


def sharing(gain: float) -> ts.Model:
    """Return the network with a gain."""
    return ts.wrap(lambda x, h: torch.relu(gain * h.mean(dim=1, keepdim=True) + x * sees_input), 1, n_units)


gains = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95]
measured = []
for gain in gains:
    model = sharing(gain)
    timescales = ts.analysis.timescales(model, n_trials=4, n_steps=100_000, p=0.5, bootstrap=0)
    exponent = ts.analysis.lyapunov(model, 1, n_trials=2, n_steps=200).exponents.mean().item()
    measured.append(timescales.tau_net.mean().item())
    print(
        f"g = {gain}: mean τ_net {measured[-1]:.2f} steps, expected {-1 / math.log(gain):.2f}; "
        f"largest exponent {exponent:.4f} nats a step, expected {math.log(gain):.4f}"
    )

with matplotlib.rc_context(RC):
    ax = new_axes()
    ax.plot(gains, [-1 / math.log(gain) for gain in gains], color="black", lw=0.8, label=r"expected: $-1/\ln g$")
    ax.plot(gains, measured, "o", color=COLOURS["blue"], label=f"measured: mean over {n_units} units")
    ax.set(xlabel="gain g", ylabel=r"$\tau_\mathrm{net}$ (steps)")
    legend_below(ax)

# %%
# Slow is not mindful
# -------------------
# How much of the past do the states hold? For every N a linear read-out is fitted to the frozen dynamics, here for N-DMS:
# does the last bit equal the one N - 1 bits before it? The states of this network are sums of past bits, and no weighted
# sum tells whether two bits are equal.

memory = ts.analysis.generalise(sharing(0.9), ts.DelayedMatchToSample([2]), range(2, 13))
of_sharing = plot_generalisation(memory)

# %%
# With random weights and a nonlinearity that saturates, activity decorrelates within a step, and the states hold more.

generator = torch.Generator().manual_seed(0)
weights = torch.randn(n_units, n_units, generator=generator) / math.sqrt(n_units)
weights_in = torch.randn(n_units, generator=generator)
random = ts.wrap(lambda x, h: torch.tanh(0.8 * h @ weights.T + x * weights_in), 1, n_units)
timescales = ts.analysis.timescales(random, n_trials=4, n_steps=100_000, p=0.5, bootstrap=0)
print(f"mean τ_net {timescales.tau_net.mean().item():.2f} steps")

memory = ts.analysis.generalise(random, ts.DelayedMatchToSample([2]), range(2, 13))
of_random = plot_generalisation(memory)
