"""What a model is called with: a batch as it is, with modalities absent, shrunk or lengthened.

Legend: M modalities, S coalitions, B rows of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import Coalition
from counterpoise.core.pytree import PyTree, expand_rows, map_tensors, repeat_rows, tensors


@dataclass
class Batch:
    """The modalities of one batch, what stands in for them, and other keywords beside them.

    Args:
        modalities: Names, in order.
        inputs: Modality to its batch.
        others: Keywords that pass through.
        absent: What stands in for absent modalities.
        rows: Names of other keywords whose tensors have a row for each sample.
        stand_ins: By modality, the batch that stands for its absence, from its first use on.
        one_stand_in: By modality, a single such sample, likewise.
    """

    modalities: tuple[str, ...]
    inputs: Mapping[str, PyTree]
    others: Mapping[str, Any]
    absent: AbsentValues
    rows: frozenset[str] = frozenset()
    stand_ins: dict[int, PyTree] = field(default_factory=dict)
    one_stand_in: dict[str, PyTree] | None = None

    @classmethod
    def split(
        cls, modalities: tuple[str, ...], keywords: Mapping[str, Any], absent: AbsentValues
    ) -> Batch:
        """Tell the modalities among the keywords of a call from the others."""
        inputs, others = {}, dict(keywords)
        for name in modalities:
            inputs[name] = others.pop(name)
        return cls(modalities, inputs, others, absent)

    def anew(self) -> Batch:
        """Return the same batch, of whose stand-ins none is made yet."""
        return Batch(self.modalities, self.inputs, self.others, self.absent)

    def whole(self) -> dict[str, Any]:
        """Return keywords for the batch as it is."""
        return _fresh({**self.inputs, **self.others})

    def of(self, coalition: Coalition) -> dict[str, Any]:
        """Return keywords for the batch with every modality outside the coalition absent."""
        modal = {
            name: self.inputs[name] if i in coalition else self._stand_in(i)
            for i, name in enumerate(self.modalities)
        }
        return _fresh({**modal, **self.others})

    def one_absent(self, num_rows: int) -> dict[str, Any]:
        """Return keywords for one sample, of a batch of ``num_rows``, all modalities absent."""
        return _fresh({**self._one_stand_in(num_rows), **self._cut(1)})

    def stacked(self, coalitions: Sequence[Coalition]) -> dict[str, Any]:
        """Return keywords for the batches of several coalitions as one longer batch."""
        modal = {
            name: map_tensors(
                lambda here, missing, i=i: torch.cat(
                    [here if i in coalition else missing for coalition in coalitions]
                ),
                self.inputs[name],
                self._stand_in(i),
            )
            for i, name in enumerate(self.modalities)
        }
        return _fresh({**modal, **self._repeated(len(coalitions))})

    def many_absent(self, num_rows: int, times: int) -> dict[str, Any]:
        """Return keywords of ``times * num_rows`` rows for a model that looks at no modality."""
        one = self._one_stand_in(num_rows)
        modal = {name: expand_rows(value, times * num_rows) for name, value in one.items()}
        return _fresh({**modal, **self._repeated(times)})

    def follows_rows(self, num_rows: int) -> bool:
        """Return whether each other keyword goes with the samples just where ``rows`` says so.

        A list or an array with an entry for each sample is neither cut nor repeated.
        """
        for value in (*self.inputs.values(), *self.others.values()):
            if not isinstance(value, Tensor) and _lists(value, num_rows):
                return False
        for name, value in self.others.items():
            by_rows = [t.shape[:1] == (num_rows,) for t in tensors(value)]
            if not (all(by_rows) if name in self.rows else not any(by_rows)):
                return False
        return True

    def looks_like_rows(self, num_rows: int) -> frozenset[str]:
        """Return the other keywords whose tensors all have ``num_rows`` rows."""
        return frozenset(
            name
            for name, value in self.others.items()
            if tensors(value) and all(t.shape[:1] == (num_rows,) for t in tensors(value))
        )

    def first(self, num_rows: int) -> Batch:
        """Return the batch of the first ``num_rows`` samples."""
        inputs = {
            name: map_tensors(lambda t: t[:num_rows], value) for name, value in self.inputs.items()
        }
        return Batch(self.modalities, inputs, self._cut(num_rows), self.absent, self.rows)

    def doubled(self) -> Batch:
        """Return the batch with all its samples twice."""
        inputs = {name: repeat_rows(value, 2) for name, value in self.inputs.items()}
        return Batch(self.modalities, inputs, self._repeated(2), self.absent, self.rows)

    def _cut(self, num_rows: int) -> Mapping[str, Any]:
        if not self.rows:
            return self.others
        return {
            name: map_tensors(lambda t: t[:num_rows], value) if name in self.rows else value
            for name, value in self.others.items()
        }

    def _repeated(self, times: int) -> Mapping[str, Any]:
        if not self.rows:
            return self.others
        return {
            name: repeat_rows(value, times) if name in self.rows else value
            for name, value in self.others.items()
        }

    def _stand_in(self, i: int) -> PyTree:
        if i not in self.stand_ins:
            self.stand_ins[i] = self.absent(i, self.inputs[self.modalities[i]])
        return self.stand_ins[i]

    def _one_stand_in(self, num_rows: int) -> dict[str, PyTree]:
        if self.one_stand_in is not None:
            return self.one_stand_in
        self.one_stand_in = {
            name: self.absent.forward(i, _first(num_rows, self.inputs[name]))
            for i, name in enumerate(self.modalities)
        }
        return self.one_stand_in


def _first(num_rows: int, tree: PyTree) -> PyTree:
    if not isinstance(tree, Tensor):
        return map_tensors(partial(_first, num_rows), tree)
    return tree[:1] if tree.shape[:1] == (num_rows,) else tree


def _fresh(keywords: dict[str, Any]) -> dict[str, Any]:
    """Put keywords into containers of their own, which a model may take apart."""
    for name, value in keywords.items():
        if not isinstance(value, Tensor):
            keywords[name] = map_tensors(_itself, value)
    return keywords


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _lists(value: Any, num_rows: int) -> bool:
    """Return whether a tree holds a list, tuple or array with an entry for each sample."""
    if isinstance(value, (Tensor, str)):
        return False
    if isinstance(value, Mapping):
        return any(_lists(entry, num_rows) for entry in value.values())
    if isinstance(value, (list, tuple)):
        return len(value) == num_rows or any(_lists(entry, num_rows) for entry in value)
    return bool(getattr(value, "shape", ())[:1] == (num_rows,))
