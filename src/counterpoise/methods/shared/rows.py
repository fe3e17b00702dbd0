"""Which axis of a tensor in a feature is that of the samples."""

from __future__ import annotations

from torch import Tensor

from counterpoise.core.pytree import PyTree, tensors


def sample_axis(tensor: Tensor, num_samples: int) -> int | None:
    """Return the axis of samples: the first, or as in a recurrent layer's state the second.

    Args:
        tensor: Any.
        num_samples: Of the batch.

    Returns:
        0, 1, or None where neither is as long. Where both are, 0.

    Example:
        >>> import torch
        >>> [sample_axis(torch.zeros(shape), 5) for shape in ((5, 3), (2, 5, 3), (7, 3))]
        [0, 1, None]
    """
    fits = [axis for axis, size in enumerate(tensor.shape[:2]) if size == num_samples]
    return fits[0] if fits else None


def check_samples(name: str, feature: PyTree, num_samples: int, user: str) -> None:
    """Raise unless some tensor of a feature has an axis of samples.

    Args:
        name: Whose feature it is, for errors.
        feature: Output of its encoder, or what was made of it.
        num_samples: Of the batch.
        user: Who needs one, for errors.

    Raises:
        ValueError: If there is none, as where an encoder is given all frames of all samples.
    """
    parts = [t for t in tensors(feature) if t.is_floating_point()]
    if all(sample_axis(tensor, num_samples) is None for tensor in parts):
        raise ValueError(
            f"The feature of {name} should have a row for each of the {num_samples} "
            f"samples for {user}; found shapes {[tuple(t.shape) for t in tensors(feature)]}. Name "
            "an encoder whose output has: one around the mean over the frames of a sample, say."
        )
