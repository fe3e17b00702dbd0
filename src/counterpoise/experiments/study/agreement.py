"""Competition strength against SHAPE: agreement, robustness, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Final

from counterpoise.data import DataSource
from counterpoise.experiments.study.estimates import (
    MEASURES,
    carried,
    contributions_of,
    seconds_of,
    test_logits,
    training_seconds,
)
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.phrases import above, too_few
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import SETTINGS, digits, true_contributions
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import Interval, correlation, mean_correlation, mean_interval
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.report.formats import duration
from counterpoise.report.page import Note

_TITLES: Final = {
    name: MEASURES[name]
    for name in ("carried", "carried_standardised", "shape_accuracy", "shape_nats")
}


@dataclass(frozen=True)
class Agreement(Study):
    """Measures the same models with both, side by side.

    Args:
        num_seeds: Repeats, at least 3.
        fusion: Of the networks.
        num_train: Training samples of synthetic data.
        max_epochs: Epochs of training on synthetic data.
        data: The real data set. Default: digits.
    """

    name: ClassVar[str] = "agreement"
    question: ClassVar[str] = (
        "Competition strength against SHAPE: do they agree, how robust are they, what do they cost?"
    )
    fewest: ClassVar[Mapping[str, int]] = {"num_seeds": 3}

    fusion: str = "additive"
    num_train: int = 4000
    max_epochs: int = 10
    data: DataSource | None = None

    def cases(self) -> list[Case]:
        """Return joint and unimodal runs in synthetic settings and on real data."""
        settings: dict[str, DataSource] = {**SETTINGS}
        real = self.data or digits()
        settings[real.name] = real
        cases = []
        for setting, data in settings.items():
            names = data.load().modalities
            for seed in range(self.num_seeds):
                joint = self.recipe(data, seed)
                alone = {name: alone_recipe(joint, name) for name in names}
                cases.append(Case((setting,), seed, {"joint": joint, **alone}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return both measures, what they cost, and the truth where it is known."""
        joint = runs["joint"]
        alone = {name: run for name, run in runs.items() if name != "joint"}
        for run in runs.values():  # read from disk first: that is no part of either's cost
            run.balanced.eval()
        shapes, shape_seconds = seconds_of(lambda: contributions_of(*test_logits(joint)))
        strength, strength_seconds = seconds_of(lambda: carried(joint, alone))
        estimates = {
            measure: dict(zip(alone, values.tolist(), strict=True))
            for measure, values in shapes.items()
        }
        estimates["carried"] = strength
        estimates["carried_standardised"] = carried(joint, alone, standardise=True)
        known = joint.recipe.data.name == "synthetic"
        return {
            "truth": true_contributions(joint.recipe.data) if known else None,
            "estimates": estimates,
            "seconds": {
                "shape": shape_seconds,
                "strength": strength_seconds,
                "alone": sum(map(training_seconds, alone.values())),
                "joint": training_seconds(joint),
            },
        }

    def find(self, seen: Observations) -> Findings:
        """Put agreement, robustness and cost side by side."""
        rows = _rows(seen)
        results = Results(
            "Over modalities and data sets. Carried: 1 - competition strength; scaled: with the "
            "fused feature standardised first. Agreement: correlation with SHAPE in accuracy. "
            "Truth: correlation with the true contributions, synthetic data only. Robustness: "
            "correlation of a seed's values with the mean of the other seeds'. Cost: seconds of "
            "measuring one model, and of training what the measure needs beyond the joint model.",
            ("measure",),
            {
                "agreement": Quantity("Agreement with SHAPE", level=0.0),
                "truth": Quantity("Correlation with truth", level=0.0),
                "robustness": Quantity("Robustness to seeds", level=1.0),
                "seconds": Quantity("Measuring, s"),
                "training": Quantity("Training, s", digits=1),
            },
            rows,
        )
        text = (
            "SHAPE asks what a modality contributes to performance, competition strength what of "
            "a modality's own concept the joint model does not carry. A modality can contribute "
            "little because it knows little, with nothing held back: the two need not agree."
        )
        figures = results.to_figures(("agreement", "truth", "robustness"))
        answer = [_answer(rows)]
        return Findings(self, seen, answer, [results], figures, [Note("Two questions.", text)])


def _rows(seen: Observations) -> dict[Condition, dict[str, Interval]]:
    vectors = {measure: _vectors(seen, measure) for measure in _TITLES}
    truths = _truths(seen)
    shape = vectors["shape_accuracy"]
    rows: dict[Condition, dict[str, Interval]] = {}
    for measure, estimates in vectors.items():
        by_shape = measure.startswith("shape")
        row = {
            "truth": mean_correlation(
                [correlation(v[: len(t)], t) for v, t in zip(estimates, truths, strict=True)]
            ),
            "robustness": mean_correlation(_with_the_others(estimates)),
            "seconds": _cost(seen, "shape" if by_shape else "strength"),
            "training": mean_interval([0.0] * seen.num_seeds) if by_shape else _cost(seen, "alone"),
        }
        if measure != "shape_accuracy":
            pairs = zip(estimates, shape, strict=True)
            row["agreement"] = mean_correlation([correlation(*pair) for pair in pairs])
        rows[(_TITLES[measure],)] = row
    return rows


def _vectors(seen: Observations, measure: str) -> list[list[float]]:
    """Return, seed by seed, a measure of all modalities; synthetic settings come first."""
    return [
        [v for c in seen.conditions for v in seen.measured[c][seed]["estimates"][measure].values()]
        for seed in range(seen.num_seeds)
    ]


def _truths(seen: Observations) -> list[list[float]]:
    return [
        [v for c in seen.conditions for v in (seen.measured[c][seed]["truth"] or {}).values()]
        for seed in range(seen.num_seeds)
    ]


def _with_the_others(vectors: list[list[float]]) -> list[float]:
    correlations = []
    for index, own in enumerate(vectors):
        others = [vector for other, vector in enumerate(vectors) if other != index]
        correlations.append(
            correlation(own, [fmean(values) for values in zip(*others, strict=True)])
        )
    return correlations


def _cost(seen: Observations, what: str) -> Interval:
    by_seed = zip(*(seen.values(c, "seconds", what) for c in seen.conditions), strict=True)
    return mean_interval([fmean(values) for values in by_seed])


def _answer(rows: Mapping[Condition, Mapping[str, Interval]]) -> str:
    strength, shape = rows[(_TITLES["carried"],)], rows[(_TITLES["shape_accuracy"],)]
    fair = rows[(_TITLES["carried_standardised"],)]
    agreement = strength["agreement"]
    if too_few(agreement):
        first = "There are too few seeds to test whether they agree"
    elif not agreement.excludes_zero:
        first = "They do not agree beyond chance"
    elif agreement.mean < 0:
        first = "They contradict each other"
    else:
        first = "They agree closely" if above(agreement, 0.8) else "They agree in part"
    robust = [strength["robustness"], shape["robustness"]]
    if above(robust[1], robust[0]):
        steadier = "SHAPE is the more robust to seeds"
    elif above(robust[0], robust[1]):
        steadier = "competition strength is the more robust to seeds"
    else:
        steadier = "in robustness to seeds they are not distinguishable"
    if too_few(agreement):
        steadier = "robustness to seeds is not tested either"
    total = strength["seconds"].mean + strength["training"].mean
    return (
        f"{first}: 1 - competition strength correlates with SHAPE at {with_interval(agreement)}. "
        f"With standardised features it does at {with_interval(fair['agreement'])}. With the "
        "truth SHAPE correlates at "
        f"{with_interval(shape['truth'])}, 1 - competition strength at "
        f"{with_interval(strength['truth'])}. {steadier[0].upper()}{steadier[1:]}: "
        f"{with_interval(shape['robustness'])} against {with_interval(strength['robustness'])}. "
        f"A model costs {duration(shape['seconds'].mean)} by SHAPE and {duration(total)} by "
        f"competition strength, {duration(strength['training'].mean)} of them for training on each "
        "modality alone."
    )
