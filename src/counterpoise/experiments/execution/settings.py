"""How cells are run: where, how many at a time, with which time limit, which part of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from counterpoise.core.errors import check_choice, check_count, check_flag, check_range
from counterpoise.data.files.extras import require

T = TypeVar("T")

_CLUSTERS = {"ray": ("ray", "ray"), "dask": ("dask", "distributed")}  # with extra and package

BACKENDS = ("loky", "threading", *_CLUSTERS)
"""Names of back ends. ``threading`` stays in this process, where cells take turns."""


class ExecutionOptions(TypedDict, total=False):
    """The arguments of :class:`Execution`, as keywords of what runs cells."""

    backend: str
    jobs: int | None
    address: str | None
    time_limit: float | None
    part: str | None
    retry_failed: bool


@dataclass(frozen=True)
class Execution:
    """How cells are run. Results do not depend on it.

    Each cell is computed in a process of its own, whatever the back end and however many there
    are: one that exits, hangs or crashes is a failed cell, and harms no other.

    Args:
        backend: "loky" (processes of this machine), "ray" or "dask" (a cluster, or one that is
            started here), or "threading" (this process, where cells take turns: for debugging).
        jobs: How many cells at a time, at least 1. Default: one a core, or one where there is a
            GPU; of a cluster as many as it has room for: threads of Dask, or cores of Ray, and
            its GPUs if cells use them.
        address: Of a cluster of Ray or Dask that runs already, which has to share the store; for
            Dask also a scheduler file. Default: one is started on this machine.
        time_limit: Seconds that a cell may take, after which it counts as failed; above 0.
            Default: as long as it takes.
        part: "K/N" for the Kth of N parts of the cells, for array jobs of a scheduler that share
            the store. Default: all.
        retry_failed: Compute cells again that failed before, or diverged.

    Raises:
        ValueError: If the back end is not known (the nearest is suggested), a number is out of
            range, or something is asked of a back end that does not have it.
        ImportError: If the package of the back end is not installed.

    Example:
        >>> execution = Execution("threading", part="2/3")
        >>> execution.mine(["a", "b", "c", "d", "e"])
        ['b', 'e']
    """

    backend: str = "loky"
    jobs: int | None = None
    address: str | None = None
    time_limit: float | None = None
    part: str | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        check_choice("backend", self.backend, BACKENDS)
        if self.jobs is not None:
            check_count("jobs", self.jobs, at_least=1)
        if self.time_limit is not None:
            check_range("time_limit", self.time_limit, low=0, open_low=True)
        for name, backends in (("address", _CLUSTERS), ("time_limit", ("loky", *_CLUSTERS))):
            value = getattr(self, name)
            if value is not None and self.backend not in backends:
                raise ValueError(
                    f"`{name}` should be left out with the back end {self.backend!r}; found "
                    f"{value!r}. Or choose a back end that has one: {', '.join(backends)}."
                )
        check_flag("retry_failed", self.retry_failed)
        self.mine(())
        extra, package = _CLUSTERS.get(self.backend, ("train", "loky"))
        require(f"The back end {self.backend!r}", extra, {package: package})

    def mine(self, cells: Sequence[T]) -> Sequence[T]:
        """Return the cells of this part."""
        match = re.fullmatch(r"(\d+)/(\d+)", "1/1" if self.part is None else str(self.part))
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            raise ValueError(
                "`part` should be K/N for the Kth of N parts, such as 3/16; found "
                f"{self.part!r}. Count from 1."
            )
        return cells[number - 1 :: count]
