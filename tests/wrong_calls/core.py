"""Wrong calls of the mathematics: coalitions, scores, absences, references."""

from __future__ import annotations

import torch

import counterpoise as cp
from wrong_calls.values import INF, NAN, NOT_COUNTS, NOT_NUMBERS, Row, features

STRENGTH = {
    "fused_fit": features(),
    "concept_fit": features(17, 2),
    "fused_test": features(11),
    "concept_test": features(11, 2),
}
WRONG_FEATURES = (features(r3=NAN), features(r3=INF), "x", None, torch.zeros(0, 3), 3.0)
WRONG_FEATURES += (features().to(torch.complex64), torch.zeros(17, 3, 2), torch.zeros(17), [])

# fmt: off
CORE: list[Row] = [
    (cp.shapley_weights, {"num_modalities": 3}, {
        "num_modalities": (*NOT_COUNTS, 40), "dtype": (torch.int64, "float32", None, float),
    }),
    (cp.scores.CrossEntropy, {}, {
        "floor": (0, 2, NAN, *NOT_NUMBERS), "ignore_index": (1.5, "x", None, True),
    }),
    (cp.scores.BinaryCrossEntropy, {}, {"floor": (0, 2, NAN, *NOT_NUMBERS)}),
    (cp.scores.score_responses,
        {"score": cp.scores.SquaredError(), "responses_MB": torch.ones(2, 7),
         "target": torch.ones(7)},
        {"score": (None, "x", 3)}),
    (cp.scores.criterion_of, {"score": cp.scores.CrossEntropy()}, {"score": (None, "x", 3)}),
    (cp.absence.Constant, {"value": 1.0}, {
        "value": (NAN, INF, None, "x", torch.tensor(NAN), True, 1j, [1.0],
                  torch.ones(2, dtype=torch.complex64)),
    }),
    (cp.absence.Noise, {}, {"std": (-1.0, *NOT_NUMBERS), "mean": (NAN, INF, *NOT_NUMBERS)}),
    (cp.absence.Learned, {"sample_shape": (3, 5)}, {
        "sample_shape": (3, None, "x", (0,), (-1, 3), (1.5,), ("x",), (True,)),
    }),
    (cp.absence.AbsentValues, {"modalities": ("a", "b")}, {
        "absent": (0.0, "zeros", {"c": cp.absence.Zeros()}, {"a": 0.0}, cp.absence.Zeros, [0.0]),
    }),
    (cp.absence.data_mean, {"batches": [torch.ones(2)]}, {
        "batches": ([], 3, [1], [torch.ones(2, dtype=torch.long)], None, torch.tensor(1.0),
                    [torch.ones(2, 3), torch.ones(2, 4)], [torch.full((2,), NAN)],
                    [torch.ones(0, 3)]),
    }),
    (cp.references.ExponentialAverage, {}, {"decay": (1.0, -0.1, NAN, *NOT_NUMBERS)}),
    (cp.references.Fixed, {}, {
        "scores": ([NAN], [INF], [], "12", 3.0, ["x"], [True], [[1.0], [2.0]]),
        "num_steps": NOT_COUNTS,
    }),
    (cp.competition_strength, STRENGTH, {"ridge": (-1.0, NAN, INF, *NOT_NUMBERS)}),
    *((cp.competition_strength, STRENGTH, {name: WRONG_FEATURES}) for name in STRENGTH),
]
