"""One training run, from a recipe to its record."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch import nn

from counterpoise.core.errors import check_flag, check_kind, check_path
from counterpoise.core.files import says_full
from counterpoise.data import Splits
from counterpoise.data.contract import Batched
from counterpoise.data.files.folders import DiskFullError
from counterpoise.training.callbacks import Checkpoints, RandomState
from counterpoise.training.data import MultimodalDataModule
from counterpoise.training.divergence import DivergedError
from counterpoise.training.folder import RunFolder, check_new
from counterpoise.training.identity import identity, test_results
from counterpoise.training.loggers import (
    SettingsLogged,
    curves,
    finishing,
    flat_settings,
    own_loggers,
)
from counterpoise.training.module import BalancedModule
from counterpoise.training.options import TrainerOptions
from counterpoise.training.own_parts import own_callbacks, own_metrics
from counterpoise.training.predictions import Predictions
from counterpoise.training.processes import is_first_process
from counterpoise.training.progress import progress_callbacks
from counterpoise.training.recipe import Recipe
from counterpoise.training.record import finite, hardware, sealed
from counterpoise.training.recorder import Recorder
from counterpoise.training.sealing import DirectCheckpoints
from counterpoise.training.surroundings import interruptible, process_as, quiet


def train(
    recipe: Recipe,
    output: Path | str | None = None,
    *,
    resume: bool = False,
    progress: bool = True,
    teachers: Mapping[str, nn.Module] | None = None,
) -> dict[str, Any]:
    """Train, choose the best epoch by validation, test that one once, write a record.

    The task of the data says by which metric epochs are chosen and what is reported.

    A method that ends training may have changed weights as it did, as MSES does: they are
    validated once more, and then count as those of the last epoch.

    Args:
        recipe: What to train on what and how.
        output: Folder for configuration, record, curves and checkpoints; new or empty. Default:
            the recipe's name, in the folder "runs".
        resume: Go on with the run in ``output`` that was killed, to the same bits as if it had
            not been. A run that is complete is not run again: its record is returned. More epochs
            than before make a run longer, complete or not, unless its schedule depends on their
            number; it is tested once more then. A checkpoint that is damaged is passed over, with
            a warning, for the one before.
        progress: Whether to show a bar, or a line after each epoch where there is no terminal.
        teachers: Trained encoders by modality, for a method that learns from such and was given
            none, as ``UMT()``: what :func:`counterpoise.experiments.unimodal_teachers` returns.

    Returns:
        The record, as written to ``record.json``: what was trained on what, where, and for how
        long (seconds); loss and metrics after each epoch and on the test data, None if there
        are none; how many predictions of test samples lie beside it in ``predictions.npz``, with
        their digest, None where several processes or loaders of others test; loss, scores and
        coefficients at each recorded step. "outcome" is "done", or "diverged" where a loss or a
        score was not finite: the run ends there, whatever its method, "divergence" says what was
        found, and there is nothing of test data.

    Raises:
        ValueError: If ``output`` holds something already, or another run is at work in it; or,
            with ``resume``, no run, or one of another recipe or with other data.
        KeyboardInterrupt: On Ctrl-C; the run can be resumed.
    """
    check_kind("recipe", recipe, Recipe, "a Recipe")
    check_path("output", output)
    check_flag("resume", resume)
    check_flag("progress", progress)
    folder = RunFolder(Path(output) if output is not None else Path("runs") / str(recipe.name))
    first = is_first_process(recipe.trainer.num_processes)
    described = recipe.describe()
    with ExitStack() as held:
        if resume:
            folder.kept()  # or there is no folder to lock
        elif first:  # other processes come when the folder is there
            check_new(folder.path, or_else="go on with the run in it by resume=True")
        if resume and first:
            held.enter_context(folder.locked())
        if resume:
            if folder.go_on(described):
                _check_lengthening(recipe, folder)
                if first:
                    folder.lengthen(described)
            record = folder.finished()
            if record is not None:
                return record
        splits = recipe.data.load()
        with quiet(), process_as(recipe.trainer):
            start = folder.checkpoint() if resume else None
            # Mistakes show before anything is kept.
            run = _assemble(recipe, splits, teachers, folder, progress, start)
            if not resume and first:
                held.enter_context(folder.locked())
                folder.begin(described)
            with finishing():
                return _carry_out(recipe, splits, run, folder, start)


def _carry_out(
    recipe: Recipe, splits: Splits, run: _Run, folder: RunFolder, start: Path | None
) -> dict[str, Any]:
    divergence = tested = None
    try:
        _fit(run, start)
        tested = _test_best(run)
    except DivergedError as error:
        divergence = str(error)
    except Exception as error:
        # A mistake in a network shows in the first step: it shall not stand in the way of a start
        # without it.
        if run.trainer.is_global_zero and not (folder.last.exists() or folder.previous.exists()):
            folder.discard()
        if isinstance(error, OSError) and says_full(error):
            raise DiskFullError(
                f"`output` should have room for what a run writes; found at {str(folder.path)!r}: "
                f"{error}. Free some room, and go on with the run, or start it again."
            ) from error
        raise
    kept = run.module.predictions if divergence is None else None
    predicted = None if kept is None else kept.write(folder.predictions)
    record = _record(recipe, splits, run, tested, divergence, predicted)
    if run.trainer.is_global_zero:
        rows = [*run.recorder.rows, *run.recorder.epoch_rows]
        folder.finish(record, sorted(rows, key=lambda row: row["step"]))
    return record


def _check_lengthening(recipe: Recipe, folder: RunFolder) -> None:
    """Raise if a run of more epochs would have had other learning rates from the start."""
    assert recipe.optimizer is not None
    assert recipe.schedule is not None
    before, now = folder.kept()["trainer"]["max_epochs"], recipe.trainer.max_epochs
    states = []
    for num_epochs in (before, now):
        optimizer = recipe.optimizer.build([{"params": [torch.zeros(1)]}])
        states.append(recipe.schedule.build(optimizer, num_epochs).state_dict())
    if states[0] != states[1]:
        raise ValueError(
            f"`trainer.max_epochs` should be as in the run to resume, {before}, where the schedule "
            f"depends on it, as {type(recipe.schedule).__name__} does; found {now}. Start a new "
            "run of as many epochs."
        )


class _Run(NamedTuple):
    """The objects that a run consists of."""

    module: BalancedModule
    data: MultimodalDataModule
    trainer: Trainer
    recorder: Recorder
    checkpoints: Checkpoints


def _assemble(
    recipe: Recipe,
    splits: Splits,
    teachers: Mapping[str, nn.Module] | None,
    folder: RunFolder,
    progress: bool,
    start: Path | None,
) -> _Run:
    random.seed(recipe.seed)
    np.random.seed(recipe.seed % 2**32)  # noqa: NPY002 # for users' code that draws from it
    torch.manual_seed(recipe.seed)
    data = MultimodalDataModule(
        splits,
        recipe.batch_size,
        seed=recipe.seed,
        drop_last=recipe.drop_last,
        num_workers=recipe.num_readers,
    )
    form, balanced = splits.task.form, recipe.build(splits, teachers)
    module = BalancedModule(
        balanced,
        splits.task,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        metrics=own_metrics(recipe.metrics, taken=splits.task.forms),
        extra_loss=recipe.architecture.extra_loss(balanced.model),
    )
    recorder = Recorder(splits.modalities, form.name)
    checkpoints = Checkpoints(
        folder.checkpoints,
        f"validation/{form.name}",
        recipe.trainer.checkpoint_every_n_steps,
        higher_is_better=form.higher_is_better,
    )
    settings = flat_settings(recipe.describe())
    told = SettingsLogged(settings, [f"validation/{form.name}", f"test/{form.name}"])
    own = own_callbacks(recipe.callbacks)
    callbacks = [*progress_callbacks(progress), RandomState(), told, *own, recorder, checkpoints]
    others = own_loggers(recipe.loggers, folder.path, str(recipe.name))
    loggers = [curves(folder.path, start), *others]
    trainer = _trainer(recipe, data, loggers, callbacks)
    return _Run(module, data, trainer, recorder, checkpoints)


def _fit(run: _Run, start: Path | None) -> None:
    module, data, trainer = run.module, run.data, run.trainer
    if any(not part.training for part in module.balanced.method.modules()):  # as of teachers
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start")
    with interruptible(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=start)
        if module.balanced.method.finished():  # what it left behind was never validated
            trainer.validate(module, datamodule=data, verbose=False)
            run.checkpoints.consider(trainer, trainer.current_epoch - 1)


def _test_best(run: _Run) -> Mapping[str, float] | None:
    test = run.data.splits.test
    if test is None:
        return None
    # Each of several processes has a part of the samples; loaders of others have their own order.
    if run.trainer.world_size == 1 and not isinstance(test, Batched):
        run.module.predictions = Predictions(run.module.task)
    # By hand: Lightning would restore the callbacks of the best epoch with its weights.
    best = torch.load(run.checkpoints.best, map_location="cpu", weights_only=True)
    run.module.load_state_dict(best["state_dict"])
    (tested,) = run.trainer.test(run.module, datamodule=run.data, verbose=False)
    return tested


def _record(
    recipe: Recipe,
    splits: Splits,
    run: _Run,
    tested: Mapping[str, float] | None,
    divergence: str | None,
    predicted: dict[str, Any] | None,
) -> dict[str, Any]:
    recorder = run.recorder
    content = {
        **identity(recipe, splits, run.module),
        "outcome": "done" if divergence is None else "diverged",
        "divergence": divergence,
        "hardware": hardware(run.trainer.strategy.root_device),
        "started": recorder.started,
        "wall_time_seconds": recorder.seconds,
        "seconds_per_step": recorder.seconds_per_step,
        "processor_seconds_per_step": recorder.processor_seconds_per_step,
        "best_epoch": run.checkpoints.best_epoch,
        "test": None if tested is None else test_results(tested, run.module, splits.modalities),
        "predictions": predicted,
        "epochs": recorder.epochs(),
        "steps": recorder.curves(),
    }
    return sealed(finite(content))


def _trainer(
    recipe: Recipe,
    data: MultimodalDataModule,
    loggers: list[Logger],
    callbacks: list[Callback],
) -> Trainer:
    options = recipe.trainer
    num_batches = data.num_training_batches(options.num_processes)
    plugins: list[Any] = [] if _shards(options) else [DirectCheckpoints()]
    if options.num_processes == 1:
        # One process needs nothing of a cluster, whose variables Lightning would hold against it.
        plugins.append(LightningEnvironment())
    settings: dict[str, Any] = {
        "max_epochs": options.max_epochs,
        "log_every_n_steps": min(options.log_every_n_steps, num_batches),
        "gradient_clip_val": options.gradient_clip_val,
        "accumulate_grad_batches": options.accumulate_grad_batches,
        "precision": options.precision,
        "accelerator": options.accelerator,
        "devices": options.devices,
        "num_nodes": options.num_nodes,
        "strategy": options.strategy,
        "plugins": plugins,
        "deterministic": options.deterministic,
        "callbacks": callbacks,
        "logger": loggers,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "inference_mode": False,  # what the wrapper keeps from an evaluation may be trained with
        "use_distributed_sampler": False,  # our loaders split batches over processes themselves
    }
    try:
        return Trainer(**settings)
    except MisconfigurationException as error:
        raise ValueError(
            "`trainer` should be possible on this machine; found accelerator "
            f"{options.accelerator!r}, devices {options.devices}, strategy {options.strategy!r} "
            f"and precision {options.precision!r}. Change one of them: {error}"
        ) from error


def _shards(options: TrainerOptions) -> bool:
    """Whether a strategy writes checkpoints in its own way, each process its part."""
    return options.strategy.startswith(("fsdp", "deepspeed", "model_parallel"))
