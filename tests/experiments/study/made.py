"""Small studies, and made-up measurements in the shapes that their ``measure`` gives them."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from counterpoise.data import Synthetic
from counterpoise.experiments.study import study_class
from counterpoise.experiments.study.estimates import MEASURES, RESPONSE_SCORES
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.study import Study

NUM_SEEDS = 5
TINY = Synthetic(
    (0.6, 0.2), 0.0, 0.0, num_train=59, num_validation=31, num_test=37, num_features=10
)
TRUTHS = {  # by setting and modality: the contribution, and what it knows by itself
    "uneven": {"m1": (0.9, 1.1), "m2": (0.4, 0.6)},
    "redundant": {"m1": (0.75, 1.3), "m2": (0.6, 1.15)},
    "three": {"m1": (0.8, 0.8), "m2": (0.5, 0.5), "m3": (0.15, 0.15)},
}
METHODS = ("Joint", "AGM(1)", "AGM(2.5)", "OGM-GE", "UnimodalLoss")
SPEEDS = ("both learnt alike", "the informative one slow")
REFERENCES = ("Joint", "running mean", "exponential average", "fixed", "none")
ATTRIBUTED = ("Joint", "Shapley", "leave-one-out", "alone")

Estimate = Callable[[float, float, float], float]
"""Contribution, information by itself and a number from -1 to 1 to an estimate."""


def study(name: str, **options: Any) -> Study:
    """A study of few seeds, on tiny data where it takes any."""
    kind = study_class(name)
    data = {"data": TINY} if "data" in kind.__dataclass_fields__ else {}
    return kind(**{"num_seeds": NUM_SEEDS, **data, **options})


def faithful(truth: float, by_itself: float, chance: float) -> float:
    return truth + 0.02 * chance


def by_itself(truth: float, by_itself: float, chance: float) -> float:
    return by_itself + 0.02 * chance


def reversed_(truth: float, by_itself: float, chance: float) -> float:
    return 0.02 * chance - truth


def chance(truth: float, by_itself: float, chance: float) -> float:
    return chance


def jitter(seed: int, *key: object) -> float:
    """From -1 to 1 in an order that is the key's: over seeds the mean is exactly what it would be.

    Differences of two such rows are 0 on average, so that none is ever told from chance.
    """
    return Random(repr(key)).sample([-1.0, -0.5, 0.0, 0.5, 1.0], NUM_SEEDS)[seed]


def noise(seed: int, *key: object) -> float:
    """A number from -1 to 1; the second seed has the first one's, turned and shrunk.

    A correlation with anything is then r, -r and another over seeds: none on average.
    """
    scale = -0.9 if seed == 1 else 1.0
    return scale * Random(repr((max(seed, 1), *key))).uniform(-1, 1)


def repeated(
    values: Mapping[tuple[str, ...], Mapping[str, float]], spread: float = 0.002
) -> Observations:
    """Each value once a seed, spread around the one given."""
    return Observations(
        {
            condition: [
                {
                    name: value + spread * jitter(seed, condition, name)
                    for name, value in found.items()
                }
                for seed in range(NUM_SEEDS)
            ]
            for condition, found in values.items()
        }
    )


def _estimated(
    names: Mapping[str, Any],
    how: Mapping[str, Estimate],
    default: Estimate,
    setting: str,
    seed: int,
) -> dict[str, dict[str, float]]:
    return {
        name: {
            m: how.get(name, default)(*truth, noise(seed, name, setting, m))
            for m, truth in TRUTHS[setting].items()
        }
        for name in names
    }


def responses(default: Estimate = faithful, **how: Estimate) -> Observations:
    def measured(setting: str, seed: int) -> dict[str, Any]:
        truths = TRUTHS[setting]
        return {
            "truth": {m: pair[0] for m, pair in truths.items()},
            "by_itself": {m: pair[1] for m, pair in truths.items()},
            "estimates": _estimated(MEASURES, how, default, setting, seed),
        }

    return Observations({(w,): [measured(w, seed) for seed in range(NUM_SEEDS)] for w in TRUTHS})


def scores(default: Estimate = faithful, **how: Estimate) -> Observations:
    def measured(setting: str, seed: int) -> dict[str, Any]:
        found = _estimated(RESPONSE_SCORES, how, default, setting, seed)
        return {
            "truth": [pair[0] for pair in TRUTHS[setting].values()],
            "by_itself": [pair[1] for pair in TRUTHS[setting].values()],
            "scores": {name: list(values.values()) for name, values in found.items()},
        }

    return Observations({(w,): [measured(w, seed) for seed in range(NUM_SEEDS)] for w in TRUTHS})


def agreement(
    default: Estimate = faithful, *, seconds: float = 1.0, alone: float = 30.0, **how: Estimate
) -> Observations:
    names = ("carried", "carried_standardised", "shape_accuracy", "shape_nats")

    def measured(setting: str, seed: int) -> dict[str, Any]:
        truths = {m: pair[0] for m, pair in TRUTHS[setting].items()}
        return {
            "truth": truths if setting != "three" else None,  # the real data set, the last
            "estimates": _estimated(names, how, default, setting, seed),
            "seconds": {"shape": seconds, "strength": 2 * seconds, "alone": alone, "joint": 15.0},
        }

    return Observations({(w,): [measured(w, seed) for seed in range(NUM_SEEDS)] for w in TRUTHS})


def reliance(moved: Mapping[str, float] | None = None, gained: float = 0.0) -> Observations:
    """Moved: by method, where both are learnt alike."""

    def row(speed: str, label: str) -> dict[str, float]:
        shift = (moved or {}).get(label, 0.0) if speed == SPEEDS[0] else 0.0
        accuracy = 0.7 + (gained if shift else 0.0)
        return {"reliance": 0.5 + shift, "truth": 0.65, "accuracy": accuracy}

    return repeated({(speed, label): row(speed, label) for speed in SPEEDS for label in METHODS})


def shifts(accuracies: Mapping[str, float] | None = None, late: float = 0.1) -> Observations:
    return repeated(
        {
            (label,): {
                "accuracy": (accuracies or {}).get(label, 0.6),
                "reliance": 0.4,
                "truth": 0.25,
                "early": 0.2,
                "during": 0.3,
                "late": late,
            }
            for label in REFERENCES
        }
    )


def references(
    accuracies: Mapping[str, float] | None = None, weakest: Mapping[str, float] | None = None
) -> Observations:
    return repeated(
        {
            (label,): {
                "accuracy": (accuracies or {}).get(label, 0.9),
                "weakest": (weakest or {}).get(label, 0.5),
                "modulation": 0.2,
                "seconds": 0.01,
            }
            for label in REFERENCES
        }
    )


def attributions(against: Mapping[tuple[str, str], float] | None = None) -> Observations:
    """Against: by data set and attribution, on top of the accuracy of all."""
    return repeated(
        {
            (setting, label): {
                "accuracy": 0.8 + (against or {}).get((setting, label), 0.0),
                "modulation": 0.2,
                "seconds": 0.01,
            }
            for setting in ("redundant", "synergy", "synthetic")
            for label in ATTRIBUTED
        }
    )


def fusions(strengths: Mapping[str, tuple[float, float]], spread: float = 0.002) -> Observations:
    """Strengths: by fusion, as published, of m1 and m2; standardised they are a tenth of it."""

    def measured(fusion: str, seed: int) -> dict[str, Any]:
        pair = {
            name: value + spread * jitter(seed, fusion, name)
            for name, value in zip(("m1", "m2"), strengths[fusion], strict=True)
        }
        return {
            "accuracy": 0.9,
            "strength": pair,
            "standardised": {name: value / 10 for name, value in pair.items()},
            "probe": {"m1": 0.6, "m2": 0.7},
            "alone": {"m1": 0.65, "m2": 0.75},
        }

    return Observations({(f,): [measured(f, seed) for seed in range(NUM_SEEDS)] for f in strengths})


def initialisations(
    same: tuple[float, float] = (0.6, 0.3),
    other: tuple[float, float] = (0.6, 0.3),
    *,
    by_joint: float = 0.0,
    by_concept: float = 0.0,
) -> Observations:
    """Strengths of m1 and m2 on and off the diagonal, and what each initialisation adds.

    -2 ... 2 has the deviation sqrt(2.5).
    """

    def strengths(m: int, row: int) -> list[float]:
        return [
            (same if row == column else other)[m]
            + by_joint * (row - 2) / 2.5**0.5
            + by_concept * (column - 2) / 2.5**0.5
            + 0.002 * jitter(column, m)
            for column in range(NUM_SEEDS)
        ]

    def measured(seed: int) -> dict[str, Any]:
        found = {name: strengths(m, seed) for m, name in enumerate(("m1", "m2"))}
        return {
            "seed": seed,
            "strength": found,
            "light": {name: [value / 2 for value in values] for name, values in found.items()},
            "floor": {name: [0.1 + 0.01 * seed] * (NUM_SEEDS - 1) for name in found},
        }

    return Observations({("joint",): [measured(seed) for seed in range(NUM_SEEDS)]})


def everything() -> dict[str, Observations]:
    """Something for each study to find."""
    return {
        "responses": responses(carried=chance),
        "reliance": reliance({"AGM(1)": 0.1}),
        "shifts": shifts(),
        "initialisations": initialisations(),
        "fusions": fusions({"additive": (0.6, 0.3), "gated": (0.2, 0.5)}),
        "agreement": agreement(),
        "attributions": attributions(),
        "references": references(),
        "scores": scores(),
    }
