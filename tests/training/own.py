"""Parts that a user brings along: a network and a callback."""

import torch
from lightning.pytorch import Callback
from torch import nn


class Own(nn.Module):
    """What a user has: takes its modalities as keywords and knows nothing of this package."""

    def __init__(self, width, num_classes, slope=nn.ReLU()):  # noqa: B008
        super().__init__()
        self.left, self.right = nn.Linear(5, width), nn.Linear(7, width)
        self.slope, self.head = slope, nn.Linear(2 * width, num_classes)

    def forward(self, left, right):
        return self.head(self.slope(torch.cat([self.left(left), self.right(right)], 1)))


class Counting(Callback):
    epochs = 0

    def __init__(self, every=1):
        self.every = every

    def on_train_epoch_end(self, trainer, pl_module):
        type(self).epochs += self.every


class Replacing(Callback):
    """Has other weights saved than those trained, as those that average over steps do."""

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {**weights, "balanced.model.head.bias": torch.full((3,), 7.0)}
