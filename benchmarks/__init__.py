"""How close training comes to the limit of the machine: ratios measured side by side in one process."""
