"""Metrics and callbacks from outside this package, which a recipe names by class path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lightning.pytorch import Callback
from torchmetrics import Metric

from counterpoise.training.by_path import Described, made


def own_metrics(
    described: Mapping[str, Described] | None, taken: Iterable[str]
) -> dict[str, Metric]:
    """Return the metrics that a recipe adds to those of its task, by name.

    Raises:
        ValueError: If one has a name that is taken, or its class is no metric.
    """
    for name in described or {}:
        if name in (*taken, "loss") or "/" in name:
            raise ValueError(
                f"`metrics` should have names without a slash that the task does not have, "
                f"{', '.join(map(repr, taken))} and 'loss'; found {name!r}. Rename it."
            )
    return {name: made(f"metrics.{name}", part, Metric) for name, part in (described or {}).items()}


def own_callbacks(described: Sequence[Described] | None) -> list[Callback]:
    """Return the callbacks that a recipe adds to those of every run.

    Raises:
        ValueError: If a class is no callback.
    """
    return [made("callbacks", part, Callback) for part in described or ()]
