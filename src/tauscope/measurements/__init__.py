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
    "ablation",
    "perturbation_recurrent",
    "perturbation_tau",
    "retraining",
    "forgetting",
    "generalisation",
    "resolution",
    "parallelizability",
)
"""Keys of `MEASUREMENTS`, known without torch: a command line that misspells one is refused at once."""

WHAT: dict[str, tuple[str, ...]] = {name: (name,) for name in NAMES if not name.startswith("perturbation")} | {
    "perturbation": ("perturbation_recurrent", "perturbation_tau"),
    "all": tuple(name for name in NAMES if name != "retraining"),
}
"""What can be asked for, and the measurements that it means: "all" but retraining, which takes longer than all the others."""
