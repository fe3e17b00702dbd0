"""What a measurement of competition says in words, every number of it computed from outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from counterpoise.experiments.compete.results import Competition
from counterpoise.measures.statistics import FEWEST, Interval, mean_interval
from counterpoise.report import Note, metric_of
from counterpoise.report.formats import (
    MISSING,
    NUMBER,
    Format,
    duration,
    enumerate_words,
    interval,
)

__all__ = ["facts", "highest", "lead", "notes", "with_interval"]

_CHANGE = Format(2, signed=True)


def with_interval(value: Interval, form: Format = NUMBER) -> str:
    """Write a mean with its interval, if it has one.

    Example:
        >>> with_interval(Interval(0.5, 0.41, 0.59, 3)).replace(chr(160), " ")
        '0.50 (0.41 to 0.59)'
    """
    return interval(value.mean, value.low, value.high, form)


def highest(values: Mapping[str, Sequence[float]]) -> tuple[str, list[str]]:
    """Return which name has the highest mean, and from which others chance does not tell it.

    It has to be told from every other, not from the second alone, which may vary less.

    Args:
        values: Of each name, the same seeds in the same order.

    Returns:
        The name, and the others whose difference to it, seed by seed, has an interval that holds
        zero, or none, or is of fewer than 5 seeds.

    Example:
        >>> a, b, c = [0.90, 0.91, 0.92, 0.9, 0.91], [0.8, 0.81, 0.82, 0.81, 0.8], [0.5, 1.2] * 2
        >>> highest({"a": a, "b": b, "c": [*c, 0.9]})
        ('a', ['c'])
    """
    most = max(values, key=lambda name: fmean(values[name]))
    gaps = {
        name: mean_interval([a - b for a, b in zip(values[most], each, strict=True)])
        for name, each in values.items()
        if name != most
    }
    return most, [name for name, gap in gaps.items() if not gap.excludes_zero]


def lead(competition: Competition) -> list[str]:
    """Return the result in paragraphs: who is held back, and what each other method changes."""
    first, *others = competition.methods
    changes = [_change(competition, method, first) for method in others]
    return [*_unlearnt(competition), *_held_back(competition, first), *changes]


def _unlearnt(competition: Competition) -> list[str]:
    """Warn of concepts that tell nothing, for alone the modality is not better than guessing."""
    names = competition.unlearnt()
    if not names:
        return []
    first, metric = next(iter(competition.methods)), metric_of(competition.form)
    reached = [
        f"{name} {metric.text(competition.mean(first, 'alone', name).mean)}" for name in names
    ]
    guess, error = competition.data["guess"], competition.data["guess_error"]
    return [
        f"Trained alone, {enumerate_words(names)} did not learn: {enumerate_words(reached)}, where "
        f"guessing reaches {metric.text(guess)} with a standard error of {metric.text(error)}. "
        "There is no concept to be held back from, and the competition strength says nothing: "
        "train longer, or otherwise."
    ]


def _held_back(competition: Competition, method: str) -> list[str]:
    """Say which modality is held back most, as far as the seeds agree; then by how much."""
    strengths = {m: competition.values(method, "strength", m) for m in competition.modalities}
    means = {name: mean_interval(each) for name, each in strengths.items()}
    unlearnt = competition.unlearnt()
    values = {name: each for name, each in strengths.items() if name not in unlearnt}
    listed = enumerate_words([f"{name} {with_interval(means[name])}" for name in means])
    told = f"Competition strength under {method}: {listed}."
    if len(values) < 2:
        return [told]
    most, unclear = highest(values)
    num_seeds = means[most].num_values
    if num_seeds == 1:
        verdict = f"Under {method}, {most} is held back most in the one run there is."
    elif num_seeds < FEWEST:
        verdict = (
            f"Under {method}, {most} is held back most on average; {num_seeds} seeds are too few "
            "to test that."
        )
    elif unclear:
        verdict = (
            f"Under {method}, {most} is not distinguishable from {enumerate_words(unclear)}: each "
            "of them may be held back most."
        )
    else:
        verdict = f"Under {method}, {most} is held back most."
    return [verdict + _against(competition, method, most), told]


def _against(competition: Competition, method: str, most: str) -> str:
    """Say where the table speaks against the verdict: a probe that reads as much as alone."""
    if not all(most in outcome.probe for outcome in competition.methods[method]):
        return ""
    metric = metric_of(competition.form)
    probe, alone = (competition.mean(method, what, most).mean for what in ("probe", "alone"))
    if competition.form.is_better(alone, than=probe):
        return ""
    return (
        f" But its encoder does not lack what is asked for: a linear probe of it reaches "
        f"{metric.text(probe)}, and {most} alone {metric.text(alone)}."
    )


def _change(competition: Competition, method: str, base: str) -> str:
    """Say by how much a method's strengths and accuracy differ from another's."""
    found = {
        name: competition.difference(method, base, "strength", name)
        for name in competition.modalities
    }
    changes = [f"{name} {with_interval(each, _CHANGE)}" for name, each in found.items()]
    listed = enumerate_words(changes)
    unclear = [name for name, each in found.items() if each.testable and not each.excludes_zero]
    text = f"{method} against {base}, seed by seed, changes competition strength by: {listed}."
    if unclear:
        text += f" Not distinguishable from no change: {enumerate_words(unclear)}."
    metric = metric_of(competition.form)
    change = with_interval(competition.difference(method, base, "joint"), metric.difference)
    unit = " percentage points" if competition.form.share else ""
    return f"{text} It changes {metric.title} by {change}{unit}."


def facts(competition: Competition) -> list[tuple[str, str]]:
    """Names and values that place the result."""
    sizes = competition.data["num_samples"]
    return [
        ("Data set", str(competition.data["name"])),
        ("Train / probe / test", " / ".join(map(_count, sizes.values()))),
        ("Seeds", ", ".join(map(str, competition.seeds))),
        ("Fused feature", competition.paths.fused),
        ("Ridge", f"{competition.ridge:g}"),
        ("Training time, all runs added up", duration(competition.seconds)),
    ]


def _count(size: int | None) -> str:
    return MISSING if size is None else f"{size:,}"


def notes(competition: Competition) -> list[Note]:
    """What a reader must know before believing the numbers."""
    count = len(competition.seeds)
    found = []
    if count == 1:
        found.append(Note("One seed proves nothing.", "There are no intervals. Run more seeds."))
    elif count < 5:
        text = (
            "The intervals are Student's t at 95%, wide because there are few. They tell of the "
            "seed of training alone, not of other data."
        )
        found.append(Note(f"Only {count} seeds.", text))
    found.append(Note("About the data.", str(competition.data["note"])))
    return found
