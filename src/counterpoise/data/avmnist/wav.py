"""Recordings from WAV files, and their change to another sample rate."""

from __future__ import annotations

import wave
from pathlib import Path

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.originals import open_original


def read_wav(path: str | Path, sample_rate: int | None = None) -> tuple[Tensor, int]:
    """Read a recording of one channel and 16 bits.

    Args:
        path: The file.
        sample_rate: The rate that it should have, Hz. Default: any.

    Returns:
        The samples, shape (T,), int16, T > 0; and the sample rate, Hz, at least 1.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is no WAV file, is cut off, or states a sample rate of 0.
        ValueError: If it is empty, or has another rate, width or number of channels.

    Example:
        >>> import tempfile, wave
        >>> path = Path(tempfile.mkdtemp()) / "click.wav"
        >>> with wave.open(str(path), "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     file.writeframes(bytes([1, 0, 255, 255]))
        >>> read_wav(path, sample_rate=8000)
        (tensor([ 1, -1], dtype=torch.int16), 8000)
    """
    path = Path(path)
    try:
        with open_original(path) as file, wave.open(file) as recording:
            form = (recording.getnchannels(), 8 * recording.getsampwidth())
            rate, stated = recording.getframerate(), recording.getnframes()
            frames = bytearray(recording.readframes(stated))
    except (wave.Error, EOFError, RuntimeError) as error:  # the last of a size beyond the file
        trouble = str(error) or "it ends early"  # an EOFError says nothing
        raise CorruptFileError(
            f"`{path}` should be a WAV file of plain samples; found one that cannot be read "
            f"({trouble if path.stat().st_size else 'it is empty'}). Get the file again."
        ) from error
    if rate < 1:
        raise CorruptFileError(
            f"`{path}` should have at least 1 sample a second; found {rate}. Get the file again."
        )
    if form != (1, 16):
        raise ValueError(
            f"`{path}` should have 1 channel of 16 bits; found {form[0]} of {form[1]} bits. "
            "Convert it."
        )
    if sample_rate is not None and rate != sample_rate:
        raise ValueError(
            f"`{path}` should have {sample_rate} samples a second; found {rate}. Convert it."
        )
    if len(frames) != 2 * stated:
        raise CorruptFileError(
            f"`{path}` should hold {stated} samples; found {len(frames) // 2}. Get the file again."
        )
    if not frames:
        raise ValueError(f"`{path}` should hold sound; found no samples. Get or remove the file.")
    return torch.frombuffer(frames, dtype=torch.int16), rate


def resample(waveform: Tensor, old_rate: int, new_rate: int) -> Tensor:
    """Change the sample rate of a recording; frequencies that the new rate lacks are cut off.

    The spectrum of the whole recording is shortened or lengthened, as if it were periodic.

    Args:
        waveform: Shape (T,), floating point.
        old_rate: Hz.
        new_rate: Hz.

    Returns:
        Shape (max(1, round(T * new_rate / old_rate)),), same type.

    Example:
        >>> resample(torch.ones(441), 44100, 8000).shape
        torch.Size([80])
    """
    if old_rate == new_rate:
        return waveform
    length = max(1, round(len(waveform) * new_rate / old_rate))
    spectrum = torch.fft.rfft(waveform)
    # irfft drops or adds bins at the end; the scale keeps the amplitude.
    changed: Tensor = torch.fft.irfft(spectrum, n=length) * (length / len(waveform))
    return changed
