"""``counterpoise data build ave``: videos found, decoded, and kept in arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.cli.build_crema_d import PACKAGES, add_common
from counterpoise.cli.build_data import building
from counterpoise.data.ave.videos import find_clips
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.files.cache import cache_directory
from counterpoise.data.files.extras import require
from counterpoise.data.files.folders import check_new

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

_FORMS = Forms(seconds=10.0, times=1)  # a video lasts ten seconds, and is not repeated


def add_arguments(parser: ArgumentParser) -> None:
    """Add where things lie."""
    add_common(parser, "Folder with Annotations.txt, trainSet.txt and so on, and AVE/*.mp4.")


def run(arguments: Namespace) -> None:
    """Build, and say what lies where."""
    require("Building AVE", "ave", PACKAGES)
    output = Path(arguments.output or cache_directory() / "ave-clips")
    check_new(output)  # before anything is decoded
    clips, categories = find_clips(Path(arguments.root))
    with building(show=arguments.progress) as progress:
        record = build(
            output,
            clips,
            _FORMS,
            about={"name": "ave", "classes": list(categories)},
            num_workers=arguments.num_workers,
            progress=progress,
        )
    print(f"AVE, {len(clips)} clips, fingerprint {record['fingerprint'][:16]}: {output}")
