"""An additive late fusion, whose heads' outputs add up to the logits."""

import torch
from torch import nn

from support.networks import Fused
from support.wrapping import wrap_parts


class Additive(Fused):
    def build(self, num_modalities, norm):
        self.heads = nn.ModuleList(
            nn.Linear(self.width, self.num_classes) for _ in range(num_modalities)
        )

    @property
    def head_paths(self):
        return {name: f"heads.{i}" for i, name in enumerate(self.names)}

    def forward(self, **inputs):
        return sum(h(f) for h, f in zip(self.heads, self.features(inputs), strict=True))


def additive(num_modalities=3, *, method, level="inputs", **options):
    """Wrap an additive network with encoders and heads named, so that it has branches."""
    torch.manual_seed(5)
    model = Additive(num_modalities, **options)
    return wrap_parts(
        model,
        model.names,
        method,
        encoders=model.encoders,
        heads=model.head_paths,
        coalitions=level,
    )
