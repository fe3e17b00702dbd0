"""How modalities compete under the chosen configurations: cells of a second kind.

For each data set, fusion and seed the network is trained on each modality alone, with the settings
that all methods share; each chosen run is then measured against these. Both are cells, keyed by
content, computed once and through the same back end as all others.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from counterpoise.experiments.compare.grid import Candidate, Grid
from counterpoise.experiments.store import Cell, Store

if TYPE_CHECKING:
    from counterpoise.experiments.compete.paths import Paths

__all__ = ["Alone", "Measurement", "plan_alone"]

RIDGE = 120.0
"""Penalty of the regression that competition strengths come from, as published."""


@dataclass(frozen=True)
class Alone:
    """The runs on single modalities that belong to one data set and fusion.

    Args:
        cells: For each seed the run on each modality.
        paths: Where features are taken from the network.
    """

    cells: Mapping[int, Mapping[str, Cell]]
    paths: Paths

    @property
    def all_cells(self) -> list[Cell]:
        """All of them."""
        return [cell for by_name in self.cells.values() for cell in by_name.values()]

    def measurement(self, joint: Cell) -> Measurement:
        """Return what measures a run of the same data set, fusion and seed."""
        return Measurement(
            joint.candidate,
            joint.seed,
            joint.fingerprint,
            joint=joint,
            alone=self.cells[joint.seed],
            paths=self.paths,
        )


@dataclass(frozen=True, kw_only=True)
class Measurement(Cell):
    """A cell that trains nothing: it measures the model of another.

    Args:
        joint: The cell whose model it is. Where the model was not kept it is trained again.
        alone: The run on each modality, whose models have to be there.
        paths: Where features are taken from the network.
    """

    joint: Cell
    alone: Mapping[str, Cell]
    paths: Paths

    trains: ClassVar[bool] = False

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the key is made of: the cells that it needs, and how they are measured."""
        from counterpoise.experiments.compete.tasks import FORMAT

        return {
            "measurement": FORMAT,
            "of": self.joint.key,
            "against": {name: cell.key for name, cell in self.alone.items()},
            "paths": self.paths.describe(),
            "ridge": RIDGE,
            "versions": self.joint.identity["versions"],
        }

    @property
    def title(self) -> str:
        """What to call the cell in a line."""
        return f"{self.joint.title}, competition"

    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Measure; return accuracies, strengths and contributions by modality.

        Raises:
            RuntimeError: If a run on a modality alone failed, so that there is no concept.
        """
        from counterpoise.experiments.compete.tasks import Task, work

        for name, cell in self.alone.items():
            result = store.read(cell.key)
            if result is not None and result.state == "failed":
                raise RuntimeError(f"The run on {name} alone failed: {result.error}")
        concepts = {n: (c.recipe, store.models / c.key) for n, c in self.alone.items()}
        shutil.rmtree(folder, ignore_errors=True)  # what a killed measurement left
        folder.mkdir(parents=True)
        task = Task(
            self.joint.recipe,
            store.models / self.joint.key,
            concepts,
            self.paths,
            RIDGE,
            folder / "competition.json",
        )
        work([task], 1, _silent)
        return asdict(task.outcome())


def _silent(done: int, total: int, last: str) -> None:
    """Tell nobody: the comparison has a progress of its own."""


def plan_alone(grid: Grid, fingerprints: Mapping[str, str]) -> dict[tuple[str, str], Alone]:
    """Plan the runs on single modalities; mistakes show here, before anything is trained.

    Args:
        grid: What is compared.
        fingerprints: Of the data of each label.

    Returns:
        The runs of each data set and fusion.

    Raises:
        ValueError: If it is not known where the network's features are.
    """
    from counterpoise.experiments.compete.paths import find_paths
    from counterpoise.measures.unimodal import alone_recipe

    planned = {}
    for data, fusion in product(grid.data, grid.fusions or [""]):
        recipe = grid.shared_recipe(data, fusion)
        splits = recipe.data.load()
        candidates = {
            name: Candidate(data, fusion, f"{name} alone", 0, {}, alone_recipe(recipe, name))
            for name in splits.modalities
        }
        cells = {
            seed: {
                name: Cell(candidate, seed, fingerprints[data], keep=True)
                for name, candidate in candidates.items()
            }
            for seed in grid.all_seeds
        }
        named = grid.feature_paths
        paths = find_paths(recipe, splits, named.get("fused"), named.get("concept"))
        planned[data, fusion] = Alone(cells, paths)
    return planned


def without_model(cells: Iterable[Cell], store: Store) -> list[Cell]:
    """Return the cells that succeeded, but whose model is no longer there."""
    found = []
    for cell in cells:
        result = store.read(cell.key)
        if result is not None and result.state == "done" and not store.has_model(cell.key):
            found.append(cell)
    return found
