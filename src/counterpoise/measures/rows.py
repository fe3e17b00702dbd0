"""Features as rows of numbers, checked: what the measures compute with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from counterpoise.core.errors import described

Features = Tensor | ArrayLike
"""Features of N samples, shape (N, D): a tensor on any device, or what NumPy takes."""


def rows(name: str, features: Features) -> NDArray[np.float64]:
    """Return features as an array of shape (N, D), in double precision.

    Raises:
        ValueError: If they have another shape or hold a number that is not finite.
    """
    if isinstance(features, Tensor) and not features.is_complex():
        features = features.detach().to("cpu", torch.float64).numpy()
    try:
        if isinstance(features, Tensor) or np.iscomplexobj(features):
            raise TypeError("complex numbers")
        array = np.asarray(features, dtype=np.float64)
    except (ValueError, TypeError):
        raise TypeError(
            f"`{name}` should be real numbers of shape (N, D); found {described(features)}. Pass a "
            "tensor or an array."
        ) from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"`{name}` should have shape (N, D) with D at least 1; found {array.shape}. "
            "Flatten each sample's feature into a row."
        )
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"`{name}` should be finite; found {array[row, column]} in sample {row}, dimension "
            f"{column}. Check the training that the features come from: it may have diverged."
        )
    return array


def check_pair(arrays: Mapping[str, NDArray[Any]], first: str, second: str) -> None:
    """Raise unless two arrays have the same number of rows, 2 or more."""
    count, other = len(arrays[first]), len(arrays[second])
    if count != other:
        raise ValueError(
            f"`{first}` and `{second}` should have the same number of samples; found {count} and "
            f"{other}. Extract both from the same split, in the same order."
        )
    if count < 2:
        raise ValueError(
            f"`{first}` should have at least 2 samples, for fewer have no covariance; found "
            f"{count}. Use a larger split."
        )


def check_dimensions(arrays: Mapping[str, NDArray[Any]], first: str, second: str) -> None:
    """Raise unless two arrays have rows of the same length."""
    size, other = arrays[first].shape[1], arrays[second].shape[1]
    if size != other:
        raise ValueError(
            f"`{first}` and `{second}` should have the same dimensions; found {size} and "
            f"{other}. Extract both from the same model."
        )
