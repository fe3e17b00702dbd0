"""Metrics, loggers and callbacks of others, which a recipe names by class path."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torchmetrics import Metric

from counterpoise.training.by_path import Described, class_at, made

__all__ = ["own_callbacks", "own_loggers", "own_metrics"]


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
    return {name: made(f"metrics.{name}", each, Metric) for name, each in (described or {}).items()}


def own_callbacks(described: Sequence[Described] | None) -> list[Callback]:
    """Return the callbacks that a recipe adds to those of every run.

    Raises:
        ValueError: If a class is no callback.
    """
    return [made("callbacks", each, Callback) for each in described or ()]


def own_loggers(described: Sequence[Described] | None, folder: Path) -> list[Logger]:
    """Return the loggers that a recipe adds to the record and TensorBoard.

    Where a logger asks for a folder (``save_dir``) and is told none, it is the run's own.

    Raises:
        ValueError: If a class is no logger.
    """
    loggers = []
    for each in described or ():
        arguments: dict[str, Any] = dict(each.get("init_args") or {})
        kind = class_at("loggers", each["class_path"], Logger)
        if "save_dir" in inspect.signature(kind).parameters:
            arguments.setdefault("save_dir", str(folder))
        loggers.append(made("loggers", {**each, "init_args": arguments}, Logger))
    return loggers
