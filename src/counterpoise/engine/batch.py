"""What a model is called with: a batch as it is, with modalities absent, shrunk or lengthened.

Legend: M modalities, S coalitions, B rows of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import Coalition
from counterpoise.core.pytree import PyTree, expand_rows, map_tensors, repeat_rows, tensors

__all__ = ["Batch"]


@dataclass
class Batch:
    """The modalities of one batch, what stands in for them, and other keywords beside them.

    All but :meth:`follows_rows` return keywords to call the model with.

    Args:
        modalities: Names, in order.
        inputs: Modality to its batch.
        others: Keywords that pass through.
        absent: What stands in for absent modalities.
        rows: Names of other keywords whose tensors have a row for each sample.
        stand_ins: By modality, the batch that stands for its absence, from its first use on.
    """

    modalities: tuple[str, ...]
    inputs: Mapping[str, PyTree]
    others: Mapping[str, Any]
    absent: AbsentValues
    rows: frozenset[str] = frozenset()
    stand_ins: dict[int, PyTree] = field(default_factory=dict)

    def whole(self) -> dict[str, Any]:
        """Return the batch as it is."""
        return {**self.inputs, **self.others}

    def of(self, coalition: Coalition) -> dict[str, Any]:
        """Return the batch with every modality outside the coalition absent."""
        modal = {
            name: self.inputs[name] if i in coalition else self._stand_in(i)
            for i, name in enumerate(self.modalities)
        }
        return {**modal, **self.others}

    def one_absent(self, num_rows: int) -> dict[str, Any]:
        """Return a single sample, of a batch of ``num_rows``, with all modalities absent."""
        others = {
            name: map_tensors(lambda t: t[:1], value) if name in self.rows else value
            for name, value in self.others.items()
        }
        return {**self._one_stand_in(num_rows), **others}

    def many_absent(self, num_rows: int, times: int) -> dict[str, Any]:
        """Return that sample as ``times * num_rows`` rows, for others that repeat the batch's."""
        one = self._one_stand_in(num_rows)
        modal = {name: expand_rows(value, times * num_rows) for name, value in one.items()}
        others = {
            name: repeat_rows(value, times) if name in self.rows else value
            for name, value in self.others.items()
        }
        return {**modal, **others}

    def follows_rows(self, num_rows: int) -> bool:
        """Return whether each other keyword goes with the samples just where ``rows`` says so."""
        for name, value in self.others.items():
            by_rows = [t.shape[:1] == (num_rows,) for t in tensors(value)]
            if not (all(by_rows) if name in self.rows else not any(by_rows)):
                return False
        return True

    def _stand_in(self, i: int) -> PyTree:
        if i not in self.stand_ins:
            self.stand_ins[i] = self.absent(i, self.inputs[self.modalities[i]])
        return self.stand_ins[i]

    def _one_stand_in(self, num_rows: int) -> dict[str, PyTree]:
        def first(tensor: Tensor) -> Tensor:
            return tensor[:1] if tensor.shape[:1] == (num_rows,) else tensor

        return {
            name: self.absent(i, map_tensors(first, self.inputs[name]))
            for i, name in enumerate(self.modalities)
        }
