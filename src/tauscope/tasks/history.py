"""History: continue a stream of vectors, each a linear function of the last vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, nearest, require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, weighted_mean, weighted_sums

if TYPE_CHECKING:
    from torch import Tensor

Code = tuple[int, int, int]

SOURCE = "Karuvally, Sejnowski & Siegelmann, ICML 2024 (arXiv 2402.10163), and published code"


def named_codes(dim: int) -> dict[str, Code]:
    """Return the named codes of `boundary_matrix`, which need at least as many lags as components.

    ``copy``: component i repeats component i of the oldest vector. ``cyclic``: component i repeats component i + 1 of
    the oldest vector, and the last component repeats the first; component 0 changes its sign, so that the stream repeats
    only after 2 · lags · dim steps. ``diagonal``: component i repeats itself after lags - i steps.

    Examples
    --------
    >>> named_codes(4)
    {'copy': (15, 0, 0), 'cyclic': (15, 21, 1), 'diagonal': (33825, 0, 0)}
    """
    every = 2**dim - 1
    return {
        "copy": (every, 0, 0),
        "cyclic": (every, sum(dim**i for i in range(dim - 1)), 1),
        "diagonal": (sum(1 << i * (dim + 1) for i in range(dim)), 0, 0),
    }


def parse_code(dim: int, code: str | Code) -> Code:
    """Return a code as three integers.

    Parameters
    ----------
    dim : int
        Number of components.
    code : str or (int, int, int)
        A name of `named_codes`, three integers, or their text such as ``"15,21,1"``.

    Raises
    ------
    InputError
        If the code has another form.

    Examples
    --------
    >>> parse_code(4, "cyclic"), parse_code(4, "15,21,1")
    ((15, 21, 1), (15, 21, 1))
    """
    named = named_codes(dim)
    if isinstance(code, str) and code in named:
        return named[code]
    try:
        a, b, c = (int(part) for part in (code.split(",") if isinstance(code, str) else code))
    except (TypeError, ValueError) as error:
        raise InputError(f"map {code!r} is unknown: {nearest(code, [*named, 'a,b,c'])}") from error
    return a, b, c


def boundary_matrix(dim: int, lags: int, code: str | Code) -> Tensor:
    """Return the matrix F of a history task, u_t = F · [u_{t-lags}; …; u_{t-1}], with one ±1 in each row.

    Parameters
    ----------
    dim : int
        Number d of components of a vector.
    lags : int
        Number s of vectors that are remembered.
    code : str or (int, int, int)
        Code, as in `parse_code`. In (a, b, c), the d set bits of a are the columns of the rows' entries, in ascending
        order; the digit q at place i of b in base d, least significant first, swaps the columns of rows i and i + q; a
        set bit i of c makes row i negative. Column k is component k mod d of block k // d; block 0 is the oldest vector.

    Returns
    -------
    Tensor [component, lag · component]
        Matrix F.

    Raises
    ------
    InputError
        If a does not have d bits among the first s · d, a digit of b has no row to swap with, or c has over d bits.

    Notes
    -----
    Source: the published code of Karuvally et al., ICML 2024.

    Examples
    --------
    >>> boundary_matrix(2, 2, (3, 1, 1)).int()
    tensor([[ 0, -1,  0,  0],
            [ 1,  0,  0,  0]], dtype=torch.int32)
    """
    entries = _entries(dim, lags, code)
    F = torch.zeros(dim, lags * dim, dtype=torch.float32, device="cpu")
    for i, (column, sign) in enumerate(entries):
        F[i, column] = sign
    return F


def _entries(dim: int, lags: int, code: str | Code) -> list[tuple[int, float]]:
    """Return column and sign of the entry of every row of F, without torch, so that options can be judged without it."""
    require_count("dim", dim)
    require_count("lags", lags)
    a, b, c = parse_code(dim, code)
    columns = [k for k in range(lags * dim) if a >> k & 1] if a >= 0 else []
    if len(columns) != dim or a >= 2 ** (lags * dim):
        raise InputError(
            f"map {code}: a = {a} selects {len(columns)} of {lags * dim} columns: expected {dim}, each once"
        )
    for i in range(dim):
        q = b // dim**i % dim
        if q >= dim - i:
            raise InputError(f"map {code}: digit {q} at place {i} of b = {b}: expected 0 ... {dim - i - 1}")
        columns[i], columns[i + q] = columns[i + q], columns[i]
    if not 0 <= b < dim**dim:
        raise InputError(f"map {code}: b = {b}: expected 0 ... {dim**dim - 1}, {dim} digits in base {dim}")
    if not 0 <= c < 2**dim:
        raise InputError(f"map {code}: c = {c}: expected 0 ... {2**dim - 1}, a bit for each row")
    return [(column, -1.0 if c >> i & 1 else 1.0) for i, column in enumerate(columns)]


def continuation(boundary: Tensor, n_steps: int) -> Tensor:
    """Return the matrices that compute future vectors from the last vectors.

    Parameters
    ----------
    boundary : Tensor [component, lag · component]
        F of u_t = F · [u_{t-s}; …; u_{t-1}].
    n_steps : int
        Number of future vectors.

    Returns
    -------
    Tensor [step, component, lag · component]
        Matrices P with u_{t+k} = P_k · [u_{t-s}; …; u_{t-1}]; exact where F has one ±1 in each row.

    Examples
    --------
    >>> continuation(torch.tensor([[1.0, 1.0]]), 4)[:, 0]
    tensor([[1., 1.],
            [1., 2.],
            [2., 3.],
            [3., 5.]])
    """
    dim, size = boundary.shape
    window, steps = torch.eye(size, dtype=boundary.dtype, device=boundary.device), []
    for _ in range(n_steps):
        steps.append(boundary @ window)
        window = torch.cat([window[dim:], steps[-1]])
    return torch.stack(steps)


# Cached: every batch of a stage needs the matrices, and computing them takes as long as a training step.
@lru_cache(maxsize=16)
def _continuation_of(dim: int, lags: int, code: str, horizon: int) -> Tensor:
    return continuation(boundary_matrix(dim, lags, code), horizon)


@dataclass(frozen=True)
class History(Task):
    """Continue a stream of vectors of ±1, each of which repeats entries of the last vectors.

    Independent fair vectors u_0, u_1, … are shown for ``lags`` steps. Then the input is 0 for ``horizon`` steps, and the
    answer at each step is the vector u_t = F · [u_{t-lags}; …; u_{t-1}] of the stream. The loss is the mean squared
    error; the score is the fraction of components with the right sign, where an output of 0 counts as +1.

    Attributes
    ----------
    dim : int
        Number d of components, each an input channel and an output.
    lags : int
        Number s of vectors to remember.
    map : str
        Repeated entries: ``copy``, ``cyclic``, ``diagonal``, or a code of `boundary_matrix` such as ``15,21,1``.
    horizon : int
        Number of steps with an answer.

    Notes
    -----
    Source: Karuvally, Sejnowski & Siegelmann, ICML 2024 (arXiv 2402.10163), and published code. The defaults are the
    published ones: T1 is ``copy``, T2 ``diagonal``, T3 and T4 are (9241421688590303745, 262676, 189) and
    (9241421688590303745, 38637, 145).

    Examples
    --------
    >>> task = History(dim=2, lags=2, horizon=3)
    >>> batch = task.sample(1, torch.Generator().manual_seed(0))
    >>> batch.inputs[:, 0].tolist()
    [[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    >>> batch.targets[:, 0, 0].tolist()
    [[-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]
    """

    dim: int = 8
    lags: int = 8
    map: str = "copy"
    horizon: int = 10

    source: ClassVar[str] = SOURCE
    metric: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        require_count("horizon", self.horizon)
        _entries(self.dim, self.lags, self.map)

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels."""
        return self.dim

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: the next vector."""
        return {OUT: Head(self.dim, 0.5, 1.0)}

    @property
    def n_steps(self) -> int:
        """Length of a trial."""
        return self.lags + self.horizon

    @property
    def boundary(self) -> Tensor:
        """The matrix F, ``[component, lag · component]``."""
        return boundary_matrix(self.dim, self.lags, self.map)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [lags + horizon, batch, component]``; ``targets [horizon, batch, 1, component]``.
        """
        del split
        require_draw(batch_size, generator)
        shape = (self.lags, batch_size, self.dim)
        bits = torch.randint(2, shape, generator=generator, device=generator.device)
        return self.batch_of(2 * bits.float() - 1)

    def batch_of(self, shown: Tensor) -> Batch:
        """Make the batch of given vectors.

        Parameters
        ----------
        shown : Tensor [lag, batch, component]
            Vectors to show, the oldest first.

        Returns
        -------
        Batch
            Batch as returned by `sample`.
        """
        past = shown.transpose(0, 1).flatten(1)
        to_come = _continuation_of(self.dim, self.lags, self.map, self.horizon).to(past)
        targets = torch.tensordot(to_come, past, dims=([2], [1])).transpose(1, 2)
        silence = shown.new_zeros(self.horizon, *shown.shape[1:])
        return Batch(torch.cat([shown, silence]), targets.unsqueeze(-2).contiguous())

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of ``outputs [answer, batch, 1, component]``, ``[1]``."""
        return weighted_mean((outputs - batch.targets).square().mean(dim=-1), batch.weight)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the number of components with the right sign, and the number of all components, ``[1]`` each."""
        right = ((outputs >= 0) == (batch.targets > 0)).to(outputs.dtype).sum(dim=-1)
        part, whole = weighted_sums(right, batch.weight)
        return part, self.dim * whole
