"""The input of the paper's audio networks: the logarithm of a short-time Fourier transform."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import open_data

if TYPE_CHECKING:
    import numpy as np

RATE = 22_050
"""Samples a second of what is transformed."""

WINDOW, HOP = 512, 353
"""Samples in a window, and from one window to the next."""

_FLOOR = 1e-7  # added to magnitudes, so that silence has a logarithm


def read_sound(path: str | Path) -> tuple[np.ndarray[Any, Any], int]:
    """Read a recording of any rate, width and number of channels.

    Args:
        path: A file that libsndfile reads, such as WAV.

    Returns:
        The mean over channels, shape (T,), float32 in [-1, 1]; and the rate, Hz. T may be 0.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is no recording, is cut off, or is the stub of a file in git-lfs.

    Example:
        >>> import tempfile, wave
        >>> path = Path(tempfile.mkdtemp()) / "click.wav"
        >>> with wave.open(str(path), "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     file.writeframes(bytes([0, 64, 0, 192]))
        >>> samples, rate = read_sound(path)
        >>> samples.tolist(), rate
        ([0.5, -0.5], 8000)
    """
    import soundfile  # type: ignore[import-untyped]

    path = Path(path)
    with open_data(path) as file:
        header, size = file.read(8), path.stat().st_size
        # libsndfile plays what there is of a file that is cut off; 0 and -1: length unknown.
        stated = int.from_bytes(header[4:], "little")
        if header[:4] == b"RIFF" and 8 + stated > size and stated != 0xFFFFFFFF:
            raise CorruptFileError(
                f"`{path}` should have {8 + stated} bytes, as it says; found {size}. "
                "Get the file again."
            )
        file.seek(0)
        try:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            trouble = " ".join(str(error).split()) if size else "it is empty"
            raise CorruptFileError(
                f"`{path}` should be a recording; found one that cannot be read ({trouble}). "
                "Get the file again."
            ) from error
    return samples.mean(axis=1), int(rate)


def repeat(
    samples: np.ndarray[Any, Any], rate: int, *, seconds: float, times: int
) -> np.ndarray[Any, Any]:
    """Map a recording to one of a given duration: resampled, repeated, cut and clipped.

    Args:
        samples: Shape (T,), float32.
        rate: Hz.
        seconds: How long the result is.
        times: How often a shorter one is repeated; silence follows what is shorter still.

    Returns:
        Shape (round(22,050 seconds),), float32 in [-1, 1].

    Example:
        >>> import numpy as np
        >>> repeat(np.array([2, 0.5], np.float32), 22050, seconds=5 / 22050, times=2).tolist()
        [1.0, 0.5, 1.0, 0.5, 0.0]
    """
    import numpy as np

    if rate != RATE and len(samples):
        import soxr  # type: ignore[import-untyped]

        # A quarter of the spectrogram lies above what 16 kHz can hold: there the resampler is all
        # that is seen, and this one is what librosa, which the field uses, resamples with.
        length = ceil(len(samples) * RATE / rate)
        resampled = soxr.resample(samples, rate, RATE, quality="HQ")[:length]
        samples = np.pad(resampled, (0, length - len(resampled)))
    whole = np.zeros(round(seconds * RATE), np.float32)
    played = np.tile(samples, times)[: len(whole)]
    whole[: len(played)] = played
    return whole.clip(-1, 1)


def num_frames(num_samples: int) -> int:
    """Return how many windows a recording has.

    Example:
        >>> num_frames(3 * RATE)
        188
    """
    return 1 + num_samples // HOP


def log_spectrogram(samples: Tensor) -> Tensor:
    """Map samples (T,) to log(|S| + 1e-7), S their short-time Fourier transform.

    Windows of Hann's form with 512 samples, centred every 353 with zeros beyond the ends.

    Returns:
        Shape (257, 1 + T // 353), natural logarithm; frequency, low to high, then time.

    Example:
        >>> log_spectrogram(torch.zeros(3 * RATE)).shape
        torch.Size([257, 188])
    """
    transform = torch.stft(
        samples,
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return (transform.abs() + _FLOOR).log()
