"""A measurement of competition: one joint run against the runs on each modality alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from counterpoise.core.coalitions import EXACT_LIMIT
from counterpoise.experiments.cells import Cell, Run
from counterpoise.experiments.compete.paths import Paths
from counterpoise.experiments.store import Store
from counterpoise.experiments.trained import Trained, trained
from counterpoise.measures.evaluation import measure
from counterpoise.measures.features import Batches, extract_features, placed_on
from counterpoise.measures.imbalance import conditional_utilisation, discrepancy_ratios
from counterpoise.measures.probes import probe_encoders
from counterpoise.measures.strength import varying_directions
from counterpoise.measures.trained import model_strengths

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe

__all__ = ["RIDGE", "Competing"]

RIDGE = 120.0
"""Penalty of the regression that competition strengths come from, as published."""

_FORMAT = 3  # raised whenever the same runs give other results
_JOINT = "joint"


@dataclass(frozen=True)
class Competing(Cell):
    """How modalities compete in a joint run: probes, strengths, contributions.

    Args:
        joint: The run whose model is measured.
        alone: The run on each modality alone.
        paths: Where features are taken from the network.
        ridge: As in :func:`counterpoise.competition_strength`.
    """

    joint: Run
    alone: Mapping[str, Run]
    paths: Paths
    ridge: float = RIDGE

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The runs that it needs, and how they are measured."""
        return {
            "measurement": ["competition", _FORMAT],
            "of": self.joint.key,
            "against": {name: run.key for name, run in self.alone.items()},
            "paths": self.paths.describe(),
            "ridge": self.ridge,
            "versions": self.joint.identity["versions"],
        }

    @property
    def title(self) -> str:
        """That of the joint run."""
        return f"{self.joint.title}, competition"

    @property
    def needs(self) -> Mapping[str, Run]:
        """The joint run, and those on each modality."""
        return {_JOINT: self.joint, **{f"{n} alone": run for n, run in self.alone.items()}}

    @property
    def uses_gpu(self) -> bool:
        """Where training did."""
        return self.joint.uses_gpu

    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Measure; return the fields of an :class:`~counterpoise.experiments.compete.Outcome`.

        Raises:
            RuntimeError: If a run failed, so that there is no model.
        """
        there = trained(self.needs, store)
        joint, alone = there[_JOINT], {name: there[f"{name} alone"] for name in self.alone}
        return _measured(joint, alone, self.paths, self.ridge)


def _measured(
    joint: Trained, alone: Mapping[str, Trained], paths: Paths, ridge: float
) -> dict[str, Any]:
    """Measure one joint model against its concepts."""
    recipe, splits, record = joint.recipe, joint.splits, joint.record
    device = _device(recipe)
    balanced = joint.balanced.to(device)
    models = {name: each.balanced.model.to(device) for name, each in alone.items()}
    strengths = model_strengths(
        balanced.model,
        models,
        Batches(splits.validation),
        Batches(splits.test_set),
        fused=paths.fused,
        concept=paths.concepts,
        ridge=ridge,
    )
    return {
        "method": type(recipe.method).__name__,
        "settings": recipe.describe()["method"].get("init_args", {}),
        "seed": recipe.seed,
        "accuracy": record["test"]["accuracy"],
        "strength": strengths,
        "varying": {n: _varying(model, splits, paths.concepts[n]) for n, model in models.items()},
        "alone": {name: each.record["test"]["accuracy"] for name, each in alone.items()},
        "probe": _probes(balanced, splits, paths),
        **_contributions(balanced, splits),
        "discrepancy": _discrepancy(balanced, splits),
        "seconds": record["wall_time_seconds"],
        "seconds_alone": sum(each.record["wall_time_seconds"] for each in alone.values()),
    }


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.trainer.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wanted and torch.cuda.is_available() else "cpu")


def _varying(alone: nn.Module, splits: Splits, path: str) -> float:
    """Return the share of directions in which a concept varies on test data."""
    paths = {"concept": f"model.{path}"}
    concept = extract_features(alone, Batches(splits.test_set), paths).features["concept"]
    return varying_directions(concept) / concept.shape[1]


def _probes(balanced: Balanced, splits: Splits, paths: Paths) -> dict[str, float]:
    """Return the accuracy of each encoder's probe; nothing where there is none to probe."""
    if not paths.encoders or splits.task.kind != "classification":
        return {}
    parts = (splits.train, splits.validation, splits.test_set)
    probes = probe_encoders(balanced.model, paths.encoders, *map(Batches, parts), kind="ridge")
    return {name: probe.accuracy for name, probe in probes.items()}


def _discrepancy(balanced: Balanced, splits: Splits) -> dict[str, float]:
    """Return OGM's ratio of each modality on test data; nothing but for a label a sample."""
    if splits.task.kind != "classification":
        return {}
    device, logits, labels = next(balanced.parameters()).device, [], []
    for batch in Batches(splits.test_set):
        own = balanced.respond(**placed_on(device, batch)).unimodal_logits
        assert own is not None
        logits.append(own.cpu())
        labels.append(batch["target"])
    ratios = discrepancy_ratios(torch.cat(logits, dim=1), torch.cat(labels))
    return dict(zip(splits.modalities, ratios.tolist(), strict=True))


def _contributions(balanced: Balanced, splits: Splits) -> dict[str, Any]:
    """Return what coalitions tell; nothing where they are too many."""
    from counterpoise.measures.metrics import modality_metrics

    names = splits.modalities
    if len(names) > EXACT_LIMIT:
        return {"contribution": {}, "cooperation": None, "robustness": []}
    found = measure(balanced, Batches(splits.test_set), modality_metrics(len(names)))
    performance = found["performance"]
    used = conditional_utilisation(performance).tolist() if performance[-1] > 0 else []
    return {
        "utilisation": dict(zip(names, used, strict=False)),
        "contribution": dict(zip(names, found["contribution"].tolist(), strict=True)),
        "cooperation": found["cooperation"].item(),
        "robustness": found["robustness"].tolist(),
    }
