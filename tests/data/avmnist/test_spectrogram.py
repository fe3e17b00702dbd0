import math

import pytest
import torch

from counterpoise.data.avmnist.spectrogram import LogMel, add_noise, coloured_noise

RATE = 8000


def slow_log_mel(waveform, log_mel, num_frames):
    """One frame, one band, one bin at a time."""
    W = log_mel.window
    mel = [2595 * math.log10(1 + f / 700) for f in (log_mel.low, log_mel.high)]
    step = (mel[1] - mel[0]) / (log_mel.num_mels + 1)
    edges = [700 * (10 ** ((mel[0] + k * step) / 2595) - 1) for k in range(log_mel.num_mels + 2)]
    window = [0.5 - 0.5 * math.cos(2 * math.pi * t / W) for t in range(W)]
    out = torch.zeros(log_mel.num_mels, num_frames, dtype=torch.float64)
    for frame in range(num_frames):
        x = [float(v) for v in waveform[frame * log_mel.hop :][:W]]
        for bin_ in range(W // 2 + 1):
            angle = [2 * math.pi * bin_ * t / W for t in range(W)]
            real = sum(w * v * math.cos(a) for w, v, a in zip(window, x, angle, strict=True))
            imaginary = sum(w * v * math.sin(a) for w, v, a in zip(window, x, angle, strict=True))
            f = bin_ * log_mel.sample_rate / W
            for k in range(log_mel.num_mels):
                left, peak, right = edges[k : k + 3]
                height = max(0.0, min((f - left) / (peak - left), (right - f) / (right - peak)))
                out[k, frame] += height * (real**2 + imaginary**2)
    return torch.log(out + log_mel.floor)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-6)])
def test_log_mel_is_that_of_a_slow_twin(dtype, tolerance):
    log_mel = LogMel(RATE, window=64, hop=29, num_mels=5, low=100.0, high=3500.0)
    T = log_mel.num_samples(3)
    generator = torch.Generator().manual_seed(0)
    waveforms = torch.randn(2, T, generator=generator, dtype=torch.float64)
    expected = torch.stack([slow_log_mel(w, log_mel, 3) for w in waveforms])
    actual = log_mel(waveforms.to(dtype))
    assert actual.dtype == dtype
    assert torch.allclose(actual.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("band", [3, 11, 22])
def test_a_tone_is_loudest_in_the_band_around_it(band):
    log_mel = LogMel(RATE, window=512, hop=256, num_mels=23)
    bin_ = int(log_mel.filters[band].argmax())
    t = torch.arange(log_mel.num_samples(7)) / RATE
    tone = torch.sin(2 * math.pi * bin_ * RATE / 512 * t)[None]
    assert (log_mel(tone)[0].argmax(dim=0) == band).all()


def test_bands_overlap_so_that_no_frequency_between_the_first_and_last_peak_is_lost():
    filters = LogMel(RATE, window=1024, num_mels=13).filters
    first, last = int(filters[0].argmax()), int(filters[-1].argmax())
    inside = filters.sum(dim=0)[first + 1 : last]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-6)


def test_silence_is_the_logarithm_of_the_floor():
    log_mel = LogMel(RATE, num_mels=7, floor=1e-2)
    silent = log_mel(torch.zeros(3, log_mel.num_samples(5)))
    assert torch.allclose(silent, torch.full((3, 7, 5), math.log(1e-2)))


def test_noise_has_the_slope_and_the_power_that_are_asked_for():
    exponent = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    noise = coloured_noise(exponent, 2**15, torch.Generator().manual_seed(0))
    assert torch.allclose(noise.square().mean(dim=1), torch.ones_like(exponent))
    power = torch.fft.rfft(noise).abs().square()
    octaves = torch.stack([power[:, 2**k : 2 ** (k + 1)].mean(dim=1) for k in range(6, 13)])
    slopes = (octaves[0] / octaves[-1]).log2() / 6
    assert torch.allclose(slopes, exponent, atol=0.1)


def test_the_ratio_of_speech_to_noise_is_the_one_asked_for():
    generator = torch.Generator().manual_seed(0)
    speech = coloured_noise(torch.zeros(3), 4001, generator)
    noise = coloured_noise(torch.zeros(3), 4001, generator)
    ratio = torch.tensor([-10.0, 0.0, 20.0])
    rest = add_noise(speech, noise, ratio) - speech
    found = 10 * torch.log10(speech.square().mean(dim=1) / rest.square().mean(dim=1))
    assert torch.allclose(found, ratio, atol=1e-3)
