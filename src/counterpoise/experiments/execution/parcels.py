"""A cell, and what it takes to compute it elsewhere as it would be computed here."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import loads
from typing import Any

from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import MOST_DEATHS, compute_cell, keep_failure
from counterpoise.experiments.execution.children import Children, DiedError, TooLongError
from counterpoise.experiments.execution.full_disk import ending_when_full
from counterpoise.experiments.store import Store
from counterpoise.training.record import versions

__all__ = ["Parcel", "attend"]

_CHILDREN = Children()  # of a worker of a cluster; they end with it


@dataclass(frozen=True)
class Parcel:
    """A cell to be computed elsewhere.

    Args:
        key: Of the cell.
        identity: Of the cell.
        content: The pickled cell, to be opened when its modules can be found.
        path: The store.
        limit: Seconds that the cell may take.
        folder: The working directory, which paths of data may be relative to.
        modules: Where modules are looked for.
        versions: Of packages, which are part of the cell's key.
    """

    key: str
    identity: dict[str, Any]
    content: bytes
    path: Path
    limit: float | None
    folder: Path
    modules: tuple[str, ...]
    versions: dict[str, str]

    @classmethod
    def of(cls, cell: Cell, path: Path, limit: float | None = None) -> Parcel:
        """Pack a cell."""
        from cloudpickle import dumps  # type: ignore[import-untyped]

        modules = tuple(str(Path(folder).absolute()) for folder in sys.path)
        return cls(
            cell.key, cell.identity, dumps(cell), path, limit, Path.cwd(), modules, versions()
        )

    def check(self) -> None:
        """Raise unless the cell can be computed on this machine.

        Raises:
            ValueError: If the store is not here, or packages have other versions.
        """
        here = platform.node()
        if not self.path.is_dir():
            raise ValueError(
                f"`runs` should be a folder that all workers share; found no {str(self.path)!r} "
                f"on {here!r}. Choose one that they share."
            )
        differing = {k: v for k, v in versions().items() if self.versions.get(k) != v}
        if differing:
            present = ", ".join(f"{name} {number}" for name, number in differing.items())
            wanted = ", ".join(f"{name} {self.versions.get(name)}" for name in differing)
            raise ValueError(
                f"Workers should have the versions of the machine that started them, {wanted}; "
                f"found {present} on {here!r}. Install the same."
            )


def attend(parcel: Parcel, children: Children = _CHILDREN) -> bool:
    """Have a cell computed in another process, and try again if that dies.

    Returns:
        Whether there is a result now; False if another process is computing the cell.

    Raises:
        ValueError: If the cell cannot be computed on this machine.
        DiskFullError: If there is no more room.
    """
    parcel.check()
    store = Store(parcel.path)
    while True:
        if len(store.deaths(parcel.key)) >= MOST_DEATHS:
            return keep_failure(parcel.key, parcel.identity, store)
        try:
            return bool(children.call(_open, parcel, parcel.limit))
        except DiedError as death:
            store.note_death(parcel.key, str(death))
        except TooLongError as error:
            return keep_failure(parcel.key, parcel.identity, store, str(error))


def _open(parcel: Parcel) -> bool:
    with _working_in(parcel.folder), ending_when_full(parcel.path):
        sys.path.extend(folder for folder in parcel.modules if folder not in sys.path)
        return compute_cell(loads(parcel.content), parcel.path)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    if folder.is_dir():  # or else paths that are relative to it are not found, and it shows
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
