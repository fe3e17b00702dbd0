"""The protocol of competition: train jointly and alone, extract, probe, for several seeds.

Joint model and concept models are trained on the training split, from the same seed. The probe
from the joint model's fused feature to each concept is fitted on the validation split, and
evaluated on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import check_count, check_kind, check_list, check_range, check_text
from counterpoise.data.contract import size_of
from counterpoise.experiments.cells import Run, alone_runs
from counterpoise.experiments.compete.measuring import RIDGE, Competing
from counterpoise.experiments.compete.paths import find_paths
from counterpoise.experiments.compete.results import Competition, Outcome
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Counting, Progress, Session, require_done
from counterpoise.experiments.store import Store
from counterpoise.methods import Joint, Method
from counterpoise.training.recipe import Recipe
from counterpoise.training.record import describe

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from counterpoise.data import Splits


def compete(
    recipe: Recipe,
    methods: Sequence[Method] | None = None,
    *,
    num_seeds: int = 5,
    fused: str | None = None,
    concept: str | Mapping[str, str] | None = None,
    ridge: float = RIDGE,
    runs: Path | str | None = None,
    progress: Progress | None = None,
    **execution: Unpack[ExecutionOptions],
) -> Competition:
    """Train what it takes, and measure how strongly modalities compete under each method.

    For each seed: the network is trained by each method, and once for each modality with the
    others absent; see the module for which split is used for what. Runs are kept in the store by
    the content of their configuration. What is there is reused, whichever command made it, so
    that another method, or more seeds, cost only what is new, and a second call costs seconds.

    Args:
        recipe: What to train on what, how, and the first seed.
        methods: What to compare. Default: the recipe's own method.
        num_seeds: How many seeds, from the recipe's on, at least 1. Default: 5, the fewest with
            which anything is tested.
        fused: Path of the fused feature, as :func:`counterpoise.measures.extract_features` takes
            it. Default: the input of the head, in networks of this package.
        concept: Path of the concept, one for all modalities or one for each. Default: the output
            of the modality's encoder where logits are a sum over modalities (late fusion), else
            ``fused`` (early fusion). Of a recurrent encoder, or any that does not return one
            tensor, say which by an index: ``{"text": "text_rnn[1][-1]", ...}``. Its probe then
            reads the same.
        ridge: As in :func:`counterpoise.competition_strength`.
        runs: Folder of the store. Default: $COUNTERPOISE_RUNS, or "counterpoise-runs".
        progress: Told what is done. Default: nobody.
        **execution: How runs are made: the arguments of
            :class:`counterpoise.experiments.Execution`, such as ``jobs=2``.

    Returns:
        The outcome of each method and seed, with tables of means and intervals.

    Raises:
        ValueError: If a path is unknown, a split is too small, or an option is out of range.
        FailedCellsError: If a run or measurement failed; all others are finished first.

    Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
    Modulation", ICCV 2023, section 4.
    """
    check_kind("recipe", recipe, Recipe, "a Recipe")
    if methods is not None:
        check_list("methods", methods, Method, "a list of methods such as cp.AGM()")
        _check_different(methods)
    for name, path in (("fused", fused), ("concept", concept)):
        if path is not None and not (name == "concept" and isinstance(path, Mapping)):
            check_text(name, path)
    check_count("num_seeds", num_seeds, at_least=1)
    check_range("ridge", ridge, low=0)
    how = Execution(**execution)
    splits = recipe.data.load()
    _check_sizes(splits)
    paths = find_paths(recipe, splits, fused, concept)
    seeds = range(recipe.seed, recipe.seed + num_seeds)
    cells = [
        _cell(recipe.replace(method=method, seed=seed), splits, paths=paths, ridge=ridge)
        for method, seed in product(methods or [recipe.method or Joint()], seeds)
    ]
    results = Session(Store(runs), how, Counting(progress)).finish(cells)
    require_done(cells, results)
    outcomes = tuple(Outcome(**(results[cell.key].record or {})) for cell in cells)
    guess = {"guess": splits.guess, "guess_error": splits.guess_error}
    return Competition(recipe.describe(), splits.describe() | guess, paths, ridge, outcomes)


def _cell(recipe: Recipe, splits: Splits, **how: Any) -> Competing:
    joint = Run(recipe, splits.fingerprint, "always")
    alone = alone_runs(recipe, splits.modalities, splits.fingerprint)
    return Competing(joint, alone, **how)


def _check_different(methods: Sequence[Method]) -> None:
    """Raise if methods would be told alike: their runs would count as further seeds of one."""
    told = [(type(method).__name__, describe(method).get("init_args")) for method in methods]
    again = [name for at, (name, settings) in enumerate(told) if (name, settings) in told[:at]]
    if again:
        raise ValueError(
            f"`methods` should differ in their class's name or a setting; found {again[0]} twice "
            "with the same. Leave one out, or rename its class."
        )


def _check_sizes(splits: Splits) -> None:
    for name, part in (("validation", splits.validation), ("test", splits.test_set)):
        size = size_of(part)
        if size is not None and size < 2:
            raise ValueError(
                f"`data` should have at least 2 samples in its {name} split, for the probe from "
                f"fused feature to concept; found {size}. Use a larger split."
            )
