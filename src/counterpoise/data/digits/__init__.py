"""Digits, seen and heard: the data set that comes with the package."""

from counterpoise.data.digits.digits import Digits

__all__ = ["Digits"]
