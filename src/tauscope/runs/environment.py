"""What a result depends on beside its configuration: versions, processor, mode of arithmetic."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tauscope._lazy import torch
from tauscope.runs.config.own import package_of

SIMULATORS = ("gymnasium", "mujoco", "popgym", "minigrid", "ale_py")
"""Packages that environments come from or are computed by: returns differ between their versions."""

FLUSHED, KEPT = "flushed", "kept"
"""What becomes of subnormal numbers, see `tauscope.models.kernels.subnormals`."""


def environment(device: str, task: str = "") -> dict[str, Any]:
    """Return what a result depends on beside its configuration.

    Parameters
    ----------
    device : str
        Where the run computes.
    task : str
        Name of the run's task; of a task of another package, the version of that package is told too.

    Returns
    -------
    dict
        Versions, also of the packages of environments that this process has imported, git commit of the package, threads, device, processor, the path of its products, whether it flushes
        subnormal numbers where it trains or differentiates, time.

    Examples
    --------
    >>> environment("cpu")["device"]
    'cpu'
    """
    from tauscope._version import __version__
    from tauscope.models.kernels.gemm import product_path
    from tauscope.models.kernels.processor import model_name
    from tauscope.models.kernels.subnormals import can_flush

    source = Path(__file__).resolve().parents[1]
    git = ["git", "-C", str(source), "log", "-1", "--format=%H", "--", "."]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        commit = None
    package = package_of(task)
    drawn_by = {} if package is None else {package: getattr(sys.modules.get(package), "__version__", None)}
    return {
        "tauscope": __version__,
        "git_commit": commit,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "processor_model": model_name(),
        "products": {name: product_path(getattr(torch, name)) for name in ("float32", "bfloat16")},
        "subnormals": FLUSHED if can_flush() else KEPT,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "started": now(),
        **{name: told for name in SIMULATORS if (told := getattr(sys.modules.get(name), "__version__", None))},
        **drawn_by,
    }


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
