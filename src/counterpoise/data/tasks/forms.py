"""How a metric is called, which way is better, and how its values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from torch import Tensor

from counterpoise.core.errors import check_count
from counterpoise.core.fields import check_fields

_LEAST = 1e-12
"""What counts as the least error, so that none at all has a reciprocal."""


@dataclass(frozen=True)
class MetricForm:
    """Describes a metric to whoever prints, compares or draws its values.

    Args:
        name: Its name in records, such as "accuracy".
        title: Its name in sentences. Default: the name.
        higher_is_better: Which way is better. Default: higher.
        share: Whether values lie in [0, 1] and are written in percent. Default: True.
        decimals: Digits after the point as written. Default: 1, of the percentage.
        additive: Whether the metric of a data set is the mean over its samples, so that its
            value on one batch means something. Default: True.

    Example:
        >>> MetricForm("accuracy").text(0.9125), MetricForm("mae", share=False, decimals=3).text(2)
        ('91.2%', '2.000')
        >>> MetricForm("mae", higher_is_better=False).is_better(0.2, than=0.3)
        True
    """

    name: str
    title: str = ""
    higher_is_better: bool = True
    share: bool = True
    decimals: int = 1
    additive: bool = True

    def __post_init__(self) -> None:
        check_fields(self, empty=("title",))
        check_count("decimals", self.decimals, at_least=0)
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def unit(self) -> str:
        """What is written behind a value: a percent sign or nothing."""
        return "%" if self.share else ""

    @property
    def heading(self) -> str:
        """Title and unit, as they head a column."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values lie: [0, 1] for a share, above 0 for an error, else anywhere."""
        if self.share:
            return 0.0, 1.0
        return (-inf if self.higher_is_better else 0.0), inf

    def text(self, value: float) -> str:
        """Return a value as it is written, with its unit."""
        return f"{value * (100 if self.share else 1):.{self.decimals}f}{self.unit}"

    def is_better(self, value: float, *, than: float) -> bool:
        """Return whether a value is better than another."""
        return self.turned(value) > self.turned(than)

    def turned(self, value: float) -> float:
        """Return the value, negated where lower is better, so that higher is better."""
        return value if self.higher_is_better else -value

    def merit(self, values: Tensor) -> Tensor:
        """Return values as methods take them: higher is better, the reciprocal of errors.

        Example:
            >>> import torch
            >>> MetricForm("mae", higher_is_better=False).merit(torch.tensor([0.5, 4.0]))
            tensor([2.0000, 0.2500])
        """
        return values if self.higher_is_better else values.clamp_min(_LEAST).reciprocal()

    def describe(self) -> dict[str, Any]:
        """Return the form in plain types, for a record."""
        return asdict(self)

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> MetricForm:
        """Return the form that :meth:`describe` described.

        Example:
            >>> MetricForm.read(MetricForm("macro_f1", "macro-F1").describe()).title
            'macro-F1'
        """
        return cls(**described)
