"""Real data turned into tasks that nobody collected them for: to try regression and labels on."""

from dataclasses import dataclass

import torch

from counterpoise.data import (
    DataSource,
    Features,
    MultiLabel,
    MultimodalDataset,
    Regression,
    Splits,
)


@dataclass(frozen=True)
class Strokes(DataSource):
    """mfeat: predicts the first two Karhunen-Loeve coefficients of a digit from other features."""

    path: str

    def load(self):
        known = Features(self.path, modalities=("fou", "zer", "kar")).load()
        parts = []
        for part in known.parts.values():
            inputs = {name: part.inputs[name] for name in ("fou", "zer")}
            parts.append(MultimodalDataset(inputs, part.inputs["kar"][:, :2].contiguous()))
        return Splits("strokes", *parts, Regression(2), note="mfeat, turned into a regression.")


@dataclass(frozen=True)
class Categories(DataSource):
    """wikipedia: each category of an article as a label of its own."""

    path: str

    def load(self):
        known = Features(self.path).load()
        parts = []
        for part in known.parts.values():
            target = torch.nn.functional.one_hot(part.target, known.num_classes).float()
            parts.append(MultimodalDataset(part.inputs, target))
        note = "wikipedia, its categories taken for labels."
        return Splits("categories", *parts, MultiLabel(known.num_classes), note=note)
