"""The part of a wrapped model that a checkpoint holds beside the user's own model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from counterpoise.balanced import Balanced

FILE = "counterpoise.pt"
"""The file in the checkpoint's folder."""

_logger = logging.getLogger(__name__)


def save_rest(balanced: Balanced, folder: str) -> None:
    """Write the state of method and absent values, which is not in the user's own model."""
    rest = {k: v for k, v in balanced.state_dict().items() if not k.startswith("model.")}
    path = Path(folder) / FILE
    partial = path.with_name(path.name + ".partial")
    torch.save(rest, partial)
    partial.replace(path)


def load_rest(balanced: Balanced, folder: str) -> None:
    """Restore what :func:`save_rest` wrote.

    Raises:
        ValueError: If the file is missing, or is that of another method or wrapper.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ValueError(
            f"The checkpoint should hold the state of the method, {FILE!r}; found none in "
            f"{folder}. Resume from a checkpoint that BalancedTrainer wrote."
        )
    rest = torch.load(path, map_location="cpu", weights_only=True)
    expected = {name for name in balanced.state_dict() if not name.startswith("model.")}
    if set(rest) != expected:
        other = ", ".join(sorted(set(rest) ^ expected))
        raise ValueError(
            f"The checkpoint should be of the same method and wrapper; found that it differs in "
            f"{other}. Resume with the method that was trained with."
        )
    balanced.load_state_dict(rest, strict=False)


def warn_of_missing(model: nn.Module, load_result: Any) -> None:
    """Log what a checkpoint lacks, but for weights that are tied to ones it holds."""
    state = model.state_dict(keep_vars=True)
    missing = set(load_result.missing_keys)
    held = {id(value) for name, value in state.items() if name not in missing}
    lost = sorted(name for name in missing if id(state[name]) not in held)
    if lost:
        _logger.warning("The checkpoint lacks weights of the model: %s.", ", ".join(lost))
    if load_result.unexpected_keys:
        unexpected = ", ".join(load_result.unexpected_keys)
        _logger.warning("The checkpoint holds weights that the model lacks: %s.", unexpected)
