"""Which axis of a tensor in a feature is that of the samples."""

from __future__ import annotations

from torch import Tensor


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
