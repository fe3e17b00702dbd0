"""Plain joint training: what every method is compared with."""

from __future__ import annotations

from counterpoise.methods.method import Method


class Joint(Method):
    """Leaves the gradient as it is, at the cost of a plain step.

    Example:
        >>> Joint().places()
        frozenset()
    """
