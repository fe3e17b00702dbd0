"""What comes out of the real originals, where they are at hand."""

import pytest

from counterpoise.data import AVMNIST
from counterpoise.data.avmnist.build import build
from counterpoise.data.avmnist.options import PRESETS
from counterpoise.data.avmnist.sources import FSDD_FINGERPRINT
from support.originals import slice_of
from support.shared import shared_data

PLACES = ("mnist", "fsdd/recordings")
SLICE = {
    "published": "69a6696ab20a544af985a3b7562ad318b76fb3f58dc3d355dfb728fb8edf0f39",
    "clean": "8654546cb78f5c0b654fc5b3b6a3484fdd73fec7bad2986838228382cde06ec9",
}
FULL = {
    "published": "c225bef2b750df3924099558bb7d7a5627d9c2f50ccbefa7b75776258dec94be",
    "clean": "cddc0d879ece53ec18b5778583ca1b68470428664c234d949ce5d606763d44bf",
}
MNIST = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_slice_has_this_fingerprint(tmp_path, preset):
    mnist, fsdd = slice_of(
        shared_data(*PLACES),
        tmp_path,
        num_train=240,
        num_test=70,  # the first 61 hold no 8
        speakers=("george", "theo", "yweweler"),
        indices=(0, 1, 2, 40, 41),
    )
    record = build(tmp_path / "out", mnist=mnist, fsdd=fsdd, options=PRESETS[preset])
    assert record["fingerprint"] == SLICE[preset]


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_whole_has_this_fingerprint(tmp_path, preset):
    shared = shared_data(*PLACES)
    output = tmp_path / "out"
    record = build(output, mnist=shared / "mnist", fsdd=shared / "fsdd", options=PRESETS[preset])
    assert record["originals"] == {"mnist": MNIST, "fsdd": FSDD_FINGERPRINT, "noise": None}
    assert record["fingerprint"] == FULL[preset]
    assert record["preset"] == preset
    assert record["image_variance_kept"] == pytest.approx(0.2836, abs=1e-4)
    source = AVMNIST(root=output, preset=preset)
    source.verify()
    splits = source.load()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [
        55_000,
        5_000,
        10_000,
    ]
