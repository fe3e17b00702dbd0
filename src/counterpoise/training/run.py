"""One training run, from a recipe to its record."""

from __future__ import annotations

import logging
import os
import random
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torchmetrics.classification import MulticlassAccuracy

from counterpoise.data import Splits
from counterpoise.training.callbacks import Checkpoints, RandomState
from counterpoise.training.data import MultimodalDataModule
from counterpoise.training.folder import RunFolder
from counterpoise.training.module import BalancedModule
from counterpoise.training.options import TrainerOptions
from counterpoise.training.progress import progress_callbacks
from counterpoise.training.recipe import Recipe
from counterpoise.training.record import hardware, versions
from counterpoise.training.recorder import Recorder

__all__ = ["train"]


def train(
    recipe: Recipe,
    output: Path | str | None = None,
    *,
    resume: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train, choose the best epoch by validation accuracy, test that one once, write a record.

    A method that ends training may have changed weights as it did, as MSES does: they are
    validated once more, and then count as those of the last epoch.

    Args:
        recipe: What to train on what and how.
        output: Folder for configuration, record, curves and checkpoints; new or empty. Default:
            the recipe's name, in the folder "runs".
        resume: Go on with the run in ``output`` that was killed, to the same bits as if it had
            not been. A run that is complete is not run again: its record is returned.
        progress: Whether to show a bar, or a line after each epoch where there is no terminal.

    Returns:
        The record, as written to ``record.json``: what was trained on what, where, and for how
        long (seconds); loss and accuracy after each epoch and on the test data; loss, scores
        and coefficients at each recorded step.

    Raises:
        ValueError: If ``output`` holds something already; or, with ``resume``, no run, or one
            of another recipe or with other data.
        FloatingPointError: If a score is not finite, at the next recorded step.
        KeyboardInterrupt: On Ctrl-C; the run can be resumed.
    """
    folder = RunFolder(Path(output) if output is not None else Path("runs") / str(recipe.name))
    if resume:
        folder.go_on(recipe.describe())
        record = folder.finished()
        if record is not None:
            return record
    elif _is_first_process():  # other processes come when the folder is there
        folder.begin(recipe.describe())
    splits = recipe.data.load()
    with _quiet(), _process_as(recipe.trainer):
        return _run(recipe, splits, folder, progress)


def _is_first_process() -> bool:
    """Whether nobody else started this process for one distributed run."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def _run(recipe: Recipe, splits: Splits, folder: RunFolder, progress: bool) -> dict[str, Any]:
    random.seed(recipe.seed)
    np.random.seed(recipe.seed % 2**32)  # noqa: NPY002 # for users' code that draws from it
    torch.manual_seed(recipe.seed)
    data = MultimodalDataModule(
        splits, recipe.batch_size, seed=recipe.seed, drop_last=recipe.drop_last
    )
    module = BalancedModule(
        recipe.build(splits),
        MulticlassAccuracy(splits.num_classes, average="micro", validate_args=False),
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
    )
    recorder = Recorder(splits.modalities)
    checkpoints = Checkpoints(
        folder.checkpoints, every_n_steps=recipe.trainer.checkpoint_every_n_steps
    )
    start = folder.last if folder.last.exists() else None
    shown = progress_callbacks(progress)
    trainer = _trainer(recipe, data, folder, [*shown, RandomState(), recorder, checkpoints])
    with _interruptible(trainer):
        trainer.fit(module, datamodule=data, ckpt_path=start)
        if module.balanced.method.finished():  # what it left behind was never validated
            trainer.validate(module, datamodule=data, verbose=False)
            checkpoints.consider(trainer, trainer.current_epoch - 1)
    # By hand: Lightning would restore the callbacks of the best epoch with its weights.
    best = torch.load(checkpoints.best, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    (tested,) = trainer.test(module, datamodule=data, verbose=False)
    record = {
        **_identity(recipe, splits, module),
        "hardware": hardware(trainer.strategy.root_device),
        "started": recorder.started,
        "wall_time_seconds": recorder.seconds,
        "seconds_per_step": recorder.seconds_per_step,
        "best_epoch": checkpoints.best_epoch,
        "test": _test_results(tested, splits.modalities),
        "epochs": recorder.epochs(),
        "steps": recorder.curves(),
    }
    if trainer.is_global_zero:
        rows = sorted([*recorder.rows, *recorder.epoch_rows], key=lambda row: row["step"])
        folder.finish(record, rows)
    return record


def _trainer(
    recipe: Recipe, data: MultimodalDataModule, folder: RunFolder, callbacks: list[Callback]
) -> Trainer:
    options = recipe.trainer
    num_batches = data.num_training_batches(options.devices * options.num_nodes)
    logger = TensorBoardLogger(
        folder.path, name="", version="tensorboard", default_hp_metric=False, **_purge(folder)
    )
    return Trainer(
        max_epochs=options.max_epochs,
        log_every_n_steps=min(options.log_every_n_steps, num_batches),
        gradient_clip_val=options.gradient_clip_val,
        accumulate_grad_batches=options.accumulate_grad_batches,
        precision=options.precision,  # type: ignore[arg-type] # checked by the options
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=options.strategy,
        deterministic=options.deterministic,
        callbacks=callbacks,
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,  # what the wrapper keeps from an evaluation may be trained with
        use_distributed_sampler=False,  # our loaders split batches over processes themselves
    )


def _purge(folder: RunFolder) -> dict[str, Any]:
    """Let TensorBoard forget what a killed run wrote after its last checkpoint."""
    if not folder.last.exists():
        return {}
    checkpoint = torch.load(folder.last, map_location="cpu", weights_only=True, mmap=True)
    return {"purge_step": checkpoint["global_step"]}


def _identity(recipe: Recipe, splits: Splits, module: BalancedModule) -> dict[str, Any]:
    described, model = recipe.describe(), module.balanced.model
    sizes = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "name": recipe.name,
        "method": {
            "name": type(recipe.method).__name__,
            "settings": described["method"].get("init_args", {}),
        },
        "data": {
            "name": splits.name,
            "fingerprint": splits.fingerprint,
            "note": splits.note,
            "modalities": list(splits.modalities),
            "num_classes": splits.num_classes,
            "sizes": {name: len(part) for name, part in sizes.items()},
        },
        "model": {
            "name": type(model).__name__,
            "settings": described["model"].get("init_args", {}),
            "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "seed": recipe.seed,
        "versions": versions(),
    }


def _test_results(tested: Mapping[str, float], modalities: tuple[str, ...]) -> dict[str, Any]:
    return {
        "loss": tested["test_loss"],
        "accuracy": tested["test_accuracy"],
        "response_accuracy": {
            name: tested[f"test_response_accuracy/{name}"] for name in modalities
        },
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks on devices and tips back; warnings come through, but for one."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what torch 2.9 deprecated (its issue 21326); nobody can help it.
            warnings.filterwarnings("ignore", r".*treespec, LeafSpec", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning exits the process and turns further ones off."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


@contextmanager
def _process_as(options: TrainerOptions) -> Iterator[None]:
    """Compute as the run is told, and give the process its own choices back."""
    deterministic, num_threads = (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    )
    torch.set_num_threads(options.num_threads or num_threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(num_threads)
