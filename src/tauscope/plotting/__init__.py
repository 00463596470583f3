"""Figures: each function takes results and returns Axes."""
