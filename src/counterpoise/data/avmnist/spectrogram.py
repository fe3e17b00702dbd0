"""Waveforms mixed with background noise, and their log-mel spectrograms.

Legend: B batch, T samples of a waveform, F frequency bins, n mel bands, t frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogMel:
    """Maps waveforms (B, T) to log-mel spectrograms (B, num_mels, num_frames).

    The power spectrum of Hann-windowed frames, summed in triangular bands that are evenly
    spaced on the mel scale, mel(f) = 2595 log10(1 + f / 700), then log(power + floor).

    Args:
        sample_rate: Hz.
        window: Samples of a frame.
        hop: Samples from frame to frame.
        num_mels: Bands.
        low: Where the first band begins, Hz.
        high: Where the last band ends, Hz.
        floor: Added to the power, so that silence is finite.

    Example:
        >>> log_mel = LogMel(sample_rate=8000, window=128, hop=64, num_mels=7)
        >>> log_mel(torch.zeros(2, log_mel.num_samples(5))).shape
        torch.Size([2, 7, 5])
    """

    sample_rate: int
    window: int = 512
    hop: int = 512
    num_mels: int = 32
    low: float = 60.0
    high: float = 4000.0
    floor: float = 1e-3

    def num_samples(self, num_frames: int) -> int:
        """Return the waveform length T that gives so many frames."""
        return self.window + (num_frames - 1) * self.hop

    @cached_property
    def filters(self) -> Tensor:
        """The bands, shape (num_mels, F), float32: triangles of height 1, sampled at the bins."""
        frequency = torch.arange(self.window // 2 + 1, dtype=torch.float64)
        frequency *= self.sample_rate / self.window
        first, last = (2595 * math.log10(1 + f / 700) for f in (self.low, self.high))
        mels = torch.linspace(first, last, self.num_mels + 2, dtype=torch.float64)
        edges = 700 * (10 ** (mels / 2595) - 1)
        left, peak, right = (edges[k : k + self.num_mels, None] for k in range(3))
        rising, falling = (frequency - left) / (peak - left), (right - frequency) / (right - peak)
        return torch.minimum(rising, falling).clamp(min=0).float()

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Return (B, num_mels, t) in the type of the waveforms."""
        spectrum = torch.stft(
            waveforms,
            self.window,
            self.hop,
            window=torch.hann_window(self.window, dtype=waveforms.dtype),
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(self.filters.to(waveforms) @ power + self.floor)


def coloured_noise(exponent: Tensor, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw noise whose power falls with frequency as 1 / f^exponent.

    Args:
        exponent: Shape (B,), floating point: 0 is white, 1 pink, 2 brown.
        num_samples: T.
        generator: What to draw from.

    Returns:
        Shape (B, T), each row with root mean square 1.

    Example:
        >>> noise = coloured_noise(torch.tensor([0.0, 2.0]), 101, torch.Generator())
        >>> noise.square().mean(dim=1)
        tensor([1.0000, 1.0000])
    """
    shape = (len(exponent), num_samples)
    white = torch.randn(shape, generator=generator, dtype=exponent.dtype)
    spectrum = torch.fft.rfft(white)
    bins = torch.arange(spectrum.shape[-1], dtype=exponent.dtype)
    # Flat below the eighth bin: what is slower than the whole waveform is no noise one hears.
    spectrum *= bins.clamp(min=8) ** (-exponent[:, None] / 2)
    noise: Tensor = torch.fft.irfft(spectrum, n=num_samples)
    return noise / noise.square().mean(dim=1, keepdim=True).sqrt()


def add_noise(speech: Tensor, noise: Tensor, ratio: Tensor) -> Tensor:
    """Mix speech with noise of root mean square 1 at a ratio.

    Args:
        speech: Shape (B, T), with root mean square 1 where there is speech.
        noise: Shape (B, T).
        ratio: Shape (B,): speech to noise, in decibels of power.

    Returns:
        Shape (B, T).
    """
    return speech + noise * 10 ** (-ratio[:, None] / 20)
