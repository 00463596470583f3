"""How many parameters a network that multiplies state and input has, and the largest one within a budget; without torch."""

from __future__ import annotations

from collections.abc import Callable

from tauscope.errors import InputError, require_at_least, require_choice

_RECURRENT: dict[str, Callable[[int, int, int], int]] = {
    "elman": lambda n, V, _: V * n + n * n + n,
    "cp": lambda n, V, R: 2 * n * R + V * R + V * n + n * n + n,
    "mi": lambda n, V, _: V * n + n * n + 4 * n,
    "second_order": lambda n, V, _: (n + 1) * (V + 1) * n,
    "bilinear": lambda n, V, _: n * n * V,
}


def count_parameters(cell: str, n_units: int, n_characters: int, rank: int = 0) -> int:
    """Return the number of parameters of a network that reads and predicts characters, its read-out included.

    Parameters
    ----------
    cell : str
        A key of `tauscope.models.SECOND_ORDER`.
    n_units, n_characters : int
        Units, and characters of the vocabulary.
    rank : int
        Of the second-order term, for ``"cp"`` alone.

    Raises
    ------
    InputError
        If there is no such cell.

    Notes
    -----
    Source: Lizaire et al., ICML 2024, whose published pairs of units and rank these give.

    Examples
    --------
    >>> count_parameters("cp", 128, 101, rank=192)
    111013
    """
    require_choice("cell", cell, _RECURRENT)
    return _RECURRENT[cell](n_units, n_characters, rank) + (n_units + 1) * n_characters


def largest_n(cell: str, budget: int, n_characters: int, rank: int = 0) -> int:
    """Return the largest number of units with which a network stays within a budget of parameters.

    Parameters
    ----------
    cell, n_characters, rank
        As in `count_parameters`.
    budget : int
        Parameters at most.

    Raises
    ------
    InputError
        If not even one unit does.

    Examples
    --------
    >>> largest_n("elman", 15_000, 65), largest_n("second_order", 15_000, 65)
    (73, 14)
    """
    return _largest(lambda n: count_parameters(cell, n, n_characters, rank), 1, budget)


def largest_rank(n_units: int, budget: int, n_characters: int) -> int:
    """Return the largest rank with which a network of CP terms stays within a budget of parameters.

    Parameters
    ----------
    n_units, n_characters : int
        As in `count_parameters`.
    budget : int
        Parameters at most.

    Raises
    ------
    InputError
        If not even rank 0 does.

    Examples
    --------
    >>> largest_rank(32, 15_000, 65)
    75
    """
    return _largest(lambda rank: count_parameters("cp", n_units, n_characters, rank), 0, budget)


def _largest(count: Callable[[int], int], least: int, budget: int) -> int:
    """Return the largest number whose count is within a budget; counts rise."""
    require_at_least("budget", budget, 1)
    if count(least) > budget:
        raise InputError(f"budget is {budget}: expected at least {count(least)} (nearest valid value: {count(least)})")
    low, high = least, least + 1
    while count(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget else (low, middle)
    return low
