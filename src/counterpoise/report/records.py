"""Run records as the report reads them: checked, labelled, and asked for their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from counterpoise.report.metric import ACCURACY, Metric

Record = Mapping[str, Any]

# What the report reads of a record; a dot leads into a nested mapping.
_KEYS: Final = (
    *("name", "method.name", "method.settings", "model", "seed", "versions", "hardware"),
    *("data.name", "data.fingerprint", "data.note", "data.modalities", "data.num_classes"),
    *("data.sizes.train", "data.sizes.validation", "data.sizes.test"),
    *("started", "wall_time_seconds", "seconds_per_step", "best_epoch"),
    "test",
    *("epochs", "steps.step", "steps.scores", "steps.coefficients"),
)
_EPOCH_KEYS: Final = ("epoch", "validation/{metric}")


@dataclass(frozen=True)
class Run:
    """One record under the name that the page gives it.

    Args:
        label: A name that no other run on the page has.
        record: The record, checked by `read_runs`.
    """

    label: str
    record: Record

    @property
    def modalities(self) -> list[str]:
        """The names of the modalities, in order."""
        return list(self.record["data"]["modalities"])

    def result(self, metric: Metric = ACCURACY) -> float | None:
        """The test result of the whole model; None when it was not measured."""
        return _number((self.record["test"] or {}).get(metric.name))

    def response_result(self, modality: str, metric: Metric = ACCURACY) -> float | None:
        """The test result of the modality's response; None when it was not measured."""
        return _number((self.record["test"] or {}).get(f"response/{modality}/{metric.name}"))

    @property
    def best_epoch(self) -> int | None:
        """The epoch that validation chose, the first being 1; None where none was chosen."""
        best = self.record["best_epoch"]
        return None if best is None else int(best) + 1

    @property
    def seconds_per_step(self) -> float | None:
        """Wall time of a training step in seconds; None when it was not measured."""
        return _number(self.record["seconds_per_step"])

    def over_steps(self, quantity: str) -> dict[str, list[float]]:
        """`"scores"` or `"coefficients"` of each modality at each recorded step; {} when absent."""
        values = self.record["steps"][quantity] or {}
        return {modality: [_float(value) for value in row] for modality, row in values.items()}

    @property
    def coefficient_range(self) -> tuple[float | None, float | None]:
        """The lowest and highest finite coefficient of any modality at any recorded step."""
        rows = self.over_steps("coefficients").values()
        finite = [value for row in rows for value in row if math.isfinite(value)]
        return (min(finite), max(finite)) if finite else (None, None)

    def over_epochs(
        self, metric: Metric = ACCURACY, modality: str | None = None
    ) -> tuple[list[float], list[float]]:
        """Epochs from 1 on and the validation result after each, of the model or a response."""
        entries = self.record["epochs"]
        response = "" if modality is None else f"response/{modality}/"
        values = [entry.get(f"validation/{response}{metric.name}") for entry in entries]
        return [_float(entry["epoch"]) + 1 for entry in entries], [_float(v) for v in values]

    @property
    def num_non_finite(self) -> int:
        """How many recorded scores and coefficients are missing, NaN or infinite."""
        quantities = (self.over_steps("scores"), self.over_steps("coefficients"))
        rows = [row for quantity in quantities for row in quantity.values()]
        return sum(not math.isfinite(value) for row in rows for value in row)


def read_runs(
    records: Sequence[Record], metric: Metric = ACCURACY, names: Sequence[str] | None = None
) -> list[Run]:
    """Checks records and gives each a label of its own.

    Args:
        records: The contents of run records, at least one.
        metric: The headline number, which they hold under its name.
        names: Labels, one a record, each once.

    Returns:
        One run a record, in order. Where no names are given it is labelled by its method, and
        where methods repeat, by what else tells them apart: settings that differ, the seed, the
        run's name, its number.

    Raises:
        TypeError: `records` is one record instead of a sequence of records.
        ValueError: There are no records, a key is missing, a series has the wrong length, or
            names do not tell the records apart.
    """
    if isinstance(records, (str, bytes, Mapping)) or not isinstance(records, Sequence):
        raise TypeError(
            f"`records` should be a sequence of mappings; found {type(records).__name__}. "
            "Put a single record into a list."
        )
    if not records:
        raise ValueError("`records` should hold at least one run; found none. Train a model first.")
    for index, record in enumerate(records):
        _check(record, index, metric)
    labels = _labels(records) if names is None else list(names)
    if len(labels) != len(records) or len(set(labels)) < len(labels):
        raise ValueError(
            f"`names` should be {len(records)} different ones, one a record; found {labels}. Name "
            "each run."
        )
    return [Run(label, record) for label, record in zip(labels, records, strict=True)]


def modalities_of(runs: Sequence[Run]) -> list[str]:
    """The modalities of all runs, each once, in the order in which they first appear."""
    return list(dict.fromkeys(modality for run in runs for modality in run.modalities))


def ratio(value: float | None, base: float | None) -> float | None:
    """One cost in units of another; None where either was not measured."""
    return value / base if value is not None and base else None


def show_setting(value: object) -> str:
    """A setting in short: an object that a record names by its class path reads as its call.

    Args:
        value: A plain value, or a mapping with `class_path` and `init_args`.

    Example:
        >>> show_setting({"class_path": "counterpoise.Exponential", "init_args": {"decay": 0.9}})
        'Exponential(decay=0.9)'
        >>> show_setting([0.9, {"class_path": "counterpoise.Joint"}])
        '[0.9, Joint()]'
    """
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show_setting, value))}]"
    if not isinstance(value, Mapping) or "class_path" not in value:
        return str(value)
    arguments = (value.get("init_args") or {}).items()
    shown = ", ".join(f"{key}={show_setting(argument)}" for key, argument in arguments)
    return f"{str(value['class_path']).rpartition('.')[2]}({shown})"


def _check(record: Record, index: int, metric: Metric) -> None:
    where = f"`records[{index}]`"
    if not isinstance(record, Mapping):
        raise TypeError(
            f"{where} should be a mapping; found {type(record).__name__}. "
            "Pass what json.load makes of a record.json."
        )
    where += f" (run {record.get('name', 'without a name')!r})"
    for key in _KEYS:
        _check_key(record, key, where)
    if record["test"] is not None:
        _check_key(record, f"test.{metric.name}", where)
    for number, entry in enumerate(record["epochs"]):
        for key in _EPOCH_KEYS:
            name = key.format(metric=metric.name)
            _check_key(entry, name, f"{where}, epochs[{number}],")
    num_steps = len(record["steps"]["step"])
    for quantity in ("scores", "coefficients"):
        for modality, values in (record["steps"][quantity] or {}).items():
            if len(values) != num_steps:
                raise ValueError(
                    f"{where} should have a value of steps.{quantity}.{modality} for each of "
                    f"{num_steps} recorded steps; found {len(values)}. Record them together."
                )


def _check_key(record: Record, key: str, where: str) -> None:
    place: Any = record
    for part in key.split("."):
        if not isinstance(place, Mapping) or part not in place:
            keys = sorted(map(str, place)) if isinstance(place, Mapping) else place
            raise ValueError(
                f"{where} should have the key '{key}'; found {keys} where '{part}' belongs. "
                "Write None for what was not measured."
            )
        place = place[part]


def _labels(records: Sequence[Record]) -> list[str]:
    labels = [str(record["method"]["name"]) for record in records]
    for marks_of in (_differing_settings, _seeds, _names, _numbers):
        namesakes: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            namesakes.setdefault(label, []).append(index)
        for members in namesakes.values():
            marks = marks_of([records[index] for index in members])
            if len(set(marks)) > 1:  # what they all share tells nothing apart
                for index, mark in zip(members, marks, strict=True):
                    labels[index] += f" ({mark})" if mark else ""
    return labels


def _differing_settings(records: Sequence[Record]) -> list[str]:
    settings = [record["method"]["settings"] or {} for record in records]
    keys = dict.fromkeys(key for mine in settings for key in mine)
    differing = [key for key in keys if len({str(mine.get(key)) for mine in settings}) > 1]
    return [
        ", ".join(f"{key}={show_setting(mine[key])}" for key in differing if key in mine)
        for mine in settings
    ]


def _seeds(records: Sequence[Record]) -> list[str]:
    return [f"seed {record['seed']}" for record in records]


def _names(records: Sequence[Record]) -> list[str]:
    return [str(record["name"]) for record in records]


def _numbers(records: Sequence[Record]) -> list[str]:
    return [f"run {number}" for number, _ in enumerate(records, start=1)]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
