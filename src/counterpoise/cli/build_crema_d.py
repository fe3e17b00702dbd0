"""``counterpoise data build crema-d``: clips found, decoded, and kept in arrays."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.cli.build_data import building
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.crema_d.layout import CLASSES, find_clips
from counterpoise.data.files.cache import cache_directory
from counterpoise.data.files.extras import require
from counterpoise.data.files.folders import check_new

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

PACKAGES = {
    "numpy": "numpy",
    "PIL": "pillow",
    **{name: name for name in ("av", "soundfile", "soxr")},
}
"""Modules that decode clips, and what each is installed by."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add where things lie, and what is kept."""
    add_common(
        parser,
        "Folder with AudioWAV and VideoFlash, or with Audio and Image-01-FPS; train.csv and "
        "test.csv of the field beside them.",
    )
    forms = Forms()
    for name, text in (
        ("num-pictures", "Pictures kept of each clip, one a second from the start."),
        ("seconds", "Seconds of sound kept of each clip."),
        ("times", "How often a shorter sound is repeated."),
    ):
        default = getattr(forms, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=type(default), default=default, help=text)
    parser.add_argument(
        "--skip-missing", action="store_true", help="Leave out clips without sound or pictures."
    )


def add_common(parser: ArgumentParser, root: str) -> None:
    """Add the options that all builds of clips have; ``root`` is the help of the first."""
    from jsonargparse import ActionYesNo

    parser.add_argument("--root", type=str, required=True, help=root)
    parser.add_argument("--output", type=str, default=None, help="New folder. Default: the cache.")
    parser.add_argument("--num-workers", type=int, default=0, help="Processes that decode.")
    parser.add_argument(
        "--progress", action=ActionYesNo(no_prefix="no_"), default=True, help="Show a bar."
    )


def run(arguments: Namespace) -> None:
    """Build, and say what lies where."""
    require("Building CREMA-D", "crema-d", PACKAGES)
    output = Path(arguments.output or cache_directory() / "crema-d")
    check_new(output)  # before anything is decoded
    forms = Forms(**{field.name: arguments[field.name] for field in fields(Forms)})
    clips = find_clips(arguments.root, skip_missing=arguments.skip_missing)
    with building(show=arguments.progress) as progress:
        record = build(
            output,
            clips,
            forms,
            about={"name": "crema-d", "classes": list(CLASSES)},
            num_workers=arguments.num_workers,
            progress=progress,
        )
    print(f"CREMA-D, {len(clips)} clips, fingerprint {record['fingerprint'][:16]}: {output}")
