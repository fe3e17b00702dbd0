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
from counterpoise.data.tasks import Segments
from counterpoise.experiments.cells import Cell, Run
from counterpoise.experiments.compete.paths import Paths, num_rows
from counterpoise.experiments.store import Store
from counterpoise.experiments.trained import Trained, trained
from counterpoise.measures.contributions import contributions, cooperation, robustness
from counterpoise.measures.evaluation import measure
from counterpoise.measures.features import Batches, extract_features, placed_on
from counterpoise.measures.imbalance import conditional_utilisation, discrepancy_ratios
from counterpoise.measures.strength import varying_directions
from counterpoise.measures.task_probes import task_probe
from counterpoise.measures.trained import model_strengths
from counterpoise.training.results import tested

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe

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
    models = {name: run.balanced.model.to(device) for name, run in alone.items()}
    segments = splits.task if paths.by_segment and isinstance(splits.task, Segments) else None
    strengths = model_strengths(
        balanced.model,
        models,
        Batches(splits.validation),
        Batches(splits.test_set),
        fused=paths.fused,
        concept=paths.concepts,
        ridge=ridge,
        segments=segments,
    )
    fitted = num_rows(splits.validation, by_segment=paths.by_segment)
    varying = {
        name: _varying(model, splits, paths.concepts[name], segments)
        for name, model in models.items()
    }
    return {
        "method": type(recipe.method).__name__,
        "settings": recipe.describe()["method"].get("init_args", {}),
        "seed": recipe.seed,
        "joint": tested(record),
        "strength": strengths,
        "varying": varying,
        "fit_per_dimension": None if fitted is None else fitted / paths.num_fused,
        "alone": {name: tested(run.record) for name, run in alone.items()},
        "probe": _probes(balanced, splits, paths, segments),
        **_contributions(balanced, splits),
        "discrepancy": _discrepancy(balanced, splits),
        "seconds": record["wall_time_seconds"],
        "seconds_alone": sum(run.record["wall_time_seconds"] for run in alone.values()),
    }


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.trainer.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wanted and torch.cuda.is_available() else "cpu")


def _varying(alone: nn.Module, splits: Splits, path: str, segments: Segments | None) -> float:
    """Return the share of directions in which a concept varies on test data."""
    paths, batches = {"concept": f"model.{path}"}, Batches(splits.test_set)
    concept = extract_features(alone, batches, paths, segments=segments).features["concept"]
    return varying_directions(concept) / concept.shape[1]


def _probes(
    balanced: Balanced, splits: Splits, paths: Paths, segments: Segments | None
) -> dict[str, float]:
    """Return the result of each encoder's probe; empty where there is no encoder to probe."""
    if not paths.encoders or (segments is None and isinstance(splits.task, Segments)):
        return {}
    parts = {
        name: extract_features(balanced.model, Batches(part), paths.encoders, segments=segments)
        for name, part in splits.parts.items()
    }
    return {name: task_probe(parts, name, splits.task) for name in paths.encoders}


def _discrepancy(balanced: Balanced, splits: Splits) -> dict[str, float]:
    """Return OGM's ratio of each modality on test data; empty for any task but classification."""
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
    """Return what each modality contributes, and robustness; no values for too many modalities."""
    from counterpoise.measures.coalition_metric import CoalitionMetric
    from counterpoise.measures.metrics import PROBABILITIES

    names, task = splits.modalities, splits.task
    if len(names) > EXACT_LIMIT:
        return {"contribution": {}, "cooperation": None, "robustness": []}
    metric = CoalitionMetric(len(names), task.metric(task.headline))
    values = measure(balanced, Batches(splits.test_set), metric).cpu().double()
    merits = values * task.form.turned(1.0)  # of errors, what takes them down contributes
    share = task.form.share and values[-1] > 0
    used = conditional_utilisation(values).tolist() if share else []
    return {
        "utilisation": dict(zip(names, used, strict=False)),
        "contribution": dict(zip(names, contributions(merits).tolist(), strict=True)),
        "cooperation": cooperation(merits).item(),
        "robustness": robustness(values, torch.tensor(PROBABILITIES)).tolist(),
    }
