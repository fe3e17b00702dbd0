"""Linear probes: how well a linear model does on the features of each encoder alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_range
from counterpoise.data.files.extras import require
from counterpoise.measures.features import (
    Batch,
    Call,
    Extracted,
    check_batches,
    check_paths,
    extract_features,
)
from counterpoise.measures.rows import Features, check_dimensions, check_pair, rows

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Weights of the squared coefficients that a probe chooses among unless told otherwise."""

PROBES = ("logistic", "ridge")
"""Kinds of linear classifiers."""


class Probe(NamedTuple):
    """The result of a linear probe.

    Attributes:
        accuracy: On the test split, in [0, 1].
        validation_accuracy: On the split that the penalty was chosen on, in [0, 1].
        penalty: The penalty that was chosen.
    """

    accuracy: float
    validation_accuracy: float
    penalty: float


def linear_probe(
    train: tuple[Features, ArrayLike | Tensor],
    validation: tuple[Features, ArrayLike | Tensor],
    test: tuple[Features, ArrayLike | Tensor],
    *,
    kind: str = "logistic",
    penalties: Sequence[float] = PENALTIES,
) -> Probe:
    """Fit a linear classifier on features, and return its accuracy on others.

    Features are standardised by the mean and deviation of the training split, so that their
    scale is of no consequence. One classifier a penalty is fitted on the training split; the
    one of the highest validation accuracy is kept (of equals, the one of the highest penalty)
    and looks at the test split once.

    Args:
        train: Features (N, D) and class indices (N,) to fit on.
        validation: The same of other samples, to choose the penalty on.
        test: The same of other samples, to judge on.
        kind: "logistic" regression (default), or "ridge" regression on the classes' indicators,
            which is faster and ranks features much alike.
        penalties: Weights of the squared coefficients, above 0, against a sum over samples.

    Returns:
        Accuracies and the penalty chosen.

    Raises:
        ValueError: If features are not (N, D), not finite or not as long as their targets, a
            split has fewer than 2 samples, there is one class only, or an option is out of range.
        ImportError: If scikit-learn is not installed.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> def split(num_samples):
        ...     target = generator.integers(3, size=num_samples)
        ...     return np.eye(3)[target] + 0.1 * generator.normal(size=(num_samples, 3)), target
        >>> linear_probe(split(50), split(20), split(20)).accuracy
        1.0
    """
    require("A linear probe", "train", {"sklearn": "scikit-learn"})
    check_choice("kind", kind, PROBES)
    if isinstance(penalties, str) or not isinstance(penalties, Sequence):
        raise TypeError(
            f"`penalties` should be a sequence of numbers; found {penalties!r}. Pass a tuple."
        )
    if not penalties:
        raise ValueError("`penalties` should hold at least one; found none. Pass (1.0,), say.")
    for penalty in penalties:
        check_range("penalties", penalty, low=0, open_low=True)
    splits = {"train": train, "validation": validation, "test": test}
    x, y = _checked(splits)
    x = standardised(x)
    best: tuple[float, float, Any] | None = None
    for penalty in sorted(penalties, reverse=True):
        classifier = _classifier(kind, penalty).fit(x["train"], y["train"])
        accuracy = float(classifier.score(x["validation"], y["validation"]))
        if best is None or accuracy > best[0]:
            best = accuracy, penalty, classifier
    assert best is not None
    accuracy, penalty, classifier = best
    return Probe(float(classifier.score(x["test"], y["test"])), accuracy, float(penalty))


def standardised(x: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return features less the mean of "train", in units of its standard deviation."""
    std = x["train"].std(axis=0)
    # What is constant in training, to rounding, tells nothing: it stays zero.
    scale = np.where(std > 1e-12 * np.abs(x["train"]).max(axis=0), std, np.inf)
    mean = x["train"].mean(axis=0)
    return {name: (array - mean) / scale for name, array in x.items()}


def probe_encoders(
    model: nn.Module,
    encoders: Mapping[str, str],
    train: Iterable[Batch],
    validation: Iterable[Batch],
    test: Iterable[Batch],
    *,
    kind: str = "logistic",
    penalties: Sequence[float] = PENALTIES,
    call: Call | None = None,
) -> dict[str, Probe]:
    """Probe the features of each encoder, extracted in one pass over each split.

    Args:
        model: The trained model.
        encoders: For each modality, or whatever else is probed, a path as
            :func:`extract_features` takes it.
        train: Batches of the split to fit probes on, with "target", class indices (N,).
        validation: Batches of the split to choose penalties on.
        test: Batches of the split to judge on.
        kind: As in :func:`linear_probe`.
        penalties: As in :func:`linear_probe`.
        call: As in :func:`extract_features`.

    Returns:
        For each name what :func:`linear_probe` returns.

    Raises:
        ValueError: As those two, and if batches have no target.
        RuntimeError: As :func:`extract_features`.
        TypeError: As :func:`extract_features`.
        ImportError: If scikit-learn is not installed.

    Example:
        >>> from counterpoise.measures import Batches
        >>> from counterpoise.data import Synthetic
        >>> from counterpoise.models import build
        >>> data = Synthetic(num_train=200, num_validation=100, num_test=100).load()
        >>> model = build(data.sample_shapes, data.num_classes)
        >>> splits = [Batches(part) for part in (data.train, data.validation, data.test)]
        >>> sorted(probe_encoders(model, model.encoder_paths, *splits))
        ['m1', 'm2']
    """
    check_paths("encoders", encoders)
    for name, batches in (("train", train), ("validation", validation), ("test", test)):
        check_batches(name, batches)
    extracted = {
        "train": extract_features(model, train, encoders, call=call),
        "validation": extract_features(model, validation, encoders, call=call),
        "test": extract_features(model, test, encoders, call=call),
    }
    probes = {}
    for name in encoders:
        splits = [_labelled(split, name, features) for split, features in extracted.items()]
        probes[name] = linear_probe(*splits, kind=kind, penalties=penalties)
    return probes


def _labelled(split: str, name: str, extracted: Extracted) -> tuple[Tensor, Tensor]:
    if extracted.target is None:
        raise ValueError(
            f"`{split}` should hold a 'target' in each batch; found none. Add the labels."
        )
    return extracted.features[name], extracted.target


def _classifier(kind: str, penalty: float) -> Any:
    from sklearn.linear_model import (  # type: ignore[import-untyped]
        LogisticRegression,
        RidgeClassifier,
    )

    if kind == "ridge":
        return RidgeClassifier(alpha=penalty, solver="svd")
    return LogisticRegression(C=1 / penalty, max_iter=10_000)


def _checked(
    splits: Mapping[str, tuple[Features, ArrayLike | Tensor]],
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    for name, pair in splits.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"`{name}` should be features and their target; found {type(pair).__name__}. "
                "Pass a pair."
            )
    x = {name: rows(name, features) for name, (features, _) in splits.items()}
    y = {
        name: np.asarray(target.cpu() if isinstance(target, Tensor) else target)
        for name, (_, target) in splits.items()
    }
    for name in splits:
        if y[name].ndim != 1 or not np.issubdtype(y[name].dtype, np.integer):
            raise ValueError(
                f"The target of `{name}` should be class indices of shape (N,); found "
                f"{y[name].dtype} of shape {y[name].shape}. Probes are for one label a sample."
            )
        check_pair({name: x[name], "target": y[name]}, name, "target")
        check_dimensions(x, "train", name)
    if len(np.unique(y["train"])) < 2:
        raise ValueError(
            f"The target of `train` should have two classes or more; found only "
            f"{y['train'][0]}. Use a larger split."
        )
    return x, y
