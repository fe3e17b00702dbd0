"""Sound of clips: magnitudes against a second transform, and files that are not as they should."""

import wave

import numpy as np
import pytest
import torch

from counterpoise.data.clips.sound import HOP, RATE, log_spectrogram, read_sound, repeat
from counterpoise.data.files.cache import CorruptFileError
from support.clips import STUB, tone, write_wav


def plain_magnitudes(samples):
    """Magnitudes (257, T) by a loop over windows, in double precision."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    padded = np.concatenate([np.zeros(256), samples.astype(np.float64), np.zeros(256)])
    starts = range(0, len(samples) + 1, HOP)
    return np.stack([np.abs(np.fft.rfft(window * padded[s : s + 512])) for s in starts], axis=1)


@pytest.mark.parametrize("num_samples", [66_150, 353 * 7, 353 * 7 - 1, 600])
def test_magnitudes_are_those_of_a_plain_transform(num_samples):
    samples = np.random.default_rng(0).normal(0, 0.3, num_samples).astype(np.float32)
    expected = plain_magnitudes(samples)
    found = log_spectrogram(torch.from_numpy(samples)).double().exp().numpy() - 1e-7
    assert found.shape == expected.shape == (257, 1 + num_samples // HOP)
    assert np.abs(found - expected).max() < 1e-6 * expected.max()


def test_three_seconds_have_the_papers_shape_and_silence_is_the_floor():
    spectrogram = log_spectrogram(torch.zeros(3 * RATE))
    assert spectrogram.shape == (257, 188)
    assert torch.allclose(spectrogram, torch.tensor(1e-7).log())


def test_a_short_sound_is_repeated_three_times_and_then_silent():
    samples = tone(440, 0.75, RATE)
    whole = repeat(samples, RATE, seconds=3, times=3)
    assert whole.shape == (66_150,)
    for number in range(3):
        assert np.array_equal(whole[number * len(samples) : (number + 1) * len(samples)], samples)
    assert not whole[3 * len(samples) :].any()


def test_a_long_sound_is_cut_and_a_loud_one_clipped():
    whole = repeat(3 * tone(440, 5, RATE), RATE, seconds=3, times=3)
    assert len(whole) == 66_150
    assert whole.max() == 1
    assert whole.min() == -1


def test_resampling_keeps_a_tone_and_adds_nothing_above_the_old_range():
    whole = repeat(
        tone(3000, 3.1, 16_000) * 0
        + np.sin(2 * np.pi * 3000 * np.arange(49_600) / 16_000).astype(np.float32),
        16_000,
        seconds=3,
        times=3,
    )
    power = np.abs(np.fft.rfft(whole)) ** 2
    frequencies = np.fft.rfftfreq(len(whole), 1 / RATE)
    assert abs(frequencies[power.argmax()] - 3000) < 1
    assert power[frequencies > 8500].sum() < 1e-6 * power.sum()


def test_no_samples_are_silence():
    assert not repeat(np.zeros(0, np.float32), 16_000, seconds=1, times=3).any()


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([[8192, 0], [0, -16384]], "<i2").tobytes())
    samples, rate = read_sound(path)
    assert rate == 8000
    assert samples.tolist() == [0.125, -0.25]


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (lambda content: content[:-7], "should have 2044 bytes, as it says; found 2037"),
        (lambda content: b"", "should be a recording; found one that cannot be read .it is empty"),
        (lambda content: b"RIFF", "should have 8 bytes, as it says; found 4"),
        (lambda content: bytes(500), "should be a recording; found one that cannot be read"),
        (lambda content: STUB, "should be the file itself; found the stub that git-lfs"),
    ],
)
def test_a_file_that_is_no_recording_is_named(tmp_path, spoil, trouble):
    path = tmp_path / "a.wav"
    write_wav(path, tone(440, 1000 / 16_000))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CorruptFileError, match=rf"`.*a\.wav` {trouble}"):
        read_sound(path)
