"""Every measurement by name: how it is made of a trained network, drawn, and put in a few numbers."""

from typing import TYPE_CHECKING

from tauscope._lazy import exports

if TYPE_CHECKING:
    from tauscope.measurements.numbers import number_table
    from tauscope.measurements.registry import MEASUREMENTS, Measurement, askable
    from tauscope.measurements.subject import Subject
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.measurements.numbers": ("number_table",),
            "tauscope.measurements.registry": ("MEASUREMENTS", "Measurement", "askable"),
            "tauscope.measurements.subject": ("Subject",),
        },
    )

__all__ = ["MEASUREMENTS", "NAMES", "WHAT", "Measurement", "Subject", "askable", "number_table"]

NAMES = (
    "performance",
    "timescales",
    "dimensionality",
    "sequentiality",
    "connectivity",
    "balance",
    "lyapunov",
    "fixed_points",
    "ablation",
    "perturbation_recurrent",
    "perturbation_tau",
    "perturbation_error",
    "memory_function",
    "retraining",
    "forgetting",
    "generalisation",
    "resolution",
    "reactivation",
    "parallelizability",
)
"""Keys of `MEASUREMENTS`, known without torch: a command line that misspells one is refused at once."""

_PERTURBATIONS = ("perturbation_recurrent", "perturbation_tau")

WHAT: dict[str, tuple[str, ...]] = {name: (name,) for name in NAMES if name not in _PERTURBATIONS} | {
    "perturbation": _PERTURBATIONS,
    "all": tuple(name for name in NAMES if name != "retraining"),
}
"""What can be asked for, and the measurements that it means: "all" but retraining, which takes longer than all the others."""
