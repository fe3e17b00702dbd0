"""Tables that list what was run: every run, what was tried and chosen, what failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.outcomes import Trial, validation_accuracy
from counterpoise.experiments.compare.tuning import edges
from counterpoise.report import Column, Table, metric_of
from counterpoise.report.records import show_setting
from counterpoise.training.results import tested


def runs_table(comparison: Comparison) -> Table:
    """Every run, a row each; test results of chosen configurations only."""
    metric = comparison.form.name
    columns = [
        Column(name, re.sub("[_/]", " ", name).capitalize())
        for name in (
            *("data", "fusion", "method", "configuration", "changes", "chosen", "seed", "state"),
            *(f"validation/{metric}", f"test/{metric}", "seconds_per_step", "wall_time_seconds"),
            *("error", "key"),
        )
    ]
    rows = [
        (*outcome.place, *_run(trial, seed, trial is outcome.chosen))
        for outcome in comparison.outcomes
        for trial in outcome.trials
        for seed in trial.results
    ]
    return Table("All runs.", columns, rows)


def choice_table(comparison: Comparison) -> Table:
    """What each method tried on each data set, and what validation chose."""
    columns = [
        Column("place", "Data set", numeric=False),
        Column("method", "Method", numeric=False),
        Column("chosen", "Chosen", numeric=False),
        Column("at_edge", "At an end of its range", numeric=False),
        Column(
            "tried",
            f"Mean validation {comparison.form.heading} of each configuration",
            numeric=False,
        ),
    ]
    seeds = comparison.grid.choosing_seeds or comparison.grid.all_seeds
    rows, at_ends = [], edges(comparison)
    for block in comparison.blocks:
        for row in block.rows:
            chosen = row.outcome.chosen
            recipe = None if chosen is None else chosen.candidate.recipe.describe()
            calls = [show_setting(recipe[key]) for key in ("method", "optimizer")] if recipe else []
            trials = row.outcome.trials
            tried = [_tried(trial, trial.validation, comparison.form) for trial in trials]
            at_edge = ", ".join(at_ends.get((block.title, row.method), ())) or None
            rows.append(
                (block.title, row.method, "; ".join(calls) or None, at_edge, "; ".join(tried))
            )
    caption = (
        f"The configuration with the best mean validation {comparison.form.title} over "
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'} was chosen, of several equal ones "
        "the first. Where the choice is at an end of its range, the best may lie beyond."
    )
    return Table(caption, columns, rows)


def failure_table(comparison: Comparison) -> Table:
    """Every run that failed, with its error."""
    columns = [
        Column("place", "Data set", numeric=False),
        Column("method", "Method", numeric=False),
        Column("configuration", "Configuration", numeric=False),
        Column("seed", "Seed"),
        Column("error", "Error", numeric=False),
    ]
    rows: list[tuple[object, ...]] = [
        (
            block.title,
            row.method,
            _changes(trial.candidate.changes) or None,
            seed,
            result.error,
        )
        for block in comparison.blocks
        for row in block.rows
        for trial, seed, result in row.outcome.failures
    ]
    rows += [
        (block.title, row.method, "measuring competition", seed, result.error)
        for block in comparison.blocks
        for row in block.rows
        if row.competition is not None
        for seed, result in row.competition.failures.items()
    ]
    return Table("Runs that ended with an error.", columns, rows)


def _run(trial: Trial, seed: int, chosen: bool) -> list[object]:
    result, candidate = trial.results[seed], trial.candidate
    record = result.record or {}
    return [
        candidate.number,
        _changes(candidate.changes),
        chosen,
        seed,
        result.state,
        None if result.state == "diverged" else validation_accuracy(result),
        tested(record) if chosen and record and seed not in trial.search_seeds else None,
        record.get("seconds_per_step"),
        record.get("wall_time_seconds"),
        result.error,
        result.key,
    ]


def _tried(trial: Trial, validation: float | None, form: MetricForm) -> str:
    name = _changes(trial.candidate.changes) or "as it is"
    deciding = [trial.results.get(seed) for seed in trial.search_seeds or trial.results]
    if any(result is not None and result.state == "diverged" for result in deciding):
        return f"{name}: diverged"  # which counts as worst, and is no number to show
    if validation is None:
        some = f"{len(trial.failures)} of {len(deciding)} " if trial.any_record else ""
        return f"{name}: {some}failed"
    return f"{name}: {metric_of(form).form(validation)}"


def _changes(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in changes.items())
