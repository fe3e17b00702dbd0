"""From the cases of a study to observations: runs and measurements, made once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import check_kind
from counterpoise.experiments.cells import Cell, Run, code_digest, loading
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Counting, Progress, Session, require_done
from counterpoise.experiments.store import Store
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.trained import trained

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Measured(Cell):
    """What a study measures on one of its cases.

    Args:
        study: Whose ``measure`` it is.
        case: What is measured.
        runs: Those of the case, by their part.
    """

    study: type[Study]
    case: Case
    runs: Mapping[str, Run]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The study, the runs, and all code: to measure again costs next to nothing."""
        return {
            "study": self.study.name,
            "runs": {part: run.key for part, run in self.runs.items()},
            "code": code_digest(everything=True),
            "versions": next(iter(self.runs.values())).identity["versions"],
        }

    @property
    def title(self) -> str:
        """The condition and the seed."""
        return f"{', '.join(self.case.condition)}, seed {self.case.seed}"

    @property
    def needs(self) -> Mapping[str, Run]:
        """The runs of the case."""
        return self.runs

    @property
    def uses_gpu(self) -> bool:
        """Whether a run does."""
        return any(run.uses_gpu for run in self.runs.values())

    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Return what the study measures."""
        return self.study.measure(trained(self.runs, store))


def observe(
    study: Study,
    runs: Path | str | None = None,
    *,
    progress: Progress | None = None,
    **execution: Unpack[ExecutionOptions],
) -> Observations:
    """Train what is missing and measure what is not measured yet.

    Args:
        study: What to observe.
        runs: Folder of the store: what one command has trained, another does not train again.
            Default: $COUNTERPOISE_RUNS, or "counterpoise-runs".
        progress: Told how many pieces of work are done, of how many, and which was the last.
        **execution: How runs are made: the arguments of
            :class:`counterpoise.experiments.Execution`, such as ``jobs=2``.

    Raises:
        FailedCellsError: If a run or measurement failed; all others are finished first.
    """
    check_kind("study", study, Study, "a study")
    how = Execution(**execution)
    load = loading()
    cells = [
        Measured(
            type(study),
            case,
            {p: Run(r, load(r.data).fingerprint, "always") for p, r in case.runs.items()},
        )
        for case in study.cases()
    ]
    results = Session(Store(runs), how, Counting(progress)).finish(cells)
    require_done(cells, results)
    order = dict.fromkeys(cell.case.condition for cell in cells)
    measured: dict[tuple[str, ...], list[dict[str, Any]]] = {condition: [] for condition in order}
    for cell in sorted(cells, key=lambda cell: cell.case.seed):  # stable: conditions in order
        measured[cell.case.condition].append(results[cell.key].record or {})
    return Observations(measured)
