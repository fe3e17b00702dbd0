"""What a report says in words, every number of it computed from the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from counterpoise.report.formats import MISSING, PERCENT, duration, enumerate_words
from counterpoise.report.metric import ACCURACY, Metric
from counterpoise.report.page import Note
from counterpoise.report.records import Run, modalities_of

_MAX_LISTED: Final = 4  # runs that a sentence names one by one


def lead(runs: Sequence[Run], metric: Metric = ACCURACY) -> list[str]:
    """The result in two paragraphs: what came out, in one sentence, and what was run on what.

    Args:
        runs: At least one run.
        metric: The headline number.

    Returns:
        Paragraphs of plain text.
    """
    counts = {run.record["data"]["num_classes"] for run in runs}
    count = counts.pop() if len(counts) == 1 else None
    classes = f", {count} classes" if count else ""
    modalities = enumerate_words(modalities_of(runs))
    sets = _data_sets(runs)
    was = "was" if len(runs) == 1 else "were"
    many = len(runs) > _MAX_LISTED
    labels = f"{len(runs)} runs" if many else enumerate_words([run.label for run in runs])
    opening = f"{labels} {was} trained on {sets} ({modalities}{classes}) with {_seeds(runs)}."
    finding, *rest = _outcome(runs, metric)
    return [finding, " ".join([opening, *rest])]


def _data_sets(runs: Sequence[Run]) -> str:
    return enumerate_words(list(dict.fromkeys(str(run.record["data"]["name"]) for run in runs)))


def _seeds(runs: Sequence[Run]) -> str:
    seeds = list(dict.fromkeys(str(run.record["seed"]) for run in runs))
    return f"one seed ({seeds[0]})" if len(seeds) == 1 else f"seeds {enumerate_words(seeds)}"


def _measured(runs: Sequence[Run], metric: Metric) -> list[tuple[float, Run]]:
    """The runs that have a test result, the best first."""
    pairs = [(run.result(metric), run) for run in runs]
    finite = [(value, run) for value, run in pairs if value is not None and math.isfinite(value)]
    return sorted(finite, key=lambda pair: -pair[0] if metric.higher_is_better else pair[0])


def _outcome(runs: Sequence[Run], metric: Metric) -> list[str]:
    """What came out, in sentences, the finding first."""
    measured = _measured(runs, metric)
    without = [run.label for run in runs if run not in [other for _, other in measured]]
    sentences = []
    if measured:
        (first, best), *others = measured
        shares = [_reached(best.label, first, metric, _num_test(runs))]
        listed = others if len(others) < _MAX_LISTED else others[-1:]  # the furthest behind
        shares += [f"{run.label} {metric.text(value)}" for value, run in listed]
        sentences.append(f"{', '.join(shares)}.")
        if others:
            values = [value for value, _ in measured]
            sentences.append(_spread_of(values, metric, _num_test(runs)))
    else:
        sentences += [_validated(run, metric) for run in runs if run.best_epoch is not None]
    if without:
        sentences.append(f"No test {metric.title} was measured for {enumerate_words(without)}.")
    return sentences


def _validated(run: Run, metric: Metric) -> str:
    epochs, values = run.over_epochs(metric)
    best = dict(zip(epochs, values, strict=True)).get(float(run.best_epoch or 0), math.nan)
    return (
        f"{run.label} comes to a validation {metric.title} of {metric.text(best)} in epoch "
        f"{run.best_epoch}."
    )


def _reached(label: str, value: float, metric: Metric, num_test: int | None) -> str:
    samples = f"{num_test:,} test samples" if num_test else "test samples"
    if metric == ACCURACY:
        return f"{label} classifies {metric.text(value)} of the {samples} correctly"
    return f"{label} reaches {metric.text(value)} in {metric.title} on the {samples}"


def _spread_of(values: Sequence[float], metric: Metric, num_test: int | None) -> str:
    spread = max(values) - min(values)
    between = "the two" if len(values) == 2 else "the highest and the lowest"
    if spread == 0:
        return "There is no difference between them."
    if metric != ACCURACY:
        return f"Between {between} lie {metric.text(spread)}."
    text = f"Between {between} lie {PERCENT(spread)} percentage points"
    if num_test:
        samples = round(spread * num_test)
        text += f", or {samples:,} {'sample' if samples == 1 else 'samples'}"
    return text + "."


def _num_test(runs: Sequence[Run]) -> int | None:
    """The number of test samples where all runs agree on it."""
    sizes = {run.record["data"]["sizes"]["test"] for run in runs}
    return int(sizes.pop() or 0) or None if len(sizes) == 1 else None


def facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Names and values that place the runs: data, samples, epochs, time."""
    epochs = sorted({len(run.record["epochs"]) for run in runs})
    seconds = [run.record["wall_time_seconds"] for run in runs]
    starts = [str(run.record["started"]) for run in runs if run.record["started"]]
    parts = ("train", "validation", "test")
    sizes = dict.fromkeys(
        tuple(run.record["data"]["sizes"][part] for part in parts) for run in runs
    )
    shown = [
        ("Data set", _data_sets(runs)),
        ("Train / validation / test", "; ".join(" / ".join(map(_count, own)) for own in sizes)),
        ("Epochs", f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"),
    ]
    if None not in seconds:
        shown.append(("Training time in all", duration(sum(seconds))))
    if starts:
        shown.append(("Started", f"{datetime.fromisoformat(min(starts)):%Y-%m-%d %H:%M}"))
    return shown


def _count(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"


def notes(runs: Sequence[Run], metric: Metric = ACCURACY) -> list[Note]:
    """What a reader must know before believing the numbers.

    Args:
        runs: At least one run.
        metric: The headline number.

    Returns:
        Notes on the number of seeds, the data, what keeps the runs from being comparable, and
        values that are not finite.
    """
    caveats = [_seed_note(runs, metric)]
    remarks = dict.fromkeys(str(run.record["data"]["note"] or "") for run in runs)
    caveats += [Note("About the data.", remark) for remark in remarks if remark]
    data = {str(run.record["data"]["fingerprint"]) for run in runs}
    if len(data) > 1:
        caveats.append(
            Note("Different data.", "The runs' data have different fingerprints. Do not compare.")
        )
    machines = {str(run.record["hardware"]) for run in runs}
    if len(machines) > 1:
        caveats.append(
            Note("Different machines.", "The runs' hardware differs. Do not compare their times.")
        )
    for run in runs:
        if run.record.get("outcome") == "diverged":
            caveats.append(Note(f"{run.label} diverged.", str(run.record["divergence"])))
    counts = [(run.label, run.num_non_finite) for run in runs if run.num_non_finite]
    if counts:
        listed = enumerate_words([f"{label}: {count:,}" for label, count in counts])
        text = f"Recorded scores and coefficients that are missing, NaN or infinite: {listed}. "
        caveats.append(Note("Values that are not finite.", text + "Curves have gaps there."))
    return caveats


def _seed_note(runs: Sequence[Run], metric: Metric) -> Note:
    measured = _measured(runs, metric)
    num_test = _num_test(runs)
    chance = ""
    if measured and num_test and metric == ACCURACY:
        best = measured[0][0]
        error = PERCENT(math.sqrt(best * (1 - best) / num_test))
        chance = (
            f" With {num_test:,} test samples the standard error of an accuracy of "
            f"{PERCENT(best)}% is {error} points, before any effect of the seed."
        )
    if len({run.record["seed"] for run in runs}) == 1:
        text = "Another seed gives other numbers, and may give another order."
        return Note("One seed proves nothing.", text + chance)
    text = "Each row is one run; no mean or interval over seeds is computed here."
    return Note("Single runs.", text + chance)
