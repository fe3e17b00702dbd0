"""The module that wraps the user's model.

Everything that a step of balancing needs happens inside one forward call: what the gradient will
be is known once the coalitions are evaluated. So nothing has to be hooked or called between
forward and backward, and mixed precision, accumulation, clipping, DDP and compilation see an
ordinary module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from counterpoise.core.absence import Absence, AbsentValues
from counterpoise.core.coalitions import ATTRIBUTIONS, EXACT_LIMIT, Sampling
from counterpoise.core.errors import check_choice
from counterpoise.core.gradient_scaling import GradientScaling
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion, CrossEntropy, Score, criterion_of
from counterpoise.engine.acting import act
from counterpoise.engine.additivity import check_heads
from counterpoise.engine.branches import Branches
from counterpoise.engine.evaluator import LEVELS, Engine
from counterpoise.engine.output import Output
from counterpoise.engine.replay import EvaluationMode
from counterpoise.engine.responses import Evaluated, evaluate
from counterpoise.engine.runner import Runner
from counterpoise.engine.validation import (
    check_call,
    check_encoders,
    check_forward,
    check_modalities,
    check_parts,
    check_select,
    check_target,
    default_sampling,
)
from counterpoise.engine.watch import Watch, acts_on_encoders, check_grip
from counterpoise.methods.agm import AGM
from counterpoise.methods.method import Evaluation, Method, Need

__all__ = ["Balanced"]


class Balanced(nn.Module):
    """Wraps a multi-modal model so that a method can balance its modalities in training.

    Args:
        model: Any module that takes its modalities as keywords. It stays as it is: same class,
            same parameters, same state dict, at ``balanced.model``.
        modalities: The keywords that are modalities, two or more, in order. Each may be a tensor
            or a nest of tensors, rows of the batch first.
        method: What balances. Default: ``AGM()``.
        encoders: Path of each modality's encoder in the model, such as
            ``{"audio": "audio_encoder"}``: lets the engine replay features, which is cheaper.
        coalitions: Level of the engine. "inputs": whole-model passes, right for any model.
            "features": the same numbers, each encoder run twice. "shared": each encoder run
            once, which differs where an encoder behaves differently in train and eval mode.
            Default: "features" with ``encoders``, else "inputs".
        heads: Path of each modality's own head where the fusion is additive, that is where the
            heads' outputs add up to the logits: methods that need mono-modal logits then take
            them from there instead of evaluating coalitions.
        branches: Path or paths of what each modality owns, for methods that act on a modality's
            learning rate or weights. Default: its encoder and its head.
        absent: What stands in for an absent modality; zeros by default. See
            :mod:`counterpoise.absence`.
        score: Per-sample loss that scores the responses. Default: cross-entropy. See
            :mod:`counterpoise.scores`.
        criterion: Scalar loss that ``out.loss`` is made of. Default: the one of ``score``.
        attribution: "shapley" (published), "leave_one_out" or "alone".
        sampling: Estimate Shapley values by ``Sampling(num_passes=...)`` instead of evaluating
            all 2^M - 1 coalitions. Beyond 8 modalities this is done in any case, with a warning
            that states the number of passes unless ``sampling`` is given.
        select: From the model's output to its logits, where the output is no tensor.
        monitor: Compute responses and scores in training, without gradient, also for methods
            that do not need them.
        process_group: Processes to average scores over when training is distributed. Default:
            all.

    Shapes: logits are (B, ...) with rows of the batch first.

    In training mode ``target`` is required, and the method's state moves on by a step. In eval
    mode a call is one forward pass of the model. The first training call validates the set-up
    on its batch (see :meth:`validate`).

    Example:
        >>> import torch, counterpoise as cp
        >>> from torch import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.sound, self.sight = nn.Linear(3, 4), nn.Linear(5, 4)
        ...         self.head = nn.Linear(8, 2)
        ...     def forward(self, audio, image):
        ...         return self.head(torch.cat([self.sound(audio), self.sight(image)], dim=1))
        >>> balanced = cp.Balanced(Net(), ("audio", "image"), cp.AGM(alpha=1.0))
        >>> out = balanced(audio=torch.randn(7, 3), image=torch.randn(7, 5),
        ...                target=torch.randint(2, (7,)))
        >>> out.loss.backward()
        >>> out.responses.shape, out.scores.shape, out.coefficients.shape
        (torch.Size([2, 7, 2]), torch.Size([2]), torch.Size([2]))

    Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
    Modulation", ICCV 2023, section 3.
    """

    def __init__(
        self,
        model: nn.Module,
        modalities: Sequence[str],
        method: Method | None = None,
        *,
        encoders: Mapping[str, str] | None = None,
        coalitions: str | None = None,
        heads: Mapping[str, str] | None = None,
        branches: Mapping[str, str | Sequence[str]] | None = None,
        absent: Absence | Mapping[str, PyTree] | None = None,
        score: Score | None = None,
        criterion: Criterion | None = None,
        attribution: str = "shapley",
        sampling: Sampling | None = None,
        select: Callable[[Any], Tensor] | None = None,
        monitor: bool = False,
        process_group: Any = None,
    ) -> None:
        super().__init__()
        names = check_modalities(modalities)
        level = coalitions or ("features" if encoders else "inputs")
        check_choice("coalitions", level, LEVELS)
        check_choice("attribution", attribution, ATTRIBUTIONS)
        check_forward(model, names)
        check_encoders(model, names, encoders, level)
        self.branches = Branches(
            model, names, encoders=encoders or {}, heads=heads or {}, branches=branches
        )
        self.model = model
        self.method = AGM() if method is None else method
        check_parts(self.method, score, criterion)
        check_grip(self.method, self.branches, model)
        self.absent = AbsentValues(names, absent)
        self.score: Score = CrossEntropy() if score is None else score
        self.criterion: Criterion = criterion or criterion_of(self.score)
        self._own_loss, self._target_checked = criterion is None, False
        self.monitor, self.process_group = monitor, process_group
        engine = Engine(names, level, dict(encoders or {}), select or check_select)
        chosen = default_sampling(len(names), attribution, sampling, EXACT_LIMIT)
        self.runner = Runner(engine, attribution, chosen, requested=sampling is not None)
        self._gradients = GradientScaling()
        self.method.bind(names, _state_dtype(model))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of every M axis."""
        return self.engine.modalities

    @property
    def engine(self) -> Engine:
        """The engine, with what is known of the model by now."""
        return self.runner.engine

    @property
    def sampling(self) -> Sampling | None:
        """How coalitions are sampled; None where they are exact."""
        return None if self.runner.exact else self.runner.sampling

    def forward(self, *, target: PyTree = None, **inputs: Any) -> Output:
        """Run the model, and in training whatever the method needs beside it.

        Args:
            target: What the score and the criterion compare with; required in training mode.
            **inputs: The modalities by name; other keywords pass through to the model.

        Returns:
            An :class:`Output`.

        Raises:
            TypeError: If a modality is missing, or training without a target.
        """
        modal, others = self._split(inputs)
        if not self.training:
            values = self.engine.values(self.model, modal, others, self.absent, None)
            loss = None if target is None else self.criterion(values.full, target)
            return Output(values.full, values.raw, loss)
        if target is None:
            raise TypeError(
                "`target` should be given in training mode; found None. Call "
                "balanced(..., target=labels), or balanced.eval() first for prediction."
            )
        self._inspect_once(modal, others)
        modal = dict(self.method.inputs(modal, target))
        watch = Watch(self.method, self.branches, self.model)
        need = watch.need()
        evaluated = self._evaluate(modal, others, target, need, watch)
        return act(
            evaluated,
            need,
            watch,
            self._gradients,
            criterion=self.criterion,
            score=self.score,
            process_group=self.process_group,
        )

    def respond(self, *, target: PyTree = None, **inputs: Any) -> Output:
        """Return responses and unimodal logits, and scores where there is a target.

        Without gradient or effect: the model runs in the mode that it is in, and the method's
        state does not move. For evaluation: ``balanced.eval().respond(...)``.
        """
        modal, others = self._split(inputs)
        self._inspect_once(modal, others)
        return self._respond(modal, others, target)

    def validate(self, *, target: PyTree = None, **inputs: Any) -> None:
        """Check, on a batch, that the engine's level is right for the model; learn what is cheap.

        Runs the model in eval mode without gradient and leaves no trace in it, nor in the random
        state unless it draws the weights of linear heads. The first step does this by itself, and
        again when a switch among the other keywords changes. Call it before ``torch.compile``,
        under which it cannot run and the coalitions would stay on the safe and slow way; and
        again after changing what the model computes, by an attribute say: what was concluded
        before has to hold on this batch too.

        Raises:
            ValueError: If an encoder sees another modality, an absent value has the wrong
                shape, or replayed coalitions differ from whole passes. The message says which.
            RuntimeError: If an encoder is not called exactly once, or inputs change in place.
        """
        del target
        self._inspect(*self._split(inputs))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameters for an optimiser: a group a modality, and one of the rest.

        Each group carries "modality", a name or None, so that a training loop can scale the
        learning rates of branches as ``method.learning_rates()`` says. Absent values that are
        learned, and what a method trains of its own, are in the rest.
        """
        return self.branches.groups(self.model, self.parameters())

    def on_validation(self, evaluation: Evaluation) -> None:
        """Hand validation results, never those of test data, to the method."""
        self.method.on_validation(evaluation, self.branches.modules(self.model))

    def extra_repr(self) -> str:
        """Show the modalities and the level."""
        return f"modalities={self.modalities}, coalitions={self.engine.level!r}"

    # -- one training step -------------------------------------------------------------------

    def _evaluate(
        self,
        modal: dict[str, PyTree],
        others: dict[str, Any],
        target: PyTree,
        need: Need,
        watch: Watch,
    ) -> Evaluated:
        """Run the passes; make responses and scores of them where anybody wants any."""
        with watch.heads:
            values, plan = self.runner.run(
                self.model,
                modal,
                others,
                self.absent,
                coalitions=need != "nothing" or self.monitor,
                gradient=need == "gradients",
                observer=watch.observer,
            )
        if watch.acting and not (self._target_checked or torch.compiler.is_compiling()):
            if self._own_loss or self.monitor or watch.uses_score():
                check_target(self.score, values.full, target)
            self._target_checked = True
        return evaluate(
            values,
            plan,
            [modal[name] for name in self.modalities],
            target,
            self.score,
            gradient=need == "gradients",
            training=watch.acting,
            process_group=self.process_group,
        )

    @torch.no_grad()
    def _respond(self, modal: dict[str, PyTree], others: dict[str, Any], target: PyTree) -> Output:
        watch = Watch(self.method, self.branches, self.model, acting=False)
        evaluated = self._evaluate(modal, others, target, "values", watch)
        own = watch.complete(evaluated.signals).unimodal_logits
        torch.clear_autocast_cache()  # of weights cast without gradient, if within autocast
        loss = None if target is None else self.criterion(evaluated.values.full, target)
        return evaluated.output(evaluated.values.full, loss, None)._replace(unimodal_logits=own)

    # -- what comes in -----------------------------------------------------------------------

    def _split(self, inputs: dict[str, Any]) -> tuple[dict[str, PyTree], dict[str, Any]]:
        check_call(self.model, self.modalities, inputs)
        modal = {name: inputs[name] for name in self.modalities}
        return modal, {k: v for k, v in inputs.items() if k not in modal}

    def _inspect_once(self, modal: dict[str, PyTree], others: dict[str, Any]) -> None:
        if not torch.compiler.is_compiling() and not self.runner.inspected(others):
            self._inspect(modal, others)

    def _inspect(self, modal: dict[str, PyTree], others: dict[str, Any]) -> None:
        self.runner.inspect(self.model, modal, others, self.absent)
        check_heads(self.engine, self.branches.heads, self.model, modal, others, self.absent)
        encoders = self.branches.encoder_parameters(self.model)
        self._gradients.attach(encoders if acts_on_encoders(self.method) else [])
        if any(map(is_lazy, self.method.parameters())):  # heads, which learn their sizes so
            with EvaluationMode(self.model):
                self._respond(modal, others, None)


def _state_dtype(model: nn.Module) -> torch.dtype:
    """Return the type for running averages: that of the weights, float32 at least."""
    floating = (p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.promote_types(next(floating, torch.float32), torch.float32)
