"""Estimates by several measures of what each modality contributes to a trained model.

One pass over the test data evaluates every coalition; what is made of it is arithmetic. Legend: M
modalities, S coalitions (2^M, the empty one first), N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

import torch
from torch import Tensor

from counterpoise.core.coalitions import shapley_weights
from counterpoise.core.scores import CrossEntropy
from counterpoise.experiments.trained import Trained
from counterpoise.measures import (
    Batches,
    coalition_logits,
    competition_strength,
    contributions,
    extract_features,
    probe_encoders,
)

FUSED: Final = "fusion.head:input"
"""Where the fused feature is taken in networks of this package."""

MEASURES: Final[Mapping[str, str]] = {
    "agm_score": "AGM score",
    "response_accuracy": "response, acc.",
    "shape_nats": "SHAPE, nats",
    "shape_accuracy": "SHAPE, accuracy",
    "probe": "probe",
    "carried": "carried",
    "carried_standardised": "carried, scaled",
}
"""Measures of contribution by name, larger for a modality that contributes more.

"Carried" is 1 - competition strength, "scaled" with the fused feature standardised first.
"""

RESPONSE_SCORES: Final[Mapping[str, str]] = {
    "cross_entropy": "cross-entropy",
    "probability": "probability",
    "accuracy": "accuracy",
    "brier": "squared error",
    "margin": "margin",
    "confidence": "confidence",
}
"""Scores of a response by name, turned so that more is better.

Cross-entropy is AGM's; the probability of the true class OGM's; the squared error is Brier's; the
margin is of the true class over the best other; confidence looks at no label.
"""


def test_logits(trained: Trained) -> tuple[Tensor, Tensor]:
    """Return the logits of every coalition on the test data, (2^M, N, C), and the labels, (N,)."""
    batches = list(Batches(trained.splits.test_set))
    logits = [coalition_logits(trained.balanced, batch).double() for batch in batches]
    return torch.cat(logits, dim=1), torch.cat([batch["target"] for batch in batches])


def contributions_of(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Map the coalitions' logits to what SHAPE says, in nats and in accuracy, each (M,)."""
    nats = torch.stack([-CrossEntropy()(output, target).mean() for output in logits])
    accuracy = (logits.argmax(dim=2) == target).double().mean(dim=1)
    return {"shape_nats": contributions(nats), "shape_accuracy": contributions(accuracy)}


def response_scores(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Map the coalitions' logits to scores of the responses, each (M,), more being better.

    The cross-entropy is given as what it leaves of log C: the nats that a response knows of the
    label, by its own account; below 0 where it misleads.
    """
    M = (len(logits) - 1).bit_length()
    responses = torch.tensordot(shapley_weights(M).to(logits), logits[1:], dims=1)
    probabilities = responses.softmax(dim=2)
    right = probabilities[:, torch.arange(len(target)), target]
    indicators = torch.nn.functional.one_hot(target, logits.shape[2])
    own = responses[:, torch.arange(len(target)), target]
    others = responses.masked_fill(indicators.bool(), -math.inf).amax(dim=2)
    entropy = torch.stack([CrossEntropy()(response, target).mean() for response in responses])
    return {
        "cross_entropy": math.log(logits.shape[2]) - entropy,
        "probability": right.mean(dim=1),
        "accuracy": (responses.argmax(dim=2) == target).double().mean(dim=1),
        "brier": -(probabilities - indicators).square().sum(dim=2).mean(dim=1),
        "margin": (own - others).mean(dim=1),
        "confidence": probabilities.amax(dim=2).mean(dim=1),
    }


def probes_of(trained: Trained) -> dict[str, float]:
    """Return the accuracy of a linear probe on each encoder."""
    splits, balanced = trained.splits, trained.balanced
    parts = (splits.train, splits.validation, splits.test_set)
    encoders = dict(balanced.ownership.encoders)
    probes = probe_encoders(balanced.model, encoders, *map(Batches, parts), kind="ridge")
    return {name: probe.accuracy for name, probe in probes.items()}


def carried(
    joint: Trained, alone: Mapping[str, Trained], *, ridge: float = 120.0, standardise: bool = False
) -> dict[str, float]:
    """Return 1 - competition strength of each modality: the share of its concept that is carried.

    Args:
        joint: The joint run, of a network of this package.
        alone: By modality, the run on it alone.
        ridge: As in :func:`counterpoise.competition_strength`.
        standardise: Whether to give each direction of the fused feature mean 0 and deviation 1
            first, so that the penalty weighs alike whatever the feature's scale.
    """
    fit, test = features_of(joint, FUSED)
    if standardise:
        std = fit.std(dim=0).clamp_min(1e-12)
        fit, test = ((features - fit.mean(dim=0)) / std for features in (fit, test))
    shares = {}
    paths = concept_paths(joint)
    for name, trained in alone.items():
        fit_concept, test_concept = features_of(trained, paths[name])
        shares[name] = 1 - competition_strength(fit, fit_concept, test, test_concept, ridge)
    return shares


def features_of(trained: Trained, path: str) -> tuple[Tensor, Tensor]:
    """Return a feature of the validation and of the test data, each (N, D)."""
    model, parts = trained.balanced.model, (trained.splits.validation, trained.splits.test_set)
    extracted = [extract_features(model, Batches(part), {"feature": path}) for part in parts]
    return extracted[0].features["feature"], extracted[1].features["feature"]


def concept_paths(joint: Trained) -> dict[str, str]:
    """Return where each concept is taken in the network trained on the modality alone.

    As in the protocol: the modality's encoder in late fusion, else the fused feature.
    """
    balanced = joint.balanced
    balanced.validate(**next(iter(Batches(joint.splits.test_set, batch_size=8))))
    late = balanced.runner.facts.separable
    encoders = balanced.ownership.encoders
    return {name: f"model.{path if late else FUSED}" for name, path in encoders.items()}


def training_seconds(trained: Trained) -> float:
    """Return how long the run took, wall time."""
    return float(trained.record["wall_time_seconds"])


def seconds_of(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function returns, and how long it took."""
    begin = perf_counter()
    value = function()
    return value, perf_counter() - begin
