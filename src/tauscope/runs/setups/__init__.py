"""Systems, a module for each: the setups that `tauscope.runs.config.setup.SETUPS` names."""
