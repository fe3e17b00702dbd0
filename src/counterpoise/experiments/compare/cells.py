"""The cells of a grid: its runs, and measurements of how modalities compete in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from counterpoise.experiments.cells import Run
from counterpoise.experiments.compare.grid import Candidate, Grid
from counterpoise.experiments.compare.planning import text_of
from counterpoise.experiments.store import Keep

if TYPE_CHECKING:
    from counterpoise.data import DataSource
    from counterpoise.experiments.compete.measuring import Competing


@dataclass(frozen=True)
class GridRun(Run):
    """A configuration and a seed.

    Args:
        candidate: The configuration, whose recipe with the seed is run.
    """

    candidate: Candidate = field(kw_only=True)

    @property
    def seed(self) -> int:
        """The seed."""
        return self.recipe.seed


class Runs:
    """Makes the runs of configurations, each from a seed.

    Args:
        redraw: Whether the seed also redraws the division into training and validation.
        fingerprints: Those of data that are known, by the description of their source as text.
            Others are loaded, once.
    """

    def __init__(self, *, redraw: bool, fingerprints: Mapping[str, str] | None = None) -> None:
        self.redraw, self._known = redraw, dict(fingerprints or {})

    def of(self, candidate: Candidate, seed: int, keep: Keep = "no") -> GridRun:
        """Return the run of a configuration from a seed."""
        source = candidate.recipe.data
        data = source.redivided(seed) if self.redraw else source
        recipe = candidate.recipe.replace(seed=seed, data=data)
        label = f"{title_of(candidate)}, seed {seed}"
        return GridRun(recipe, self._fingerprint(data), keep, label, candidate=candidate)

    def all(
        self, candidates: Iterable[Candidate], seeds: Iterable[int], keep: Keep = "no"
    ) -> list[GridRun]:
        """Return the run of each configuration from each seed."""
        return [self.of(candidate, seed, keep) for candidate, seed in product(candidates, seeds)]

    def _fingerprint(self, data: DataSource) -> str:
        text = text_of(data)
        if text not in self._known:
            self._known[text] = data.load().fingerprint
        return self._known[text]


def title_of(candidate: Candidate) -> str:
    """Return what to call a configuration in a line."""
    changes = ", ".join(f"{k.rpartition('.')[2]}={v}" for k, v in candidate.changes.items())
    method = f"{candidate.method} ({changes})" if changes else candidate.method
    return f"{' '.join(filter(None, (candidate.data, candidate.fusion)))}: {method}"


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


def plan_measuring(grid: Grid, runs: Runs) -> dict[tuple[str, str], Measuring]:
    """Plan the runs on single modalities; mistakes show here, before anything is trained.

    They have the settings that all methods share.

    Args:
        grid: What is compared.
        runs: Makes them.

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
        names = {name: alone_recipe(recipe, name) for name in splits.modalities}
        alone = {
            seed: {
                name: runs.of(Candidate(data, fusion, f"{name} alone", 0, {}, own), seed, "always")
                for name, own in names.items()
            }
            for seed in grid.all_seeds
        }
        template = Competing(Run(recipe, splits.fingerprint), alone[grid.all_seeds[0]], paths)
        planned[data, fusion] = Measuring(template, alone)
    return planned
