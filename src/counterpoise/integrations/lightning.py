"""Balancing a wrapped model within a LightningModule of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from counterpoise.balanced import Balanced
from counterpoise.core.errors import check_function, check_text
from counterpoise.engine.output import Output
from counterpoise.engine.rates import BranchRates
from counterpoise.integrations.branches import Handle, check_groups, scale_steps
from counterpoise.integrations.tally import of_modalities
from counterpoise.methods import answers

Inputs = Callable[[Any], Mapping[str, Any]]
"""From a batch of the loader to the keywords of the wrapped model, with "target"."""


class BalancingCallback(Callback):
    """Tells the method of a wrapped model what happens between its steps, under Lightning.

    For a LightningModule of your own that holds a :class:`counterpoise.Balanced` and calls it in
    its ``training_step``; :class:`counterpoise.training.BalancedModule` needs none. The callback
    tells the method of epochs, applies the learning rates that it sets for branches, under any
    optimiser and scheduler, keeps frozen branches out of steps and clipping, evaluates the
    validation data for methods that go by it, and ends training when the method has finished.
    Every ``log_every_n_steps`` it logs "response/<name>/score" and "coefficient/<name>".
    The state of the method is in your module's ``state_dict``, and so in its checkpoints.

    Args:
        inputs: From a batch of your validation loader to the keywords of the wrapped model, with
            "target". Asked only if the method goes by validation or looks at features. Default:
            the batch itself, a mapping.
        attribute: Where in your module the wrapped model is. Default: the only one there is.

    Raises:
        ValueError: When training starts, if the module holds no wrapped model, or several; if the
            method makes several steps of a batch; or if the optimiser cannot tell branches apart.

    Example:
        >>> import torch, counterpoise as cp
        >>> from lightning.pytorch import LightningModule
        >>> class Mine(LightningModule):
        ...     def __init__(self, model):
        ...         super().__init__()
        ...         self.balanced = cp.Balanced(model, model.modalities, cp.AGM())
        ...     def training_step(self, batch):
        ...         return self.balanced(**batch).loss
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.balanced.parameter_groups(), lr=0.1)
        >>> callbacks = [BalancingCallback()]  # Trainer(callbacks=callbacks).fit(Mine(model), ...)
    """

    def __init__(self, inputs: Inputs | None = None, attribute: str | None = None) -> None:
        check_function("inputs", inputs, "a function from a batch to the model's keywords")
        if attribute is not None:
            check_text("attribute", attribute)
        self._inputs: Inputs = _keywords if inputs is None else inputs
        self._attribute = attribute
        self._balanced: Balanced | None = None
        self._last: Output | None = None
        self._due = False
        self._handles: list[Handle] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the wrapped model, and see whether all can be done for its method."""
        self._balanced = balanced = self._find(pl_module)
        self._rates = BranchRates(balanced)
        if answers(balanced.method, "substeps"):
            raise ValueError(
                f"`method` should make one step of a batch under Lightning; found "
                f"{balanced.method.title()}, which makes several. Train it in a loop of your own, "
                "by balanced.steps(...)."
            )
        self._handles = [balanced.register_forward_hook(self._keep)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take hold of the optimisers' steps; a resumed run may start within an epoch."""
        balanced = self._wrapper
        for optimizer in trainer.optimizers:
            check_groups(balanced, optimizer)
            self._handles += scale_steps(optimizer, self._rates)
        self.on_train_epoch_start(trainer, pl_module)
        self._end_if_finished(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the method of the epoch, and ask for the branches' rates."""
        self._rates.start_epoch(trainer.current_epoch)
        self._due = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask for the rates anew after a validation within the epoch."""
        if self._due:
            self._rates.refresh()
            self._due = False
        self._rates.hold_frozen()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Keep frozen branches out of the step, and of the gradient's norm."""
        self._rates.exclude_frozen(optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log scores and coefficients, every so many steps."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self._last is None or trainer.global_step % every:
            return
        self._wrapper.method.check()
        pl_module.log_dict(of_modalities(self._wrapper, self._last))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a method that looks at features have those of the data."""
        if answers(self._wrapper.method, "on_epoch"):
            loaders = trainer.train_dataloader, self._validation(trainer)
            self._wrapper.on_epoch(*(_Converted(loader, self._inputs) for loader in loaders))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate for a method that goes by validation; end training when it has finished."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        balanced = self._wrapper
        if answers(balanced.method, "on_validation"):
            loader = _Converted(self._validation(trainer), self._inputs)
            balanced.on_validation(balanced.evaluate(loader, epoch=trainer.current_epoch))
            self._due = True
        self._end_if_finished(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave model and optimisers as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._last = [], None

    @property
    def _wrapper(self) -> Balanced:
        assert self._balanced is not None, "found when fitting starts"
        return self._balanced

    def _find(self, module: LightningModule) -> Balanced:
        if self._attribute is not None:
            named = [module.get_submodule(self._attribute)]
        else:
            named = [part for part in module.modules() if isinstance(part, Balanced)]
        if len(named) != 1 or not isinstance(named[0], Balanced):
            kinds = ", ".join(type(wrapper).__name__ for wrapper in named) or "none"
            raise ValueError(
                f"The LightningModule should hold one counterpoise.Balanced; found {kinds}. Wrap "
                "your model in its constructor, or say by `attribute` which of several it is."
            )
        return named[0]

    def _validation(self, trainer: Trainer) -> Any:
        loaders: Any = trainer.val_dataloaders  # the loader, or whatever holds one or several
        if isinstance(loaders, Mapping):
            loaders = [*loaders.values()]
        if not isinstance(loaders, (list, tuple)):
            return loaders
        if len(loaders) != 1:
            raise ValueError(
                f"The Trainer should have one validation loader, by which "
                f"{self._wrapper.method.title()} goes; found {len(loaders)}. Give it the "
                "validation data, and evaluate on the others after training."
            )
        return loaders[0]

    def _keep(self, module: Any, arguments: Any, out: Output) -> None:
        if module.training:
            self._last = out

    def _end_if_finished(self, trainer: Trainer) -> None:
        if self._wrapper.method.finished():
            trainer.should_stop = True


def _keywords(batch: Any) -> Mapping[str, Any]:
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"A validation batch should be a mapping of keywords with 'target'; found a "
            f"{type(batch).__name__}. Say by `inputs` how it becomes one: "
            "BalancingCallback(inputs=lambda batch: {...})."
        )
    return batch


class _Converted:
    """Batches of a loader as keywords of the wrapped model."""

    def __init__(self, loader: Any, inputs: Inputs) -> None:
        self._loader, self._inputs = loader, inputs

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        loader: Iterable[Any] = self._loader
        return map(self._inputs, loader)
