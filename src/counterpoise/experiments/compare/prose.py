"""What a comparison says in words, every number of it computed."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.declaration import later_additions
from counterpoise.experiments.compare.rows import Block
from counterpoise.experiments.compare.tables import margin_text
from counterpoise.measures.statistics import FEWEST
from counterpoise.report import Note
from counterpoise.report.formats import PERCENT, duration, enumerate_words
from counterpoise.report.series import finite
from counterpoise.training.results import headline


def lead(comparison: Comparison) -> list[str]:
    """The result in two paragraphs: what is distinguishable, and what was compared."""
    grid = comparison.grid
    sets, methods = _sets(comparison), len(grid.methods)
    seeds, tries = len(grid.all_seeds), grid.num_tries
    tuned = (
        f"Each method tried {tries} configurations on each data set, one of which was chosen by "
        f"validation {comparison.form.title} with other seeds; "
        if tries > 1
        else "No method was tuned; "
    )
    how = (
        f"{methods} {_plural('method', methods)} {'was' if methods == 1 else 'were'} compared on "
        f"{sets}, each with {seeds} {_plural('seed', seeds)}. {tuned}the test data were used on "
        "the chosen epoch of each run alone."
    )
    return [_outcome(comparison), how]


def _outcome(comparison: Comparison) -> str:
    baseline = comparison.grid.baseline
    rows = [row for block in comparison.blocks for row in block.rows]
    verdicts = Counter(row.difference.verdict for row in rows if row.difference is not None)
    count = verdicts.total()
    if not count:
        return f"There is nothing to compare with {baseline}."
    if verdicts["too few seeds"] == count:
        return f"With fewer than {FEWEST} seeds no difference to {baseline} can be tested."
    shown = verdicts["higher"] + verdicts["lower"]
    opening = f"Of {count} {_plural('difference', count)} to {baseline}"
    better = "" if comparison.form.higher_is_better else " (lower is better)"
    higher = f"{verdicts['higher']} higher, {verdicts['lower']} lower{better}"
    told = f"{shown} can be told from chance: {higher}" if shown else "none can be told from chance"
    rest = []
    if verdicts["equivalent"]:
        verb = "is" if verdicts["equivalent"] == 1 else "are"
        margin = margin_text(comparison)
        rest.append(f"{verdicts['equivalent']} {verb} shown to be smaller than {margin}")
    if count > shown + verdicts["equivalent"]:
        left = count - shown - verdicts["equivalent"]
        rest.append(f"{left} {_plural('remains', left, 'remain')} undecided")
    return f"{opening}, {'; '.join([told, *rest])}."


def _sets(comparison: Comparison) -> str:
    names = enumerate_words(list(comparison.grid.data))
    fusions = comparison.grid.fusions
    return f"{names} with {enumerate_words(fusions)} fusion" if fusions else names


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Names and values that place the comparison: sizes, runs, time."""
    grid, results = comparison.grid, _results(comparison)
    records = [record for record, _ in results if record is not None]
    shown = [
        ("Methods", str(len(grid.methods))),
        ("Data sets", str(len(grid.data))),
        ("Seeds", str(len(grid.all_seeds))),
        ("Configurations a method", str(grid.num_tries)),
        ("Runs", f"{len(results):,}"),
    ]
    if records:
        seconds = sum(record["wall_time_seconds"] for record in records)
        start = min(str(record["started"]) for record in records)
        shown.append(("Training time in all", duration(seconds)))
        shown.append(("Started", f"{datetime.fromisoformat(start):%Y-%m-%d %H:%M}"))
    return shown


def notes(comparison: Comparison) -> list[Note]:
    """What a reader must know before believing the numbers."""
    remarks = [_about_intervals(comparison)]
    failed = len(comparison.failures)
    if failed:
        verb = "run failed and is" if failed == 1 else "runs failed and are"
        remarks.append(Note("Failures.", f"{failed} {verb} listed below, with the error."))
    warned = sorted({text for _, result in _results(comparison) for text in result["warnings"]})
    if warned:
        remarks.append(Note("Warnings of runs.", " ".join(warned)))
    about = dict.fromkeys(
        f"{block.data}: {record['data']['note']}"
        for block in comparison.blocks
        for record in block.records[:1]
        if record["data"]["note"]
    )
    remarks += [Note("About the data.", text) for text in about]
    return remarks + _about_later(comparison) + _about_origin(comparison)


def _about_later(comparison: Comparison) -> list[Note]:
    """Tell what was not declared before the first run."""
    told = []
    for later in later_additions(comparison.path):
        changes = {"added": later.added, "removed": later.removed}
        said = [
            f"{how} {name}: {enumerate_words([str(value) for value in values])}"
            for how, by_name in changes.items()
            for name, values in by_name.items()
        ]
        said += [f"changed: {enumerate_words(later.changed)}"] if later.changed else []
        told.append(f"{later.declared[:16].replace('T', ' ')} UTC: {'; '.join(said)}.")
    if not told:
        return []
    text = "What was compared was declared before the first run, and altered afterwards. "
    return [Note("Not declared beforehand.", text + " ".join(told))]


def _about_intervals(comparison: Comparison) -> Note:
    units = {
        row.difference.estimate.unit
        for block in comparison.blocks
        for row in block.rows
        if row.difference is not None
    }
    what = "which set initial weights, the order of samples and noise"
    if comparison.grid.redraw:
        what += ", and which samples are for training and which for validation"
    if units == {"seeds and samples"}:
        text = (
            f"Those of accuracies and differences are over seeds, {what}, and over test samples: "
            "they tell what to expect of training again and of other samples like these. Those of "
            "responses are over seeds alone."
        )
        return Note("What the intervals tell.", text.replace("accuracies", comparison.form.title))
    some = "Where not every test sample's result is kept they" if len(units) > 1 else "They"
    text = (
        f"{some} are over seeds, {what}: they tell what to expect of training again, not of other "
        "test samples."
    )
    errors = dict.fromkeys(filter(None, map(_sampling_error, comparison.blocks)))
    if errors:
        listed = enumerate_words(list(errors))
        text += f" The choice of test samples adds to an accuracy a standard error of {listed}."
    return Note("What the intervals tell.", text)


def _sampling_error(block: Block) -> str | None:
    # Where all runs diverged there is no mean.
    accuracies = finite(row.accuracy.mean for row in block.rows if row.accuracy is not None)
    if not accuracies or any(headline(record) != headline({}) for record in block.records[:1]):
        return None  # other metrics are no shares of samples
    num_test, best = block.records[0]["data"]["sizes"]["test"], max(accuracies)
    error = PERCENT(math.sqrt(best * (1 - best) / num_test))
    return f"{error} points on {block.title} ({num_test:,} samples)"


def _about_origin(comparison: Comparison) -> list[Note]:
    results = _results(comparison)
    remarks = []
    if len({result["code"] for _, result in results}) > 1:
        text = (
            "The runs were made by different states of this package's code under one version "
            "number. Run all of them again, with an empty folder as --runs, before publishing."
        )
        remarks.append(Note("Different code.", text))
    machines = {str(record["hardware"]) for record, _ in results if record is not None}
    if len(machines) > 1:
        remarks.append(
            Note("Different machines.", "The runs' hardware differs: do not compare their times.")
        )
    return remarks


def _results(comparison: Comparison) -> list[tuple[dict[str, Any] | None, dict[str, Any]]]:
    """Record and all that is kept, of every cell."""
    return [
        (result.record, vars(result))
        for outcome in comparison.outcomes
        for trial in outcome.trials
        for result in trial.results.values()
    ]


def _plural(word: str, count: int, several: str = "") -> str:
    return word if count == 1 else several or f"{word}s"
