"""Views of a picture: a random part of it in training, the whole in tests, both of one size."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MEAN", "STD", "View", "normalise", "random_view", "see", "whole_view"]

MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue over ImageNet, in [0, 1]."""

STD = (0.229, 0.224, 0.225)

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


def see(picture: np.ndarray[Any, Any], view: View, size: int) -> np.ndarray[Any, Any]:
    """Map a picture to its view, resized: bilinear, averaged where the view is larger.

    Args:
        picture: Shape (height, width, 3), uint8; only the view's rows are read.
        view: Which part.
        size: Rows and columns of the result.

    Returns:
        Shape (size, size, 3), uint8.

    Example:
        >>> import numpy as np
        >>> see(np.full((5, 7, 3), 200, np.uint8), whole_view(5, 7), 2).shape
        (2, 2, 3)
    """
    import numpy as np
    from PIL import Image

    rows = slice(view.top, view.top + view.height)
    # Cut first: within a larger picture, pixels beyond the view would count at its edges.
    part = np.ascontiguousarray(picture[rows, view.left : view.left + view.width])
    seen = np.asarray(Image.fromarray(part).resize((size, size), Image.Resampling.BILINEAR))
    return seen[:, ::-1] if view.mirrored else seen


def normalise(pictures: Tensor) -> Tensor:
    """Map pictures (B, height, width, 3), uint8, to (B, 3, height, width), float32.

    They are divided by 255, ImageNet's mean is subtracted, and its deviation divided by.

    Example:
        >>> normalise(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8))[0, :, 0, 0]
        tensor([2.2489, 2.4286, 2.6400])
    """
    scale = 1 / (255 * torch.tensor(STD))
    shift = -torch.tensor(MEAN) / torch.tensor(STD)
    return torch.addcmul(shift, pictures, scale).permute(0, 3, 1, 2).contiguous()
