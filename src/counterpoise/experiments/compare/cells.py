"""The cells of a grid: its runs, and measurements of how modalities compete in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from counterpoise.experiments.cells import Run
from counterpoise.experiments.compare.grid import Candidate, Grid
from counterpoise.experiments.store import Keep

if TYPE_CHECKING:
    from counterpoise.experiments.compete.measuring import Competing

__all__ = ["GridRun", "Measuring", "grid_runs", "plan_measuring"]


@dataclass(frozen=True)
class GridRun(Run):
    """A configuration and a seed.

    Args:
        candidate: The configuration, whose recipe with the seed is run.
    """

    candidate: Candidate = field(kw_only=True)

    @classmethod
    def of(cls, candidate: Candidate, seed: int, fingerprint: str, keep: Keep = "no") -> GridRun:
        """Return the run of a configuration from a seed."""
        changes = ", ".join(f"{k.rpartition('.')[2]}={v}" for k, v in candidate.changes.items())
        method = f"{candidate.method} ({changes})" if changes else candidate.method
        place = " ".join(filter(None, (candidate.data, candidate.fusion)))
        label = f"{place}: {method}, seed {seed}"
        return cls(
            candidate.recipe.replace(seed=seed), fingerprint, keep, label, candidate=candidate
        )

    @property
    def seed(self) -> int:
        """The seed."""
        return self.recipe.seed


def grid_runs(
    candidates: Iterable[Candidate],
    seeds: Iterable[int],
    fingerprints: Mapping[str, str],
    keep: Keep,
) -> list[GridRun]:
    """Return the run of each configuration from each seed."""
    return [
        GridRun.of(each, seed, fingerprints[each.data], keep)
        for each, seed in product(candidates, seeds)
    ]


@dataclass(frozen=True)
class Measuring:
    """What the runs of one data set and fusion are measured against, and how.

    Args:
        template: A measurement of joint training with seed 0.
        alone: For each seed the run on each modality alone.
    """

    template: Competing
    alone: Mapping[int, Mapping[str, Run]]

    @property
    def runs(self) -> list[Run]:
        """All runs on single modalities."""
        return [run for by_name in self.alone.values() for run in by_name.values()]

    def of(self, joint: GridRun) -> Competing:
        """Return what measures a run."""
        return replace(self.template, joint=joint, alone=self.alone[joint.seed])


def plan_measuring(grid: Grid, fingerprints: Mapping[str, str]) -> dict[tuple[str, str], Measuring]:
    """Plan the runs on single modalities; mistakes show here, before anything is trained.

    They have the settings that all methods share.

    Args:
        grid: What is compared.
        fingerprints: Of the data of each label.

    Returns:
        How the runs of each data set and fusion are measured.

    Raises:
        ValueError: If it is not known where the network's features are.
    """
    from counterpoise.experiments.compete.measuring import Competing
    from counterpoise.experiments.compete.paths import find_paths
    from counterpoise.measures.unimodal import alone_recipe

    planned = {}
    for data, fusion in product(grid.data, grid.fusions or [""]):
        recipe = grid.shared_recipe(data, fusion)
        splits = recipe.data.load()
        named = grid.feature_paths
        paths = find_paths(recipe, splits, named.get("fused"), named.get("concept"))
        alone = {
            seed: {
                name: GridRun.of(
                    Candidate(data, fusion, f"{name} alone", 0, {}, alone_recipe(recipe, name)),
                    seed,
                    fingerprints[data],
                    "always",
                )
                for name in splits.modalities
            }
            for seed in grid.all_seeds
        }
        template = Competing(Run(recipe, fingerprints[data]), alone[grid.all_seeds[0]], paths)
        planned[data, fusion] = Measuring(template, alone)
    return planned
