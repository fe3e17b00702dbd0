"""The same experiments before and after the files were moved: are the numbers the same to the bit?

    python benchmarks/parity.py                     # a table run by run; minutes on one core
    python benchmarks/parity.py --before 700b65e    # the commit to compare with
    python benchmarks/parity.py --write             # benchmarks/results/<date>-parity.md

The older commit is checked out beside the working tree. The same grids of `compare`, the same
protocol of `compete` and the same studies (parity_runs.py) run by its code and by the present code,
each in a process of its own with one thread, and every number of every run is compared by ==:
losses, scores and coefficients of each step, losses and accuracies of each epoch, test results,
strengths, digests of weights and of data. Only times are left out. Where a default has changed by
design the old rule is named in the new configuration; a control for each such default leaves the
new one in place, and has to differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from parity_runs import CONTROLS, EXPERIMENTS
from timing import processor

__all__ = ["CAUSES", "Run", "compared"]

ROOT = Path(__file__).parents[1]

CAUSES = {
    "control: bound": "AGM bounds its coefficients by a factor of 1.5 unless a clamp is given "
    "(8e40fa5). Old rule: `clamp=10.0`.",
    "control: statistics": "Coalitions are normalised by the statistics of the batch and not by "
    'running ones (20f7f3e). Old rule: `coalitions="published"`, which also asks for level '
    '"features", the default then, where "shared" is now.',
    "control: division": "Each seed of a comparison draws another division into training and "
    "validation (36b8964). Old rule: `redraw: false`.",
    "control: unimodal logits": "Where there are no heads, unimodal logits are what the model "
    "makes of a modality's features with the others' at zero, and not its response (20f7f3e). Old "
    "rule: the classes of parity_methods.py.",
}
"""Why the controls differ: by design, each with the commit and what asks for the old rule."""

ROUNDED = re.compile(r"(estimates/)?(probe|contribution|cooperation|robustness)(/|$)")
DRAWN = ("AGM, absent means noise",)
"""Runs whose shares are measured with noise that is drawn from wherever the generator stands."""

SHARE = 2**-22  # of two float32 numbers below 1 added up, each off by half its last bit
REMARKS = (
    "Random numbers come in another order in two places, for which parity_methods.py has the old "
    "order: OPM draws which samples are spared before what is dropped, and not in between "
    "(f54e3e9); and where coalitions are sampled, looking at a model for the first time no longer "
    "draws the orderings of a step that nobody used (20f7f3e).",
    "",
    "Counted as rounded is what is the same to 2.4e-7, of one kind alone: probes, contributions "
    "and robustness are shares of right predictions, computed in float64 before and now in float32 "
    "by the metric of the task (399a58a). Studies look at a model before they measure it "
    "(parity_methods.py): unless it has been looked at, encoders see a batch of absent samples and "
    "not a single one that is repeated (20f7f3e), and matrix products round otherwise.",
    "",
    "All nine studies are compared, in small: what they measure in every condition and seed. Not "
    "compared, there and elsewhere:",
    "",
    "- Times: no two runs of the same code have the same.",
    "- Intervals and verdicts, and so the answers of studies, changed by design (ed06203): "
    "comparisons drew a bootstrap, and studies corrected neither for the steps of accuracies nor "
    "for several tests. The values that they are made of are compared.",
    "- The search for hyper-parameters, changed by design: runs of fixed ones are compared.",
    "- Contributions and robustness where noise stands in for what is absent: measuring draws it "
    "without a seed of its own, before and now.",
)


class Run(NamedTuple):
    """How the numbers of a run compare.

    Attributes:
        experiment: Name of the experiment.
        setting: Network, or condition.
        label: Method, or name of the run.
        counts: How many numbers are "equal", "rounded", "different" or "missing".
        example: The first that differs, with both values.
    """

    experiment: str
    setting: str
    label: str
    counts: Counter[str]
    example: str

    @property
    def as_expected(self) -> bool:
        """Whether nothing differs, or it is a control."""
        return self.experiment in CONTROLS or not self.counts["different"] + self.counts["missing"]

    def row(self) -> list[str]:
        """Return the cells of the table."""
        kinds = ("equal", "rounded", "different", "missing")
        counts = [str(self.counts[kind] or "") for kind in kinds]
        return [self.experiment, self.setting, self.label, *counts, self.example]


def compared(before: Sequence[Any], after: Sequence[Any]) -> list[Run]:
    """Compare the rows that parity_runs.py wrote, run by run."""
    present = {tuple(row[:4]): row[4] for row in after}
    runs = []
    for experiment, setting, label, seed, old in before:
        new = present.get((experiment, setting, label, seed), {})
        known = {
            name: value
            for name, value in old.items()
            if value is not None and not (label in DRAWN and ROUNDED.match(name))
        }
        kinds = {name: _kind(name, value, new) for name, value in known.items()}
        wrong = [name for name, kind in kinds.items() if kind in ("different", "missing")]
        example = f"{wrong[0]}: {old[wrong[0]]}, {new.get(wrong[0])}" if wrong else ""
        title = f"{label}, seed {seed}"
        runs.append(Run(experiment, setting, title, Counter(kinds.values()), example))
    return runs


def _kind(name: str, value: Any, new: dict[str, Any]) -> str:
    if name not in new:
        return "missing"
    if new[name] == value:
        return "equal"
    rounded = ROUNDED.match(name) and abs(new[name] - value) <= SHARE
    return "rounded" if rounded else "different"


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out into a working tree of its own, for a while."""
    tree = folder / "tree"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _make(side: str, tree: Path, folder: Path, experiments: Sequence[str]) -> None:
    """Run the experiments that have no numbers in the folder yet, by the code of a tree."""
    folder.mkdir(parents=True, exist_ok=True)
    script = ROOT / "benchmarks" / "parity_runs.py"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree / "src"),
        "OMP_NUM_THREADS": "1",
        "COUNTERPOISE_CACHE": str(folder / "cache"),  # each side builds the digits itself
    }
    command = [sys.executable, str(script), side, str(folder), *experiments]
    subprocess.run(command, check=True, env=environment, cwd=folder)


def _read(folder: Path, experiments: Sequence[str]) -> list[Any]:
    files = [folder / f"{name}.json" for name in experiments]
    return [row for file in files for row in json.loads(file.read_text("utf-8"))]


def _commit(name: str) -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _alike(runs: Sequence[Run]) -> list[str]:
    """Return the controls in which nothing differs, so that they control nothing."""
    controls = {run.experiment for run in runs if run.experiment in CONTROLS}
    return sorted(controls - {run.experiment for run in runs if run.example})


def _page(runs: Sequence[Run], before: str) -> str:
    """Return title, what was found, why controls differ, and the table, as Markdown."""
    totals = sum((run.counts for run in runs if run.experiment not in CONTROLS), Counter[str]())
    wrong = [run for run in runs if not run.as_expected]
    num_runs = sum(run.experiment not in CONTROLS for run in runs)
    found = (
        f"{num_runs} runs and measurements, {totals.total()} numbers: {totals['equal']} are equal "
        f"to the bit, {totals['rounded']} but for rounding, {totals['different']} differ, "
        f"{totals['missing']} are missing; {len(wrong)} runs are not as expected. Controls in "
        f"which nothing differs, though it should: {', '.join(_alike(runs)) or 'none'}."
    )
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    columns = ["experiment", "setting", "run", "equal", "rounded", "different", "missing", "first"]
    rows = [columns, ["---"] * len(columns), *(run.row() for run in runs)]
    return "\n".join(
        [
            "# Parity: the same experiments before and after the files were moved",
            "",
            f"`python benchmarks/parity.py --before {before}`, {date}, {_commit(before)} against "
            f"{_commit('HEAD')}, torch {torch.__version__}, Python "
            f"{platform.python_version()}, {processor()}, 1 thread.",
            "",
            found,
            "",
            "What has changed by design, so that the new configurations name the old rule; each "
            "has a control, in which the present rule is left in place:",
            "",
            *(f"- {name.removeprefix('control: ')}: {why}" for name, why in CAUSES.items()),
            "",
            *REMARKS,
            "",
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--before", default="700b65e", help="Commit. Default: the last one before.")
    parser.add_argument("--only", nargs="+", default=list(EXPERIMENTS), choices=EXPERIMENTS)
    parser.add_argument("--folder", type=Path, help="Keeps runs, and goes on with them.")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        with _checked_out(options.before, Path(temporary)) as tree:
            _make("before", tree, folder / "before", options.only)
        _make("after", ROOT, folder / "after", options.only)
        runs = compared(*(_read(folder / side, options.only) for side in ("before", "after")))
    page = _page(runs, options.before)
    print(page)
    if options.write:
        name = f"{datetime.now(UTC):%Y-%m-%d}-parity.md"
        (ROOT / "benchmarks" / "results" / name).write_text(page + "\n", "utf-8")
    sys.exit(any(not run.as_expected for run in runs) or bool(_alike(runs)))


if __name__ == "__main__":
    main()
