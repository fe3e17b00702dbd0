"""Published networks of images and frames, small, as ``published`` has others.

Written from the papers: Wang et al. 2020 (channel exchanging), Kazakos et al. 2019 (temporal
binding), Ronneberger et al. 2015 and Hazirbas et al. 2016 (U-Net and FuseNet).
"""

import torch
from torch import nn

from zoo.kinds import CLASSES, TWO, WIDTH, Kind, draw, head
from zoo.published import EAR, integers, rows_of


class Exchange(nn.Module):
    """One convolution for two modalities, a norm each; channels of small gain are exchanged."""

    def __init__(self):
        super().__init__()
        self.stems = nn.ModuleDict({name: nn.Conv2d(2, 5, 3, padding=1) for name in TWO})
        self.shared, self.out = nn.Conv2d(5, 5, 3), nn.Linear(5, CLASSES)
        self.norms = nn.ModuleList(nn.BatchNorm2d(5) for _ in range(2))
        for norm in self.norms:
            nn.init.uniform_(norm.weight)

    def forward(self, ear, eye):
        stemmed = [self.stems["ear"](ear), self.stems["eye"](eye)]
        x, y = (n(self.shared(f)) for n, f in zip(self.norms, stemmed, strict=True))
        small = [norm.weight.abs() < 0.5 for norm in self.norms]
        ours, theirs = torch.zeros_like(x), torch.zeros_like(y)
        for made, own, other, of in ((ours, x, y, small[0]), (theirs, y, x, small[1])):
            made[:, ~of], made[:, of] = own[:, ~of], other[:, of]
        return sum(self.out(torch.relu(maps).mean(dim=(2, 3))) for maps in (ours, theirs))


def images(step):
    return draw(step, rows_of(step), ear=(2, 5, 5), eye=(2, 5, 5))


class Folded(nn.Module):
    """Frames are rows of the encoders; all norms but the first are frozen by ``train`` itself."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = (self._encoder(size) for size in (5, 11))
        self.rest = head()
        self.train()

    def train(self, mode=True):
        super().train(mode)
        for encoder in (self.ear, self.eye):
            encoder[3].train(False)
        return self

    def forward(self, ear, eye):
        frames = self.rest(self.ear(ear.flatten(0, 1)), self.eye(eye.flatten(0, 1)))
        return frames.view(-1, 3, CLASSES).mean(dim=1)

    def _encoder(self, size):
        norms = [nn.BatchNorm1d(8), nn.BatchNorm1d(8)]
        nn.init.normal_(norms[1].running_mean)
        layers = [nn.Linear(size, 8), norms[0], nn.Linear(8, 8), norms[1], nn.Linear(8, WIDTH)]
        return nn.Sequential(*layers)


def frames(step):
    return draw(step, rows_of(step), ear=(3, 5), eye=(3, 11))


class Pyramid(nn.Module):
    """Returns a map at each scale."""

    def __init__(self, channels):
        super().__init__()
        self.stages = nn.ModuleList([self._stage(channels, 4, 1), self._stage(4, WIDTH, 2)])

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def _stage(self, channels, width, stride):
        conv = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Takes the maps of two encoders apart, deepest first; a label a pixel."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = Pyramid(2), Pyramid(2)
        self.up, self.norm = nn.ConvTranspose2d(WIDTH, 4, 2, 2), nn.BatchNorm2d(8)
        self.out = nn.Conv2d(8, CLASSES, 1)

    def forward(self, ear, eye):
        heard, seen = self.ear(ear), self.eye(eye)
        x = self.up(heard.pop() + seen.pop())
        x = torch.cat([x, heard.pop() + seen.pop()], dim=1)
        return self.out(torch.relu(self.norm(x)))


def pixels(step):
    drawn = draw(step, rows_of(step), ear=(2, 4, 4), eye=(2, 4, 4))
    return drawn._replace(target=integers(step, 4, 4, high=CLASSES + 1) - 1)


KINDS = {
    "channel-exchange": Kind(
        Exchange, images, {name: f"stems.{name}" for name in TWO}, normalised=True
    ),
    "folded-frames": Kind(Folded, frames, EAR, normalised=True),
    "unet-of-two": Kind(UNet, pixels, EAR, normalised=True),
}
