"""Which of the processes of a distributed run this is, also before they have met."""

from __future__ import annotations

import os

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process(num_processes: int) -> bool:
    """Return whether this process writes files and prints: the first one, or the only one.

    Args:
        num_processes: Of the run. A run of one process is its own first wherever it was started:
            a worker of a cluster has a number among others that do not take part.
    """
    return num_processes == 1 or all(os.environ.get(name, "0") == "0" for name in _RANKS)
