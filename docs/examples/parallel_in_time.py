"""
All steps at once
=================

The states of a network over 2000 steps, found for all steps at once, and what decides whether that works.
"""

import torch

import tauscope as ts
from tauscope.models import Parallel
from tauscope.plotting.parallel import plot_iterations

# %%
# Solve it
# --------
# Every trial converges for itself. The residual is how far any step is from following from the one before.

if __name__ == "__main__":
    generator = torch.Generator().manual_seed(0)
    model = ts.build_model("gru", 8, generator=generator).double()
    inputs = torch.randn(2000, 3, 1, generator=generator, dtype=torch.float64)
    solution = ts.solve(model, inputs)
    print(f"converged: {solution.converged.tolist()} in {solution.iterations.tolist()} iterations")
    for i, residual in enumerate(solution.residual.amax(dim=1)):
        print(f"largest residual after {i} iterations: {residual:.1e}")

# %%
# The gradient is the same
# ------------------------
# As an engine of training, the solver gives the gradient of the whole sequence; ``tauscope train --engine parallel`` uses it.

if __name__ == "__main__":
    weight = model.layers[0].weights()["rnn.weight_hh_l0"].parameters[0]
    gradients = []
    for options in ({"solver": Parallel()}, {}):
        states = ts.run(model, inputs, torch.Generator().manual_seed(0), **options).states
        gradients.append(torch.autograd.grad(states.square().mean(), weight)[0])
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    print(f"relative difference of the gradients: {difference:.1e}")

# %%
# Will it work for a network of mine?
# -----------------------------------
# A network can be solved in few iterations if nearby states meet: if its largest Lyapunov exponent is negative.

if __name__ == "__main__":
    result = ts.analysis.parallelizability(model, n_steps=500, timed=False)
    print(result.attrs["advice"])
    plot_iterations(result)
