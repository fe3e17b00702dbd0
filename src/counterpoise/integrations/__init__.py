"""Adapters for other people's training loops, each behind the extra of the package it serves.

`BalancedTrainer` and `BalancedTrainerMixin` train a wrapped model by the Trainer of Hugging Face
(extra ``huggingface``), `BalancingCallback` looks after one in a LightningModule of the user's own
(extra ``train``). A loop by accelerate needs no adapter. Nothing heavy is imported before it is
asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoise.integrations.huggingface import BalancedTrainer, BalancedTrainerMixin
    from counterpoise.integrations.lightning import BalancingCallback

__all__ = ["BalancedTrainer", "BalancedTrainerMixin", "BalancingCallback"]

_HOMES = {
    "BalancedTrainer": ("counterpoise.integrations.huggingface", "huggingface"),
    "BalancedTrainerMixin": ("counterpoise.integrations.huggingface", "huggingface"),
    "BalancingCallback": ("counterpoise.integrations.lightning", "train"),
}


def __getattr__(name: str) -> Any:
    """Import an adapter, and with it the package that it serves, when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _HOMES[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ImportError(
            f"`{name}` needs the package {missing!r}; found it missing. "
            f"Run: pip install 'counterpoise[{extra}]'."
        ) from error
