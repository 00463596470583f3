"""What defines a run: every option of ``tauscope train``, its default, and the folder it is kept in."""

from tauscope.runs.config.composed import Config
from tauscope.runs.config.kinds import config_of, kind_of, task_names
from tauscope.runs.config.own import allow, is_own
from tauscope.runs.config.setup import SETUPS

__all__ = ["SETUPS", "Config", "allow", "config_of", "is_own", "kind_of", "task_names"]
