import math
import re

import pytest
import torch

from counterpoise.data.avmnist.wav import read_wav, resample
from counterpoise.data.files.cache import CorruptFileError
from support.originals import write_wav

SAMPLES = torch.tensor([0, 1, -1, 32767, -32768, 255, 256], dtype=torch.int16)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_what_is_read_is_what_was_written(tmp_path, rate):
    write_wav(tmp_path / "x.wav", SAMPLES, rate)
    samples, found = read_wav(tmp_path / "x.wav")
    assert torch.equal(samples, SAMPLES)
    assert samples.dtype is torch.int16
    assert found == rate


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"rate": 16000}, "should have 8000 samples a second; found 16000. Convert it."),
        ({"channels": 2}, "should have 1 channel of 16 bits; found 2 of 16 bits"),
        ({"width": 1}, "should have 1 channel of 16 bits; found 1 of 8 bits"),
        ({"width": 4}, "should have 1 channel of 16 bits; found 1 of 32 bits"),
    ],
)
def test_another_form_is_named(tmp_path, form, message):
    path = tmp_path / "x.wav"
    write_wav(path, SAMPLES[:6], **form)
    with pytest.raises(ValueError, match=re.escape(f"`{path}` {message}")):
        read_wav(path, 8000)


def test_a_rate_of_0_is_named(tmp_path):
    path = tmp_path / "x.wav"
    write_wav(path, SAMPLES)
    content = bytearray(path.read_bytes())
    content[24:28] = bytes(4)
    path.write_bytes(content)
    message = f"`{path}` should have at least 1 sample a second; found 0. Get the file again."
    for sample_rate in (None, 8000):
        with pytest.raises(CorruptFileError, match=re.escape(message)):
            read_wav(path, sample_rate)


def test_an_empty_recording_is_named(tmp_path):
    write_wav(tmp_path / "x.wav", SAMPLES[:0])
    with pytest.raises(ValueError, match=r"x\.wav` should hold sound; found no samples"):
        read_wav(tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("length", "trouble"),
    [
        (0, "it is empty"),
        (3, "it ends early"),
        (11, "not a WAVE file"),
        (30, "it ends early"),
        (43, "fmt chunk and/or data chunk missing"),
    ],
)
def test_a_file_cut_off_in_its_head_says_so(tmp_path, length, trouble):
    path = tmp_path / "x.wav"
    write_wav(path, SAMPLES)
    path.write_bytes(path.read_bytes()[:length])
    message = (
        f"`{path}` should be a WAV file of plain samples; found one that cannot be read "
        f"({trouble}). Get the file again."
    )
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        read_wav(path)


@pytest.mark.parametrize("lacking", [1, 2, 9, 14])
def test_a_file_cut_off_in_its_samples_says_how_many_it_lacks(tmp_path, lacking):
    path = tmp_path / "x.wav"
    write_wav(path, SAMPLES)
    path.write_bytes(path.read_bytes()[:-lacking])
    with pytest.raises(
        CorruptFileError, match=f"should hold 7 samples; found {7 - -(-lacking // 2)}"
    ):
        read_wav(path)


def test_what_is_no_wav_file_is_named(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"ID3 this is another format, and long enough")
    with pytest.raises(CorruptFileError, match=r"cannot be read .*RIFF"):
        read_wav(tmp_path / "x.wav")


@pytest.mark.parametrize(("old", "new"), [(44100, 8000), (8000, 22050), (48000, 8000)])
def test_a_tone_keeps_its_pitch_and_height(old, new):
    def tone(rate):
        return torch.sin(2 * math.pi * 50 * torch.arange(rate // 10).double() / rate)

    changed = resample(tone(old), old, new)
    assert changed.shape == (new // 10,)
    torch.testing.assert_close(changed, tone(new), atol=1e-9, rtol=0)


def test_frequencies_that_the_new_rate_lacks_are_cut_off():
    high = torch.sin(2 * math.pi * 9000 * torch.arange(4410).double() / 44100)
    assert resample(high, 44100, 8000).abs().max() < 1e-9


def test_the_same_rate_changes_nothing_and_short_recordings_stay():
    waveform = torch.tensor([1.0, 2.0])
    assert resample(waveform, 8000, 8000) is waveform
    assert resample(waveform[:1], 44100, 8000).shape == (1,)
