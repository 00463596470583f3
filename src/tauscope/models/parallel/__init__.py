"""Recurrences solved for all steps at once: affine ones directly, all others by iteration, and their exact gradients."""
