"""Competition strength: how much of a modality's own feature the joint model has lost.

Legend: N samples, D dimensions of the concept, F of the fused feature, C a concept (N, D), P its
prediction from the fused feature, E = P - C, B = N cov(C), d the competition strength.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation",
ICCV 2023, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.core.errors import check_range
from counterpoise.data.files.extras import require
from counterpoise.measures.rows import Features, check_dimensions, check_pair, rows

_ROUNDING = 4.0  # a direction that varies by no more units of rounding does not vary


def competition_strength(
    fused_fit: Features,
    concept_fit: Features,
    fused_test: Features,
    concept_test: Features,
    ridge: float = 120.0,
) -> float:
    """Map fused features and unimodal concepts to the competition strength of a modality.

    A ridge regression with intercept from the fused feature of the joint model to the concept,
    the penultimate feature of a model that was trained on the modality alone, is fitted on one
    split; with E (N, D) its error on the other and B = N cov(concept), the covariance unbiased,

        d = trace(E B^+ E^T) / D.

    Args:
        fused_fit: Fused features to fit on, shape (N_fit, F).
        concept_fit: Concepts of the same samples, shape (N_fit, D).
        fused_test: Fused features to evaluate on, shape (N, F).
        concept_test: Concepts of the same samples, shape (N, D).
        ridge: Weight of the squared coefficients, at least 0, in squared units of the fused
            feature. Default: 120, as published. Coefficients shrink more where fused features
            are small, so compare models whose fused features are of like size.

    Returns:
        The competition strength d, at least 0. At 0 the joint model carries, linearly, all that
        the modality alone would know; at 1 it tells no more of it than the mean. It can exceed 1
        where the regression misleads.
        Linear maps of the concept that can be inverted change nothing, nor do rotations and
        shifts of the fused feature.

        Directions in which the concept does not vary on the test split count as carried: B^+
        has no share in them. So a constant concept has d = 0, and a concept of rank R of which
        nothing is carried has d = R / D. Where N <= D, no more than N - 1 directions can be
        seen, and d says little.

    Raises:
        ValueError: If features are not (N, D), counts of samples or dimensions do not match, a
            split has fewer than 2 samples, a number is not finite, or ``ridge`` is out of range.
        ImportError: If scikit-learn is not installed.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> fused = torch.randn(2000, 5)
        >>> carried, lost = fused @ torch.randn(5, 3), torch.randn(2000, 3)
        >>> fit, test = slice(0, 1000), slice(1000, None)
        >>> round(competition_strength(fused[fit], carried[fit], fused[test], carried[test]), 1)
        0.0
        >>> round(competition_strength(fused[fit], lost[fit], fused[test], lost[test]), 1)
        1.0

    Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
    Modulation", ICCV 2023, section 4.
    """
    require("The competition strength", "train", {"sklearn": "scikit-learn"})
    from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

    given = {
        "fused_fit": fused_fit,
        "concept_fit": concept_fit,
        "fused_test": fused_test,
        "concept_test": concept_test,
    }
    arrays = {name: rows(name, features) for name, features in given.items()}
    check_pair(arrays, "fused_fit", "concept_fit")
    check_pair(arrays, "fused_test", "concept_test")
    check_dimensions(arrays, "fused_fit", "fused_test")
    check_dimensions(arrays, "concept_fit", "concept_test")
    check_range("ridge", ridge, low=0)
    # By singular values: the normal equations would square a condition that may be bad already.
    regression = Ridge(alpha=ridge, solver="svd").fit(arrays["fused_fit"], arrays["concept_fit"])
    # Recent versions drop the axis of a single target.
    P_ND = regression.predict(arrays["fused_test"]).reshape(arrays["concept_test"].shape)
    return _strength(P_ND, arrays["concept_test"], _precision(concept_test))


def varying_directions(concept: Features) -> int:
    """Return in how many directions a concept varies: the most that d times D can be made of.

    Where it is less than the concept's dimension, as with units that are never active, the
    competition strength is lower for that reason alone.

    Args:
        concept: Concepts of the test split, shape (N, D).

    Returns:
        The rank of their covariance, to rounding, at most D and N - 1.

    Raises:
        ValueError: If they have another shape or hold a number that is not finite.

    Example:
        >>> varying_directions([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [4.0, 8.0, 5.0]])
        1
    """
    C_ND = rows("concept", concept)
    return len(_directions(C_ND, _precision(concept))[0]) if len(C_ND) else 0


def _strength(P_ND: NDArray[Any], C_ND: NDArray[Any], precision: float) -> float:
    """Return trace(E B^+ E^T) / D from the singular values of the centred concept."""
    N, D = C_ND.shape
    s_K, V_KD = _directions(C_ND, precision)
    # B = N / (N - 1) V S^2 V^T, so that the trace is a sum over directions that vary.
    E_NK = (P_ND - C_ND) @ V_KD.T / s_K
    return float(np.square(E_NK).sum() * (N - 1) / N / D)


def _directions(C_ND: NDArray[Any], precision: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return singular values and directions of the centred concept, where it varies at all."""
    centred = C_ND - C_ND[:1]  # first, which leaves of a constant dimension exactly nothing
    centred -= centred.mean(axis=0)
    _, s_K, V_KD = np.linalg.svd(centred, full_matrices=False)
    seen = s_K > _ROUNDING * precision * np.linalg.norm(C_ND)
    return s_K[seen], V_KD[seen]


def _precision(features: Features) -> float:
    """Return the rounding of the features' numbers, relative; half precision counts as single."""
    dtype = str(getattr(features, "dtype", "float64"))
    half_or_single = any(kind in dtype for kind in ("float32", "float16"))
    return float(np.finfo(np.float32 if half_or_single else np.float64).eps)
