"""Where the clips of CREMA-D lie: the official folders, or those that the field derives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from counterpoise.data.clips.build import Clip
from counterpoise.data.files.lfs import refuse_stub
from counterpoise.data.files.tables import read_table

CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
"""Neutral, happy, sad, fear, disgust, anger: class 0 to 5, as the field numbers them."""

_STEM = re.compile(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_([A-Z]{1,2})", re.ASCII)
_HOW = "Get CREMA-D with git and git-lfs from CheyneyComputerScience/CREMA-D."


class _Row(NamedTuple):
    stem: str
    emotion: str
    part: str


def actor_of(stem: str) -> str:
    """Return the number of the actor of a clip.

    Example:
        >>> actor_of("1001_IEO_NEU_XX")
        '1001'
    """
    return stem[:4]


def find_clips(root: str | Path, *, skip_missing: bool = False) -> list[Clip]:
    """List the clips, those to train on before those to test on.

    Sound is ``AudioWAV/<stem>.wav`` or ``Audio/<stem>.wav``; pictures are ``VideoFlash/<stem>.flv``
    or the folder ``Image-01-FPS/<stem>``. ``train.csv`` and ``test.csv``, beside them or in
    ``CREMAD``, hold ``stem,EMOTION`` and say which clips there are; without them all recordings
    are taken, the emotion from the name, and belong to no part.

    Args:
        root: The folder.
        skip_missing: Leave out clips without sound or pictures, as the field's loaders do.

    Returns:
        The clips; the part of each is ``"train"``, ``"test"`` or, without tables, ``""``.

    Raises:
        FileNotFoundError: If a folder, or sound or pictures of a clip, are missing.
        CorruptFileError: If a file is the stub of one in git-lfs, or a table is none.
        ValueError: If a table has other rows, or a clip twice.
    """
    root = Path(root)
    sounds = _folder(root, "AudioWAV", "Audio")
    pictures = _folder(root, "VideoFlash", "Image-01-FPS")
    suffix = ".flv" if pictures.name == "VideoFlash" else ""
    clips, missing = [], []
    for stem, emotion, part in _rows(root, sounds):
        there = [name for name in _spellings(stem) if (sounds / f"{name}.wav").is_file()]
        seen = [name for name in _spellings(stem) if (pictures / f"{name}{suffix}").exists()]
        if not there or not seen:
            missing.append(stem)
            continue
        sound, picture = sounds / f"{there[0]}.wav", pictures / f"{seen[0]}{suffix}"
        for path in (sound, picture):
            if not path.is_dir():
                refuse_stub(path)  # before hours of decoding
        clips.append(Clip(stem, CLASSES.index(emotion), part, sound, picture))
    if (missing and not skip_missing) or not clips:
        raise FileNotFoundError(
            f"`root` should hold sound and pictures of every clip; found none of {len(missing)}, "
            f"such as {', '.join(missing[:3]) or 'any'}, in {sounds} and {pictures}. {_HOW} Or "
            "leave them out: --skip-missing"
        )
    return clips


def _folder(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f"`root` should be a folder with {' or '.join(names)} in it; found neither in "
        f"{root}. {_HOW}"
    )


def _rows(root: Path, sounds: Path) -> Sequence[_Row]:
    for folder in (root, root / "CREMAD"):
        if (folder / "train.csv").is_file() or (folder / "test.csv").is_file():
            rows = [
                _Row(stem, emotion, part)
                for part in ("train", "test")
                for stem, emotion in read_table(folder / f"{part}.csv", columns=2)
            ]
            _check_rows(rows, folder)
            return rows
    stems = sorted(path.stem for path in sounds.glob("*.wav"))
    matches = {stem: _STEM.fullmatch(stem) for stem in stems}
    return [_Row(stem, match[2], "") for stem, match in matches.items() if match]


def _check_rows(rows: Sequence[_Row], folder: Path) -> None:
    seen: dict[str, str] = {}
    for stem, emotion, part in rows:
        match = _STEM.fullmatch(stem)
        if match is None or emotion not in CLASSES or match[2] != emotion:
            raise ValueError(
                f"`{folder / part}.csv` should have rows such as 1001_IEO_NEU_XX,NEU with emotions "
                f"among {', '.join(CLASSES)}, and no header; found {stem},{emotion}. Mend it."
            )
        if stem in seen:
            raise ValueError(
                f"`{folder / part}.csv` should name each clip once; found {stem} in {seen[stem]} "
                f"and in {part}. Remove one."
            )
        seen[stem] = part


def _spellings(stem: str) -> Sequence[str]:
    # Old copies have 1040_ITH_SAD_X where new ones have 1040_ITH_SAD_XX.
    if stem.endswith("_X"):
        return (stem, f"{stem}X")
    return (stem, stem[:-1]) if stem.endswith("_XX") else (stem,)
