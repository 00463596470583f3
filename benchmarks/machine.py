"""What a measurement depends on beside the code: the processor, its threads, and how this process computes."""

from __future__ import annotations

import os
import platform

import torch

from tauscope.models.kernels.gemm import FORCED, product_path
from tauscope.models.kernels.processor import instruction_sets, model_name, vendor


def description(flushed: bool) -> list[str]:
    """Return the lines that stand above every table.

    Parameters
    ----------
    flushed : bool
        Whether training takes subnormal numbers for zero on this processor.

    Returns
    -------
    list of str
        Versions and load; the processor and its threads; the path of products; what becomes of subnormal numbers.
    """
    n_threads = torch.get_num_threads()
    threads = f"{n_threads} thread{'s' if n_threads > 1 else ''} on {os.cpu_count()} processors"
    paths = ", ".join(f"{name} {product_path(dtype)}" for name, dtype in _PRECISIONS.items())
    forced = f" ({FORCED}={os.environ[FORCED]})" if os.environ.get(FORCED) else ""
    return [
        f"Python {platform.python_version()}, torch {torch.__version__}; "
        f"load average before the start {os.getloadavg()[0]:.1f}",
        f"processor: {vendor()}, {model_name()} ({', '.join(instruction_sets()) or 'instruction sets unknown'}); {threads}",
        f"products of tauscope: {paths}{forced}",
        "subnormal numbers: "
        + ("flushed to zero, as in training" if flushed else "kept, this processor cannot flush them"),
    ]


_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
