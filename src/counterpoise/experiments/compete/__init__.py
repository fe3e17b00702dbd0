"""The protocol of competition: train jointly and alone, probe, report, for several seeds.

Everything is imported when it is first asked for: the protocol needs what training does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoise.experiments.compete.protocol import compete
    from counterpoise.experiments.compete.results import Competition, Outcome, Summary

_LAZY = {
    "Competition": "results",
    "Outcome": "results",
    "Summary": "results",
    "compete": "protocol",
}

__all__ = ["Competition", "Outcome", "Summary", "compete"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
