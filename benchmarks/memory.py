"""Peak memory of a training step, in a process of its own: ``python -m benchmarks.memory N THREADS`` prints bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Return the largest resident size that this process has had, in bytes.

    `resource.getrusage` would not do: a child inherits the peak of the process that started it.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def growth(N: int) -> int:
    """Return by how many bytes two training steps at N raise the peak of a process that has trained at N = 2."""
    from benchmarks import steps

    shortest, longest = steps.step("fp32", 2), steps.step("fp32", N)
    for _ in range(3):
        shortest()
    before = peak()
    for _ in range(2):
        longest()
    return peak() - before


def growths(Ns: list[int], threads: int) -> dict[int, int]:
    """Return the growth at every N, each measured in a fresh process; nothing where the system does not tell."""
    if not STATUS.exists():
        return {}
    command = [sys.executable, "-m", "benchmarks.memory"]
    root = Path(__file__).resolve().parents[1]
    sizes = {}
    for N in Ns:
        child = subprocess.run(
            [*command, str(N), str(threads)], cwd=root, check=True, stdout=subprocess.PIPE, text=True
        )
        sizes[N] = int(child.stdout)
    return sizes


def line(sizes: dict[int, int]) -> tuple[float, float]:
    """Return the slope of the straight line through peak memory against length, and the worst miss.

    Parameters
    ----------
    sizes : dict of int
        Growth of the peak in bytes for every length in time steps.

    Returns
    -------
    slope : float
        Bytes a time step.
    miss : float
        Largest distance from the line, as a fraction of the largest growth.
    """
    lengths, growth = np.array(list(sizes)), np.array(list(sizes.values()))
    slope, start = np.polyfit(lengths, growth, 1)
    return float(slope), float(np.abs(growth - slope * lengths - start).max() / growth.max())


if __name__ == "__main__":
    import torch

    from tauscope.models.kernels.gemm import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(int(sys.argv[2]))
    print(growth(int(sys.argv[1])))
