"""Training a wrapped model by the Trainer of Hugging Face."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from counterpoise.balanced import Balanced
from counterpoise.engine.output import Output
from counterpoise.integrations.branches import check_groups
from counterpoise.integrations.huggingface_checkpoints import load_rest, save_rest, warn_of_missing
from counterpoise.integrations.huggingface_checks import check_trainer, label_name
from counterpoise.integrations.huggingface_schedule import MethodSchedule
from counterpoise.integrations.tally import EvaluationTally, of_modalities

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object

_DELEGATED = ("activation_checkpointing_enable", "gradient_checkpointing_enable")


class BalancedTrainerMixin(_Base):
    """Teaches a subclass of ``transformers.Trainer`` to train a :class:`counterpoise.Balanced`.

    Write it first among the bases: ``class MyTrainer(BalancedTrainerMixin, Seq2SeqTrainer)``.
    See :class:`BalancedTrainer` for what it does.
    """

    _last: Output | None = None
    _tally: EvaluationTally | None = None

    def __init__(self, model: Any = None, args: Any = None, *more: Any, **keywords: Any) -> None:
        if model is not None or not (more or "model_init" in keywords):
            check_trainer(model, args, keywords)
        super().__init__(model, args, *more, **keywords)
        check_trainer(self.model, self.args, keywords, self.eval_dataset)
        # The loss is the wrapper's own mean over the batch, which the Trainer then divides by the
        # number of accumulated batches; a model that took the number of items would not need it.
        self.model_accepts_loss_kwargs = False
        self.label_names = [label_name(self.balanced, self.args)]
        self.can_return_loss = False
        self._schedule = MethodSchedule(self)
        self.add_callback(self._schedule)

    @property
    def balanced(self) -> Balanced:
        """The wrapped model that is trained."""
        model: Any = self.model
        return model  # type: ignore[no-any-return]

    def call_model_init(self, trial: Any = None) -> Any:
        """Make a new wrapped model, for a search of settings."""
        model = super().call_model_init(trial)
        check_trainer(model, self.args, {})
        return model

    # -- columns, loss, parameters ---------------------------------------------------------------

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            taken = inspect.signature(self.balanced.model.forward).parameters
            names = {*taken, *self.balanced.modalities, "label", "label_ids", *self.label_names}
            columns: Any = sorted(names)
            self._signature_columns = columns

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss that is to be trained, with the labels as target.

        In evaluation each modality's response is measured along with it.
        """
        inputs = dict(inputs)
        target = inputs.pop(self.label_names[0], None)
        if self.balanced.training:
            if target is None:
                raise ValueError(
                    f"Batches should have labels as numbers in {self.label_names[0]!r}; found "
                    f"{', '.join(map(repr, inputs))}. Name the column of your labels: "
                    "TrainingArguments(label_names=[...])."
                )
            self._schedule.before_batch()
            out = model(**inputs, target=target)
            self._last = out
        else:
            out = self._responded(inputs, target)
        answer = {"loss": out.loss, "logits": out.logits}
        return (out.loss, answer) if return_outputs else out.loss

    def _responded(self, inputs: dict[str, Any], target: Any) -> Output:
        with torch.no_grad(), self.accelerator.autocast():
            out = self.balanced.respond(**inputs, target=target)
        if self._tally is not None and target is not None:
            self._tally.update(out, target)
        return out

    def training_step(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Go forward and backward, and keep frozen branches out of what is clipped."""
        loss = super().training_step(*arguments, **keywords)
        self._schedule.rates.exclude_frozen(self.optimizer)
        return loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Return loss, logits and labels; of data without labels the logits."""
        if self.label_names[0] in inputs:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        with torch.no_grad(), self.compute_loss_context_manager():
            out = model(**self._prepare_inputs(inputs))
        return None, None if prediction_loss_only else out.logits.detach(), None

    def create_optimizer(self, model: Any = None) -> Any:
        """Build the optimiser, each group divided by the modality that owns the parameters."""
        ours = self.optimizer is None
        optimizer: Any = super().create_optimizer(*(() if model is None else (model,)))
        if ours:
            _divide(optimizer, self.balanced)
        check_groups(self.balanced, optimizer)
        return optimizer

    def train(self, *arguments: Any, **keywords: Any) -> Any:
        """Train, as ``transformers.Trainer.train`` does."""
        if self.model_init is None:
            _delegate(self.balanced)
        return super().train(*arguments, **keywords)

    # -- what is logged --------------------------------------------------------------------------

    def log(self, logs: dict[str, float], *arguments: Any, **keywords: Any) -> None:
        """Log, and with the training loss each modality's score and coefficient."""
        if "loss" in logs and self._last is not None:
            self.balanced.method.check()
            logs.update(of_modalities(self.balanced, self._last))
        super().log(logs, *arguments, **keywords)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate, and measure each modality's response on the way."""
        balanced = self.balanced
        group = balanced._tools.process_group
        parts = balanced.modalities, balanced.criterion, group, balanced.score
        self._tally = EvaluationTally(*parts)
        output: EvalLoopOutput = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        if not self._tally.empty:
            metrics: Any = output.metrics
            for name, value in self._tally.metrics().items():
                metrics.setdefault(f"{metric_key_prefix}_{name}", value)
            self._schedule.measured = self._tally.evaluation(balanced.method.epoch)
        return output

    # -- checkpoints -----------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        balanced, folder = self.balanced, output_dir or str(self.args.output_dir)
        if state_dict is not None:
            start = "model."
            state_dict = {
                name.removeprefix(start): value
                for name, value in state_dict.items()
                if name.startswith(start)
            }
        self.model = balanced.model  # what is saved is the user's own model, by its own means
        try:
            super()._save(folder, state_dict)
        finally:
            self.model = balanced
        if self.args.should_save:
            save_rest(balanced, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_rest(self.balanced, resume_from_checkpoint)
        super()._load_from_checkpoint(resume_from_checkpoint, self.balanced.model)

    def _load_best_model(self) -> None:
        balanced = self.balanced
        load_rest(balanced, str(self.state.best_model_checkpoint))
        self.model = balanced.model
        try:
            super()._load_best_model()
        finally:
            self.model = balanced

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        model: Any = self.model  # the user's own while its weights are loaded
        warn_of_missing(model.model if isinstance(model, Balanced) else model, load_result)


class BalancedTrainer(BalancedTrainerMixin, Trainer):
    """The Trainer of Hugging Face for a :class:`counterpoise.Balanced`.

    Arguments are those of ``transformers.Trainer``; ``model`` is the wrapped model. What differs:

    - Columns of a ``datasets.Dataset`` are kept by the forward of *your* model. The column of the
      labels, ``args.label_names`` or "labels", becomes the ``target``; the model gets no labels and
      computes no loss of its own.
    - The loss is the wrapper's mean over each batch; under accumulation each batch weighs the same.
    - Beside the loss are logged, with the training loss, "response/<name>/score" and
      "coefficient/<name>"; after evaluation "eval_accuracy", "eval_response/<name>/score"
      and "eval_response/<name>/accuracy", for classes. Evaluation runs the model's coalitions.
    - The method hears of epochs and of each evaluation within training, sets the learning rates of
      branches under any scheduler, and may end training. In several processes accelerate repeats
      samples to fill the last batch: what a method goes by counts them twice.
    - A checkpoint holds your own model as it would be without the wrapper, for
      ``from_pretrained``, and the rest of the wrapper in ``counterpoise.pt``: a run resumes to the
      same bits.

    Raises:
        TypeError: If the model is no ``Balanced``.
        ValueError: If label smoothing or a loss function is asked of the Trainer and not of the
            wrapper, there are several columns of labels, or the method makes several steps of a
            batch.

    Example:
        >>> import torch, counterpoise as cp
        >>> from torch import nn
        >>> from transformers import TrainingArguments
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.one, self.two = nn.Linear(3, 2), nn.Linear(5, 2)
        ...     def forward(self, left, right):
        ...         return self.one(left) + self.two(right)
        >>> balanced = cp.Balanced(Net(), {"left": "one", "right": "two"}, cp.AGM())
        >>> arguments = TrainingArguments("out", report_to=[], save_strategy="no", use_cpu=True)
        >>> trainer = BalancedTrainer(balanced, arguments)
        >>> [group["modality"] for group in trainer.create_optimizer().param_groups]
        ['left', 'right', 'left', 'right']

    Reference: Wolf et al., "Transformers: State-of-the-Art Natural Language Processing", 2020.
    """


def _divide(optimizer: Any, balanced: Balanced) -> None:
    """Divide each group of an optimiser that has made no step by the owners of its parameters."""
    owners = {
        parameter: group["modality"]
        for group in balanced.parameter_groups()
        for parameter in group["params"]
    }
    divided = []
    for group in optimizer.param_groups:
        for owner in (*balanced.modalities, None):
            parameters = [p for p in group["params"] if owners.get(p) == owner]
            if parameters:
                divided.append({**group, "params": parameters, "modality": owner})
    optimizer.param_groups[:] = divided


def _delegate(balanced: Balanced) -> None:
    """Let the Trainer find on the wrapper the switches of the model's checkpointing."""
    for name in _DELEGATED:
        if hasattr(balanced.model, name):
            setattr(balanced, name, getattr(balanced.model, name))
