"""From a paper to its reproduction."""
