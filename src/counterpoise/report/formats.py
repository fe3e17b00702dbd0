"""Numbers, intervals, durations and lists as people read them: one way for every page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from counterpoise.core.errors import check_count
from counterpoise.core.fields import check_fields

MISSING: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_TIED: Final = "\N{NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Format:
    """How a quantity is written, in tables, in prose and under the pointer.

    Args:
        digits: Digits after the point.
        factor: What a value is multiplied by first: 100 shows a share as percent.
        signed: Whether positive values carry a sign, as differences do. Zero never does.
        least: The smallest value that is written out; one in [0, `least`) reads "< `least`".
            Default: none.

    Example:
        >>> Format(1, factor=100, signed=True)(0.0123), Format(1)(-0.04), Format(2)(1234.5)
        ('+1.2', '0.0', '1,234.50')
    """

    digits: int = 2
    factor: float = 1.0
    signed: bool = False
    least: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_count("digits", self.digits, at_least=0)

    def __call__(self, value: float) -> str:
        """Write a value: NaN and infinity by name, never a zero with a sign."""
        value = float(value)
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "∞" if value > 0 else f"{_MINUS}∞"
        if self.least is not None and 0 <= value < self.least:
            return f"< {self.least:g}"
        shown = round(self.factor * value, self.digits) + 0.0  # adding 0.0 turns -0 into 0
        sign = "+" if self.signed and shown else ""
        return f"{shown:{sign},.{self.digits}f}".replace("-", _MINUS)


def decimals(digits: int) -> Format:
    """The format of so many digits after the point."""
    return Format(digits)


PERCENT: Final = Format(1, factor=100)
"""A share in [0, 1] in percent, one decimal: the unit stands in the heading."""
POINTS: Final = Format(1, factor=100, signed=True)
"""A difference of shares in percentage points, with its sign."""
NUMBER: Final = Format(2)
"""Any other quantity."""


@dataclass(frozen=True)
class _PValue(Format):
    """Probabilities of a test, to two significant digits."""

    def __call__(self, value: float) -> str:
        return "< 0.0001" if 0 <= value < 1e-4 else significant(value, 2)


@dataclass(frozen=True)
class _Factor(Format):
    """Factors near 1 with two decimals, very small and very large ones with a power of ten."""

    def __call__(self, value: float) -> str:
        plain = not math.isfinite(value) or value == 0 or 0.1 <= abs(value) < 1e6
        return super().__call__(value) if plain else significant(value, 2)


P_VALUE: Final = _PValue()
FACTOR: Final = _Factor()


def interval(mean: float, low: float | None, high: float | None, form: Format = NUMBER) -> str:
    """A mean with its interval on one line: the spaces in it do not break.

    Args:
        mean: The mean.
        low: The lower end; None or NaN where there is no interval.
        high: The upper end.
        form: How all three are written.

    Example:
        >>> interval(0.012, -0.004, 0.028, POINTS).replace(chr(160), " ")
        '+1.2 (\N{MINUS SIGN}0.4 to +2.8)'
        >>> interval(0.5, None, None)
        '0.50'
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return form(mean)
    return f"{form(mean)} ({form(low)} to {form(high)})".replace(" ", _TIED)


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with three digits.

    Example:
        >>> milliseconds(0.00987), milliseconds(0.0443), milliseconds(1.2345)
        ('9.87', '44.3', '1,234')
    """
    value = 1000 * seconds
    return f"{value:,.{max(0, 2 - max(0, math.floor(math.log10(value or 1))))}f}"


def duration(seconds: float) -> str:
    """A length of time in the two units that tell it best.

    Example:
        >>> duration(0.43), duration(7.6), duration(116), duration(4021)
        ('0.43 s', '7.6 s', '1 min 56 s', '1 h 07 min')
    """
    if seconds < 60 and round(seconds) < 60:
        whole = seconds >= 10 or seconds == round(seconds)
        return f"{seconds:.0f} s" if whole else f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def significant(value: float, digits: int) -> str:
    """A number to so many digits, very large and very small ones with a power of ten.

    Example:
        >>> significant(0.01234, 2), significant(2.04e-15, 2), significant(1e-6, 2)
        ('0.012', '2·10⁻¹⁵', '10⁻⁶')
    """
    if not math.isfinite(value):
        return NUMBER(value)
    mantissa, _, exponent = f"{value + 0.0:.{digits}g}".partition("e")
    mantissa = "0" if mantissa == "-0" else mantissa.replace("-", _MINUS)
    if not exponent:
        return mantissa
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return {"1": power, f"{_MINUS}1": f"{_MINUS}{power}"}.get(mantissa, f"{mantissa}·{power}")


def enumerate_words(words: Sequence[str]) -> str:
    """Words as a sentence lists them; "none" where there are none.

    Example:
        >>> enumerate_words(["AGM", "Joint", "OGM"]), enumerate_words([])
        ('AGM, Joint and OGM', 'none')
    """
    if not words:
        return "none"
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last
