"""Every term that a page uses, defined once."""

# ruff: noqa: RUF001  (Greek letters and minus signs are meant)

from __future__ import annotations

from typing import Final

from counterpoise.core.errors import check_choice
from counterpoise.report.page import Terms

GLOSSARY: Final = {
    "95% interval": (
        "Where the mean over ever more seeds lies with a confidence of 95%, by Student's t: of 100 "
        "such intervals about 95 hold it."
    ),
    "Alone": (
        "The network trained on one modality only, with everything else alike: what the modality "
        "is worth by itself."
    ),
    "Coefficient κ": (
        "The factor by which a method multiplies what a modality contributes to the gradient or to "
        "its learning rate. Above 1 boosts, below 1 brakes, 1 leaves training as it is. For AGM, "
        "κ = exp(−α (r − τ)), where τ is r on the mean of all earlier scores."
    ),
    "Competition strength": (
        "How much of what the modality alone would know the joint model does not carry. From the "
        "fused feature of the joint model a ridge regression predicts the concept; its squared "
        "error, in units of the concept's own covariance, is averaged over dimensions. 0: all is "
        "carried. 1: no more than the mean. It can exceed 1."
    ),
    "Concept": (
        "The penultimate feature of a model trained on the modality alone: its state free of "
        "competition. Trained from the same seed on the same training data."
    ),
    "Concept varies in": (
        "The share of the concept's directions in which it varies on test data. The others, such "
        "as units that are never active, count as carried: by so much is the competition strength "
        "of a modality lower than over the directions that vary."
    ),
    "Conditional utilisation rate": (
        "The share of the joint model's accuracy that is lost when the modality is absent (Wu et "
        "al., ICML 2022): 0 where the others do as well without it."
    ),
    "Contribution": (
        "The Shapley value of the modality in the joint model's test result, with absent "
        "modalities replaced. Contributions add up to the result above chance."
    ),
    "Discrepancy ratio r": (
        "How far a modality is ahead of the others: the exponential of the mean difference between "
        "their scores and its own. Above 1, it leads."
    ),
    "Discrepancy ratio ρ": (
        "How probable a modality's own logits make the labels, over the mean of the others' (Peng "
        "et al., CVPR 2022): 1 at par, above 1 where it leads. By this ratio OGM slows encoders."
    ),
    "Each modality absent": (
        "The test result to be expected where each modality is absent with this probability, "
        "independently of the others: exact, from the result of every subset of modalities."
    ),
    "Effect": (
        "Mean paired difference in units of its standard deviation over seeds, corrected for the "
        "bias of few seeds (Hedges)."
    ),
    "Equivalent": (
        "The difference is shown to be smaller than the margin by two one-sided tests, corrected "
        "for all of this report, and its interval lies within the margin."
    ),
    "Gap": (
        "The accuracy of the best encoder's probe less that of the worst: how unequally the joint "
        "model has trained its encoders."
    ),
    "Higher, lower": (
        "The interval of the paired difference excludes zero. If no method differed from the "
        "baseline, the probability that any difference in this report were called higher or lower "
        "would be at most 5% (Holm's procedure)."
    ),
    "Improves in": (
        "How probably a run of the method does better than one of the baseline, a mean over data "
        "sets; ties count half."
    ),
    "Interval": (
        "Of a mean: where the mean over ever more seeds lies with a confidence of 95%, by "
        "Student's t; where the result of each test sample is kept, over ever more of these too. "
        "Of a difference: the same at the level that the correction leaves to its "
        "test, so that it excludes zero exactly where the corrected p is below 5%."
    ),
    "Mean rank": (
        "The place of a method by test result, averaged over data sets; ties share their places. "
        "Given where there are at least 8 data sets."
    ),
    "Probe": (
        "A linear classifier on the features of one encoder of the joint model. Where it falls "
        "short of alone, the encoder has learnt less than it would have."
    ),
    "Response": (
        "What one modality contributes to the model's output: its Shapley value among the outputs "
        "with some of the modalities absent. The responses of all modalities add up to the output. "
        "The accuracy of a response is that of classifying by it alone."
    ),
    "Score s": (
        "The loss of a modality's response, averaged over the batch, in nats where it is a "
        "cross-entropy. Lower is better."
    ),
    "Too few seeds": (
        "Fewer than 5: a standard deviation is then hardly known, and nothing is tested, whatever "
        "the interval."
    ),
    "Undecided": (
        "Neither: nothing is said to be better, nor as good. Found from: the smallest true "
        "difference that this comparison would have told from zero with a probability of 80%. "
        "What is smaller it could hardly have seen."
    ),
    "Step time": (
        "Time of a training step, the median over the run. Runs beside each other share caches and "
        "memory, so small differences mean nothing; ratios hold only for runs on the same machine."
    ),
}
"""What each term means, by the term."""


def terms(*names: str) -> Terms:
    """The part of a page that defines terms.

    Args:
        *names: Keys of `GLOSSARY`, in the order in which they are shown.

    Raises:
        ValueError: If a term is not defined; the nearest is suggested.

    Example:
        >>> terms("Probe").terms[0][0]
        'Probe'
    """
    for name in names:
        check_choice("names", name, tuple(GLOSSARY))
    return Terms([(name, GLOSSARY[name]) for name in names])
