"""A wrapped model as Lightning trains it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from counterpoise.balanced import Balanced
from counterpoise.core.criterion import joint_loss
from counterpoise.core.errors import check_function, check_kind, check_mapping
from counterpoise.data.tasks import Task, task_of
from counterpoise.engine.arguments import check_wrapped
from counterpoise.engine.output import Output
from counterpoise.engine.rates import BranchRates
from counterpoise.methods import Evaluation, answers
from counterpoise.training.divergence import check_finite, diverging
from counterpoise.training.optimization import (
    SGD,
    Constant,
    Optimizer,
    Schedule,
    follow_plateau,
)
from counterpoise.training.predictions import Predictions
from counterpoise.training.tally import Tally

Batch = dict[str, Any]


class BalancedModule(LightningModule):
    """Trains a :class:`counterpoise.Balanced` under Lightning's Trainer, whatever its method.

    A batch is a mapping: each modality's name to its input, "target" to the labels, and
    whatever else the model takes. For classification, whose headline metric is the accuracy,
    every ``log_every_n_steps`` of the Trainer "train/loss_step" and "train/accuracy_step" of the
    batch are logged, and for each modality "response/<name>/accuracy", "response/<name>/score"
    and "coefficient/<name>", as far as the method has them; after each epoch "train/loss",
    "train/accuracy", "validation/loss", "validation/accuracy",
    "validation/response/<name>/accuracy" and "validation/response/<name>/score", and the other
    metrics with "validation"; after testing the same with "test". After validation also
    "validation/unimodal/<name>/loss" and "validation/unimodal/<name>/accuracy" of each modality's
    own logits, by which methods decide: those of heads where there are any, else those that the
    method takes in training, and the responses where it takes none.
    For another task the name of its headline metric stands in place of "accuracy"; one that is no
    mean over samples is not logged of batches. Between records no step waits for the device.

    The method is told of each epoch and of each validation, may set the learning rates of
    branches, and may end training.

    Args:
        balanced: The wrapped model. Its ``monitor`` is heeded at records only, so that it
            hardly costs anything.
        task: What is to be learnt: it says which metrics are reported. A number C is short for
            ``Classification(C)``.
        optimizer: Settings of the optimiser. Default: ``SGD()``.
        schedule: Settings of the learning rate. Default: ``Constant()``.
        metrics: Further metrics to report after validation and test, by name. They take
            ``update(logits, target)`` and compute a scalar; the module works on clones.
        extra_loss: Maps what the model returned and the target to a scalar that is added to the
            loss, and which no method balances.

    Raises:
        ValueError: If the method makes several steps of a batch, as MLA and Remix do.
        DivergedError: If the loss of a recorded step, of an epoch's training or of validation is
            not finite, or the method met a score that is not. It is a ``FloatingPointError``.

    Example:
        >>> import counterpoise as cp
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2)
        >>> balanced = cp.Balanced(model, model.modalities, cp.AGM())
        >>> module = BalancedModule(balanced, task=2)
        >>> module.configure_optimizers()["optimizer"].defaults["lr"]
        0.01
    """

    def __init__(
        self,
        balanced: Balanced,
        task: Task | int,
        *,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        metrics: Mapping[str, Metric] | None = None,
        extra_loss: Callable[[Any, Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        check_wrapped(balanced)
        for name, value, kind in (
            ("optimizer", optimizer, Optimizer),
            ("schedule", schedule, Schedule),
        ):
            if value is not None:
                check_kind(name, value, kind, f"settings, as {kind.__name__}s of this package")
        check_mapping("metrics", metrics or {}, Metric, "names to metrics of TorchMetrics")
        check_function("extra_loss", extra_loss, "a function of the model's output and target")
        if answers(balanced.method, "substeps"):
            raise ValueError(
                "`balanced` should have a method that makes one step of a batch; found "
                f"{balanced.method.title()}, which makes several. Train it in a loop of your own "
                "over `balanced.steps(**batch)`."
            )
        self.balanced = balanced
        self.task = task_of(task)
        self.extra_loss = extra_loss
        self.monitor = balanced.monitor
        self.optimizer_settings = optimizer or SGD()
        self.schedule_settings = schedule or Constant()
        name, names = self.task.headline, balanced.modalities
        alone = {name: self.task.metric(name)}
        every = {form: self.task.metric(form) for form in self.task.forms} | dict(metrics or {})
        self.reported = tuple(every)
        self.batch_metric = self.task.metric(name)
        score = balanced.score
        self.training_tally = Tally(alone, name, persistent=True, score=score)
        self.validation_tally = Tally(every, name, names, score=score)
        self.test_tally = Tally(every, name, names, score=score)
        self.unimodal_tally = Tally(alone, name, names, score=score, losses=True)
        self.rates = BranchRates(balanced)
        self._rates_due = False
        self._evaluation: Evaluation | None = None
        self.predictions: Predictions | None = None

    def configure_optimizers(self) -> Any:
        """Build the optimiser, a group of parameters for each modality, and its schedule."""
        optimizer = self.optimizer_settings.build(self.balanced.parameter_groups())
        max_epochs = self._trainer.max_epochs if self._trainer is not None else None
        schedule = self.schedule_settings.build(optimizer, max_epochs or 1)
        settings = {"scheduler": schedule, "interval": self.schedule_settings.interval}
        if isinstance(schedule, ReduceLROnPlateau):
            # Lightning moves it after the epoch's checkpoint, and not when a run is resumed: we do.
            settings |= {"monitor": "validation/loss", "frequency": sys.maxsize}
        return {"optimizer": optimizer, "lr_scheduler": settings}

    # -- training ----------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Tell the method where training starts: a resumed run may start within an epoch."""
        self.on_train_epoch_start()
        self._end_if_finished()

    def on_train_epoch_start(self) -> None:
        """Tell the method the epoch, and ask for the branches' learning rates."""
        self.balanced.method.set_epoch(self.current_epoch)
        self._refresh_rates()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Ask for the rates anew after a validation within the epoch."""
        if self._rates_due:
            self._refresh_rates()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Keep frozen branches out of the step, and of the gradient's norm."""
        self.rates.exclude_frozen(optimizer)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step with the branches' learning rates."""
        with self.rates.applied(optimizer):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def _refresh_rates(self) -> None:
        self.rates.refresh()
        self._rates_due = False

    def _end_if_finished(self) -> None:
        if self.balanced.method.finished():
            self.trainer.should_stop = True

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss; at a record also its "values", scalars on the device by name."""
        records = self._records(batch_idx)
        self.balanced.monitor = self.monitor and records
        out: Output = self.balanced(**batch)
        self.training_tally.update(out, batch["target"])
        extra = None if self.extra_loss is None else self.extra_loss(out.raw, batch["target"])
        assert out.loss is not None
        loss = out.loss if extra is None else out.loss + extra
        if not records:
            return {"loss": loss}
        with diverging():
            self.balanced.method.check()
        # Other processes would wait for this one in vain; the mean over no label is NaN.
        if self.trainer.world_size == 1 and self.training_tally.num_labels(out, batch["target"]):
            self._check_loss("training loss", loss)
        values = self._values(out, batch["target"])
        if extra is not None:
            values["train/extra_loss_step"] = extra.detach()
        self.log_dict(values, batch_size=len(batch["target"]))
        return {"loss": loss, "values": values}

    def on_train_epoch_end(self) -> None:
        """Log the training results of the epoch; tell the method that it is over."""
        values = self._log_tally("train", self.training_tally)
        self._check_loss("training loss", values["loss"])
        follow_plateau(self.lr_schedulers(), self._evaluation)
        if answers(self.balanced.method, "on_epoch"):
            trainer: Any = self.trainer  # its types do not tell of loaders
            self.balanced.on_epoch(trainer.train_dataloader, trainer.val_dataloaders)

    def _records(self, batch_idx: int) -> bool:
        """Whether Lightning writes what is logged in this batch: the last one of a due step."""
        trainer: Any = self.trainer  # its type does not tell of log_every_n_steps
        due = (self.global_step + 1) % trainer.log_every_n_steps == 0
        stepping = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        return bool(due and stepping)

    def _values(self, out: Output, target: Tensor) -> dict[str, Tensor]:
        assert out.loss is not None
        form, values = self.task.form, {"train/loss_step": out.loss.detach()}
        if form.additive:
            values[f"train/{form.name}_step"] = self._metric(out.logits, target)
        for i, name in enumerate(self.balanced.modalities):
            if out.responses is not None and form.additive:
                values[f"response/{name}/{form.name}"] = self._metric(out.responses[i], target)
            if out.scores is not None:
                values[f"response/{name}/score"] = out.scores[i]
            if out.coefficients is not None and self._scales:
                values[f"coefficient/{name}"] = out.coefficients[i]
        return values

    @property
    def _scales(self) -> bool:
        """Whether the method scales gradients; coefficients of one say nothing otherwise."""
        method = self.balanced.method
        return method.needs().responses == "gradients" or answers(method, "encoder_factors")

    def _metric(self, logits: Tensor, target: Tensor) -> Tensor:
        self.batch_metric.reset()
        self.batch_metric.update(logits.detach(), target)
        value: Tensor = self.batch_metric.compute()
        return value

    # -- evaluation --------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation tally."""
        out, target = self.balanced.respond(**batch), batch["target"]
        self.validation_tally.update(out, target)
        own = out.unimodal_logits
        assert own is not None
        criterion = self.balanced.criterion
        losses = torch.stack([joint_loss(criterion, logits, target) for logits in own])
        self.unimodal_tally.update(out._replace(responses=own, scores=losses), target)

    def on_validation_epoch_end(self) -> None:
        """Log the validation results."""
        values = self._log_tally("validation", self.validation_tally)
        self._check_loss("validation loss", values["loss"])
        own, names = self.unimodal_tally.compute(), self.balanced.modalities
        self.unimodal_tally.reset()
        form = self.task.form
        losses = {name: own[f"response/{name}/score"] for name in names}
        results = {name: own[f"response/{name}/{form.name}"] for name in names}
        self._log({f"validation/unimodal/{k}/loss": v for k, v in losses.items()})
        self._log({f"validation/unimodal/{k}/{form.name}": v for k, v in results.items()})
        self._evaluation = Evaluation(
            self.current_epoch,
            values["loss"].item(),
            form.merit(values[form.name]).item(),
            torch.stack([*losses.values()]),
            form.merit(torch.stack([*results.values()])),
        )

    def on_validation_end(self) -> None:
        """Hand the results to the method, in training, when the best weights have been saved."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            assert self._evaluation is not None
            self.balanced.on_validation(self._evaluation)
            self._rates_due = True
            self._end_if_finished()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test tally, and to ``predictions`` if somebody gathers them there."""
        out = self.balanced.respond(**batch)
        self.test_tally.update(out, batch["target"])
        if self.predictions is not None:
            self.predictions.update(out.logits, batch["target"])

    def on_test_epoch_end(self) -> None:
        """Log the test results."""
        values = self._log_tally("test", self.test_tally)
        self._check_loss("test loss", values["loss"])

    def _check_loss(self, what: str, loss: Tensor | None) -> None:
        assert loss is not None
        check_finite(what, loss.detach(), epoch=self.current_epoch, step=self.global_step)

    def _log_tally(self, stage: str, tally: Tally) -> dict[str, Tensor]:
        values = tally.compute()
        self._log({f"{stage}/{k}": v for k, v in values.items()})
        tally.reset()
        return values

    def _log(self, values: dict[str, Tensor]) -> None:
        # Tallies have summed over processes: the values are the same on each.
        self.log_dict(values, sync_dist=self.trainer.world_size > 1)
