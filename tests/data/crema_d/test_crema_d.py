"""CREMA-D from its originals to batches: found, built, divided, and seen at random."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoise.data import CREMAD
from counterpoise.data.clips.archive import open_archive
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.clips.views import normalise
from counterpoise.data.crema_d.layout import CLASSES, find_clips
from counterpoise.data.files.cache import CorruptFileError
from support.clips import STUB, make_crema_d, stems


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return make_crema_d(tmp_path_factory.mktemp("originals"))


def built(root, output, **forms):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 of .* clips have no sound")
        build(output, find_clips(root), Forms(**forms), about={"name": "crema-d"})
    return output


@pytest.fixture(scope="module")
def archive(originals, tmp_path_factory):
    return built(originals, tmp_path_factory.mktemp("built") / "crema-d", num_pictures=2)


@pytest.fixture
def own(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "own")


def test_clips_are_found_in_the_order_of_the_tables(originals):
    clips = find_clips(originals)
    assert [clip.name for clip in clips] == stems(5)
    assert [clip.part for clip in clips] == ["train"] * 24 + ["test"] * 6
    assert [CLASSES[clip.label] for clip in clips] == [clip.name[9:12] for clip in clips]


def test_the_fields_derived_folders_give_the_same_clips(originals, archive, tmp_path):
    derived = make_crema_d(tmp_path / "derived", derived=True)
    expected = find_clips(originals)
    clips = find_clips(derived)
    assert [(each.name, each.label, each.part) for each in clips] == [
        (each.name, each.label, each.part) for each in expected
    ]
    other = built(derived, tmp_path / "built")
    sound, of_derived = (np.load(folder / "audio.npy") for folder in (archive, other))
    assert np.array_equal(sound, of_derived)
    pictures = np.load(other / "image.npy")[:, 0].astype(int)
    assert np.abs(pictures - np.load(archive / "image.npy")[:, 0]).mean() < 8


def test_without_tables_all_recordings_are_taken(tmp_path):
    root = make_crema_d(tmp_path / "originals", num_actors=3, tables=False)
    (root / "AudioWAV" / "readme.wav").write_bytes(b"not a clip")
    clips = find_clips(root)
    assert [clip.name for clip in clips] == sorted(stems(3))
    assert {clip.part for clip in clips} == {""}
    folder = built(root, tmp_path / "built")
    with pytest.raises(
        ValueError, match=r"`split` should be 'actor' for a build without train\.csv"
    ):
        CREMAD(root=folder).load()
    splits = CREMAD(root=folder, split="actor").load()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [6, 6, 6]


def test_a_silent_clip_is_kept_and_warned_of(originals, tmp_path):
    with pytest.warns(UserWarning, match="1 of 30 clips have no sound: 1001_IEO_NEU_XX"):
        record = build(tmp_path / "out", find_clips(originals), Forms(), about={"name": "crema-d"})
    assert record["silent"] == ["1001_IEO_NEU_XX"]
    assert np.allclose(np.load(tmp_path / "out" / "audio.npy")[0], np.log(1e-7))


def test_a_clip_of_a_minute_is_warned_of(own, tmp_path):
    from support.clips import tone, write_wav

    write_wav(own / "AudioWAV" / "1002_IEO_DIS_XX.wav", tone(500, 31))
    with pytest.warns(UserWarning, match="lasts|no sound") as caught:
        build(tmp_path / "out", find_clips(own), Forms(), about={"name": "crema-d"})
    assert "1002_IEO_DIS_XX lasts 31 s; its first 3 are kept." in [
        str(each.message) for each in caught
    ]


def test_a_build_in_processes_gives_the_same_bytes(originals, archive, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = build(
            tmp_path / "out",
            find_clips(originals),
            Forms(num_pictures=2),
            about={"name": "crema-d"},
            num_workers=2,
        )
    assert record == json.loads((archive / "clips.json").read_text())


def test_the_test_set_is_whole_and_validation_is_a_share_of_each_class(archive):
    splits = CREMAD(root=archive).load()
    assert splits.name == "crema-d-field"
    assert splits.test.rows.tolist() == list(range(24, 30))
    assert sorted(splits.validation.target.tolist()) == list(range(6))
    together = torch.cat([splits.train.rows, splits.validation.rows])
    assert sorted(together.tolist()) == list(range(24))
    again = CREMAD(root=archive).load()
    assert torch.equal(again.validation.rows, splits.validation.rows)
    other = CREMAD(root=archive, seed=5).load()
    assert not torch.equal(other.validation.rows, splits.validation.rows)
    assert other.fingerprint != splits.fingerprint


def test_no_actor_is_in_two_parts(archive):
    splits = CREMAD(root=archive, split="actor").load()
    actors = [
        {stems(5)[row][:4] for row in part.rows.tolist()}
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert [len(each) for each in actors] == [3, 1, 1]
    assert len(set.union(*actors)) == 5


def test_batches_have_the_papers_shapes_and_planted_means(archive):
    splits = CREMAD(root=archive, augment=False).load()
    batch = splits.train.__getitems__(range(len(splits.train)))
    assert batch["audio"].shape[1:] == (1, 257, 188)
    assert batch["image"].shape[1:] == (3, 224, 224)
    assert {tensor.dtype for tensor in batch.values()} == {torch.float32, torch.int64}
    for row, label in zip(splits.train.rows.tolist(), batch["target"].tolist(), strict=True):
        assert CLASSES[label] == stems(5)[row][9:12]
    heard = batch["target"] != 0  # the silent clip is among the others
    peaks = batch["audio"][:, 0].exp().mean(-1).argmax(-1)[heard]
    expected = ((300 + 400 * batch["target"][heard]) * 512 / 22_050).round()
    assert (peaks - expected).abs().max() <= 1
    red = torch.tensor([30.0 * label + 9.5 for label in batch["target"].tolist()]) / 255
    assert (
        batch["image"][:, 0].median(-1)[0].median(-1)[0] * 0.229 + 0.485 - red
    ).abs().max() < 0.06


def test_validation_and_test_see_the_whole_picture(archive):
    from PIL import Image

    stored = np.load(archive / "image.npy")
    splits = CREMAD(root=archive).load()
    row = int(splits.test.rows[2])
    whole = Image.fromarray(stored[row, 0]).resize((224, 224), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(whole)).permute(2, 0, 1)
    expected = normalise(expected, torch.empty(3, 224, 224))
    # One step of 255 more or less than Pillow, divided by the smallest deviation.
    assert (splits.test[2]["image"] - expected).abs().max() < 1.01 / 255 / 0.224


def test_views_depend_on_seed_epoch_and_clip_alone(archive):
    splits = CREMAD(root=archive).load()
    first, second = splits.training_set(0), splits.training_set(1)
    backwards = list(range(len(first)))[::-1]
    batch = first.__getitems__(backwards)
    for place, index in enumerate(backwards):
        assert torch.equal(batch["image"][place], first[index]["image"])
        assert not torch.equal(batch["image"][place], second[index]["image"])
        assert torch.equal(batch["audio"][place], second[index]["audio"])
    again = CREMAD(root=archive).load().training_set(1)
    assert torch.equal(again[3]["image"], second[3]["image"])
    other = splits.training_set(0, seed=1)
    assert not torch.equal(first[0]["image"], other[0]["image"])


def test_random_pictures_of_a_clip_are_seen_in_training_only(archive):
    opened = open_archive(archive, "crema-d", "")
    image = torch.zeros_like(opened.image)
    image[:, 1] = 255
    opened = replace(opened, image=image, picture="random")
    rows = torch.arange(30)
    seen = [opened.read(rows, seed=0, epoch=epoch)["image"][:, 0, 0, 0] for epoch in range(3)]
    white = torch.stack(seen) > 0
    assert 0.3 < white.float().mean() < 0.7
    assert not (opened.read(rows)["image"][:, 0, 0, 0] > 0).any()
    fingerprints = {CREMAD(root=archive, picture=p).load().fingerprint for p in ("first", "random")}
    assert len(fingerprints) == 2


@pytest.mark.parametrize("name", ["AudioWAV/1003_IEO_SAD_XX.wav", "VideoFlash/1003_IEO_SAD_XX.flv"])
def test_a_stub_of_git_lfs_is_found_before_anything_is_decoded(own, name):
    (own / name).write_bytes(STUB)
    with pytest.raises(
        CorruptFileError, match=f"{name}` should be the file itself; .*git lfs pull"
    ):
        find_clips(own)


def test_a_missing_clip_is_named_or_left_out(own):
    (own / "AudioWAV" / "1003_IEO_SAD_XX.wav").unlink()
    message = (
        r"`root` should hold sound and pictures of every clip; found none of 1, such as 1003_IEO"
    )
    with pytest.raises(FileNotFoundError, match=message):
        find_clips(own)
    assert len(find_clips(own, skip_missing=True)) == 29


def test_the_spelling_of_old_copies_is_known(own):
    for folder, suffix in (("AudioWAV", "wav"), ("VideoFlash", "flv")):
        path = own / folder / f"1003_IEO_SAD_XX.{suffix}"
        path.rename(path.with_name(f"1003_IEO_SAD_X.{suffix}"))
    assert [clip.sound.stem for clip in find_clips(own) if clip.name == "1003_IEO_SAD_XX"] == [
        "1003_IEO_SAD_X"
    ]


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="with AudioWAV or Audio in it; found neither in"):
        find_clips(tmp_path)


@pytest.mark.parametrize(
    ("row", "trouble"),
    [
        ("stem,label", "such as 1001_IEO_NEU_XX,NEU .* and no header; found stem,label"),
        ("1001_IEO_NEU_XX,HAP", "found 1001_IEO_NEU_XX,HAP"),
        ("../../1001_IEO_NEU_XX,NEU", "found ../../1001_IEO_NEU_XX,NEU"),
        ("1005_IEO_ANG_XX,ANG", "name each clip once; found 1005_IEO_ANG_XX in train and in test"),
    ],
)
def test_a_table_with_other_rows_is_named(own, row, trouble):
    table = own / "train.csv"
    table.write_bytes(table.read_bytes() + row.encode() + b"\r\n")
    with pytest.raises(ValueError, match=rf"`.*\.csv` should .*{trouble}"):
        find_clips(own)


def test_pictures_of_two_sizes_are_named_and_nothing_is_written(own, tmp_path):
    from support.clips import pictures, write_video

    path = own / "VideoFlash" / "1003_IEO_SAD_XX.flv"
    write_video(path, pictures((9, 9, 9), 5, size=(48, 64)))
    output = tmp_path / "out"
    with pytest.raises(
        ValueError, match=r"_SAD_XX.flv` should have .* \(72, 96\) rows and columns"
    ):
        build(output, find_clips(own), Forms(), about={"name": "crema-d"})
    assert not output.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_clip_is_named_and_nothing_is_written(own, tmp_path):
    path = own / "AudioWAV" / "1005_IEO_ANG_XX.wav"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptFileError, match=r"1005_IEO_ANG_XX\.wav` should have \d+ bytes"):
        build(tmp_path / "out", find_clips(own), Forms(), about={"name": "crema-d"})
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("name", "content", "kind", "trouble"),
    [
        (
            "audio.npy",
            None,
            FileNotFoundError,
            "hold a build of crema-d; found no audio.npy in .* R",
        ),
        ("clips.json", b"{", CorruptFileError, "be the record of a build; found one that cannot"),
        (
            "clips.json",
            b"{}",
            CorruptFileError,
            "be the record of a build; found one .*KeyError: 'name'",
        ),
        ("labels.npy", b"\x93NUM", CorruptFileError, "be a whole .npy file; found 4 bytes"),
    ],
)
def test_a_build_that_is_damaged_is_named(archive, tmp_path, name, content, kind, trouble):
    folder = shutil.copytree(archive, tmp_path / "built")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(kind, match=f"should {trouble}"):
        CREMAD(root=folder).load()


def test_a_build_of_something_else_is_named(archive, tmp_path):
    folder = shutil.copytree(archive, tmp_path / "built")
    record = json.loads((folder / "clips.json").read_text())
    (folder / "clips.json").write_text(json.dumps(record | {"name": "ave"}))
    with pytest.raises(
        ValueError, match="a build of crema-d, format 1; found one of ave, format 1"
    ):
        CREMAD(root=folder).load()
    (folder / "clips.json").write_text(json.dumps(record | {"clips": record["clips"][1:]}))
    with pytest.raises(CorruptFileError, match=r"as many sounds, .*; found 30, 30, 30, 29, 30"):
        CREMAD(root=folder).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "speaker"}, "`split` should be one of 'field', 'actor'; found 'speaker'"),
        ({"picture": "last"}, "`picture` should be one of 'first', 'random'; found 'last'"),
        ({"seed": -1}, "`seed` should be at least 0; found -1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CREMAD(**options)


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        ({"seconds": 0.0}, "`seconds` should be finite, above 0; found 0.0"),
        ({"times": 0}, "`times` should be at least 1; found 0"),
        ({"num_pictures": 0}, "`num_pictures` should be at least 1; found 0"),
    ],
)
def test_forms_out_of_range_are_refused(forms, message):
    with pytest.raises(ValueError, match=message):
        Forms(**forms)


def test_a_build_is_verified_by_its_bytes(archive, tmp_path):
    CREMAD(root=archive).verify()
    folder = shutil.copytree(archive, tmp_path / "built")
    with (folder / "audio.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(
        CorruptFileError, match=r"audio\.npy` should have content with sha256 .*; fo"
    ):
        CREMAD(root=folder).verify()
