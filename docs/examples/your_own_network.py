"""
Measure your own network in five minutes
========================================

A network that was trained in plain PyTorch, from its file to a report.
"""

import tempfile
from pathlib import Path

import torch

import tauscope as ts
from tauscope.plotting.timescales import plot_autocorrelations

folder = Path(tempfile.mkdtemp())

# %%
# Your network
# ------------
# Here a GRU that says whether the number of ones among the last three bits of a stream is odd. It is trained as usual and
# leaves its weights in a file.


class Mine(torch.nn.Module):
    """A recurrent layer that is read out at the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.GRU(1, 32, batch_first=True)
        self.readout = torch.nn.Linear(32, 2)

    def forward(self, bits: torch.Tensor) -> torch.Tensor:
        """Answer streams of bits ``[batch, time, 1]`` with logits ``[batch, 2]``."""
        return self.readout(self.rnn(bits)[0][:, -1])


torch.manual_seed(0)
network = Mine()
optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(400):
    bits = torch.randint(2, (128, 12, 1)).float()
    odd = bits[:, -3:].sum(dim=(1, 2)).long() % 2
    loss = torch.nn.functional.cross_entropy(network(bits), odd)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"last loss: {loss.item():.4f}")
torch.save(network.state_dict(), folder / "mine.pt")

# %%
# Wrap it
# -------
# One line makes a network of the layer and its read-out, with their own parameters. ``nn.RNN``, ``nn.LSTM`` and the cells
# work as well, of several layers, with the batch first or not; what is bidirectional or projects its state is refused.
# Inputs of the wrapped network are always ``[time, batch, channel]``. Weights in a safetensors file are read by
# ``safetensors.torch.load_model(network, "mine.safetensors")``.

network = Mine()
network.load_state_dict(torch.load(folder / "mine.pt", weights_only=True))
model = ts.wrap(network.rnn, heads=network.readout)

# %%
# Any other network is a function ``step(x [batch, channel], h [batch, unit])``, for which `tauscope.wrap` also takes a module
# or a program of ``torch.export``: see :doc:`step_function`.
#
# Measure it
# ----------
# Timescales need nothing but the network. What asks for answers, or for the states that the network visits, needs its task:
# one of tauscope's that fits, or a class of your own (:doc:`recall_task`).

timescales = ts.analysis.timescales(model, n_trials=4, n_steps=5000, max_lag=60)
print(ts.analysis.timescales_summary(timescales).round(2).to_dataframe())
autocorrelations = plot_autocorrelations(timescales)

task = ts.Parity([3])
print(ts.evaluate(model, task, Ns=[3]).to_series())
points = ts.analysis.fixed_points(model, task, n_starts=50, n_trials=20)
print(f"{points.sizes['point']} fixed and slow points, {int((points.n_unstable == 0).sum())} of them stable")

# %%
# Report it
# ---------
# In a folder, network and task are read by all commands.

print(ts.save(model, folder / "mine", task=task).name)

# %%
# .. code-block:: bash
#
#    tauscope analyze timescales dimensionality fixed_points mine
#    tauscope report mine
#
# The first line keeps what it measures in ``mine/analysis``, the second writes ``mine/report.html``, one page with every
# figure and number. Recorded activity, of neurons or of a network that cannot be wrapped, is measured by
# ``tauscope analyze timescales --data FILE``.
