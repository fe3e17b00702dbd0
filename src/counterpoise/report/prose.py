"""What a report says in words, every number of it computed from the runs."""

# ruff: noqa: RUF001  (Greek letters, minus signs and unbroken spaces are meant)

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from counterpoise.report.formats import percent
from counterpoise.report.page import Note
from counterpoise.report.records import Run, modalities_of
from counterpoise.report.table import MISSING

__all__ = ["definitions", "enumerate_words", "facts", "lead", "notes"]

_MAX_LISTED: Final = 4  # runs that a sentence names one by one


def enumerate_words(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> enumerate_words(["AGM", "Joint", "OGM"])
        'AGM, Joint and OGM'
    """
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def lead(runs: Sequence[Run]) -> list[str]:
    """The result in two paragraphs: what was run on what, and what came out.

    Args:
        runs: At least one run.

    Returns:
        Paragraphs of plain text.
    """
    data = runs[0].record["data"]
    classes = f", {data['num_classes']} classes" if data["num_classes"] else ""
    modalities = enumerate_words(modalities_of(runs))
    sets = enumerate_words(list(dict.fromkeys(str(run.record["data"]["name"]) for run in runs)))
    was = "was" if len(runs) == 1 else "were"
    many = len(runs) > _MAX_LISTED
    labels = f"{len(runs)} runs" if many else enumerate_words([run.label for run in runs])
    opening = f"{labels} {was} trained on {sets} ({modalities}{classes}) with {_seeds(runs)}."
    return [opening, _outcome(runs)]


def _seeds(runs: Sequence[Run]) -> str:
    seeds = list(dict.fromkeys(str(run.record["seed"]) for run in runs))
    return f"one seed ({seeds[0]})" if len(seeds) == 1 else f"seeds {enumerate_words(seeds)}"


def _measured(runs: Sequence[Run]) -> list[tuple[float, Run]]:
    pairs = [(run.accuracy, run) for run in runs]
    finite = [(value, run) for value, run in pairs if value is not None and math.isfinite(value)]
    return sorted(finite, key=lambda pair: -pair[0])


def _outcome(runs: Sequence[Run]) -> str:
    measured = _measured(runs)
    without = [run.label for run in runs if run not in [other for _, other in measured]]
    sentences = []
    if measured:
        num_test = _num_test(runs)
        samples = f"{num_test:,} test samples" if num_test else "test samples"
        (first, best), *others = measured
        shares = [f"{best.label} classifies {percent(first)}% of the {samples} correctly"]
        listed = others if len(others) < _MAX_LISTED else others[-1:]  # the lowest
        shares += [f"{run.label} {percent(value)}%" for value, run in listed]
        sentences.append(f"{', '.join(shares)}.")
        if others:
            sentences.append(_spread_of([value for value, _ in measured], num_test))
    if without:
        sentences.append(f"No test accuracy was measured for {enumerate_words(without)}.")
    return " ".join(sentences)


def _spread_of(accuracies: Sequence[float], num_test: int | None) -> str:
    spread = max(accuracies) - min(accuracies)
    between = "the two" if len(accuracies) == 2 else "the highest and the lowest"
    if spread == 0:
        return "There is no difference between them."
    text = f"Between {between} lie {percent(spread)} percentage points"
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
    data = runs[0].record["data"]
    epochs = sorted({len(run.record["epochs"]) for run in runs})
    seconds = [run.record["wall_time_seconds"] for run in runs]
    starts = [str(run.record["started"]) for run in runs if run.record["started"]]
    sizes = [data["sizes"][part] for part in ("train", "validation", "test")]
    shown = [
        ("Data set", str(data["name"])),
        ("Train / validation / test", " / ".join(_count(size) for size in sizes)),
        ("Epochs", f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"),
    ]
    if None not in seconds:
        shown.append(("Training time in all", _duration(sum(seconds))))
    if starts:
        shown.append(("Started", f"{datetime.fromisoformat(min(starts)):%Y-%m-%d %H:%M}"))
    return shown


def _count(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def notes(runs: Sequence[Run]) -> list[Note]:
    """What a reader must know before believing the numbers.

    Args:
        runs: At least one run.

    Returns:
        Notes on the number of seeds, the data, what keeps the runs from being comparable, and
        values that are not finite.
    """
    found = [_seed_note(runs)]
    remarks = dict.fromkeys(str(run.record["data"]["note"] or "") for run in runs)
    found += [Note("About the data.", remark) for remark in remarks if remark]
    data = {str(run.record["data"]["fingerprint"]) for run in runs}
    if len(data) > 1:
        found.append(
            Note("Different data.", "The runs' data have different fingerprints. Do not compare.")
        )
    machines = {str(run.record["hardware"]) for run in runs}
    if len(machines) > 1:
        found.append(
            Note("Different machines.", "The runs' hardware differs. Do not compare their times.")
        )
    counts = [(run.label, run.num_non_finite) for run in runs if run.num_non_finite]
    if counts:
        listed = enumerate_words([f"{label}: {count:,}" for label, count in counts])
        text = f"Recorded scores and coefficients that are missing, NaN or infinite: {listed}. "
        found.append(Note("Values that are not finite.", text + "Curves have gaps there."))
    return found


def _seed_note(runs: Sequence[Run]) -> Note:
    measured = _measured(runs)
    num_test = _num_test(runs)
    chance = ""
    if measured and num_test:
        best = measured[0][0]
        error = percent(math.sqrt(best * (1 - best) / num_test))
        chance = (
            f" With {num_test:,} test samples the standard error of an accuracy of "
            f"{percent(best)}% is {error} points, before any effect of the seed."
        )
    if len({run.record["seed"] for run in runs}) == 1:
        text = "Another seed gives other numbers, and may give another order."
        return Note("One seed proves nothing.", text + chance)
    text = "Each row is one run; no mean or interval over seeds is computed here."
    return Note("Single runs.", text + chance)


def definitions() -> list[tuple[str, str]]:
    """The terms of the page and what they mean."""
    return [
        (
            "Response",
            "What one modality contributes to the model's output: its Shapley value among the "
            "outputs with some of the modalities absent. The responses of all modalities add up to "
            "the output. The accuracy of a response is that of classifying by it alone.",
        ),
        (
            "Score s",
            "The loss of a modality's response, averaged over the batch, in nats. Lower is better.",
        ),
        (
            "Discrepancy ratio r",
            "How far a modality is ahead of the others: the exponential of the mean difference "
            "between their scores and its own. Above 1, it leads.",
        ),
        (
            "Coefficient κ",
            "The factor by which a method multiplies what a modality contributes to the gradient "
            "or to its learning rate. Above 1 boosts, below 1 brakes, 1 leaves training as it is. "
            "For AGM, κ = exp(−α (r − τ)), where τ is r on the mean of all earlier scores.",
        ),
        (
            "Time a step",
            "Wall time of one training step, the median over the run. Ratios hold only for runs on "
            "the same machine.",
        ),
    ]
