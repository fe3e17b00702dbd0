"""Which method to use: the table in docs/methods.md, from declarations and measurements.

    python benchmarks/method_table.py benchmarks/results/FOLDER           # print it
    python benchmarks/method_table.py benchmarks/results/FOLDER --write   # and put it into the docs

FOLDER is the report of a comparison (results.csv, grid.yaml). What a method acts on, needs and is
for is what its class declares; papers are those that ``counterpoise cite`` prints; costs are those
of the latest benchmarks/results/*-methods-cpu.md.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from torch import nn

import counterpoise as cp
from counterpoise.cli.list import KINDS
from counterpoise.methods.bibliography import REFERENCES, Reference
from counterpoise.methods.method import TASKS
from counterpoise.methods.shared.multitask import Multitask

__all__ = ["BEGIN", "END", "PAGE", "Declared", "declared", "rows_of", "table"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- method table: {} -->", "<!-- end of the method table -->"

ACTS_ON = {
    "substeps": "steps",
    "feature": "features",
    "coefficients": "responses",
    "loss": "loss",
    "modality_losses": "loss",
    "combine": "loss",
    "encoder_factors": "encoders' gradients",
    "rest_gradient": "other gradients",
    "learning_rates": "learning rates",
    "on_epoch": "weights",
}
"""What answering at a place acts on. Nobody changes the data: at `inputs` methods look or draw."""

LOOKS, BESIDES = {"MLA": {"loss"}}, {"MSES": ["weights"]}
"""Places where a method does nothing but look, and what it acts on at none."""

MODALITIES = ("first", "second")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "MLA": {"num_batches": 1},
    "UMT": {"teachers": {name: nn.Identity() for name in MODALITIES}},
}


class Declared(NamedTuple):
    """What a method says of itself, as the table words it."""

    paper: str
    acts_on: str
    needs: str
    tasks: str


def names() -> list[str]:
    """Return the names of all methods, joint training first."""
    return ["Joint", *sorted(set(KINDS["methods"]()) - {"Joint"}, key=str.lower)]


def declared(name: str) -> Declared:
    """Return what a method declares, at its default settings."""
    method: cp.Method = getattr(cp, name)(**ARGUMENTS.get(name, {}))
    method.bind(MODALITIES)
    reference = REFERENCES.get(name)
    paper = "" if reference is None else _paper(reference)
    return Declared(paper, _acts_on(method), _needs(method), _tasks(method))


def _paper(reference: Reference) -> str:
    authors = [author.partition(",")[0] for author in reference.author.split(" and ")]
    by = " and ".join(authors) if len(authors) < 3 else f"{authors[0]} et al."
    venue = re.search(r"\((.*)\)|(ACL)", reference.venue)
    short = next(filter(None, venue.groups())) if venue else "TPAMI"
    return f"{by}, {short} {reference.year}"


def _acts_on(method: cp.Method) -> str:
    places = method.places() - LOOKS.get(method.title(), set())
    if method.needs().responses != "gradients":
        places -= {"coefficients"}  # it only learns there
    if isinstance(method, Multitask) and not method.trains_unimodal():
        places -= {"modality_losses"}
    found = dict.fromkeys(what for place, what in ACTS_ON.items() if place in places)
    return ", ".join([*found, *BESIDES.get(method.title(), [])]) or "nothing"


def _needs(method: cp.Method) -> str:
    needs, places = method.needs(), method.places()
    found: list[str] = [needs.owns] if needs.owns else []
    found += ["unimodal logits"] if needs.unimodal_logits != "nothing" else []
    found += ["validation"] if "on_validation" in places else []
    found += ["epochs"] if getattr(method, "awaits", "") == "set_epoch" else []
    found += ["rates"] if "learning_rates" in places else []
    found += ["`steps`"] if "substeps" in places else []
    found += ["`on_epoch`"] if "on_epoch" in places else []
    found += ["teachers"] if isinstance(method, cp.UMT) else []
    return ", ".join(found)


def _tasks(method: cp.Method) -> str:
    known = [task for task in TASKS if task in method.tasks]
    return "all" if len(known) == len(TASKS) else ", ".join(known)


def costs(path: Path) -> dict[str, str]:
    """Return the ratios of step time of each method, late and early fusion, from a file."""
    found = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] not in ("method", "---"):
            ratios = [cell.partition(" (")[0] for cell in cells[1:]]
            shown = " / ".join("1" if each.endswith("ms") else each for each in ratios)
            found[cells[0]] = shown.replace("not run", "-").replace(" ", "\N{NO-BREAK SPACE}")
    return found


def results(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return what a comparison found, by name of the method, and of data set and fusion."""
    methods = yaml.safe_load((folder / "grid.yaml").read_text())["methods"]
    found: dict[tuple[str, str], dict[str, str]] = {}
    with (folder / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            layer = methods.get(row["method"]) or {}
            named = layer.get("method", row["method"])
            path = named["class_path"] if isinstance(named, Mapping) else named
            place = " ".join(filter(None, (row["data"], row["fusion"])))
            found[path.rpartition(".")[2], place] = row
    return found


def outcome(row: Mapping[str, str] | None) -> str:
    """Return a difference to joint training in points, with a mark where it is told from chance."""
    if row is None or not row["accuracy_mean"]:
        return "-"
    if not row["difference_mean"]:
        return f"{100 * float(row['accuracy_mean']):.1f}%"
    points = round(100 * float(row["difference_mean"]), 1) + 0.0  # -0 becomes 0
    difference = f"{points:+.1f}".replace("-", "\N{MINUS SIGN}") if points else "0.0"
    return f"**{difference}**" if row["verdict"] in ("higher", "lower") else difference


def rows_of(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the declared columns of some methods."""
    return [(f"{{class}}`~counterpoise.{name}`", *declared(name)) for name in names]


def table(folder: Path, cost_file: Path) -> str:
    """Return the table in Markdown."""
    found, cost = results(folder), costs(cost_file)
    places = list(dict.fromkeys(place for _, place in found))
    heads = ["method", "paper", "acts on", "needs", "tasks", "cost", *places]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, declarations in zip(names(), rows_of(names()), strict=True):
        measured = [outcome(found.get((name, place))) for place in places]
        cells = [*declarations, cost.get(name, "-"), *measured]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="report of a comparison")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    cost_file = max((ROOT / "benchmarks" / "results").glob("*-methods-cpu.md"))
    text = table(options.folder, cost_file)
    print(text)
    if options.write:
        begin = BEGIN.format(f"benchmarks/method_table.py {options.folder.as_posix()} --write")
        pattern = re.compile(BEGIN.format(".*?") + ".*?" + END, re.DOTALL)
        page, count = pattern.subn(lambda _: f"{begin}\n\n{text}\n\n{END}", PAGE.read_text())
        if count != 1:
            raise ValueError(f"{PAGE} should have one place for the table; found {count}.")
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
