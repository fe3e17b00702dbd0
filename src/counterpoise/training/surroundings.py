"""The state of the process around a run: warnings, signals, threads; each is restored after it."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from counterpoise.training.options import TrainerOptions


@contextmanager
def quiet() -> Iterator[None]:
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
def interruptible(trainer: Trainer) -> Iterator[None]:
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
def process_as(options: TrainerOptions) -> Iterator[None]:
    """Compute as the run is told, and give the process its own choices back."""
    lightning: Any = rank_zero_only
    deterministic, num_threads, rank = (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        lightning.rank,
    )
    torch.set_num_threads(options.num_threads or num_threads)
    if options.num_processes == 1:
        lightning.rank = 0  # read from a cluster's variables; others would keep no curves
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(num_threads)
        lightning.rank = rank
