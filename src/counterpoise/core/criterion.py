"""The joint loss as one number, in whatever form a criterion returns it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoise.core.autocast import is_autocast
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion


def joint_loss(criterion: Criterion, logits: Tensor, target: PyTree) -> Tensor:
    """Return the criterion of logits and target, a scalar.

    Losses of several modalities are stacked and weighed: one of shape (1,) would be broadcast.

    Args:
        criterion: The joint loss.
        logits: Shape (B, ...).
        target: With B rows.

    Raises:
        TypeError: If the criterion returns no tensor.
        ValueError: If it returns more than one number.

    Example:
        >>> errors = lambda prediction, target: (prediction - target).square().mean(dim=0)
        >>> joint_loss(errors, torch.ones(3, 1), torch.zeros(3, 1))
        tensor(1.)
    """
    if isinstance(criterion, nn.Module):
        logits = _in_type_of(criterion, logits)
    loss = criterion(logits, target)
    check_loss(loss)
    return loss.reshape(()) if loss.dim() else loss


def _in_type_of(criterion: nn.Module, logits: Tensor) -> Tensor:
    """Return logits in the type of a criterion's weights, if that is one of half precision.

    Those of classes say, of a model that is. Outside autocast PyTorch's losses take one type alone.
    """
    kinds = {w.dtype for w in (*criterion.parameters(), *criterion.buffers())}
    half = kinds & {torch.float16, torch.bfloat16}
    if not half or is_autocast(logits.device):
        return logits
    return logits.to(half.pop())


def check_loss(loss: object) -> None:
    """Raise unless a loss is a tensor of one number."""
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"`criterion`, and the method's loss, should be a tensor; found "
            f"{type(loss).__name__}. Return the loss alone, and without `.item()`."
        )
    if loss.numel() != 1:
        raise ValueError(
            f"`criterion`, and the method's loss, should be one number; found shape "
            f"{tuple(loss.shape)}. Reduce it, with `.mean()` or reduction='mean' for example."
        )
