"""Which coalitions a step evaluates, and what the engine may make use of in doing so.

What an inspection concluded from one batch need not hold for ever. So the engine goes on looking:
at training steps 1, 2, 4, 8, ..., and every 1,024 steps at the latest, it holds its values against
whole passes on a few rows, and where they differ it goes the slow, right way from then on, and says
so. The processes of a group look at the same steps and agree on what they found. A model of
another form, or called with other keywords, is inspected anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Plan, Sampling, exact_plan, separable_plan
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.core.scores import is_distributed
from counterpoise.engine.batch import Batch
from counterpoise.engine.forms import Forms
from counterpoise.engine.inspection import conclude, holds
from counterpoise.engine.modes import Modules
from counterpoise.engine.setup import Facts, Setup

_MANY = 16
"""A keyword of more values than this is taken to vary with the batch, as an identifier does."""

_AT_LATEST = 1024
"""Steps after which the engine looks again at the latest: what became wrong stays so no longer."""


class Runner:
    """Knows how the coalitions of one batch after another are to be evaluated.

    Args:
        setup: As the user asked.
        attribution: How responses are made of values.
        sampling: How to sample coalitions; None for exact ones.
        requested: Whether the user asked for ``sampling``, which then stays.

    Attributes:
        facts: What is known of the model by now.
        modules: Those that the model has now; None in a compiled step.
        concluded: Whether anything was concluded yet.
    """

    def __init__(
        self, setup: Setup, attribution: str, sampling: Sampling | None, *, requested: bool
    ) -> None:
        self.setup, self.facts = setup, Facts()
        self.attribution, self.sampling, self.requested = attribution, sampling, requested
        self.modules: Modules | None = None
        self.concluded = False
        self._exact = self._exact_plan(separable=False)
        self._placed: Plan | None = None
        self._seen: set[Any] = set()
        self._values: dict[str, set[Any]] = {}
        self._changed: frozenset[int] | None = None
        self._num_calls = 0
        self._forms = Forms()

    @property
    def exact(self) -> bool:
        """Whether coalitions are exact by now."""
        return self._exact is not None

    # -- before a step ---------------------------------------------------------------------------

    def recognise(self, model: nn.Module, batch: Batch) -> None:
        """Note the modules of a model, and which of its forms it has: what is known goes by it.

        Where a number in a module has moved, what was concluded is forgotten unless it still holds
        on the batch. Of several processes each looks when all do, and not here.
        """
        if torch.compiler.is_compiling():
            self.modules = None
            return
        self.modules = Modules.of(model, self.modules)
        self._forms.recognise(self.modules)
        if self._forms.moved:
            self._forms.moved = False
            due = self.concluded and self.setup.level != "inputs" and not is_distributed()
            if due and not holds(self.setup, self.facts, model, batch):
                self._seen.clear()

    def facts_for(self, model: nn.Module, batch: Batch) -> Facts:
        """Return what may be made use of in a training step; inspect or audit where it is due."""
        if torch.compiler.is_compiling():
            return self.facts
        self._num_calls += 1
        its_turn = self._num_calls.bit_count() == 1 or self._num_calls % _AT_LATEST == 0
        known = self.inspected(batch.others)
        # What was validated beforehand need not be looked at again in the first step.
        due = its_turn and (self._num_calls > 1 or not known or is_distributed())
        if due or (not known and not is_distributed()):
            self._look(model, batch, audit=known)
            known = self.inspected(batch.others)
        return self.facts if known else Facts(in_step=self.facts.in_step)

    def facts_now(self, others: Mapping[str, Any]) -> Facts:
        """Return what may be made use of without looking at the model again."""
        known = torch.compiler.is_compiling() or self.inspected(others)
        return self.facts if known else Facts(in_step=self.facts.in_step)

    def inspect(self, model: nn.Module, batch: Batch) -> None:
        """Inspect the model on a batch; what was concluded before has to hold on it too."""
        new = conclude(self.setup, model, self._alike(model, batch))
        if new is not None:
            self._learn(new, batch.others)

    def inspected(self, others: Mapping[str, Any]) -> bool:
        """Return whether the model was inspected under such other keywords."""
        return self._signature(others) in self._seen

    def plan(self, facts: Facts, logits: Tensor) -> Plan:
        """Return the coalitions of this step, with weights for logits, of float32 at least."""
        num_modalities, device = len(self.setup.modalities), logits.device
        dtype = torch.promote_types(logits.dtype, torch.float32)
        exact = self._exact
        if exact is None or (self.facts.separable and not facts.separable):
            if self.sampling is not None:
                return self.sampling.plan(num_modalities).to(device, dtype)
            return exact_plan(num_modalities, self.attribution).to(device, dtype)
        placed = self._placed
        if placed is None or placed.weights.device != device or placed.weights.dtype != dtype:
            with torch.inference_mode(False):  # or training could not use it afterwards
                placed = self._placed = exact.to(device, dtype)
        return placed

    def settle(self, changed: set[int]) -> None:
        """After the first pass in train mode, clone only what was ever changed in place."""
        if self._changed is not None and self.facts.cloned is None:
            self.facts = replace(self.facts, cloned=self._changed | changed)

    # -- looking ---------------------------------------------------------------------------------

    def _look(self, model: nn.Module, batch: Batch, *, audit: bool) -> None:
        """Inspect under new keywords, audit under known ones; agree with the other processes."""
        new, failed, error = None, False, None
        inputs, others = batch.inputs, batch.others
        batch = self._alike(model, batch)
        (inspects,) = self._any_process([not audit], inputs)
        try:
            if inspects:
                new = conclude(self.setup, model, batch)
            elif self.setup.level != "inputs":
                failed = not holds(self.setup, self.facts, model, batch)
        except Exception as raised:  # the other processes wait for this one's word
            error = raised
        flags = [failed, new is None, error is not None]
        failed, nothing, erroneous = self._any_process(flags, inputs)
        if error is not None:
            raise error
        if erroneous:
            raise RuntimeError(
                "Every process should find the model as it was wrapped; found that the inspection "
                "of another process raised an error. See that process's message."
            )
        if new is not None and not nothing:
            self._learn(self._agreed(new, inputs), others)
        if failed:
            self._fall_back(model, batch, inputs)

    def _learn(self, new: Facts, others: Mapping[str, Any]) -> None:
        old, first = self.facts, not self.concluded
        self._changed = (new.cloned or frozenset()) | (self._changed or frozenset())
        self.facts = Facts(
            single=new.single if first else new.single & old.single,
            batched=new.batched and (first or old.batched),
            reads_inputs=new.reads_inputs or not (first or not old.reads_inputs),
            separable=new.separable and (first or old.separable),
            rows=new.rows | (old.rows - set(others)),
            in_step=old.in_step,
            cloned=None if old.cloned is None else old.cloned | self._changed,
        )
        self.concluded = True
        self._seen.add(self._signature(others))
        self._replan()

    def _fall_back(self, model: nn.Module, batch: Batch, inputs: Mapping[str, PyTree]) -> None:
        slow = Facts(in_step=self.facts.in_step)
        (wrong,) = self._any_process([not holds(self.setup, slow, model, batch)], inputs)
        level = self.setup.level
        if wrong:
            self.setup = replace(self.setup, level="inputs")
        self.facts = slow
        self._replan()
        warnings.warn(  # last: it may be an error
            "What was concluded of the model to make coalitions cheap should hold in every batch; "
            f"found at training call {self._num_calls} that values differ from whole passes. "
            + (
                'From now on coalitions are whole passes (level "inputs").'
                if wrong
                else "From now on they are evaluated one by one, which is right and slower."
            )
            + f" The level was {level!r}. If the model changed on purpose, call "
            "`balanced.validate(**batch)` then.",
            stacklevel=2,
        )

    def _agreed(self, facts: Facts, inputs: Mapping[str, PyTree]) -> Facts:
        everyone = range(len(self.setup.modalities))
        flags = [not facts.batched, facts.reads_inputs, not facts.separable]
        flags += [i not in facts.single for i in everyone]
        flags += [i in (facts.cloned or ()) for i in everyone]
        told = self._any_process(flags, inputs)
        single, cloned = told[3 : 3 + len(everyone)], told[3 + len(everyone) :]
        return replace(
            facts,
            batched=not told[0],
            reads_inputs=told[1],
            separable=not told[2],
            single=frozenset(i for i in everyone if not single[i]),
            cloned=frozenset(i for i in everyone if cloned[i]),
        )

    def _any_process(self, flags: list[bool], inputs: Mapping[str, PyTree]) -> list[bool]:
        """Return, of each flag, whether any process of the group raised it."""
        if not is_distributed():
            return flags
        raised = torch.tensor(flags, dtype=torch.int32, device=_device(inputs))
        largest, group = torch.distributed.ReduceOp.MAX, self.setup.process_group
        torch.distributed.all_reduce(raised, op=largest, group=group)
        return [bool(flag) for flag in raised.tolist()]

    def _alike(self, model: nn.Module, batch: Batch) -> Batch:
        """Return the batch to look at: where processes have to make the same passes, one for all.

        What is looked at next may depend on the batch.
        """
        self.facts = replace(self.facts, in_step=is_distributed() and _is_sharded(model))
        return self._of_first_process(batch) if self.facts.in_step else batch

    def _of_first_process(self, batch: Batch) -> Batch:
        """Return the batch of the group's first process, on this device."""
        distributed, told = torch.distributed, [(batch.inputs, batch.others)]
        group, device = self.setup.process_group, _device(batch.inputs)
        first = distributed.get_global_rank(group, 0) if group is not None else 0
        distributed.broadcast_object_list(told, src=first, group=group, device=device)
        inputs, others = map_tensors(lambda t: t.to(device), told[0])
        return Batch(batch.modalities, inputs, others, batch.absent)

    # -- plans -----------------------------------------------------------------------------------

    @property
    def _asks_for_sums(self) -> bool:
        several = len(self.setup.modalities) > 2
        return several and self.attribution == "shapley" and not self.requested

    def _replan(self) -> None:
        with torch.inference_mode(False):  # as in `plan`
            self._exact = self._exact_plan(separable=self.facts.separable)
        self._placed = None

    def _exact_plan(self, *, separable: bool) -> Plan | None:
        num_modalities = len(self.setup.modalities)
        # For two modalities, those alone are all coalitions.
        if separable and self._asks_for_sums:
            return separable_plan(num_modalities)
        return None if self.sampling else exact_plan(num_modalities, self.attribution)

    def _signature(self, others: Mapping[str, Any]) -> Any:
        """Return what tells apart calls that may make the model compute something else."""
        parts = []
        for name, value in others.items():
            told = _told(value)
            values = self._values.setdefault(name, set())
            if len(values) < _MANY:
                values.add(told)
            parts.append((name, told if told in values else type(value)))
        return self._forms.number, frozenset(parts)


def _told(value: Any) -> Any:
    """Return what is told of a keyword: plain values as they are, of all else the type."""
    if isinstance(value, (bool, int, float, str, type(None), Enum)):
        return value
    if isinstance(value, (list, tuple, Mapping)) and len(value) < _MANY:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        return (type(value), *((key, _told(entry)) for key, entry in pairs))
    single = False
    if isinstance(value, Tensor):  # a look at one on another device would wait for it
        single = value.device.type == "cpu" and value.numel() == 1
    elif type(value).__module__ == "numpy":
        single = value.size == 1
    return value.item() if single else type(value)


def _is_sharded(model: nn.Module) -> bool:
    """Return whether processes hold parts of the parameters, as fully sharded training has it."""
    return any(hasattr(p, "full_tensor") for p in model.parameters())


def _device(inputs: Mapping[str, PyTree]) -> torch.device:
    leaves: list[Tensor] = tensors(dict(inputs))
    return leaves[0].device
