"""Wrong calls of the measures and of statistics."""

from __future__ import annotations

import torch

import counterpoise as cp
from counterpoise import measures
from counterpoise.measures import statistics
from wrong_calls.core import WRONG_FEATURES
from wrong_calls.values import (
    ENCODERS,
    NAN,
    NOT_COUNTS,
    NOT_RATES,
    Net,
    Row,
    batch,
    dataset,
    features,
)

PERFORMANCES = torch.tensor([0.1, 0.5, 0.4, 0.9])
NOT_PERFORMANCES = (
    torch.ones(5), torch.ones(1), torch.tensor([0.1, NAN, 0.4, 0.9]), "x", None, [0.1] * 4,
    torch.ones(4, dtype=torch.complex64), torch.tensor(1.0),
)  # fmt: skip
PROBED = {name: (features(19, 3), torch.arange(19) % 2) for name in ("train", "validation", "test")}
NOT_PROBED = (
    (features(19), torch.zeros(19).long()), (features(18), torch.arange(19) % 2),
    (features(19, r3=NAN), torch.arange(19) % 2), features(19), None, "x",
    (features(19), torch.rand(19, generator=torch.Generator())), (features(19), None),
    (features(19, 4), torch.arange(19) % 2),
)  # fmt: skip
NOT_BATCHES = (None, 3, [], [3], [(1, 2)], "x")
PATHS = {"model": Net(), "batches": [batch()], "paths": {"a": "a"}}
NOT_PATHS = (None, "a", {}, {"a": "c"}, {"a": 3}, {"a": ""}, {"a": Net()}, ["a"])
CONCEPTS = {
    "model": Net(), "concepts": {"a": Net(), "b": Net()}, "fit": [batch(17)], "test": [batch(11)],
    "fused": "a", "concept": "b",
}  # fmt: skip
PROBES = {"model": Net(), "encoders": ENCODERS} | {part: [batch(19)] for part in PROBED}
NOT_RUNS = ((), "x", None, (1.0, NAN), ("a", "b"), 3.0)
TWO = {"first": [1.0, 2.0, 4.0, 3.0], "second": [2.0, 1.0, 5.0, 3.0]}
NOT_PAIRED = ([1.0], [1.0, 2.0], "x", None, [NAN, 1.0, 2.0, 3.0], 3.0)
NOT_CONFIDENCES = (0, 1, 95, NAN, "x", None)
RUNS = {"A": [0.1, 0.2, 0.3], "B": [0.2, 0.3, 0.5]}
ESTIMATES = [statistics.mean_estimate([0.1, 0.2, 0.4])]
SHARES = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 0]]).numpy()


def balanced() -> cp.Balanced:
    return cp.Balanced(Net(), ENCODERS, cp.Joint())


# fmt: off
MEASURES: list[Row] = [
    (measures.every_coalition, {"num_modalities": 2}, {"num_modalities": (*NOT_COUNTS, 40)}),
    *((each, {"performances": PERFORMANCES}, {"performances": NOT_PERFORMANCES}) for each in (
        measures.contributions, measures.cooperation, measures.alone,
        measures.conditional_utilisation,
    )),
    (measures.conditional_utilisation, {"performances": PERFORMANCES}, {
        "performances": (torch.zeros(4), -PERFORMANCES),
    }),
    (measures.robustness, {"performances": PERFORMANCES, "probabilities": torch.tensor([0.5])}, {
        "performances": NOT_PERFORMANCES,
        "probabilities": (torch.tensor([1.5]), torch.tensor([NAN]), "x", None, 3),
    }),
    *((each, {"num_modalities": 2}, {"num_modalities": (*NOT_COUNTS, 40), "score": (3, "x")})
      for each in (measures.Contribution, measures.Cooperation, measures.Alone,
                   measures.CoalitionPerformance, measures.ResponsePerformance)),
    (measures.Robustness, {"num_modalities": 2}, {
        "probabilities": ((1.5,), (NAN,), (), "x", 3, ("a",)),
    }),
    (measures.modality_metrics, {"num_modalities": 2}, {
        "num_modalities": NOT_COUNTS, "probabilities": ((1.5,), (), "x"), "score": (3, "x"),
    }),
    (measures.Batches, {"dataset": dataset()}, {
        "dataset": (None, [1], 3), "batch_size": NOT_COUNTS,
    }),
    (measures.linear_probe, PROBED, {
        "kind": ("logistc", None, 3), "penalties": ((), (0,), (NAN,), ("x",), 3, (-1.0,), None),
        "train": NOT_PROBED, "validation": NOT_PROBED[1:], "test": NOT_PROBED[1:],
    }),
    (measures.varying_directions, {"concept": features()}, {"concept": WRONG_FEATURES[:4]}),
    (measures.accuracy_gap, {"unimodal_accuracy": torch.ones(3)}, {
        "unimodal_accuracy": (None, "x", [0.1, 0.2], torch.tensor(1.0), torch.tensor([0.1, NAN])),
    }),
    (measures.discrepancy_ratios,
        {"unimodal_logits": torch.zeros(2, 7, 3), "target": torch.arange(7) % 3},
        {"target": (torch.rand(7, generator=torch.Generator()), None, "x", torch.arange(5) % 3,
                    torch.full((7,), 3), torch.zeros(7, 2, dtype=torch.long)),
         "unimodal_logits": (None, "x", torch.zeros(7, 3), torch.zeros(1, 7, 3))}),
    (measures.extract_features, PATHS, {
        "model": (None, "x", Net), "batches": NOT_BATCHES, "paths": NOT_PATHS, "call": (3, "x"),
    }),
    (measures.measure,
        {"balanced": balanced(), "batches": [batch()], "metrics": measures.modality_metrics(2)},
        {"balanced": (Net(), None, cp.Balanced), "batches": NOT_BATCHES,
         "metrics": (None, "accuracy", 3)}),
    (measures.coalition_logits, {"balanced": balanced(), "batch": batch()}, {
        "balanced": (Net(), None), "batch": (None, (1, 2), {"a": torch.ones(7, 3)}),
    }),
    (measures.UnimodalModel, {"model": Net(), "modality": "a", "modalities": ("a", "b")}, {
        "model": (None, Net, "x"), "modality": ("c", "", None, 3),
        "modalities": (("a",), "ab", None, ("a", "c"), ()),
        "encoders": ({"a": "c"}, {"c": "a"}, "a", 3), "absent": (0.0, "zeros", {"c": 0.0}),
    }),
    (measures.model_strengths, CONCEPTS, {
        "model": (None, Net), "concepts": (None, {}, {"a": Net}, [Net()]), "fit": NOT_BATCHES[:4],
        "test": NOT_BATCHES[:4], "fused": ("c", "", None, 3), "concept": ("c", None, {"a": "b"}),
        "ridge": NOT_RATES,
    }),
    (measures.probe_encoders, PROBES, {
        "model": (None, Net), "encoders": NOT_PATHS, "train": NOT_BATCHES[:4],
        "kind": ("logistc", None), "penalties": ((), (NAN,), "x"),
    }),
]

STATISTICS: list[Row] = [
    (statistics.mean_interval, {"values": [0.1, 0.2, 0.4]}, {
        "values": NOT_RUNS[:3] + NOT_RUNS[4:], "confidence": NOT_CONFIDENCES,
        "step": (-0.1, NAN, "x", None),
    }),
    (statistics.mean_estimate, {"values": [0.1, 0.2, 0.4]}, {
        "values": NOT_RUNS, "step": (-0.1, NAN, "x", None), "diverged": (NAN, "x"),
    }),
    (statistics.paired_difference, {"values": [0.1, 0.2, 0.4], "baseline": [0.2, 0.1, 0.5]}, {
        "values": (*NOT_RUNS, [0.1]), "baseline": (*NOT_RUNS, [0.1]),
    }),
    (statistics.correlation, TWO, dict.fromkeys(TWO, NOT_PAIRED)),
    (statistics.rank_correlation, TWO, dict.fromkeys(TWO, NOT_PAIRED)),
    (statistics.correlation_interval, TWO, {"confidence": NOT_CONFIDENCES, "first": NOT_PAIRED}),
    (statistics.mean_correlation, {"values": [0.1, 0.5, 0.3]}, {
        "values": ([1.5, 0.1], "x", None, [NAN, 0.1], ()),
    }),
    (statistics.corrected_p_values, {"p_values": [0.1, 0.5]}, {
        "p_values": ([1.5], [-0.1], "x", None, ["a"]), "correction": ("hom", None, 3),
    }),
    (statistics.power, {"difference": 1.0, "error": 0.5, "degrees": 4.0}, {
        "difference": (NAN, "x", None), "error": (-1.0, NAN, "x"), "degrees": (0, -1, NAN, "x"),
        "level": NOT_CONFIDENCES,
    }),
    (statistics.detectable_difference, {"error": 0.5, "degrees": 4.0}, {
        "error": (-1.0, "x"), "degrees": (0, NAN, "x"), "level": NOT_CONFIDENCES,
        "power": NOT_CONFIDENCES,
    }),
    (statistics.share_interval, {"num_successes": 3, "num_cases": 7}, {
        "num_successes": (-1, 8, 1.5, "x", None), "num_cases": (0, -1, 1.5, "x"),
        "confidence": NOT_CONFIDENCES, "method": ("wilsn", None),
    }),
    (statistics.mean_share, {"shares": [0.1, 0.5]}, {
        "shares": ([1.5], [-0.1, 0.2], [NAN], "x", None, []), "confidence": NOT_CONFIDENCES,
    }),
    (statistics.share_of_wins, {"runs": [0.1, 0.2], "baseline": [0.3, 0.1]}, {
        "runs": NOT_RUNS, "baseline": NOT_RUNS,
    }),
    (statistics.probability_of_improvement, {"runs": RUNS, "baseline": RUNS}, {
        "runs": ({}, None, {"A": []}, {"C": [0.1]}, "x"), "baseline": ({}, None, {"C": [0.1]}),
    }),
    (statistics.performance_profile, {"runs": RUNS, "thresholds": [0.1, 0.2]}, {
        "runs": ({}, None, {"A": []}, "x"), "thresholds": ("x", None, [NAN]),
    }),
    (statistics.rank, {"results": {n: [0.1 * i, 0.2, 0.3, 0.5 * i, 0.1, 0.4 / (i + 1), 0.6, 0.7]
                                   for i, n in enumerate(("A", "B", "C"))}}, {
        "results": ({}, None, {"A": [0.1]}, {"A": [0.1, 0.2], "B": [0.1]}, "x"),
        "level": NOT_CONFIDENCES,
    }),
    (statistics.judge, {"estimates": ESTIMATES}, {
        "estimates": (None, [3], "x", statistics.Estimate), "level": NOT_CONFIDENCES,
        "margin": (0, -1, NAN, "x"), "correction": ("hom", None), "bounds": ((1, 0), 3, None, "x"),
    }),
    (statistics.equivalence_p_value, {"estimate": ESTIMATES[0], "margin": 0.1}, {
        "estimate": (None, 3, "x"), "margin": (0, -1, NAN, "x", None),
    }),
    (statistics.best_so_far, {"validation": [0.1, 0.5]}, {"validation": ("x", None, ["a"], ())}),
    (statistics.expected_best, {"validation": [0.1, 0.5]}, {
        "validation": ("x", None, ["a"], ()), "diverged": (NAN, "x"),
    }),
    (statistics.is_at_edge, {"choice": 0.5, "low": 0.1, "high": 1.0}, {
        "choice": (NAN, "x", 2.0, None), "low": (NAN, "x"), "high": (NAN, "x", 0.0),
        "share": (NAN, -1, "x", 1.5),
    }),
    (statistics.two_way_estimate, {"correct": SHARES}, {
        "correct": ("x", None, [1.0, 2.0], [[NAN, 1.0]], [[2.0, 1.0]], []),
    }),
    (statistics.two_way_difference, {"correct": SHARES, "baseline": SHARES}, {
        "correct": ("x", None, [[1.0]], [[NAN, 1.0]]), "baseline": ("x", None, [[1.0]]),
    }),
]
