"""What a comparison declares before its first run, and what was added to it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.store import Store, content_key
from counterpoise.training.record import describe, read_sealed, sealed, versions, write_json

DECLARATION = "grid.json"
"""Name of the file in the folder of the report."""

_LISTS = ("data", "methods", "fusions", "seeds", "pairs")


@dataclass(frozen=True)
class Later:
    """How a grid differs from the one that was declared first, or from the one before it.

    Attributes:
        declared: When, as ISO 8601 in UTC.
        grid_digest: Of the grid and its data as they were then.
        added: What had not been there, by "data", "methods", "fusions", "seeds" and "pairs".
        removed: What was no longer there, alike.
        changed: What else was changed: names of settings of the grid, "methods.LABEL",
            "data.LABEL", and "content of LABEL" of data that are others.
    """

    declared: str
    grid_digest: str
    added: dict[str, list[Any]] = field(default_factory=dict)
    removed: dict[str, list[Any]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


def declare(grid: Grid, fingerprints: Mapping[str, str], folder: Path, store: Store) -> None:
    """Write what is to be compared, before anything is run; a grid that differs is a later one.

    Args:
        grid: What is to be compared.
        fingerprints: Of the data of each label.
        folder: That of the report.
        store: Where results are kept; how many are there already is told.

    Raises:
        CorruptFileError: If the declaration that lies there is damaged.
    """
    path, now = folder / DECLARATION, _now()
    described, digest = _described(grid), _digest(grid, fingerprints)
    current = {"grid": described, "fingerprints": dict(fingerprints)}
    if not path.exists():
        content = {
            "declared": now,
            "grid_digest": digest,
            "hypotheses": _hypotheses(grid),
            "num_runs": grid.num_cells,
            "results_in_store": len(store.keys()),
            "versions": versions(),
            **current,
            "current": current,
            "later": [],
        }
        write_json(path, sealed(content))
        return
    before = read_sealed(path)
    if digest == _latest(before):
        return
    differences = _differences(before["current"], current)
    if not any(differences.values()):  # the same in another order
        return
    later = Later(now, digest, **differences)
    content = {**before, "current": current, "later": [*before["later"], asdict(later)]}
    write_json(path, sealed(content))


def later_additions(folder: Path) -> list[Later]:
    """Return what was added to a comparison, or changed, after it had been declared.

    Args:
        folder: That of the report.

    Returns:
        One entry for each time, in order; none if nothing was, or nothing was declared.

    Raises:
        CorruptFileError: If the declaration is damaged.
    """
    path = folder / DECLARATION
    return [Later(**addition) for addition in read_sealed(path)["later"]] if path.exists() else []


def _digest(grid: Grid, fingerprints: Mapping[str, str]) -> str:
    described = {k: value for k, value in _described(grid).items() if k != "name"}
    return content_key({"grid": described, "data": dict(fingerprints)})


def _latest(content: Mapping[str, Any]) -> str:
    later = content["later"]
    return str(later[-1]["grid_digest"] if later else content["grid_digest"])


def _described(grid: Grid) -> dict[str, Any]:
    """Return the grid with its seeds listed, so that more of them show as added."""
    described: dict[str, Any] = describe({**grid.describe(), "seeds": grid.all_seeds})
    return described


def _hypotheses(grid: Grid) -> dict[str, Any]:
    """Return which differences are tested as one family, in each place and over data sets."""
    others = [label for label in grid.methods if label != grid.baseline]
    return {
        "differences to": grid.baseline,
        "of": others,
        "further pairs": [list(pair) for pair in grid.pairs],
        "on": list(grid.data),
        "with": list(grid.fusions or []),
        "equivalent below": grid.margin,
    }


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    first, second = before["grid"], now["grid"]
    lists = {name: (list(first[name] or []), list(second[name] or [])) for name in _LISTS}
    added = {name: [e for e in new if e not in old] for name, (old, new) in lists.items()}
    removed = {name: [e for e in old if e not in new] for name, (old, new) in lists.items()}
    changed = [
        f"{name}.{label}"
        for name in ("data", "methods")
        for label in second[name]
        if label in first[name] and first[name][label] != second[name][label]
    ]
    changed += [
        name for name in second if name not in (*_LISTS, "name") and first.get(name) != second[name]
    ]
    old, new = before["fingerprints"], now["fingerprints"]
    changed += [f"content of {data}" for data in new if data in old and old[data] != new[data]]
    return {
        "added": {name: entries for name, entries in added.items() if entries},
        "removed": {name: entries for name, entries in removed.items() if entries},
        "changed": changed,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
