"""Loggers of a run: TensorBoard's, those that a recipe adds, and the recipe as their settings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from counterpoise.training.by_path import Described, class_at, made


def curves(folder: Path, start: Path | None) -> TensorBoardLogger:
    """Return TensorBoard's logger of a run in a folder.

    Args:
        folder: Of the run.
        start: The checkpoint that a resumed run goes on from: what was written after it is
            forgotten.
    """
    purge = 0
    if start is not None:
        checkpoint = torch.load(start, map_location="cpu", weights_only=True, mmap=True)
        purge = checkpoint["global_step"]
    return TensorBoardLogger(
        folder, name="", version="tensorboard", default_hp_metric=False, purge_step=purge
    )


def own_loggers(
    described: Sequence[Described | str] | None, folder: Path, name: str
) -> list[Logger]:
    """Return the loggers that a recipe adds to the record and TensorBoard.

    A logger that asks for a folder (``save_dir``) and is told none writes to the run's own, and
    Weights & Biases and MLflow call the run by its name. MLflow, which takes no folders any more,
    writes to the database ``mlflow.db`` beside the runs where nobody says otherwise.

    Args:
        described: Each by "class_path" and "init_args", or its path alone; of Lightning's own the
            name of the class will do.
        folder: Of the run.
        name: Of the run.

    Raises:
        ValueError: If a class is no logger.
    """
    return [_logger(description, folder, name) for description in described or ()]


def _logger(described: Described | str, folder: Path, name: str) -> Logger:
    content: dict[str, Any] = (
        {"class_path": described} if isinstance(described, str) else dict(described)
    )
    path = content.get("class_path")
    if isinstance(path, str) and "." not in path:
        content["class_path"] = f"lightning.pytorch.loggers.{path}"
    if "class_path" in content:
        kind = class_at("loggers", content["class_path"], Logger)
        told = dict(content.get("init_args") or {})
        content["init_args"] = {**_defaults(kind, told, folder, name), **told}
    logger: Logger = made("loggers", content, Logger)
    return logger


def _defaults(kind: type, told: Mapping[str, Any], folder: Path, name: str) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    parameters = inspect.signature(kind).parameters
    if kind.__name__ == "MLFlowLogger":
        defaults["run_name"] = name
        # By $MLFLOW_TRACKING_URI at import; MLflow itself changes that as it goes.
        elsewhere = parameters["tracking_uri"].default is not None
        if not elsewhere and not {"tracking_uri", "save_dir"} & set(told):
            beside = folder.parent.resolve()
            beside.mkdir(parents=True, exist_ok=True)
            defaults["tracking_uri"] = f"sqlite:///{beside / 'mlflow.db'}"
            defaults["artifact_location"] = str(beside / "mlflow-artifacts")
    elif "save_dir" in parameters:
        defaults["save_dir"] = str(folder)
        if kind.__name__ == "WandbLogger":
            defaults["name"] = name
    return defaults


class SettingsLogged(Callback):
    """Tells every logger the recipe when training starts, by the names that options have.

    Args:
        settings: As :func:`flat_settings` returns them.
        metrics: Logged values that TensorBoard shall show beside the settings.
    """

    def __init__(self, settings: Mapping[str, Any], metrics: Sequence[str]) -> None:
        self.settings, self.metrics = dict(settings), tuple(metrics)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell them, once in all processes."""
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            logger.log_hyperparams(self.settings)
            if isinstance(logger, TensorBoardLogger):
                # Lightning's own way would log a value of each metric before there is any.
                shown = {name: value for name, value in self.settings.items() if value is not None}
                values = dict.fromkeys(self.metrics, 0.0)  # their names are what counts
                for summary in hparams(shown, values):  # type: ignore[no-untyped-call]
                    logger.experiment._get_file_writer().add_summary(summary)


def flat_settings(described: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Map a recipe to one value a setting, named as the options of the command are.

    Args:
        described: As ``Recipe.describe()`` returns it.
        above: What stands in front of each name.

    Example:
        >>> flat_settings({"method": {"class_path": "counterpoise.AGM", "init_args": {"alpha": 1}},
        ...                "seed": 3})
        {'method': 'AGM', 'method.alpha': 1, 'seed': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in described.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and "class_path" in value:
            path = str(value["class_path"])
            flat[name] = path.rpartition(".")[2] if path.startswith("counterpoise.") else path
            flat |= flat_settings(value.get("init_args") or {}, f"{name}.")
        elif isinstance(value, Mapping):
            flat |= flat_settings(value, f"{name}.")
        else:
            plain = value is None or isinstance(value, bool | int | float | str)
            flat[name] = value if plain else str(value)
    return flat


@contextmanager
def finishing() -> Iterator[None]:
    """End what Weights & Biases has begun within: its next run would else go on with this one."""
    before = _wandb_run()
    try:
        yield
    except BaseException:
        _finish(before, exit_code=1)
        raise
    _finish(before, exit_code=0)


def _finish(before: Any, exit_code: int) -> None:
    run = _wandb_run()
    if run is not None and run is not before:
        run.finish(exit_code=exit_code)


def _wandb_run() -> Any:
    return getattr(sys.modules.get("wandb"), "run", None)
