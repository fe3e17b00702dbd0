"""Every normalisation, in encoders and behind the fusion."""

from functools import partial

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from zoo.kinds import CLASSES, WIDTH, Concat, Kind, Wired, draw, head, mlp, paths, towers, wired


def normed(make):
    """Return how to make a vector encoder with a normalisation of 8 channels."""

    def encoder(size):
        return nn.Sequential(nn.Linear(size, 8), make(), nn.ReLU(), nn.Linear(8, WIDTH))

    return encoder


def normed_head(make):
    """Return how to make a rest with a normalisation of 9 channels."""
    return lambda: Concat(nn.Linear(2 * WIDTH, 9), make(), nn.ReLU(), nn.Linear(9, CLASSES))


def normed_features(make):
    """Return how to make a rest that is linear in normalised features."""
    return lambda: Concat(make(), nn.Linear(2 * WIDTH, CLASSES))


class Pooled(nn.Module):
    """A convolutional encoder of one, two or three dimensions with batch-norm."""

    def __init__(self, dims):
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1]
        self.layers = nn.Sequential(
            conv(2, 5, 3, padding=1), norm(5), nn.ReLU(), conv(5, WIDTH, 3, padding=1)
        )

    def forward(self, x):
        return self.layers(x).flatten(2).mean(dim=2)


def convolutional(dims):
    """Return a kind of two convolutional encoders."""
    sizes = {"ear": (2, 5, 3, 2)[: dims + 1], "eye": (2, 3, 5, 3)[: dims + 1]}
    return Kind(
        lambda: Wired({"ear": Pooled(dims), "eye": Pooled(dims)}, head()),
        lambda step: draw(step, **sizes),
        paths(),
        normalised=True,
    )


class MapFusion(nn.Module):
    """Feature maps are fused before they are pooled, with batch-norm behind."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2 * WIDTH, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, a, b):
        fused = torch.relu(self.norm(self.conv(torch.cat([a, b], dim=1))))
        return self.head(fused.flatten(2).mean(dim=2))


def map_fusion():
    return Kind(
        lambda: Wired({n: nn.Conv2d(2, WIDTH, 3) for n in ("ear", "eye")}, MapFusion()),
        lambda step: draw(step, ear=(2, 5, 7), eye=(2, 5, 7)),
        paths(),
        normalised=True,
    )


def synced():
    """Return a network with batch-norm converted for many processes, run in one."""
    model = Wired(towers(make=normed(partial(nn.BatchNorm1d, 8))), head())
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


class Frozen(nn.BatchNorm1d):
    """A batch-norm with statistics of its own that stays in eval mode, as in fine-tuning."""

    def __init__(self, size):
        super().__init__(size)
        nn.init.normal_(self.running_mean)
        nn.init.uniform_(self.running_var, 0.5, 2.0)
        self.train(False)


def thawed_partly():
    """Return a network with one frozen batch-norm and one that is trained."""
    encoders = {"ear": normed(lambda: Frozen(8))(5), "eye": normed(lambda: nn.BatchNorm1d(8))(11)}
    return Wired(encoders, head())


class Twice(nn.Module):
    """One batch-norm called twice a pass, on different inputs."""

    def __init__(self):
        super().__init__()
        self.norm, self.rest = nn.BatchNorm1d(WIDTH), head()

    def forward(self, a, b):
        return self.rest(self.norm(a), torch.tanh(self.norm(b)))


class Channels(nn.Module):
    """An encoder with a normalisation of maps (B, 5, T)."""

    def __init__(self, norm):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(2, 5, 3), norm, nn.Tanh(), nn.Conv1d(5, WIDTH, 2))

    def forward(self, x):
        return self.layers(x).mean(dim=2)


def channels(make, **traits):
    """Return a kind with a normalisation of maps in its encoders."""
    return Kind(
        lambda: Wired({"ear": Channels(make()), "eye": Channels(make())}, head()),
        lambda step: draw(step, ear=(2, 7), eye=(2, 11)),
        paths(),
        **traits,
    )


def reparametrised(wrap):
    """Return how to make an encoder with a parametrised weight."""
    return lambda size: nn.Sequential(wrap(nn.Linear(size, 8)), nn.Tanh(), nn.Linear(8, WIDTH))


def batch_normed(make=nn.BatchNorm1d, **options):
    """Return a kind with batch-norm in its encoders."""
    return wired(head, make=normed(lambda: make(8, **options)), normalised=True)


KINDS = {
    "batchnorm-1d": batch_normed(),
    "batchnorm-1d-additive": wired(
        lambda: Concat(nn.Linear(2 * WIDTH, CLASSES)),
        make=normed(partial(nn.BatchNorm1d, 8)),
        normalised=True,
    ),
    "batchnorm-conv-1d": convolutional(1),
    "batchnorm-conv-2d": convolutional(2),
    "batchnorm-conv-3d": convolutional(3),
    "batchnorm-synced": Kind(synced, wired(head).batch, paths(), normalised=True),
    "batchnorm-lazy": wired(head, make=normed(nn.LazyBatchNorm1d), normalised=True),
    "batchnorm-cumulative": batch_normed(momentum=None),
    "batchnorm-without-running": batch_normed(track_running_stats=False),
    "batchnorm-without-affine": batch_normed(affine=False),
    "batchnorm-frozen": wired(head, make=normed(lambda: Frozen(8))),
    "batchnorm-partly-frozen": Kind(thawed_partly, wired(head).batch, paths(), normalised=True),
    "batchnorm-behind": wired(normed_head(partial(nn.BatchNorm1d, 9)), normalised=True),
    "batchnorm-behind-of-maps": map_fusion(),
    "batchnorm-of-features": wired(
        normed_features(partial(nn.BatchNorm1d, 2 * WIDTH)), normalised=True
    ),
    "batchnorm-before-and-behind": wired(
        normed_head(partial(nn.BatchNorm1d, 9)),
        make=normed(partial(nn.BatchNorm1d, 8)),
        normalised=True,
    ),
    "batchnorm-called-twice": wired(Twice, normalised=True),
    "groupnorm": channels(partial(nn.GroupNorm, 5, 5)),
    "layernorm": wired(normed_head(partial(nn.LayerNorm, 9)), make=normed(lambda: nn.LayerNorm(8))),
    "rmsnorm": wired(normed_head(partial(nn.RMSNorm, 9)), make=normed(lambda: nn.RMSNorm(8))),
    "instancenorm": channels(partial(nn.InstanceNorm1d, 5, affine=True)),
    "instancenorm-running": channels(
        partial(nn.InstanceNorm1d, 5, affine=True, track_running_stats=True), normalised=True
    ),
    "weightnorm": wired(head, make=reparametrised(weight_norm)),
    "spectralnorm": wired(
        lambda: Concat(spectral_norm(nn.Linear(2 * WIDTH, 9)), nn.Tanh(), nn.Linear(9, CLASSES)),
        make=reparametrised(spectral_norm),
    ),
    "dropout-in-encoders": wired(
        head, make=lambda size: nn.Sequential(mlp(size, 13), nn.Dropout(0.3), nn.Linear(13, WIDTH))
    ),
    "dropout-in-the-rest": wired(
        lambda: Concat(nn.Linear(2 * WIDTH, 9), nn.Dropout(0.3), nn.Tanh(), nn.Linear(9, CLASSES))
    ),
}
