"""Training steps of equal size that are compared: data, forward pass, loss, backward pass, clipping, optimiser."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import tauscope as ts
from benchmarks.limit import BATCH, UNITS, Work
from tauscope.learning.training import _step
from tauscope.models.cell import State


def n_bits(N: int) -> int:
    """Return the mean length of a sequence when the largest N is N."""
    return round(N + 2 + 1.5 * N)


class ElmanCell(ts.Cell):
    """`torch.nn.RNN` with ReLU."""

    def __init__(self, n_inputs: int, n_units: int) -> None:
        super().__init__(n_inputs, n_units)
        self.rnn = nn.RNN(n_inputs, n_units, nonlinearity="relu")

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state; private noise has no place here."""
        del noise
        return (self.rnn(x.unsqueeze(0), state[0].unsqueeze(0))[1][0],)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by torch's kernel, which knows neither noise nor held states."""
        del noise, hold
        outputs, last = self.rnn(inputs, state[0].unsqueeze(0))
        return outputs, (last[0],)


def network(kind: str, device: str = "cpu") -> ts.Model:
    """Return a network of 500 units with 100 heads."""
    generator = torch.Generator(device).manual_seed(0)
    if kind in ("gru", "lstm"):
        return ts.build_model(kind, UNITS, generator=generator)
    if kind == "rnn":
        cell = ElmanCell(1, UNITS).to(device)
        return ts.Model([cell], ts.Heads(UNITS, [f"N{N}" for N in range(2, 102)], 2, False, generator))
    return ts.LeakyRNN(UNITS, precision=kind, generator=generator)


def training(kind: str, N: int, device: str = "cpu") -> ts.Training:
    """Return the multi-head curriculum at 2 … N, with sequences of the mean length."""
    curriculum = ts.Curriculum(ts.cumulative(start=N - 1, last=N))
    return ts.Training(network(kind, device), ts.Parity(length=n_bits(N)), curriculum, ts.Recipe(batch_size=BATCH))


def step(kind: str, N: int, device: str = "cpu") -> Work:
    """Return a training step of tauscope's loop, for one of its networks or of torch's."""
    state = training(kind, N, device)
    for module in state.model.modules():
        if isinstance(module, nn.RNNBase):
            # Without this, cuDNN gathers the weights anew at every step.
            module.flatten_parameters()

    return lambda: _step(state)


def data(N: int) -> Work:
    """Return the data generation of a training step."""
    state = training("fp32", N)
    return lambda: state.task.sample(BATCH, state.generators["data"])


def published_step(folder: Path, N: int) -> Work:
    """Return a training step of the published network on its own data.

    Parameters
    ----------
    folder : Path
        Checkout of LevinaLab/rnn_timescale_public, imported as it is; only the device that it picks by itself is set.
    N : int
        Largest N.

    Returns
    -------
    callable
        Takes one step.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module, tasks = importlib.import_module("src.models.RNN_Stack"), importlib.import_module("src.tasks")
    module.device = torch.device("cpu")  # type: ignore[attr-defined]
    model = module.init_model()
    optimizer = _sgd(model)
    criterion, Ns = nn.CrossEntropyLoss(), list(range(2, N + 1))
    seed = _seed_of_length(n_bits(N), N + 2, 4 * N + 2)

    def work() -> float:
        # It draws the length from NumPy's global generator.
        np.random.seed(seed)  # noqa: NPY002
        sequences, labels = tasks.make_batch_Nbit_pair_parity(Ns, BATCH)
        optimizer.zero_grad()
        _, logits = model(sequences)
        loss = torch.stack([criterion(ours, theirs) for ours, theirs in zip(logits, labels, strict=False)]).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)
        optimizer.step()
        return loss.item()

    return work


def neuralrnn_version() -> str:
    """Return the version of NeuralRNN; raises `ImportError` if it, or what it needs, is not installed."""
    return importlib.import_module("neuralrnn").__version__


def neuralrnn_step(N: int) -> Work:
    """Return a training step of NeuralRNN's `CTRNNModel` on our data, by its documented interface.

    Its equation is that of our default form with one time constant for all units, z ← φ((1 - α) z + α (W z + b + W_in x)),
    its read-out that of all heads, of which the last step alone enters the loss.

    Parameters
    ----------
    N : int
        Largest N.

    Returns
    -------
    callable
        Takes one step.

    Raises
    ------
    ImportError
        If NeuralRNN, or what it needs, is not installed.
    """
    ctrnn = importlib.import_module("neuralrnn.models.ctrnn")
    config = ctrnn.CTRNNConfig(
        input_dim=1, latent_dim=UNITS, output_dim=2 * (N - 1), alpha=2 / 3, activation="leaky_relu",
        nonlinearity_mode="post_blend",
    )  # fmt: skip
    model, generator = ctrnn.CTRNNModel(config), torch.Generator().manual_seed(0)
    task, optimizer = ts.Parity(range(2, N + 1), length=n_bits(N)), _sgd(model)

    def work() -> float:
        batch = task.sample(BATCH, generator)
        optimizer.zero_grad()
        logits = model(batch.inputs.transpose(0, 1)).outputs[:, -1].reshape(-1, 2)
        loss = (N - 1) * nn.functional.cross_entropy(logits, batch.targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)
        optimizer.step()
        return loss.item()

    return work


def _sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.1, nesterov=True)


def _seed_of_length(length: int, low: int, high: int) -> int:
    """Return a seed with which the first integer that NumPy draws from [low, high) is the given one."""
    return next(seed for seed in itertools.count() if np.random.RandomState(seed).randint(low, high) == length)
