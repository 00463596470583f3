"""Every measurement by name: how it is made of a trained network, drawn, and put in a few numbers."""

from typing import TYPE_CHECKING

from tauscope._lazy import exports
from tauscope.measurements.asking import WHAT, askable
from tauscope.measurements.measurement import Measurement
from tauscope.measurements.registry import MEASUREMENTS

if TYPE_CHECKING:
    from tauscope.measurements.numbers import number_table
    from tauscope.measurements.subject import Subject
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.measurements.numbers": ("number_table",),
            "tauscope.measurements.subject": ("Subject",),
        },
    )

__all__ = ["MEASUREMENTS", "WHAT", "Measurement", "Subject", "askable", "number_table"]
