"""Random views have the stated distribution and depend on the generator alone."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from counterpoise.data.clips.views import MEAN, STD, View, normalise, random_view, see, whole_view


def draw(height, width, number):
    generator = torch.Generator().manual_seed(0)
    return [random_view(height, width, generator) for _ in range(number)]


def test_views_lie_within_the_picture_and_have_the_stated_area_and_ratio():
    views = draw(360, 480, 2000)
    for view in views:
        assert 0 <= view.top <= 360 - view.height
        assert 0 <= view.left <= 480 - view.width
        assert 0.07 < view.height * view.width / (360 * 480) <= 1
        assert 0.74 < view.width / view.height < 1.35
    assert 0.45 < np.mean([view.mirrored for view in views]) < 0.55


def test_in_a_large_square_small_views_are_uniform_in_area_and_log_uniform_in_ratio():
    size = 100_000
    views = [view for view in draw(size, size, 4000) if view.height * view.width < 0.5 * size**2]
    areas = [(view.height * view.width / size**2 - 0.08) / 0.42 for view in views]
    ratios = [
        (math.log(view.width / view.height) - math.log(3 / 4)) / math.log(16 / 9) for view in views
    ]
    places = [view.top / (size - view.height) for view in views]
    for values in (areas, ratios, places):
        assert stats.kstest(values, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(10, 1000, (0, 493, 10, 13)), (1000, 10, (493, 0, 13, 10))],
)
def test_a_picture_that_no_view_fits_is_seen_in_the_middle(height, width, expected):
    assert {view[:4] for view in draw(height, width, 50)} == {expected}


def test_as_many_numbers_are_drawn_whatever_fits():
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    random_view(360, 480, one)
    random_view(10, 1000, other)
    assert torch.equal(one.get_state(), other.get_state())


def test_a_view_is_the_part_resized_alone_as_pillow_does():
    picture = np.random.default_rng(0).integers(0, 256, (41, 53, 3), dtype=np.uint8)
    view = View(5, 7, 19, 23, mirrored=True)
    for size in (11, 29):  # smaller and larger
        part = Image.fromarray(picture).crop((7, 5, 30, 24))
        expected = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))[:, ::-1]
        found = see(torch.from_numpy(picture), view, size).permute(1, 2, 0).numpy()
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 1
    same = see(torch.from_numpy(picture), whole_view(41, 53)._replace(width=41), 41)
    assert np.array_equal(same.permute(1, 2, 0).numpy(), picture[:, :41])


def test_normalisation_is_imagenets():
    picture = torch.arange(3 * 3 * 5, dtype=torch.uint8).view(3, 3, 5)
    expected = (picture.double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / (
        torch.tensor(STD).view(3, 1, 1)
    )
    batch = torch.empty(2, 3, 3, 5)
    normalise(picture, out=batch[1])
    assert torch.allclose(batch[1].double(), expected, atol=1e-6)
