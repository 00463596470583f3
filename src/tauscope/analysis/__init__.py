"""How a network remembers: one file per measurement, each a pure function."""
