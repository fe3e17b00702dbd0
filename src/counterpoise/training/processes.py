"""Which of the processes of a distributed run this is, also before they have met."""

from __future__ import annotations

import os

__all__ = ["is_first_process"]

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Return whether this process writes files and prints: the first one, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
