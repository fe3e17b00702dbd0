"""Everything that decides what a run computes, in one object that a YAML file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from counterpoise.balanced import Balanced
from counterpoise.core.absence import Absence
from counterpoise.core.coalitions import ATTRIBUTIONS, Sampling
from counterpoise.core.errors import (
    check_choice,
    check_count,
    check_file_name,
    check_flag,
    check_kind,
    check_list,
    check_mapping,
    check_seed,
)
from counterpoise.data import DataSource, Splits
from counterpoise.engine.settings import LEVELS, STATISTICS, Coalitions, Modality, coalitions_of
from counterpoise.methods import Joint, Method, check_task
from counterpoise.methods.umt import untaught
from counterpoise.training.architectures import Architecture, Network
from counterpoise.training.optimization import SGD, Optimizer, Schedule, StepLR
from counterpoise.training.options import TrainerOptions
from counterpoise.training.record import describe

_OPTIONS = TrainerOptions()

_KINDS: tuple[tuple[str, type, str], ...] = (
    ("data", DataSource, "a data set, as Synthetic()"),
    ("method", Method, "a method, as AGM()"),
    ("model", Architecture, "an architecture, as Network()"),
    ("optimizer", Optimizer, "an optimiser's settings, as SGD()"),
    ("schedule", Schedule, "a schedule's settings, as StepLR()"),
    ("trainer", TrainerOptions, "a TrainerOptions"),
    ("absent", Absence, "an absence, as Zeros()"),
)


@dataclass(frozen=True, eq=False)
class Recipe:
    """What to train on what, how, and from which seed: the same recipe gives the same bits.

    Args:
        data: The data set.
        method: What balances the modalities; runs work on copies. Default: ``Joint()``.
        model: What builds the network. Default: ``Network()``.
        optimizer: Settings of the optimiser. Default: ``SGD()``, as published.
        schedule: Settings of the learning rate. Default: ``StepLR()``, as published.
        trainer: For how long, where and how exactly.
        batch_size: Training samples in a batch of one process, at least 1.
        drop_last: Leave out the last training batch of an epoch where it is smaller.
        seed: Of initial weights, of the order of samples and of noise; at least 0.
        coalitions: "inputs", "features", "shared" or "published", as in
            :class:`counterpoise.Balanced`. Default: "shared" if the network's encoders are known.
        statistics: "batch" or "running", as in :class:`counterpoise.Coalitions`.
        attribution: "shapley", "leave_one_out" or "alone", as in ``Balanced``.
        num_passes: Estimate responses from random orderings of modalities with at most so many
            passes a step, as :class:`counterpoise.Sampling` does. Default: as in ``Balanced``.
        absent: What stands in for an absent modality, as in ``Balanced``. Default: zeros.
        num_readers: Processes that read batches in advance. 0, the default, suits data in memory;
            results do not depend on it.
        metrics: Further metrics to report after validation and test, by name, each as
            ``{"class_path": ..., "init_args": {...}}``: any of torchmetrics that take
            ``update(logits, target)``.
        loggers: Further loggers of Lightning, each described alike, or by its path alone; of
            Lightning's own the class's name will do, as "CSVLogger". They are told the recipe.
            The record and TensorBoard's files are always written.
        callbacks: Further callbacks of Lightning, each described alike.
        monitor: Record scores also for methods that do not need them; they cost coalition
            passes at recorded steps only.
        name: What the run is called. Default: data set, method and seed.

    Raises:
        ValueError: If a setting is out of range.

    Example:
        >>> from counterpoise.data import Synthetic
        >>> recipe = Recipe(Synthetic(), seed=7)
        >>> recipe.name
        'synthetic-joint-7'
        >>> recipe.describe()["method"]
        {'class_path': 'counterpoise.Joint'}
    """

    data: DataSource
    method: Method | None = None
    model: Architecture | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    trainer: TrainerOptions = _OPTIONS
    batch_size: int = 64
    drop_last: bool = False
    seed: int = 0
    coalitions: str | None = None
    statistics: str = "batch"
    attribution: str = "shapley"
    num_passes: int | None = None
    absent: Absence | None = None
    num_readers: int = 0
    metrics: dict[str, dict[str, Any]] | None = None
    loggers: list[dict[str, Any] | str] | None = None
    callbacks: list[dict[str, Any]] | None = None
    monitor: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size, at_least=1)
        check_seed("seed", self.seed)
        check_count("num_readers", self.num_readers, at_least=0)
        for name, kind, what in _KINDS:
            value = getattr(self, name)
            if value is not None or name in ("data", "trainer"):
                check_kind(name, value, kind, what)
        told = "a list of class_path and init_args"
        check_list("loggers", self.loggers or (), (dict, str), told)
        check_list("callbacks", self.callbacks or (), dict, told)
        check_mapping("metrics", self.metrics or {}, dict, "names to class_path and init_args")
        for name in ("drop_last", "monitor"):
            check_flag(name, getattr(self, name))
        if self.num_passes is not None:
            check_count("num_passes", self.num_passes, at_least=1)
        if self.coalitions is not None:
            check_choice("coalitions", self.coalitions, (*LEVELS, "published"))
        check_choice("statistics", self.statistics, STATISTICS)
        check_choice("attribution", self.attribution, ATTRIBUTIONS)
        defaults: dict[str, Any] = {
            "method": self.method or Joint(),
            "model": self.model or Network(),
            "optimizer": self.optimizer or SGD(),
            "schedule": self.schedule or StepLR(),
        }
        method = defaults["method"].title().lower().replace(" + ", "-")
        defaults["name"] = (
            self.name if self.name is not None else f"{self.data.name}-{method}-{self.seed}"
        )
        check_file_name("name", defaults["name"])
        for name, value in defaults.items():
            object.__setattr__(self, name, value)

    def describe(self) -> dict[str, Any]:
        """Return the recipe as a configuration file holds it, nothing left to a default."""
        described = {field.name: describe(getattr(self, field.name)) for field in fields(self)}
        return described | {"trainer": described["trainer"]["init_args"]}

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some fields changed, and a name of its own unless one is given."""
        for name in changes:
            check_choice("changes", name, [field.name for field in fields(self)])
        return replace(self, **{"name": None, **changes})

    @property
    def architecture(self) -> Architecture:
        """What builds the network."""
        assert self.model is not None
        return self.model

    def build(self, splits: Splits, teachers: Mapping[str, nn.Module] | None = None) -> Balanced:
        """Return a fresh network, wrapped, its weights drawn from torch's global generator.

        Args:
            splits: The data.
            teachers: Trained encoders, for a method that learns from such and was given none, as
                ``UMT()``. Default: room for those of a checkpoint.

        Raises:
            ValueError: If the method is not defined for the task of the data.
        """
        assert self.method is not None
        check_task(self.method, splits.task.kind)
        architecture = self.architecture
        model = architecture.build(splits)
        encoders, heads = architecture.encoder_paths(model), architecture.head_paths(model)
        own = architecture.absent_values(splits) or {}
        modalities = {
            name: Modality(
                encoder=(encoders or {}).get(name),
                head=(heads or {}).get(name),
                absent=deepcopy(self.absent) if self.absent else own.get(name),
            )
            for name in splits.modalities
        }
        balanced = Balanced(
            model,
            modalities,
            self._taught_method(model, encoders, teachers),
            coalitions=self._coalitions(encoders_known=bool(encoders)),
            score=splits.task.score,
            select=architecture.select(model),
            monitor=self.monitor,
        )
        if any(map(is_lazy, balanced.parameters())):  # neither DDP nor a checkpoint can wait
            balanced.validate(**splits.example(self.batch_size))
        return balanced

    def _taught_method(
        self,
        model: nn.Module,
        encoders: Mapping[str, str] | None,
        teachers: Mapping[str, nn.Module] | None,
    ) -> Method:
        """Return a copy of the method, with teachers where it has yet to get them."""
        assert self.method is not None
        method = deepcopy(self.method)
        room = {name: model.get_submodule(path) for name, path in (encoders or {}).items()}
        given = room if teachers is None else teachers
        for part in untaught(method):
            part.teach(deepcopy(dict(given)), trained=teachers is not None)
        return method

    def _coalitions(self, *, encoders_known: bool) -> Coalitions:
        chosen = coalitions_of(self.coalitions, encoders_known=encoders_known)
        sampling = None if self.num_passes is None else Sampling(self.num_passes)
        published = self.coalitions == "published"
        statistics = chosen.statistics if published else self.statistics
        return Coalitions(chosen.level, statistics, self.attribution, sampling)
