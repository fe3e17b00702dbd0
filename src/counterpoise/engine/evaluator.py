"""The values of coalitions, at three levels of cost.

``"inputs"`` runs the whole model once a coalition. ``"features"`` and ``"shared"`` run each
encoder a fixed number of times, replay its output, and run the rest of the model for the
coalitions, all of them in one call where the rest treats rows independently.

Legend: M modalities, S coalitions beside the full one, B rows of the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import PyTree, map_tensors, shapes, tensors, versions
from counterpoise.engine.arguments import check_rows
from counterpoise.engine.attributes import AttributesKept
from counterpoise.engine.batch import Batch
from counterpoise.engine.checkpointing import NoCheckpoints, checkpointed
from counterpoise.engine.fast_path import fast_path_as_in_training
from counterpoise.engine.modes import EvaluationMode, Modules
from counterpoise.engine.setup import Facts, Setup
from counterpoise.engine.statistics import normalisations
from counterpoise.engine.taps import Answer, Taps

CHUNK_BYTES = 32 * 2**20
"""Features of coalitions are stacked up to this many bytes at a time; beyond, the rest of the
model runs chunk after chunk, and once more for each in the backward pass."""

Observer = Callable[[int, Any], Any]
"""Sees the output of encoder number i in the full pass and returns what the model gets."""


class Evaluator:
    """One batch on its way through the coalitions of a model.

    Args:
        setup: How to evaluate.
        facts: What may be made use of.
        model: The user's module.
        batch: Of this step.
        observer: Sees, and may replace, the outputs of the encoders in the full pass.
        modules: Of the model; None: looked for.

    Attributes:
        features: By encoder, the output on the batch that replays use.
        absences: By encoder, the output on the absent value, broadcastable to the features.
        arguments: By encoder, what :meth:`encoded` last saw it given.
        taps: What runs the passes.
    """

    def __init__(
        self,
        setup: Setup,
        facts: Facts,
        model: nn.Module,
        batch: Batch,
        observer: Observer | None = None,
        modules: Modules | None = None,
    ) -> None:
        self.setup, self.facts, self.model, self.observer = setup, facts, model, observer
        self.batch = batch
        batch.rows = facts.rows
        self.modules = modules or Modules.of(model)
        by_batch = setup.statistics == "batch" and self.modules.norms
        self.taps = Taps(
            model,
            setup.modalities,
            setup.encoders,
            heads=setup.heads,
            layers=normalisations(self.modules.norms) if by_batch else (),
            cloned=range(len(setup.modalities)) if facts.cloned is None else facts.cloned,
        )
        self.features: dict[int, PyTree] = {}
        self.absences: dict[int, PyTree] = {}
        self.arguments: dict[int, PyTree] = {}
        self._shapes: dict[int, list[torch.Size]] = {}
        self._gradient = self._freezes = False
        self._whole = True  # whether every feature is made of tensors with a row a sample
        self.num_rows = 0

    # -- the full coalition ----------------------------------------------------------------------

    def full(self, answer: Answer | None = None) -> tuple[Any, Tensor]:
        """Run the full coalition in the mode the model is in; return its output and logits.

        Args:
            answer: Called for each encoder; None for what the level needs.

        Raises:
            RuntimeError: If the model changes its inputs in place, or an encoder is not called
                exactly once.
        """
        before = versions(*self.batch.inputs.values())
        if self.setup.level != "inputs" or self.observer is not None:
            answer = self._answer_full if answer is None else answer
        raw = self.taps.full_pass(self.batch.whole(), answer)
        now = versions(*self.batch.inputs.values())
        if now != before:
            owners = [name for name, value in self.batch.inputs.items() for _ in tensors(value)]
            changed = [n for n, a, b in zip(owners, before, now, strict=True) if a != b]
            raise RuntimeError(
                f"The model should leave its inputs as they are; found modality {changed[0]!r} "
                "changed in place. Replace the in-place operation, which would corrupt the "
                "coalitions after the first."
            )
        logits = self.setup.select(raw)
        self.num_rows = logits.shape[0]
        return raw, logits

    def _answer_full(self, i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        own = forward(*args, **kwargs)
        output = own if self.observer is None else self.observer(i, own)
        if isinstance(own, Tensor):
            self._shapes[i] = [own.shape]
        else:
            self._shapes[i] = shapes(own)
            if self.setup.level != "inputs" and not self._shapes[i]:
                raise TypeError(self._opaque(i, own))
            self._whole = self._whole and not _is_packed(own)
        if self.setup.level != "shared":
            return output  # nobody keeps it
        self.features[i] = own  # and not what a method made of it, for the full pass alone
        return self.taps.share(i, output)

    def _opaque(self, i: int, output: Any) -> str:
        name = self.setup.modalities[i]
        return (
            f"The encoder of modality {name!r}, {self.setup.encoders[name]!r}, should return a "
            "tensor, or tensors in tuples, lists, dictionaries or other containers that PyTorch's "
            f"pytree knows; found a {type(output).__name__}. Return one of these, or use "
            'coalitions="inputs".'
        )

    # -- the others ------------------------------------------------------------------------------

    def others(
        self, plan: Plan, *, gradient: bool, zero_features: bool = False, rest_frozen: bool = False
    ) -> Tensor:
        """Run the other coalitions in the order of the plan, after the full one.

        Args:
            plan: Coalitions to evaluate.
            gradient: Whether the values carry gradients.
            zero_features: Let a modality be absent by features of zero, and not by what its
                encoder makes of its absent value: a linear head then makes of each feature what
                is that modality's own.
            rest_frozen: Let gradients reach the encoders alone.

        Returns:
            Logits, shape (S, B, ...).
        """
        gradient = gradient and torch.is_grad_enabled()
        if gradient and not self._gradient:
            self._forget()
        self._gradient, self._freezes = gradient, gradient and rest_frozen
        with self.aside():
            if zero_features:
                self._encode_present()
                zeros = {i: map_tensors(torch.zeros_like, f) for i, f in self.features.items()}
                return self._of_features(plan.partial, zeros)
            if self.setup.level == "inputs":
                passes = (self.logits(self.batch.of(s)) for s in plan.partial)
                return torch.stack(list(passes))
            return self._of_features(plan.partial, self.absences)

    def _forget(self) -> None:
        """Forget what other passes made without gradient."""
        self.absences.clear()
        if self.setup.level != "shared":  # where features are those of the full pass
            self.features.clear()

    def rest(self, features: Sequence[PyTree]) -> Tensor:
        """Return the logits of the rest of the model for given features, one a modality.

        Run like a coalition, without dropout and with the statistics of the full pass; the
        gradient goes wherever the features come from, and into the rest.
        """

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            return map_tensors(torch.clone, features[i])

        self._gradient, self._freezes = torch.is_grad_enabled(), False
        with self.aside():
            return self.logits(self.batch.whole(), answer)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Run what is not the full pass: without dropout, checkpoints or lasting effects."""
        copies = self._gradient and self.setup.statistics == "running"
        compiling = torch.compiler.is_compiling()
        pass_by = nullcontext() if compiling else NoCheckpoints()
        slow_path = self._gradient or compiling
        with (
            nullcontext() if slow_path else fast_path_as_in_training(self.modules.attentive),
            EvaluationMode(self.modules.all, for_backward=self._gradient, copies=copies),
            nullcontext() if compiling else AttributesKept(self.modules.own),
            pass_by if self._gradient else torch.no_grad(),
            self._rest_frozen() if self._freezes else nullcontext(),
        ):
            yield

    def logits(self, keywords: Mapping[str, Any], answer: Answer | None = None) -> Tensor:
        """Run one pass other than the full one; return its logits."""
        return self.setup.select(self.taps.other_pass(keywords, answer))

    def _of_features(self, partial: Sequence[Coalition], absences: dict[int, PyTree]) -> Tensor:
        """Run the rest of the model on features that are replayed."""
        resizable = self._whole and self.batch.follows_rows(self.num_rows)
        if self.facts.single and resizable and absences is self.absences:
            self._encode_one_absent_sample()
        if self.facts.batched and resizable and self._whole:
            self._encode_present()
            if len(absences) < len(self.setup.modalities):
                absences |= self.encoded(self.batch.of(()))
            with suppress(_OutOfStepError):
                return self._together(partial, absences)
        return torch.stack([self._replayed(coalition, absences) for coalition in partial])

    def _replayed(self, coalition: Coalition, absences: dict[int, PyTree]) -> Tensor:
        """Run one coalition; an encoder whose output is not known yet runs too."""

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            known = self.features if i in coalition else absences
            if i not in known:
                known[i] = forward(*args, **kwargs)
            output = known[i]
            return self.taps.share(i, output if i in coalition else self._expanded(i, output))

        return self.logits(self.batch.of(coalition), answer)

    def _together(self, partial: Sequence[Coalition], absences: Mapping[int, PyTree]) -> Tensor:
        """Run all coalitions as one longer batch, or as several where it would be too long."""
        size = self._chunk_size(len(partial))
        chunks = [partial[start : start + size] for start in range(0, len(partial), size)]
        if len(chunks) == 1:
            return self._chunk(partial, absences)
        self.taps.statistics.settle()
        run = checkpointed if self._gradient else _call
        running = self.setup.statistics == "running"
        layers = self.modules.norms if running else ()
        buffers = [(layer, layer._buffers.copy()) for layer in layers]
        how = (self._gradient, self._freezes, buffers)
        return torch.cat([run(self._chunk_aside, chunk, absences, *how) for chunk in chunks])

    def _chunk_aside(
        self,
        partial: Sequence[Coalition],
        absences: Mapping[int, PyTree],
        gradient: bool,
        freezes: bool,
        buffers: Sequence[tuple[nn.Module, Mapping[str, Any]]],
    ) -> Tensor:
        # Again, since the backward pass calls this in ordinary training, after other passes.
        self._gradient, self._freezes = gradient, freezes
        with self.aside():
            for layer, kept in buffers:  # of which other passes have moved the statistics
                layer._buffers.update(kept)
            return self._chunk(partial, absences)

    def _chunk(self, partial: Sequence[Coalition], absences: Mapping[int, PyTree]) -> Tensor:
        times = len(partial)

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            here = [i in coalition for coalition in partial]
            return _stack(here, self.features[i], absences[i])

        if self.facts.reads_inputs:
            keywords = self.batch.stacked(partial)
        else:
            keywords = self.batch.many_absent(self.num_rows, times)
        logits = self.logits(keywords, answer)
        if not self.taps.statistics.in_step():
            raise _OutOfStepError
        check_rows(logits, times * self.num_rows)
        return logits.view(times, self.num_rows, *logits.shape[1:])

    def _chunk_size(self, num_coalitions: int) -> int:
        if torch.compiler.is_compiling():
            return num_coalitions
        leaves = [
            leaf
            for feature in self.features.values()
            for leaf in ((feature,) if isinstance(feature, Tensor) else tensors(feature))
        ]
        row_bytes = sum([leaf.nbytes for leaf in leaves])
        size = max(1, CHUNK_BYTES // max(row_bytes, 1))
        if not self.facts.in_step:
            return size
        least = torch.tensor(size, device=leaves[0].device)
        distributed = torch.distributed
        distributed.all_reduce(least, distributed.ReduceOp.MIN, self.setup.process_group)
        return int(least)

    # -- encoders --------------------------------------------------------------------------------

    def _encode_present(self) -> None:
        if len(self.features) < len(self.setup.modalities):
            self.features |= self.encoded(self.batch.whole())

    def _encode_one_absent_sample(self) -> None:
        """Show the encoders one sample with all modalities absent, where one tells for all."""
        if self.absences.keys() >= self.facts.single:
            return
        outputs = self.encoded(self.batch.one_absent(self.num_rows))
        if not self.taps.statistics.in_step(encoders=True):
            self._whole = False
            return
        for i, output in outputs.items():
            if i in self.facts.single and self.fits(i, output):
                self.absences[i] = output

    def fits(self, i: int, output: PyTree) -> bool:
        """Return whether an encoder's output for one sample broadcasts to that for the batch."""
        given, wanted = shapes(output), self._shapes[i]
        if len(given) != len(wanted):
            return False
        for have, want in zip(given, wanted, strict=True):
            one_row = have[0:1] == (1,) and have[1:] == want[1:]  # by far the most frequent
            if not one_row and not _broadcasts(have, want):
                return False
        return True

    def encoded(self, keywords: Mapping[str, Any]) -> dict[int, PyTree]:
        """Run the model only for the outputs of its encoders; what the rest returns is not used."""
        outputs: dict[int, PyTree] = {}
        self.arguments = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.arguments[i] = (args, kwargs)
            outputs[i] = forward(*args, **kwargs)
            if len(outputs) == len(self.setup.encoders) and not torch.compiler.is_compiling():
                raise _EnoughError
            return self.taps.share(i, outputs[i])

        # A model that switches gradients by calls will not come to switch them on again.
        with suppress(_EnoughError), torch.set_grad_enabled(torch.is_grad_enabled()):
            self.taps.other_pass(keywords, answer)
        return outputs

    def _expanded(self, i: int, absence: PyTree) -> PyTree:
        if i not in self.facts.single or i not in self._shapes:
            return absence
        targets = iter(self._shapes[i])
        return map_tensors(lambda t: t.expand(next(targets)), absence)

    @contextmanager
    def _rest_frozen(self) -> Iterator[None]:
        """Take what belongs to no encoder out of the graph for a while."""
        paths = tuple(f"{path}." for path in self.setup.encoders.values())
        rest = [
            p
            for name, p in self.model.named_parameters()
            if p.requires_grad and not name.startswith(paths)
        ]
        for p in rest:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in rest:
                p.requires_grad_(True)


def _call(function: Callable[..., Tensor], *args: Any) -> Tensor:
    return function(*args)


class _OutOfStepError(Exception):
    """Says that a layer normalises some rows at a time, of which a longer batch has others."""


class _EnoughError(BaseException):
    """Ends a pass that was run for encoders' outputs alone, even if the model catches errors."""


def _is_packed(output: PyTree) -> bool:
    """Return whether sequences of a tree are packed, whose rows are not those of the batch."""
    leaves = pytree.tree_leaves(output, is_leaf=lambda node: isinstance(node, PackedSequence))
    return any(isinstance(leaf, PackedSequence) for leaf in leaves)


def _broadcasts(have: torch.Size, want: torch.Size) -> bool:
    return len(have) == len(want) and all(a in (1, b) for a, b in zip(have, want, strict=True))


def _stack(present: Sequence[bool], feature: PyTree, absence: PyTree) -> PyTree:
    """Stack, for each of S coalitions, the feature or the absence: (B, ...) -> (S B, ...)."""
    if not isinstance(feature, Tensor):
        return map_tensors(functools.partial(_stack, present), feature, absence)
    # Faster than torch.where: no mask is read, and the backward adds up slices where they lie.
    missing = absence.expand_as(feature)
    return torch.cat([feature if here else missing for here in present])
