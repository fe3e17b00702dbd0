"""The results of a method's runs: numbers, or marks of runs that diverged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoise.core.errors import described
from counterpoise.data.files.extras import require

Floats = NDArray[np.float64]
"""An array of 64-bit floating point numbers."""

DIVERGED: Final = "diverged"
"""What stands in place of a result where a run's loss was not finite."""

Run = float | Literal["diverged"]
"""What a run came to: a finite number, or :data:`DIVERGED`."""


def floats_of(name: str, values: ArrayLike) -> Floats:
    """Return the values as an array, or raise in the name of the argument.

    Raises:
        TypeError: If they are no numbers.
    """
    try:
        if values is None or isinstance(values, (str, bytes)):
            raise TypeError
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` should be numbers; found {described(values)}. Pass a list or an array."
        ) from None


def finite_values(name: str, values: ArrayLike) -> Floats:
    """Return the values as an array (N,), or raise in the name of the argument.

    Args:
        name: Of the argument, for the message.
        values: At least one number.

    Raises:
        ValueError: If there is no value, or one is not a finite number.

    Example:
        >>> finite_values("accuracies", [0.5, 0.75]).tolist()
        [0.5, 0.75]
    """
    x_N = floats_of(name, values)
    if x_N.ndim != 1 or not len(x_N) or not np.isfinite(x_N).all():
        raise ValueError(
            f"`{name}` should be a sequence of finite numbers, at least one; found "
            f"{np.array2string(x_N, threshold=7)}. Leave out what was not measured, and pass "
            f"{DIVERGED!r} for a run that diverged where that is taken."
        )
    return x_N


def numbers_of(name: str, runs: Sequence[Run], *, diverged: float | None) -> Floats:
    """Return runs as numbers, those that diverged at the value that they count with.

    Leaving diverged runs out would flatter the method that diverges. What they count with is the
    caller's to say: for an accuracy, that of guessing; for an order, minus infinity.

    Args:
        name: Of the argument, for the message.
        runs: N results; at least one.
        diverged: What a diverged run counts with. None: there should be none.

    Returns:
        The numbers, of shape (N,).

    Raises:
        ValueError: If a run diverged and ``diverged`` is None, or another is not a finite number.

    Example:
        >>> numbers_of("accuracies", [0.8, "diverged"], diverged=0.1).tolist()
        [0.8, 0.1]
    """
    if isinstance(runs, str) or not isinstance(runs, Iterable):
        raise TypeError(
            f"`{name}` should be the results of runs; found {described(runs)}. Pass a list."
        )
    if not (diverged is None or (isinstance(diverged, (int, float)) and not math.isnan(diverged))):
        raise TypeError(
            f"`diverged` should be a number; found {described(diverged)}. Pass what a diverged run "
            "counts with."
        )
    has_diverged = np.array([isinstance(run, str) and run == DIVERGED for run in runs], dtype=bool)
    if has_diverged.any() and diverged is None:
        raise ValueError(
            f"`diverged` should be what a diverged run counts with, as `{name}` holds "
            f"{int(has_diverged.sum())} of them; found None. Pass the accuracy of guessing."
        )
    x_N = finite_values(name, [0.0 if run == DIVERGED else run for run in runs])
    x_N[has_diverged] = np.nan if diverged is None else diverged
    return x_N


def scipy(part: str) -> Any:
    """Return a part of SciPy, "stats" of which takes a second to import.

    Raises:
        ImportError: If SciPy is not installed.
    """
    require("Statistics", "train", {"scipy": "scipy"})
    return import_module(f"scipy.{part}")


def student_tail(t: float, degrees: float) -> float:
    """Return the probability that Student's t exceeds a value.

    As ``scipy.stats.t.sf``, which takes a hundred times as long for checking its arguments.

    Example:
        >>> round(student_tail(2.776, 4), 4)
        0.025
    """
    return float(scipy("special").stdtr(degrees, -t))


def student_quantile(tail: float, degrees: float) -> float:
    """Return the value that Student's t exceeds with a probability.

    Example:
        >>> round(student_quantile(0.025, 4), 3)
        2.776
    """
    return -float(scipy("special").stdtrit(degrees, tail))
