"""Which processor this is: what the fastest way to compute depends on."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "ARM": "arm", "Apple": "arm"}
_SETS = {
    "avx": "AVX",
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
    "asimd": "NEON",
    "sve": "SVE",
}


@functools.cache
def _described() -> dict[str, str]:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        first = _CPUINFO.read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


@functools.cache
def vendor() -> str:
    """Return who made the processor: "intel", "amd", "arm" or "unknown".

    Examples
    --------
    >>> vendor() in ("intel", "amd", "arm", "unknown")
    True
    """
    told = " ".join((_described().get("vendor_id", ""), platform.processor(), platform.machine()))
    known = [name for mark, name in _VENDORS.items() if mark.lower() in told.lower()]
    return known[0] if known else "arm" if "aarch64" in told.lower() else "unknown"


def model_name() -> str:
    """Return the processor's name as the system gives it.

    Examples
    --------
    >>> model_name() != ""
    True
    """
    return _described().get("model name") or platform.processor() or platform.machine() or "unknown"


def instruction_sets() -> tuple[str, ...]:
    """Return the vector and matrix instructions that products can use; nothing where the system does not tell.

    Examples
    --------
    >>> isinstance(instruction_sets(), tuple)
    True
    """
    flags = set((_described().get("flags") or _described().get("features", "")).split())
    return tuple(name for flag, name in _SETS.items() if flag in flags)
