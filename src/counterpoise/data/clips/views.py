"""Views of a picture: a random part of it in training, the whole in tests, both of one size."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue over ImageNet, in [0, 1]."""

STD = (0.229, 0.224, 0.225)

_SCALE = 1 / (255 * torch.tensor(STD).view(3, 1, 1))
_SHIFT = -torch.tensor(MEAN).view(3, 1, 1) / torch.tensor(STD).view(3, 1, 1)

_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


class View(NamedTuple):
    """A part of a picture.

    Attributes:
        top: Its first row.
        left: Its first column.
        height: Its number of rows.
        width: Its number of columns.
        mirrored: Whether left and right are exchanged.
    """

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


def whole_view(height: int, width: int) -> View:
    """Return the view of the whole picture."""
    return View(0, 0, height, width, mirrored=False)


def random_view(height: int, width: int, generator: torch.Generator) -> View:
    """Draw a part of a picture, of 8% to 100% of its area, mirrored every other time.

    The ratio of width to height is log-uniform from 3/4 to 4/3. What does not fit into the
    picture is drawn again, ten times in all; then the largest part in the middle with such a
    ratio is taken. Always as many numbers are drawn.

    Args:
        height: Rows of the picture, at least 1.
        width: Columns, at least 1.
        generator: What is drawn from.

    Example:
        >>> random_view(360, 480, torch.Generator().manual_seed(0))
        View(top=..., left=..., height=..., width=..., mirrored=...)
    """
    draws = torch.rand(4 * _TRIES + 1, generator=generator, dtype=torch.float64).tolist()
    mirrored = draws.pop() < 0.5
    for start in range(0, len(draws), 4):
        for_area, for_ratio, for_top, for_left = draws[start : start + 4]
        area = height * width * (_AREA[0] + for_area * (_AREA[1] - _AREA[0]))
        ratio = exp(log(_RATIO[0]) + for_ratio * (log(_RATIO[1]) - log(_RATIO[0])))
        wide, high = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            top, left = int(for_top * (height - high + 1)), int(for_left * (width - wide + 1))
            return View(top, left, high, wide, mirrored)
    ratio = min(max(width / height, _RATIO[0]), _RATIO[1])
    high, wide = min(height, round(width / ratio)), min(width, round(height * ratio))
    return View((height - high) // 2, (width - wide) // 2, high, wide, mirrored)


def see(picture: Tensor, view: View, size: int) -> Tensor:
    """Map a picture to its view, resized: bilinear, averaged where the view is larger.

    Within 1 of 255 of what Pillow makes of it, which the paper's code uses, in a third of the time.

    Args:
        picture: Shape (height, width, 3), uint8; only the view's rows are read.
        view: Which part.
        size: Rows and columns of the result.

    Returns:
        Shape (3, size, size), uint8.

    Example:
        >>> see(torch.full((5, 7, 3), 200, dtype=torch.uint8), whole_view(5, 7), 2).shape
        torch.Size([3, 2, 2])
    """
    # Cut first: within a larger picture, pixels beyond the view would count at its edges.
    rows, columns = (
        slice(start, start + length)
        for start, length in ((view.top, view.height), (view.left, view.width))
    )
    part = picture[rows, columns].permute(2, 0, 1)[None]
    seen = interpolate(part, (size, size), mode="bilinear", antialias=True)[0]
    return seen.flip(-1) if view.mirrored else seen


def normalise(picture: Tensor, out: Tensor) -> Tensor:
    """Divide a picture by 255, subtract ImageNet's mean, divide by its deviation.

    Args:
        picture: Shape (3, height, width), uint8.
        out: Shape (3, height, width), float32: where the result is written, such as the place of
            the picture in its batch; a batch at a time would pass through memory three times.

    Returns:
        ``out``.

    Example:
        >>> white = torch.full((3, 2, 2), 255, dtype=torch.uint8)
        >>> normalise(white, torch.empty(3, 2, 2))[:, 0, 0]
        tensor([2.2489, 2.4286, 2.6400])
    """
    return out.copy_(picture).mul_(_SCALE).add_(_SHIFT)
