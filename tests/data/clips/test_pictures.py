"""Pictures and sound of videos, and of folders of pictures."""

import numpy as np
import pytest

from counterpoise.data.clips.pictures import pictures_of, sound_of
from counterpoise.data.files.cache import CorruptFileError
from support.clips import STUB, pictures, tone, write_pictures, write_video

CODECS = {"a.flv": ("flv1", "libmp3lame"), "a.mp4": ("libx264", "aac")}


def bright_column(picture):
    return int(picture.astype(int).sum((0, 2)).argmax())


@pytest.mark.parametrize("name", CODECS)
def test_one_picture_a_second_is_taken_from_a_video(tmp_path, name):
    path = tmp_path / name
    write_video(path, pictures((40, 90, 20), 75), codecs=CODECS[name], fps=30)
    found = pictures_of(path, 5)
    assert [bright_column(picture) for picture in found] == [0, 30, 60]
    assert {(picture.shape, picture.dtype) for picture in found} == {
        ((72, 96, 3), np.dtype("uint8"))
    }
    assert np.array_equal(pictures_of(path, 1)[0], found[0])
    assert abs(np.median(found[1][..., 1]) - 100) < 12


def test_a_rate_that_is_no_integer_is_rounded_down(tmp_path):
    from fractions import Fraction

    path = tmp_path / "a.mp4"
    write_video(path, pictures((0, 0, 0), 75), codecs=CODECS["a.mp4"], fps=Fraction(30000, 1001))
    assert [bright_column(picture) for picture in pictures_of(path, 5)] == [0, 29, 58]


@pytest.mark.parametrize("name", CODECS)
def test_the_sound_of_a_video_is_heard(tmp_path, name):
    path = tmp_path / name
    write_video(path, pictures((0, 0, 0), 31), tone(1000, 1.0, 44_100), codecs=CODECS[name])
    samples, rate = sound_of(path)
    assert rate == 44_100
    assert 0.9 < len(samples) / rate < 1.2
    power = np.abs(np.fft.rfft(samples))
    assert abs(np.fft.rfftfreq(len(samples), 1 / rate)[power.argmax()] - 1000) < 3


def test_a_video_without_sound_is_silent(tmp_path):
    path = tmp_path / "a.flv"
    write_video(path, pictures((0, 0, 0), 5))
    assert len(sound_of(path)[0]) == 0


def test_pictures_in_a_folder_are_taken_by_name(tmp_path):
    write_pictures(tmp_path / "clip", pictures((40, 90, 20), 3))
    (tmp_path / "clip" / "notes.txt").write_text("no picture")
    found = pictures_of(tmp_path / "clip", 2)
    assert [bright_column(picture) for picture in found] == [0, 1]


@pytest.mark.parametrize("reads", [lambda path: pictures_of(path, 2), sound_of])
@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (lambda content: b"", "should be a video; found one that cannot be decoded"),
        (
            lambda content: content[:100],
            "should be a video; found|should hold at least one picture",
        ),
        (lambda content: bytes(range(256)) * 9, "should be a video; found one that cannot be dec"),
        (lambda content: STUB, "should be the file itself; found the stub that git-lfs"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, reads, spoil, trouble):
    path = tmp_path / "a.mp4"
    write_video(path, pictures((0, 0, 0), 35), tone(440, 1, 44_100), codecs=CODECS["a.mp4"])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CorruptFileError, match=trouble):
        reads(path)


def test_a_folder_without_pictures_and_a_broken_picture_are_named(tmp_path):
    with pytest.raises(CorruptFileError, match="should hold at least one picture; found none"):
        pictures_of(tmp_path, 1)
    (tmp_path / "00000.jpg").write_bytes(b"no picture")
    with pytest.raises(CorruptFileError, match=r"00000\.jpg` should be a picture; found one that"):
        pictures_of(tmp_path, 1)
