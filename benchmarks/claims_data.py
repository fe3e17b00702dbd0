"""The files of a comparison, as the pages that are made of them need them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import yaml

__all__ = ["Block", "Report", "Row", "read", "rows"]

Row = dict[str, str]


@dataclass
class Block:
    """One data set with one fusion.

    Args:
        data: Label of the data set.
        fusion: Name of the fusion.
        values: By quantity and method, a value a seed.
        modalities: Names, where competition was measured.
        informative: The modality that is the more accurate alone.
    """

    data: str
    fusion: str
    values: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    modalities: list[str] = field(default_factory=list)
    informative: str = ""

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.data}, {self.fusion}" if self.fusion else self.data

    def pairs(self, quantity: str, method: str, other: str) -> list[tuple[float, float]]:
        """Return a quantity under two methods, for each seed that both have."""
        ours, theirs = (self.values.get((quantity, each), {}) for each in (method, other))
        return [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]

    def strengths(self, method: str, modality: str) -> list[float]:
        """Return the competition strength of a modality by seed."""
        return list(self.values[f"strength {modality}", method].values())


@dataclass(frozen=True)
class Report:
    """A comparison.

    Args:
        baseline: Label of the method that others are compared with.
        methods: All labels, in order.
        blocks: Data sets and fusions.
        results: Rows of ``results.csv``.
        pairs: Rows of ``pairs.csv``.
        overall: Rows of ``overall.csv``.
        grid: What was compared, as ``grid.yaml`` says.
    """

    baseline: str
    methods: list[str]
    blocks: list[Block]
    results: list[Row]
    pairs: list[Row]
    overall: list[Row]
    grid: dict[str, object]

    @property
    def data(self) -> list[str]:
        """Labels of the data sets."""
        return list(dict.fromkeys(block.data for block in self.blocks))

    @property
    def fusions(self) -> list[str]:
        """Names of the fusions."""
        return list(dict.fromkeys(block.fusion for block in self.blocks))

    @property
    def measured(self) -> list[Block]:
        """The blocks in which competition was measured."""
        return [block for block in self.blocks if block.modalities]

    def verdicts(self, method: str, rival: str, fusion: str) -> list[str]:
        """Return the comparison's own verdicts of a pair on each data set, if it asked for them."""
        if rival == self.baseline:
            found = [row for row in self.results if row["method"] == method]
        else:
            found = [r for r in self.pairs if (r["first"], r["second"]) == (method, rival)]
        return [row["verdict"] for row in found if row["fusion"] == fusion and row["verdict"]]


def rows(path: Path) -> list[Row]:
    """Return the rows of a CSV file; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(folder: Path) -> Report:
    """Read the files of a comparison.

    Raises:
        FileNotFoundError: If it is not the folder of one.
    """
    if not (folder / "grid.yaml").is_file():
        raise FileNotFoundError(
            f"`folder` should be that of a comparison; found no grid.yaml in {str(folder)!r}. Pass "
            "what `counterpoise compare` wrote."
        )
    grid = yaml.safe_load((folder / "grid.yaml").read_text(encoding="utf-8"))
    results = rows(folder / "results.csv")
    blocks = {(row["data"], row["fusion"]): Block(row["data"], row["fusion"]) for row in results}
    for row in rows(folder / "runs.csv"):
        tested = next(value for name, value in row.items() if name.startswith("test/"))
        if row["chosen"] == "True" and tested:
            seeds = blocks[row["data"], row["fusion"]].values
            at = seeds.setdefault(("accuracy", row["method"]), {})
            at[int(row["seed"])] = float(tested)
    measured = rows(folder / "competition.csv")
    for key, block in blocks.items():
        _add_measurements(block, [r for r in measured if (r["data"], r["fusion"]) == key])
    return Report(
        grid["baseline"],
        list(dict.fromkeys(row["method"] for row in results)),
        list(blocks.values()),
        results,
        rows(folder / "pairs.csv"),
        rows(folder / "overall.csv"),
        grid,
    )


def _add_measurements(block: Block, found: list[Row]) -> None:
    """Add strengths, and the share of the more informative modality in what is contributed."""
    block.modalities = list(dict.fromkeys(row["modality"] for row in found))
    if not found:
        return
    alone = {
        name: fmean(float(row["alone"]) for row in found if row["modality"] == name)
        for name in block.modalities
    }
    block.informative = max(alone, key=lambda name: alone[name])
    for method, seed, by_name in _runs(found):
        for name, row in by_name.items():
            at = block.values.setdefault((f"strength {name}", method), {})
            at[seed] = float(row["strength"])
        shares = {
            n: float(row["contribution"]) for n, row in by_name.items() if row["contribution"]
        }
        total = sum(shares.values())
        if len(shares) == len(block.modalities) and total > 0:
            at = block.values.setdefault(("reliance", method), {})
            at[seed] = shares[block.informative] / total


def _runs(found: list[Row]) -> Iterator[tuple[str, int, dict[str, Row]]]:
    by_run: dict[tuple[str, int], dict[str, Row]] = {}
    for row in found:
        by_run.setdefault((row["method"], int(row["seed"])), {})[row["modality"]] = row
    for (method, seed), by_name in by_run.items():
        yield method, seed, by_name
