"""The results of a run from its record, for any task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoise.data.tasks import MetricForm

Record = Mapping[str, Any]

_ACCURACY = MetricForm("accuracy")


def headline(record: Record) -> MetricForm:
    """Return the metric by which the run's epochs were chosen and runs are compared.

    Example:
        >>> from counterpoise.data import Regression
        >>> headline({"task": Regression().describe()}).title
        'mean absolute error'
    """
    if "task" not in record:  # of a run before there were other tasks than classification
        return _ACCURACY
    task = record["task"]
    return MetricForm.read(task["metrics"][task["headline"]])


def tested(record: Record) -> float | None:
    """Return the headline metric on the test data; None if there are none.

    Example:
        >>> tested({"test": {"loss": 0.1, "accuracy": 0.9}})
        0.9
    """
    test = record["test"]
    return None if test is None else test[headline(record).name]


def tested_responses(record: Record) -> dict[str, float] | None:
    """Return the headline metric of each modality's response on the test data.

    Example:
        >>> tested_responses({"data": {"modalities": ["audio"]},
        ...                   "test": {"response/audio/accuracy": 0.5}})
        {'audio': 0.5}
    """
    test, name = record["test"], headline(record).name
    if test is None:
        return None
    return {m: test[f"response/{m}/{name}"] for m in record["data"]["modalities"]}


def validated(record: Record) -> dict[int, float | None]:
    """Return the headline metric on the validation data after each epoch, counted from 0.

    Example:
        >>> validated({"epochs": [{"epoch": 0, "validation/accuracy": 0.5}]})
        {0: 0.5}
    """
    name = f"validation/{headline(record).name}"
    return {epoch["epoch"]: epoch[name] for epoch in record["epochs"]}


def guessed(record: Record) -> float | None:
    """Return the headline metric on the test data of guessing, if it is known.

    Example:
        >>> guessed({"task": {"guess": 0.1}})
        0.1
    """
    value: float | None = record.get("task", {}).get("guess")
    return value
