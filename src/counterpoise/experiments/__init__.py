"""Experiments on many runs: comparing methods, measuring competition, answering questions.

The three commands describe what they want and share how it is made:

    conditions x seeds -> cells -> store -> observations -> tables, figures, answer

- A *cell* (:mod:`.cells`) is something that is computed once: a run, which is a recipe trained on
  data, or a measurement of models that runs left. Its key is a digest of all that decides what it
  computes, described with public names: recipe, content of the data, versions of packages; for a
  measurement the keys of its runs and how they are measured.
- The *store* (:mod:`.store`) is a folder, one for all commands, that holds what came of cells under
  their keys: results, and models that are still to be measured. The same run asked for by two
  commands is the same cell, and is trained once. What was damaged is noticed, set aside and made
  again.
- A *session* (:mod:`.session`) finishes cells: those that have a result are read, those that a
  measurement needs come first, and the others are computed (:mod:`.computing`), several at a time
  (:mod:`.execution`), on this machine or a cluster. A cell that fails, exits, hangs or takes its
  process down is a result too: a failed one, with its reason.
- ``compare``, ``compete`` and ``study`` each turn their question into cells, and results into
  observations by condition and seed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoise.experiments.alone import unimodal_teachers
    from counterpoise.experiments.execution.settings import Execution
    from counterpoise.experiments.session import FailedCellsError, OtherPartsError
    from counterpoise.experiments.store import Result, Store

_LAZY = {
    "Execution": "execution.settings",
    "FailedCellsError": "session",
    "OtherPartsError": "session",
    "Result": "store",
    "Store": "store",
    "unimodal_teachers": "alone",
}

__all__ = [
    "Execution",
    "FailedCellsError",
    "OtherPartsError",
    "Result",
    "Store",
    "unimodal_teachers",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
