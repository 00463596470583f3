"""What a measurement is: how one thing is measured and shown, and what the package says of those that it knows by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tauscope._lazy import xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tauscope.measurements.subject import Subject


@dataclass(frozen=True)
class Measurement:
    """How one thing is measured and shown.

    Attributes
    ----------
    measure : callable
        From a `Subject`, and further options as keywords, to a Dataset. The options of those in `MEASUREMENTS` are the
        keywords of their functions in `tauscope.analysis`, which for a network that answers trials are those of
        `tauscope.analysis.trials`; in the place of a ``protocol`` or ``recipe`` those of `tauscope.analysis.Protocol`
        and `tauscope.Recipe`, and in the place of ``Ns`` how many there are: ``n_Ns`` of retraining, ``beyond`` the
        trained ones of forgetting and generalisation.
    figures : dict
        Functions from the Dataset and the `Subject` to Axes, by the figure's name.
    numbers : callable
        From the Dataset to a few numbers by their names, units included.
    lacks : callable
        From a `Subject` to what it lacks to be measured so, in words; empty if it lacks nothing.
    """

    measure: Callable[..., xr.Dataset]
    figures: Mapping[str, Callable[[xr.Dataset, Subject], Axes]]
    numbers: Callable[[xr.Dataset], dict[str, float]]
    lacks: Callable[[Subject], str] = lambda _: ""


@dataclass(frozen=True)
class Function:
    """A function of this package, imported when it is called: to know a measurement imports neither torch nor figures.

    Attributes
    ----------
    where : str
        ``"module:name"`` below ``tauscope``.
    given : dict
        Arguments that it is always called with.

    Examples
    --------
    >>> Function("_words:count", {"n": 2})(what="trial")
    '2 trials'
    """

    where: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function."""
        module, name = self.where.split(":")
        return getattr(import_module(f"tauscope.{module}"), name)(*arguments, **self.given, **options)


@dataclass(frozen=True)
class Figure:
    """A figure of a measurement.

    Attributes
    ----------
    where : str
        ``"module:name"`` of its function below ``tauscope.plotting``.
    caption : str
        What it shows.
    arguments : callable
        From the Dataset and the `Subject` to the arguments of the function; by default the Dataset alone.
    """

    where: str
    caption: str
    arguments: Callable[[xr.Dataset, Subject], tuple[Any, ...]] = lambda result, _: (result,)

    def __call__(self, result: xr.Dataset, subject: Subject) -> Axes:
        """Draw the figure of a result."""
        axes: Axes = Function(f"plotting.{self.where}")(*self.arguments(result, subject))
        return axes


@dataclass(frozen=True, kw_only=True)
class Listed(Measurement):
    """A measurement that ``tauscope analyze`` and ``tauscope report`` know by its name.

    Attributes
    ----------
    measure : Function
        Its keywords are options of the measurement.
    hands_on : tuple of str
        Functions and dataclasses, as ``"module:name"``, to which it hands on all other options.
    figures : dict of Figure
        By the figure's name.
    cost : float
        Processor seconds for a leaky network of 100 units that solved N = 12, that of ``make demo``, with all defaults.
    title, about : str
        Heading of the section in a report, and description of the measurement.
    about_trials : str
        Description of the measurement of networks that answer trials, if it differs.
    main : tuple of str
        Patterns (`fnmatch`) of the names of the main numbers, which are plotted against N.
    asked_as : str
        Word that asks for it together with others; by default it is asked for by its own name.
    in_all : bool
        Whether "all" means it too.
    """

    measure: Function
    figures: Mapping[str, Figure]
    hands_on: tuple[str, ...] = ()
    cost: float
    title: str
    about: str
    about_trials: str = ""
    main: tuple[str, ...]
    asked_as: str = ""
    in_all: bool = True

    def said(self, results: Iterable[xr.Dataset]) -> str:
        """Return the descriptions of the measurement that apply to the networks of some results."""
        kinds = dict.fromkeys(self.about_trials if "task" in result.attrs else "" for result in results)
        return " ".join(dict.fromkeys(kind or self.about for kind in kinds))


def made(name: str, **given: str) -> Function:
    """Return the function of `tauscope.measurements.making` that measures, or says what is lacking."""
    return Function(f"measurements.making:{name}", given)


def numbers_of(name: str) -> Function:
    """Return the function of `tauscope.measurements.numbers` that sums a result up."""
    return Function(f"measurements.numbers:{name}")
