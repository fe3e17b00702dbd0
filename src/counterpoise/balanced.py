"""The module that wraps the user's model.

Everything that a step of balancing needs happens inside one forward call: what the gradient will
be is known once the coalitions are evaluated. So nothing has to be hooked or called between
forward and backward, and mixed precision, accumulation, clipping, DDP and compilation see an
ordinary module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import EXACT_LIMIT, Plan, Sampling
from counterpoise.core.criterion import joint_loss
from counterpoise.core.errors import check_flag
from counterpoise.core.gradient_scaling import GradientScaling
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion, CrossEntropy, Score, criterion_of
from counterpoise.engine.arguments import (
    check_call,
    check_compiled,
    check_forward,
    check_level,
    check_method,
    check_mode,
    check_no_replica,
    check_parts,
    check_scripted,
    default_sampling,
    logits_of,
    require_target,
)
from counterpoise.engine.attributes import KeptIfRaised, buffers_kept
from counterpoise.engine.batch import Batch
from counterpoise.engine.demands import Demand, Demands
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.finite_gradients import check_gradients
from counterpoise.engine.heads import check_heads
from counterpoise.engine.loop import Loop
from counterpoise.engine.modes import EvaluationMode, modules_of
from counterpoise.engine.output import Output
from counterpoise.engine.ownership import Ownership
from counterpoise.engine.passes import Tools, observe
from counterpoise.engine.runner import Runner
from counterpoise.engine.settings import Coalitions, Modality, coalitions_of, named
from counterpoise.engine.setup import Facts, Setup
from counterpoise.engine.sharding import gathers
from counterpoise.engine.step import apply_method, attach_gradients
from counterpoise.engine.targets import TargetChecks
from counterpoise.engine.two_modes import check_modes
from counterpoise.methods.agm import AGM
from counterpoise.methods.method import Evaluation, Method, Phase
from counterpoise.methods.tasks import check_classes, needs_classes

_BETWEEN_STEPS = frozenset(
    [
        *("inputs", "advance", "learning_rates", "set_epoch"),
        *("on_epoch", "on_validation", "finished", "check"),
    ]
)
"""Places that need nothing of a step's passes."""

_NO_FACTS = Facts()

_FIXED = frozenset(["modalities", "method", "score", "criterion"])
"""Attributes that are looked at once, when a model is wrapped."""


class Balanced(Loop):
    """Wraps a multi-modal model so that a method can balance its modalities in training.

    Args:
        model: Any module that takes its modalities as keywords. It stays as it is: same class,
            same parameters, same state dict, at ``balanced.model``.
        modalities: The keywords that are modalities, two or more, in order: names, or a mapping
            from names to the paths of their encoders in the model, such as
            ``{"audio": "audio_net"}``, or to a :class:`~counterpoise.Modality` each. Encoders
            make coalitions cheap. Each modality may be a tensor or a tree of tensors, rows of
            the batch first.
        method: What balances. Default: ``AGM()``.
        coalitions: How coalitions are evaluated: a :class:`~counterpoise.Coalitions`, the name
            of a level ("inputs", "features", "shared"), or "published" for the paper's own
            evaluation. Default: batch statistics of the full pass in every coalition, at level
            "shared" where encoders are known, else "inputs".
        score: Per-sample loss that scores the responses. Default: cross-entropy. See
            :mod:`counterpoise.scores`.
        criterion: Scalar loss that ``out.loss`` is made of. Default: the one of ``score``.
        select: From the model's output to its logits, where the output is no tensor.
        monitor: Compute responses and scores in training, without gradient, also for methods
            that do not need them.
        process_group: Processes to average scores over when training is distributed. Default:
            all.

    Attributes:
        modalities: Names, in the order of every M axis.
        ownership: Which modules and parameters belong to which modality.
        runner: What is known of the model by now, and how its coalitions are evaluated.

    Shapes: logits are (B, ...) with rows of the batch first.

    In training mode ``target`` is required, and the method's state moves on by a step. In eval
    mode a call is one forward pass of the model. The first training call that needs coalitions
    inspects the model on its batch (see :meth:`validate`), and steps 2, 4, 8, ... look again.

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
        >>> balanced = cp.Balanced(Net(), {"audio": "sound", "image": "sight"}, cp.AGM(alpha=1.0))
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
        modalities: Sequence[str] | Mapping[str, str | Modality],
        method: Method | None = None,
        *,
        coalitions: Coalitions | str | None = None,
        score: Score | None = None,
        criterion: Criterion | None = None,
        select: Callable[[Any], Tensor] | None = None,
        monitor: bool = False,
        process_group: Any = None,
    ) -> None:
        super().__init__()
        given = named(modalities)
        method = AGM() if method is None else method
        check_parts(model, method, score, criterion, select, process_group)
        check_forward(model, given.names)
        ownership = Ownership(model, given)
        how = coalitions_of(coalitions, encoders_known=ownership.knows_encoders)
        assert how.level is not None
        check_level(how.level, ownership)
        self.model, self.method = model, method
        self.absent = AbsentValues(given.names, given.absent)
        self.score: Score = _default_score(criterion) if score is None else score
        self.criterion: Criterion = criterion or criterion_of(self.score)
        check_flag("monitor", monitor)
        self.monitor = monitor
        self._own_loss, self._target_checks = criterion is None, TargetChecks()
        setup = Setup(
            given.names,
            how.level,
            how.statistics,
            ownership.encoders,
            ownership.heads,
            partial(logits_of, select),
            process_group,
        )
        sampling = default_sampling(len(given.names), how.attribution, how.sampling, EXACT_LIMIT)
        runner = Runner(setup, how.attribution, sampling, requested=how.sampling is not None)
        method.bind(given.names, _state_dtype(model))
        check_method(method, ownership, model)
        self._tools = Tools(
            runner,
            ownership,
            GradientScaling(),
            self.score,
            partial(joint_loss, self.criterion),
            process_group,
            method.needs(),
            method.places(),
        )
        self.modalities, self.ownership, self.runner = given.names, ownership, runner
        self._demands = Demands(method, ownership)
        self._needs_classes = needs_classes(method)
        self._prepared, self._fixed = False, True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, but none that the engine has made up its mind about."""
        if name in _FIXED and self.__dict__.get("_fixed"):
            raise TypeError(
                f"`{name}` should stay what the model was wrapped with; found it assigned anew, "
                "which would not change how training goes. Wrap the model again: "
                f"cp.Balanced(balanced.model, ..., {name}=...)."
            )
        super().__setattr__(name, value)

    @property
    def level(self) -> str:
        """The level at which coalitions are evaluated."""
        return self.runner.setup.level

    @property
    def sampling(self) -> Sampling | None:
        """How coalitions are sampled; None where they are exact."""
        return None if self.runner.exact else self.runner.sampling

    def forward(self, *positional: Any, target: PyTree = None, **inputs: Any) -> Output:
        """Run the model, and in training whatever the method needs beside it.

        Args:
            *positional: None: inputs go by keyword, since their names say which is which.
            target: What the score and the criterion compare with; required in training mode.
            **inputs: The modalities by name; other keywords pass through to the model.

        Returns:
            An :class:`Output`.

        Raises:
            TypeError: If an input is not given by keyword, a modality is missing, or training
                without a target.
        """
        if positional:
            raise TypeError(
                f"Inputs should be given by keyword; found {len(positional)} by position. Call "
                f"balanced({'=..., '.join(self.modalities)}=..., target=labels)."
            )
        check_call(self.model, self.modalities, inputs)
        if not self.training:
            check_mode(self.model, target)
            raw, logits = self._run(inputs)
            self._check(target, logits)
            loss = None if target is None else self._tools.criterion(logits, target)
            return Output(logits, raw, loss, modalities=self.modalities)
        require_target(target)
        if torch.compiler.is_compiling():
            return self._train(inputs, target)
        with KeptIfRaised(modules_of(self.method)):
            return self._train(inputs, target)

    @gathers
    def respond(self, *, target: PyTree = None, **inputs: Any) -> Output:
        """Return responses and unimodal logits, and scores where there is a target.

        Without gradient or effect: the model runs in the mode that it is in, and neither its
        buffers nor the method's state move. For evaluation: ``balanced.eval().respond(...)``.
        """
        check_call(self.model, self.modalities, inputs)
        batch = self._batch(inputs)
        if not (torch.compiler.is_compiling() or self.runner.inspected(batch.others)):
            self._inspect(batch)
        with self._buffers_kept():
            return self._respond(batch, target)

    @gathers
    def validate(self, *, target: PyTree = None, **inputs: Any) -> None:
        """Check, on a batch, that the engine's level is right for the model; learn what is cheap.

        Runs the model in eval mode without gradient and leaves no trace in it, nor in the random
        state unless it draws the weights of linear heads. The first step that needs coalitions
        does this by itself. Call it before ``torch.compile``, under which it cannot run and the
        coalitions would stay on the safe and slow way; and again after changing what the model
        computes, by an attribute say: what was concluded before has to hold on this batch too.

        Raises:
            ValueError: If an encoder sees another modality, an absent value has the wrong
                shape, or replayed coalitions differ from whole passes. The message says which.
            RuntimeError: If an encoder is not called exactly once, or inputs change in place.
        """
        check_call(self.model, self.modalities, inputs)
        self._inspect(self._batch(inputs))
        attach_gradients(self._tools, self.model, self.method)

    @gathers
    @torch.no_grad()
    def coalition_values(self, plan: Plan, **inputs: Any) -> Tensor:
        """Return the logits of some coalitions and of the full one, without gradient or effect.

        Args:
            plan: The coalitions beside the full one.
            **inputs: The modalities by name, and other keywords of the model.

        Returns:
            Shape (S + 1, B, ...), the full coalition last.
        """
        batch = self._batch(inputs)
        facts = self.runner.facts_now(batch.others)
        evaluator = Evaluator(self.runner.setup, facts, self.model, batch)
        with self._buffers_kept():
            _, full = evaluator.full()
            return torch.cat([evaluator.others(plan, gradient=False), full.unsqueeze(0)])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameters for an optimiser: a group a modality, and one of the rest.

        Each group carries "modality", a name or None, so that a training loop can scale the
        learning rates of branches as ``method.learning_rates()`` says. Absent values that are
        learned, and what a method trains of its own, are in the rest.
        """
        return self.ownership.groups(self.model, self.parameters())

    def to_empty(self, *, device: Any, recurse: bool = True) -> Balanced:
        """Give the model memory for its weights, as modules do; what is not the model's stays.

        That is the method's state, and what stands in for absent modalities.
        """
        own = {"method": self.method, "absent": self.absent}
        kept = {name: deepcopy(module.state_dict()) for name, module in own.items()}
        super().to_empty(device=device, recurse=recurse)
        for name, module in own.items():
            module.load_state_dict(kept[name])
        return self

    def on_validation(self, evaluation: Evaluation) -> None:
        """Hand validation results, never those of test data, to the method."""
        with torch.inference_mode(False):  # or training could not use what the method makes of it
            self.method.on_validation(evaluation, self.ownership.modules(self.model))

    def extra_repr(self) -> str:
        """Show the modalities and how coalitions are evaluated."""
        setup = self.runner.setup
        return (
            f"modalities={self.modalities}, level={setup.level!r}, statistics={setup.statistics!r}"
        )

    # -- one training step -----------------------------------------------------------------------

    def _train(self, inputs: dict[str, Any], target: PyTree) -> Output:
        phase, places = self.method.phase(), self._tools.places
        wanted = self._demands.training(phase, monitor=self.monitor)
        if phase == "on" and "inputs" in places:
            batch = self._batch(inputs)
            inputs = {**self.method.inputs(batch.inputs, target), **batch.others}
        if wanted.is_plain and (phase == "off" or places <= _BETWEEN_STEPS):
            raw, logits = self._run(inputs)
            self._check(target, logits)
            loss = self._tools.criterion(logits, target)
            out = Output(
                logits, raw, loss, coefficients=self._ones(logits), modalities=self.modalities
            )
        else:
            out = self._act(inputs, target, wanted, phase)
        if "advance" in places:
            self.method.advance()
        return out

    def _batch(self, inputs: dict[str, Any]) -> Batch:
        batch = Batch.split(self.modalities, inputs, self.absent)
        self.runner.recognise(self.model, batch)
        return batch

    def _run(self, inputs: dict[str, Any]) -> tuple[Any, Tensor]:
        raw = self.model(**inputs)
        return raw, self.runner.setup.select(raw)

    def _act(self, inputs: dict[str, Any], target: PyTree, wanted: Demand, phase: Phase) -> Output:
        check_no_replica(self)
        model, method = self.model, self.method  # each look at a part of a module takes time
        batch = self._batch(inputs)
        facts = self.runner.facts_for(model, batch) if wanted.passes else _NO_FACTS
        if not (self._prepared or torch.compiler.is_compiling()):
            self._prepare(batch)
        observed = observe(
            self._tools,
            model,
            method,
            batch,
            target,
            wanted,
            facts,
            acting=True,
            check=partial(self._check, target),
        )
        return apply_method(self._tools, model, method, observed, phase)

    @torch.no_grad()
    def _respond(self, batch: Batch, target: PyTree) -> Output:
        wanted = self._demands.evaluation
        facts = self.runner.facts_now(batch.others)
        observed = observe(
            self._tools,
            self.model,
            self.method,
            batch,
            target,
            wanted,
            facts,
            acting=False,
            check=partial(self._check, target),
        )
        torch.clear_autocast_cache()  # of weights cast without gradient, if within autocast
        signals = observed.signals
        return Output(
            observed.full,
            observed.raw,
            None if target is None else self._tools.criterion(observed.full, target),
            signals.responses,
            signals.scores,
            None,
            None if observed.values is None else observed.values.sampling_error,
            signals.unimodal_logits,
            modalities=self.modalities,
        )

    # -- looking at the model --------------------------------------------------------------------

    def _buffers_kept(self) -> AbstractContextManager[None]:
        moving = not torch.compiler.is_compiling() and any(m.training for m in self.model.modules())
        return buffers_kept(self.model) if moving else nullcontext()

    def _inspect(self, batch: Batch) -> None:
        self.runner.inspect(self.model, batch)
        self._prepare(batch)

    def _prepare(self, batch: Batch) -> None:
        """Check heads, and let those of the method learn their sizes, on the first batch."""
        batch = batch.anew()  # stand-ins that are made here carry no gradient
        check_heads(self.runner.setup, self.model, batch)
        setup, acting = self.runner.setup, self._demands.training("on", monitor=self.monitor)
        if acting.passes:
            check_scripted(setup.statistics, self.model)
            if self.level != "inputs":
                check_compiled(self.model, self.ownership.encoders.values())
        if acting.passes and self.training:
            check_gradients(setup, self.model, batch, acting)
            backward = "gradients" in (acting.responses, acting.unimodal)
            check_modes(setup, self.model, batch, backward=backward)
        if any(map(is_lazy, self.method.parameters())):
            with EvaluationMode(self.model.modules()):
                self._respond(batch, None)
        self._prepared = self._prepared or self.training  # evaluation may come first

    def _check(self, target: PyTree, logits: Tensor) -> None:
        if self._needs_classes and not torch.compiler.is_compiling():
            check_classes(self.method, self.score, logits)
        if not (target is None or torch.compiler.is_compiling()):
            scored = (
                self._own_loss or not self._demands.training("on", monitor=self.monitor).is_plain
            )
            self._target_checks(self.score, logits, target, values=scored)

    def _ones(self, logits: Tensor) -> Tensor:
        return torch.ones(len(self.modalities), device=logits.device)


def _default_score(criterion: Criterion | None) -> CrossEntropy:
    """Return the cross-entropy, which leaves out the labels that the criterion leaves out."""
    ignored = getattr(criterion, "ignore_index", None)
    return CrossEntropy(ignore_index=ignored) if isinstance(ignored, int) else CrossEntropy()


def _state_dtype(model: nn.Module) -> torch.dtype:
    """Return the type for running averages: that of the weights, float32 at least."""
    floating = (p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.promote_types(next(floating, torch.float32), torch.float32)
