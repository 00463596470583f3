"""Words that figures, pages and the command line have in common."""

from __future__ import annotations


def count(n: int, what: str) -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> count(1, "network"), count(4, "network")
    ('1 network', '4 networks')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"
