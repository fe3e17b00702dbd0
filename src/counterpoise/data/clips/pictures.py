"""Pictures of a clip, one a second: from the video, or from a folder of them."""

from __future__ import annotations

import struct
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import open_data

if TYPE_CHECKING:
    import numpy as np

_KINDS = {".jpg", ".jpeg", ".png"}


def pictures_of(path: Path, number: int) -> list[np.ndarray[Any, Any]]:
    """Return the first pictures of a clip, one a second.

    Args:
        path: A video, or a folder of pictures of which each second has one; by their names.
        number: How many at most.

    Returns:
        From 1 to ``number`` arrays (height, width, 3), uint8, red, green, blue. Of a video they
        are frames 0, s, 2 s, ..., s the rate rounded down, which the field's folders hold.

    Raises:
        OSError: If there is nothing, or it may not be read.
        CorruptFileError: If there is no picture in it, or one cannot be decoded.
    """
    pictures = _from_folder(path, number) if path.is_dir() else _from_video(path, number)
    if not pictures:
        raise CorruptFileError(
            f"`{path}` should hold at least one picture; found none. Get the file again."
        )
    return pictures


def _from_folder(folder: Path, number: int) -> list[np.ndarray[Any, Any]]:
    names = sorted(path for path in folder.iterdir() if path.suffix.lower() in _KINDS)
    return [_picture(path) for path in names[:number]]


def _picture(path: Path) -> np.ndarray[Any, Any]:
    import numpy as np
    from PIL import Image

    with open_data(path) as file:
        try:
            with Image.open(file) as image:
                return np.asarray(image.convert("RGB"))
        # Whatever Pillow's readers of damaged files raise.
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, struct.error) as error:
            raise _broken(path, "a picture", error) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _broken(path, "a picture", error) from error


def _from_video(path: Path, number: int) -> list[np.ndarray[Any, Any]]:
    import av

    with open_data(path) as file:
        try:
            with av.open(file, "r") as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1  # the clips are shared out among processes
                step = max(1, int(stream.average_rate or stream.base_rate or 1))
                # The container's count of frames is not to be trusted: what decodes counts.
                frames = islice(container.decode(stream), 0, (number - 1) * step + 1, step)
                return [frame.to_ndarray(format="rgb24") for frame in frames]
        except (av.FFmpegError, OSError, IndexError, ValueError) as error:
            raise _broken(path, "a video", error) from error


def sound_of(path: Path) -> tuple[np.ndarray[Any, Any], int]:
    """Return the sound of a video.

    Returns:
        The mean over channels, shape (T,), float32; and the rate, Hz. T is 0 where there is none.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is no video, or cannot be decoded.
    """
    import av
    import numpy as np

    with open_data(path) as file:
        try:
            with av.open(file, "r") as container:
                if not container.streams.audio:
                    return np.zeros(0, np.float32), 1
                stream = container.streams.audio[0]
                plain = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
                pieces = [
                    piece.to_ndarray()[0]
                    for frame in [*container.decode(stream), None]
                    for piece in plain.resample(frame)
                ]
                return np.concatenate([np.zeros(0, np.float32), *pieces]), int(stream.rate)
        except (av.FFmpegError, OSError, IndexError, ValueError) as error:
            raise _broken(path, "a video", error) from error


def _broken(path: Path, kind: str, error: Exception) -> CorruptFileError:
    trouble = " ".join(str(error).split()) or type(error).__name__
    return CorruptFileError(
        f"`{path}` should be {kind}; found one that cannot be decoded ({trouble}). "
        "Get the file again."
    )
