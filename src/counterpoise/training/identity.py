"""What a record says of a run beside its curves: what was trained, and the test results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoise.data import Splits
from counterpoise.data.contract import size_of
from counterpoise.training.module import BalancedModule
from counterpoise.training.recipe import Recipe
from counterpoise.training.record import versions


def identity(recipe: Recipe, splits: Splits, module: BalancedModule) -> dict[str, Any]:
    """Return what was trained on what, in plain types."""
    assert recipe.method is not None  # a recipe puts Joint in its place
    described, model = recipe.describe(), module.balanced.model
    return {
        "name": recipe.name,
        "method": {
            "name": recipe.method.title(),
            "settings": described["method"].get("init_args", {}),
        },
        "data": {
            "name": splits.name,
            "fingerprint": splits.fingerprint,
            "note": splits.note,
            "modalities": list(splits.modalities),
            "num_classes": splits.num_classes if splits.task.has_classes else None,
            "sizes": {name: size_of(part) for name, part in splits.parts.items()},
        },
        "task": {**splits.task.describe(), "guess": splits.guess},
        "model": {
            "name": type(model).__name__,
            "settings": described["model"].get("init_args", {}),
            "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "seed": recipe.seed,
        "versions": versions(),
    }


def test_results(
    tested: Mapping[str, float], module: BalancedModule, modalities: tuple[str, ...]
) -> dict[str, Any]:
    """Return loss and metrics on test data, of the model and of each modality's response."""
    responses = (f"response/{name}/{module.task.headline}" for name in modalities)
    return {name: tested[f"test/{name}"] for name in ("loss", *module.reported, *responses)}
