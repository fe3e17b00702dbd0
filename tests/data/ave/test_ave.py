"""AVE from annotations and features, by second and by clip, and from its videos."""

import warnings

import h5py
import numpy as np
import pytest
import torch

from counterpoise.data import AVE
from counterpoise.data.ave.annotations import read_annotations
from counterpoise.data.ave.videos import find_clips
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.files.cache import CorruptFileError
from support.ave import (
    CATEGORIES,
    HEADER,
    NUMBER,
    PARTS,
    line,
    make_ave,
    make_videos,
    rows,
    segments,
    write_labels,
)

SHARED = "ignore:The training part shares videos with others"
pytestmark = pytest.mark.filterwarnings(SHARED)


@pytest.fixture
def folder(tmp_path):
    return make_ave(tmp_path / "ave")


@pytest.mark.parametrize("header", [True, False])
def test_annotations_with_and_without_header_give_the_same_labels(tmp_path, header):
    annotations = read_annotations(make_ave(tmp_path / "ave", header=header) / "Annotations.txt")
    assert annotations.categories == CATEGORIES
    assert np.array_equal(annotations.segment_labels().numpy(), segments())
    assert annotations.clip_labels().tolist() == [place % 4 for place in range(NUMBER)]


def test_a_start_at_the_end_is_all_background(folder):
    labels = read_annotations(folder / "Annotations.txt").segment_labels()
    assert labels[5].tolist() == [4] * 10


@pytest.mark.parametrize("chunks", [None, True])
@pytest.mark.parametrize("orders", [True, False])
def test_segments_have_the_features_and_parts_of_the_files(tmp_path, chunks, orders):
    folder = make_ave(tmp_path / "ave", chunks=chunks, orders=orders)
    parts, num_classes = AVE(root=folder).features()
    assert num_classes == 5
    with h5py.File(folder / "audio_feature.h5") as file:
        audio = file["avadataset"][:].astype(np.float32)
    for part, key in (("train", "train"), ("validation", "val"), ("test", "test")):
        data, places = parts[part], PARTS[key][::-1]
        assert data.sample_shapes == {"audio": (10, 16), "vision": (10, 2, 2, 16)}
        batch = data.__getitems__(range(len(data)))
        assert {tensor.dtype for tensor in batch.values()} == {torch.float32, torch.int64}
        assert np.array_equal(batch["audio"].numpy(), audio[list(places)])
        assert np.array_equal(batch["target"].numpy(), segments()[list(places)])
        means = batch["vision"].mean((2, 3, 4))
        assert (means - batch["target"]).abs().max() < 0.3


def test_features_in_one_piece_stay_on_disk(folder):
    parts, _ = AVE(root=folder).features()
    stored = parts["train"].read.args[0]
    assert {value.dtype for value in stored.values()} == {torch.float64}


def test_clips_of_features_have_a_class_each(folder):
    splits = AVE(root=folder, preset="features").load()
    assert splits.name == "ave-features"
    assert splits.num_classes == 4
    assert splits.train.target.tolist() == [place % 4 for place in PARTS["train"][::-1]]
    assert splits.fingerprint == AVE(root=folder, preset="features").load().fingerprint


@pytest.mark.filterwarnings("default:The training part")
def test_videos_in_two_parts_are_warned_of(folder):
    with pytest.warns(UserWarning, match="two categories: 0 with validation, 1 with test"):
        AVE(root=folder).features()


@pytest.mark.parametrize("name", ["labels.h5", "right_labels.h5", "right_label.h5"])
def test_label_files_are_compared_with_the_annotations(folder, name):
    labels = segments()
    write_labels(folder, name, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The training part shares")
        AVE(root=folder).features()
    labels[2, 3:6] = 4
    write_labels(folder, name, labels)
    with pytest.warns(
        UserWarning, match=f"{name} differs from Annotations.txt in 3 of 240 segments"
    ):
        AVE(root=folder).features()


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("Bark&x&good&0\n", "should have 5 columns divided by '&'; found 4 in line"),
        ("Bark&x&good&0&11\n", "of seconds from 0 to 10; found Bark&x&...&0&11"),
        ("Bark&x&good&a&3\n", "found Bark&x&...&a&3"),
        ("Bark&../x&good&0&3\n", "found Bark&../x&"),
        ("Bark&x&good&²&3\n", "found Bark&x&...&²&3"),
    ],
)
def test_other_annotations_are_named(folder, text, trouble):
    path = folder / "Annotations.txt"
    path.write_text(path.read_text() + text, encoding="utf-8")
    with pytest.raises(CorruptFileError, match=rf"`.*Annotations\.txt` should .*{trouble[7:]}"):
        AVE(root=folder).features()


def spoil_order(folder):
    with h5py.File(folder / "val_order.h5", "w") as file:
        file["order"] = np.array([3, NUMBER])


def spoil_parts(folder):
    with h5py.File(folder / "val_order.h5", "w") as file:
        file["order"] = np.array([3])


def spoil_features(folder):
    with h5py.File(folder / "audio_feature.h5", "w") as file:
        file["avadataset"] = np.zeros((NUMBER - 1, 10, 3))


def spoil_list(folder):
    (folder / "val_order.h5").unlink()
    with (folder / "valSet.txt").open("a") as file:
        file.write(line(("Bark", "nowhere", "good", 0, 3)))


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (spoil_order, r"should hold rows in \[0, 24\); found 3 to 24"),
        (spoil_parts, "should have each row in one part; found rows in two of train_order"),
        (spoil_features, r"of shape \(24, 10, any\); found float64 of shape \(23, 10, 3\)"),
        (spoil_list, "should list rows of Annotations.txt; found Bark&nowhere&0&3, which is none"),
    ],
)
def test_files_that_do_not_fit_together_are_named(folder, spoil, trouble):
    spoil(folder)
    with pytest.raises(CorruptFileError, match=trouble):
        AVE(root=folder).features()


@pytest.mark.parametrize("name", ["Annotations.txt", "visual_feature.h5"])
def test_a_missing_file_says_how_to_get_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"`root` should hold {name} of AVE; found none in"):
        AVE(root=folder).features()


def test_videos_are_built_by_row_and_read_as_clips(folder, tmp_path):
    clips, categories = find_clips(make_videos(folder))
    assert [clip.part for clip in clips] == ["train"] * 16 + ["validation"] * 4 + ["test"] * 4
    assert len({clip.name for clip in clips}) == NUMBER
    build(
        tmp_path / "built",
        clips,
        Forms(seconds=1.0, times=1),
        about={"name": "ave", "classes": list(categories)},
    )
    splits = AVE(root=tmp_path / "built", preset="clips").load()
    assert splits.num_classes == 4
    assert splits.sample_shapes == {"audio": (1, 257, 63), "image": (3, 224, 224)}
    batch = splits.validation.__getitems__(range(4))
    assert batch["target"].tolist() == [place % 4 for place in PARTS["val"][::-1]]
    peaks = batch["audio"][:, 0].exp().mean(-1).argmax(-1)
    assert (peaks - ((300 + 500 * batch["target"]) * 512 / 22_050).round()).abs().max() <= 1
    views = [splits.training_set(epoch)[0]["image"] for epoch in (0, 1)]
    assert not torch.equal(*views)
    plain = AVE(root=tmp_path / "built", preset="clips", augment=False).load()
    assert torch.equal(*(plain.training_set(epoch)[0]["image"] for epoch in (0, 1)))


def test_missing_videos_are_named(folder):
    make_videos(folder)
    (folder / "AVE" / "video000007.mp4").unlink()
    message = r"`root` should hold all videos; found none of 1, such as video000007\.mp4, in"
    with pytest.raises(FileNotFoundError, match=message):
        find_clips(folder)


def test_a_list_without_its_header_is_read_too(folder):
    expected = [clip.name for clip in find_clips(make_videos(folder))[0]]
    for part in PARTS:
        path = folder / f"{part}Set.txt"
        path.write_text(path.read_text().removeprefix(HEADER))
    assert [clip.name for clip in find_clips(folder)[0]] == expected
    assert rows()[1][1] == rows()[NUMBER - 2][1]


def test_an_unknown_preset_is_refused():
    with pytest.raises(
        ValueError, match="`preset` should be one of 'segments', 'features', 'clips'"
    ):
        AVE(preset="videos")


def test_features_that_are_not_finite_are_named_when_read(folder):
    with h5py.File(folder / "audio_feature.h5", "r+") as file:
        file["avadataset"][14, 3, 2] = np.nan
    data = AVE(root=folder).features()[0]["train"]
    data.__getitems__([0, 2])
    with pytest.raises(
        CorruptFileError, match=r"audio_feature\.h5` should hold finite .* rows \[14\]"
    ):
        data.__getitems__([0, 1])


def test_only_builds_can_be_verified(folder, tmp_path):
    with pytest.raises(ValueError, match="`preset` should be 'clips' for a comparison with what"):
        AVE(root=folder).verify()
    with pytest.raises(
        FileNotFoundError, match="`root` should hold a build of ave; found no clips"
    ):
        AVE(root=tmp_path, preset="clips").verify()
