"""Data sets whose seed redraws the division: other samples to train on, the same ones to test."""

import numpy as np
import pytest
import torch

from counterpoise.data import BRCA, CREMAD, DataSource, Features, Synthetic
from counterpoise.data.digits.digits_build import image_rows, load_images
from counterpoise.data.digits.redivision import redivided

NUM_TRAIN, NUM_TEST = 53, 11


@pytest.fixture
def features(tmp_path):
    generator = np.random.default_rng(0)
    number = NUM_TRAIN + NUM_TEST
    np.savez(
        tmp_path / "made.npz",
        label=np.arange(number) % 3,
        train_idx=np.arange(NUM_TRAIN),
        test_idx=np.arange(NUM_TRAIN, number),
        a=generator.normal(size=(number, 5)).astype("float32"),
        b=generator.normal(size=(number, 2)).astype("float32"),
    )
    return Features(str(tmp_path / "made.npz"), standardise=False)


def rows(*parts):
    return sorted(tuple(row) for part in parts for row in part.inputs["a"].tolist())


def test_the_same_samples_are_divided_otherwise(features):
    base, one, two = features.load(), features.redivided(1).load(), features.redivided(2).load()
    assert one.fingerprint == features.redivided(1).load().fingerprint
    assert len({each.train.fingerprint for each in (base, one, two)}) == 3
    assert {each.test.fingerprint for each in (one, two)} == {base.test.fingerprint}
    for each in (one, two):
        assert rows(each.train, each.validation) == rows(base.train, base.validation)
        counts = each.validation.target.bincount()
        assert torch.equal(counts, base.validation.target.bincount())


def test_synthetic_samples_are_drawn_anew_and_their_codewords_and_test_stay():
    source = Synthetic(num_train=53, num_validation=13, num_test=11)
    base, other = source.load(), source.redivided(3).load()
    assert torch.equal(source.codebook(), source.redivided(3).codebook())
    assert other.test.fingerprint == base.test.fingerprint
    for part in ("train", "validation"):
        assert getattr(other, part).fingerprint != getattr(base, part).fingerprint
        assert len(getattr(other, part)) == len(getattr(base, part))
    assert (
        source.redivided(3).truth().contributions.tolist() == source.truth().contributions.tolist()
    )


def test_digits_swap_images_with_all_their_noisy_versions_and_voices_stay():
    utterances, seed = 2, 5
    labels = load_images()[1]
    shown = {part: image_rows(labels, part, seed, utterances) for part in ("train", "validation")}
    tensors = {"test.image": torch.zeros(7, 1), "test.audio": torch.zeros(7, 1)}
    for part, images in shown.items():
        version = torch.arange(len(images))  # a noisy version of its own
        tensors[f"{part}.image"] = torch.stack([images, version], dim=1)
        tensors[f"{part}.audio"] = version
        tensors[f"{part}.target"] = labels[images]
    found = redivided(tensors, division=3, seed=seed, utterances_per_image=utterances)
    again = redivided(tensors, division=3, seed=seed, utterances_per_image=utterances)
    other = redivided(tensors, division=4, seed=seed, utterances_per_image=utterances)
    assert torch.equal(found["train.image"], again["train.image"])
    assert not torch.equal(found["train.image"], other["train.image"])
    for name in tensors:
        if not name.endswith("image") or name.startswith("test"):
            assert found[name] is tensors[name]
    seen = {part: set(found[f"{part}.image"][:, 0].tolist()) for part in shown}
    assert not seen["train"] & seen["validation"]
    assert seen["train"] & set(shown["validation"].tolist())
    for part in shown:
        assert torch.equal(labels[found[f"{part}.image"][:, 0]], tensors[f"{part}.target"])
    before, after = (
        sorted(tuple(row) for part in shown for row in each[f"{part}.image"].tolist())
        for each in (tensors, found)
    )
    assert before == after


def test_sources_say_whether_they_can_be_divided_otherwise():
    assert BRCA().redivided(3).seed == 3
    assert CREMAD().redivided(3).seed == 3
    assert CREMAD(split="actor").redivided(3) == CREMAD(split="actor")

    class Fixed(DataSource):
        def load(self):
            raise NotImplementedError

    fixed = Fixed()
    assert fixed.redivided(3) is fixed
