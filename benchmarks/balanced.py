"""Training steps of balanced networks: small ones against a plain loop in PyTorch, a large one against the GEMM limit."""

from __future__ import annotations

import math

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.limit import Work
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.learning.state import Training
from tauscope.learning.training import _step
from tauscope.models import BalancedRNN
from tauscope.models.kernels.gemm import matmul_nt
from tauscope.tasks import Stage, Tracking

SPEEDUP, TARGET = 5.0, 1.3
PUBLISHED_UNITS, PUBLISHED_BATCH = 100, 10
LENGTHS = (50, 250)
"""Steps of a trial; the first is the published one."""
LARGE_UNITS, LARGE_BATCH, LARGE_STEPS = 1000, 256, 50
"""A size at which products take most of the time; noise alone takes a tenth of it."""


def step(n_units: int, batch_size: int, n_steps: int) -> Work:
    """Return a training step of tauscope's loop on one signal: data, noise, both passes, penalty, optimiser."""
    model = BalancedRNN(n_units, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(
        epochs=1,
        batch_size=batch_size,
        optimizer="adam",
        lr=1e-3,
        clip=math.inf,
        activity_cost=1e-4,
        activity="answers",
    )
    curriculum = Curriculum([Stage("tracking")], Criterion(Tracking.metric, epochs=1))
    state = Training(model, Tracking(n_steps=n_steps), curriculum, recipe)

    return lambda: _step(state)


def plain_step(n_units: int, batch_size: int, n_steps: int) -> Work:
    """Return the same step as one writes it down: a loop over time, left to autograd."""
    generator = torch.Generator().manual_seed(0)
    model, task = BalancedRNN(n_units, generator=generator), Tracking(n_steps=n_steps)
    names = ("cells.0.recurrent.weight", "cells.0.input.weight", "heads.linears.0.weight")
    J, w_in, w_out = weights = [model.get_parameter(name) for name in names]
    optimizer, off_diagonal = torch.optim.Adam(weights, lr=1e-3), 1 - torch.eye(n_units)
    rest, dt = model.hidden(model.initial_state(batch_size)), task.dt

    def work() -> float:
        signal = task.mean + task.std * _signals(task, batch_size, generator)
        x, loss = rest, torch.zeros(())
        W = (J * off_diagonal).t()
        for t in range(n_steps):
            x = x + dt * (-x + torch.relu(x) @ W + signal[t] @ w_in.t())
            x = x + math.sqrt(dt) * torch.randn(batch_size, n_units, generator=generator)
            if t >= n_steps - task.n_answers:
                error = torch.relu(x) @ w_out.t() / n_units - signal[t]
                loss = loss + error.square().sum() + 1e-4 * x.square().sum()
        loss = loss / (batch_size * n_steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return work


def products() -> Work:
    """Return the three products of every time step of the large network, by the path that tauscope takes."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(LARGE_BATCH, LARGE_UNITS, generator=generator)
    b = torch.randn(3, LARGE_UNITS, LARGE_UNITS, generator=generator)

    def work() -> None:
        for _ in range(LARGE_STEPS):
            for one in b:
                matmul_nt(a, one)

    return work


def timings(rounds: int) -> list[Timing]:
    """Time small networks of both lengths against the plain loop, and a large one against the GEMM limit."""
    found = []
    for n_steps in LENGTHS:
        size = PUBLISHED_UNITS, PUBLISHED_BATCH, n_steps
        found += interleaved({LIMIT: plain_step(*size), "tauscope": step(*size)}, 1, n_steps, rounds)
    rows = {LIMIT: products(), "tauscope": step(LARGE_UNITS, LARGE_BATCH, LARGE_STEPS)}
    return [*found, *interleaved(rows, 1, LARGE_STEPS, rounds)]


def table(found: list[Timing]) -> Table:
    """Return the table: how many times as fast as the plain loop, how many times the GEMM limit; "!" misses the target."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("balanced networks, a training step", "ms", "against"):
        result.add_column(heading, no_wrap=True)
    for reference, ours in zip(found[::2], found[1::2], strict=True):
        large = ours is found[-1]
        size = f"{LARGE_UNITS} units, {LARGE_BATCH}" if large else f"{PUBLISHED_UNITS} units, {PUBLISHED_BATCH}"
        kind = "GEMM limit" if large else "plain PyTorch loop"
        result.add_row(f"{kind}, {size} trials of {ours.n_bits} steps", f"{1e3 * reference.median_seconds:.2f}", "")
        low, high = ours.spread
        if large:
            missed, text = ours.ratio > TARGET, f"{ours.ratio:.2f} ± {(high - low) / 2:.2f} of the limit"
        else:
            missed = 1 / ours.ratio < SPEEDUP
            text = f"{1 / ours.ratio:.1f} ± {(1 / low - 1 / high) / 2:.1f} times as fast"
        result.add_row("tauscope", f"{1e3 * ours.median_seconds:.2f}", f"{'! ' if missed else ''}{text}")
    return result


def _signals(task: Tracking, batch_size: int, generator: torch.Generator) -> Tensor:
    """Draw Ornstein-Uhlenbeck signals ``[time, batch, 1]`` of variance 1, step by step."""
    noise = torch.randn(task.n_steps, batch_size, 1, generator=generator)
    signal = [noise[0]]
    for one in noise[1:]:
        signal.append(task.rho * signal[-1] + math.sqrt(1 - task.rho**2) * one)
    return torch.stack(signal)
