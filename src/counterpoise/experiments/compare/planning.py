"""Checks of a grid before anything is trained: its data are loaded and its networks built, once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from counterpoise.core.errors import is_ours
from counterpoise.experiments.compare.grid import Candidate, Grid
from counterpoise.methods import check_task
from counterpoise.training.record import describe

if TYPE_CHECKING:
    from counterpoise.data import Splits


def fingerprints(candidates: Iterable[Candidate]) -> dict[str, str]:
    """Load each data set once and build each network for it, so that mistakes show at once.

    Args:
        candidates: All of a grid. Neither they nor torch's generator are changed.

    Returns:
        The fingerprint of each data source, by its description as text.

    Raises:
        ValueError: If a network cannot be built for its data; the message says where in the grid.
        OSError: If data are missing, or as their source says.
    """
    by_data: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_data.setdefault(text_of(candidate.recipe.data), []).append(candidate)
    by_text: dict[str, str] = {}
    headlines: dict[str, str] = {}
    for text, members in by_data.items():
        splits = members[0].recipe.data.load()
        _check_task(members, splits, headlines)
        built: set[str] = set()
        for candidate in members:
            model = text_of(candidate.recipe.model)
            if model not in built:
                _build(candidate, splits)
                built.add(model)
        by_text[text] = splits.fingerprint
    return by_text


def by_label(grid: Grid, known: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprint of the data of each label, undivided by any seed.

    Args:
        grid: What is compared.
        known: What :func:`fingerprints` returned.
    """
    fusion = (grid.fusions or [""])[0]
    sources = {label: grid.shared_recipe(label, fusion).data for label in grid.data}
    return {label: known[text_of(source)] for label, source in sources.items()}


def _check_task(members: Iterable[Candidate], splits: Splits, headlines: dict[str, str]) -> None:
    """Raise unless methods are defined for the data, which can be compared with the others."""
    for candidate in members:
        where = f"(At `data.{candidate.data}` in the grid.)"
        if splits.test is None:
            raise ValueError(f"`data` should have test samples; found none. Add them. {where}")
        headlines[candidate.data] = splits.task.headline
        if len(set(headlines.values())) > 1:
            listed = ", ".join(f"{name}: {metric}" for name, metric in headlines.items())
            raise ValueError(
                f"`data` should have one headline metric; found {listed}. Compare them separately."
            )
        assert candidate.recipe.method is not None
        try:
            check_task(candidate.recipe.method, splits.task.kind)
        except ValueError as error:
            raise ValueError(f"{error} {where}") from None


def text_of(thing: object) -> str:
    """Return a description of an object, as text."""
    return json.dumps(describe(thing), sort_keys=True)


def _build(candidate: Candidate, splits: Splits) -> None:
    model = candidate.recipe.model
    assert model is not None
    try:
        with torch.random.fork_rng(devices=[]):
            model.build(splits)
    except Exception as error:  # whatever a class of the caller's own raises
        place = f"`data.{candidate.data}`" + (f", {candidate.fusion}" if candidate.fusion else "")
        text = str(error)
        if not is_ours(text):
            text = (
                "`model` should be one that can be built for the data; found that it ends with "
                f"{type(error).__name__}: {text}. Correct it, or choose another."
            )
        raise ValueError(f"{text} (At {place} in the grid.)") from error
