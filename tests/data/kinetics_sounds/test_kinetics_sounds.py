"""Kinetics-Sounds from lists: what is read, where from, and what is refused."""

import numpy as np
import pytest
import torch

from counterpoise.data import CorruptFileError, KineticsSounds
from counterpoise.data.clips.views import normalise, see, whole_view
from counterpoise.data.files.npy import map_npy
from support.clips import pictures, write_pictures

LABELS = ("tapping", "bowling", "singing")


def make(folder, number=23, numbers=False):
    """Clips whose sound and colour tell the label; lists with CRLF, one with a byte-order mark."""
    for part, clips in (("train", range(number)), ("test", range(number, number + 7))):
        lines = ""
        for clip in clips:
            place = clip % 3
            (folder / "fbank").mkdir(parents=True, exist_ok=True)
            np.save(folder / "fbank" / f"c{clip}.npy", np.full((11, 5), place, np.float32))
            colour = (50 * place, 200 - 50 * place, 90)
            write_pictures(folder / "frames" / f"c{clip}", pictures(colour, 2, clip, (40, 48)))
            lines += f"c{clip},10,{place if numbers else LABELS[place]}\r\n"
        mark = "\ufeff" if part == "train" else ""
        (folder / f"my_{part}.txt").write_bytes((mark + lines).encode())
    return folder


def source(folder, **options):
    settings = {"train": "my_train.txt", "test": "my_test.txt", "audio": "fbank/{name}.npy"}
    return KineticsSounds(folder, **{**settings, "image": "frames/{name}", **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sounds"))


def test_clips_of_the_lists_are_read_with_random_views_in_training(folder):
    splits = source(folder).load()
    assert splits.num_classes == 3
    assert splits.sample_shapes == {"audio": (1, 11, 5), "image": (3, 224, 224)}
    assert [len(part) for part in splits.parts.values()] == [20, 3, 7]  # one of each class
    assert sorted(splits.validation.target.tolist()) == [0, 1, 2]
    one, again, later = (splits.training_set(e, seed=3).__getitems__([4]) for e in (0, 0, 1))
    assert torch.equal(one["image"], again["image"])
    assert not torch.equal(one["image"], later["image"])
    batch = splits.test.__getitems__([1])
    label = sorted(LABELS)[int(batch["target"])]
    assert batch["audio"].unique().tolist() == [LABELS.index(label)]
    assert label == LABELS[24 % 3]
    plain = torch.tensor(np.asarray(_opened(folder / "frames" / "c24" / "00000.jpg")))
    seen = see(plain, whole_view(40, 48), 224)
    assert torch.equal(batch["image"][0], normalise(seen, torch.empty(3, 224, 224)))
    fixed = source(folder, augment=False).load()
    assert torch.equal(*(fixed.training_set(e).__getitems__([4])["image"] for e in (0, 1)))


def _opened(path):
    from PIL import Image

    return Image.open(path)


def test_labels_may_be_numbers_and_decide_the_fingerprint(tmp_path, folder):
    numbered = source(make(tmp_path, 13, numbers=True)).load()
    assert numbered.test.target.tolist() == [clip % 3 for clip in range(13, 20)]
    assert numbered.fingerprint != source(folder).load().fingerprint
    assert map_npy(tmp_path / "fbank" / "c0.npy").shape == (11, 5)


def test_what_is_missing_or_something_else_is_told(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`root` should hold the list my_train\.txt; found"
    ):
        source(tmp_path).load()
    make(tmp_path, 7)
    with pytest.raises(ValueError, match=r"`audio` should hold \{name\}, .* found 'fbank'\. Write"):
        source(tmp_path, audio="fbank")
    np.save(tmp_path / "fbank" / "c8.npy", np.full((3, 2), np.nan))
    with pytest.raises(CorruptFileError, match=r"c8\.npy` should hold finite numbers \(time, band"):
        source(tmp_path).load().test.__getitems__([1])
    (tmp_path / "fbank" / "c9.npy").write_bytes(b"version https://git-lfs")
    with pytest.raises(CorruptFileError, match=r"c9\.npy` should be a whole \.npy file; found 23"):
        source(tmp_path).load().test.__getitems__([2])
    (tmp_path / "my_test.txt").write_text("c8,10,skating\n")
    with pytest.raises(CorruptFileError, match=r"labels of the training list; found 'skating'\. U"):
        source(tmp_path).load()
