"""What a measurement of competition says in words, every number of it computed from outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from counterpoise.experiments.compete.results import Competition, few_samples
from counterpoise.experiments.verdicts import (
    difference_text,
    nothing_shown,
    null_text,
    with_interval,
)
from counterpoise.measures.statistics import FEWEST, Judgement, mean_interval
from counterpoise.report import Note, metric_of
from counterpoise.report.formats import (
    MISSING,
    NUMBER,
    duration,
    enumerate_words,
)


def highest(values: Mapping[str, Sequence[float]]) -> tuple[str, list[str]]:
    """Return which name has the highest mean, and from which others it cannot be told apart.

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
        name: mean_interval([a - b for a, b in zip(values[most], other, strict=True)])
        for name, other in values.items()
        if name != most
    }
    return most, [name for name, gap in gaps.items() if not gap.excludes_zero]


def lead(competition: Competition) -> list[str]:
    """Return the result in paragraphs: who is held back, and what each other method changes.

    Differences are judged together, so that their intervals are corrected for how many there are.
    """
    first, *others = competition.methods
    gaps, changes = competition.judged()
    told = [*_unlearnt(competition), *_held_back(competition, first, gaps)]
    return [*told, *(_change(competition, m, first, changes) for m in others)]


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


def _held_back(competition: Competition, method: str, gaps: Mapping[str, Judgement]) -> list[str]:
    """Say which modality is held back most, as far as the seeds agree; then by how much."""
    means = {m: competition.mean(method, "strength", m) for m in competition.modalities}
    listed = enumerate_words([f"{name} {with_interval(means[name])}" for name in means])
    told = f"Competition strength under {method}: {listed}."
    if not gaps:
        return [told]
    unlearnt = competition.unlearnt()
    most = max((m for m in means if m not in unlearnt), key=lambda name: means[name].mean)
    unclear = {name: gap for name, gap in gaps.items() if gap.verdict not in ("higher", "lower")}
    num_seeds = means[most].num_values
    verdict = f"Under {method}, {most} is held back most"
    if num_seeds == 1:
        verdict += " in the one run there is"
    elif num_seeds < FEWEST:
        verdict += f" on average; {num_seeds} seeds are too few to test that"
    elif unclear:
        verdict += f" on average, but cannot be told from {nothing_shown(unclear, NUMBER)}"
    return [f"{verdict}{_against(competition, method, most)}.", told]


def _against(competition: Competition, method: str, most: str) -> str:
    """Say where the table speaks against the verdict: a probe that reads as much as alone."""
    if not all(most in outcome.probe for outcome in competition.methods[method]):
        return ""
    metric = metric_of(competition.form)
    probe, alone = (competition.mean(method, what, most).mean for what in ("probe", "alone"))
    if competition.form.is_better(alone, than=probe):
        return ""
    return (
        f"; yet a linear probe of its encoder reaches {metric.text(probe)}, and a network trained "
        f"on {most} alone {metric.text(alone)}"
    )


def _change(
    competition: Competition, method: str, base: str, changes: Mapping[tuple[str, str], Judgement]
) -> str:
    """Say by how much a method's strengths and result differ from another's."""
    changed = {name: changes[method, name] for name in competition.modalities}
    listed = enumerate_words([f"{m} {difference_text(d, NUMBER)}" for m, d in changed.items()])
    text = f"{method} against {base}, seed by seed, changes competition strength by: {listed}."
    enough = len(competition.seeds) >= FEWEST
    nulls = nothing_shown(changed, NUMBER) if enough else ""
    if nulls:
        text += f" What cannot be told from no change: {nulls}."
    metric, result = metric_of(competition.form), changes[method, "joint"]
    null = null_text(result, metric.form) if enough else ""
    unit = " percentage points" if competition.form.share else ""
    change = f"{difference_text(result, metric.form)}{unit}{f' ({null})' if null else ''}"
    return f"{text} It changes {metric.title} by {change}."


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
    remarks = []
    if count == 1:
        remarks.append(Note("One seed proves nothing.", "There are no intervals. Run more seeds."))
    elif count < 5:
        text = (
            "Nothing is tested with fewer than 5. The intervals are Student's t at 95%, wide "
            "because there are few. They tell of the seed of training alone, not of other data."
        )
        remarks.append(Note(f"Only {count} seeds.", text))
    few = few_samples(outcome.fit_per_dimension for outcome in competition.outcomes)
    if few:
        remarks.append(Note("Few samples to fit on.", few))
    remarks.append(Note("About the data.", str(competition.data["note"])))
    return remarks
