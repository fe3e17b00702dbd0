"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["decimals", "percent", "significant"]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with one decimal: the unit stands in the heading.

    Example:
        >>> percent(0.9127)
        '91.3'
    """
    return f"{100 * share:.1f}"


def decimals(digits: int) -> Callable[[float], str]:
    """A function that shows a number with so many digits after the point.

    Example:
        >>> decimals(2)(1234.5)
        '1,234.50'
    """
    return lambda value: f"{value:,.{digits}f}"


def significant(value: float, digits: int) -> str:
    """A number to so many digits, very large and very small ones with a power of ten.

    Example:
        >>> significant(0.01234, 2), significant(2.04e-15, 2), significant(1e-6, 2)
        ('0.012', '2·10⁻¹⁵', '10⁻⁶')
    """
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    if not exponent:
        return mantissa
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return {"1": power, "-1": f"-{power}"}.get(mantissa, f"{mantissa}·{power}")
