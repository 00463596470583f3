"""Every measurement, declared in one place: from here come the names, flags, costs and texts of all of them.

Nothing here imports torch: functions are named, and imported when they are called.
"""

from __future__ import annotations

from tauscope.measurements.measurement import Listed
from tauscope.measurements.registry.activity import ACTIVITY
from tauscope.measurements.registry.answers import ANSWERS
from tauscope.measurements.registry.dynamics import DYNAMICS

MEASUREMENTS: dict[str, Listed] = ACTIVITY | ANSWERS | DYNAMICS
