"""``counterpoise data build ave``: videos found, decoded, and kept in arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.data.ave.annotations import PARTS, read_annotations
from counterpoise.data.ave.reading import find
from counterpoise.data.avmnist_command import building
from counterpoise.data.cache import cache_directory
from counterpoise.data.clips.build import Clip, Forms, build
from counterpoise.data.crema_d.command import PACKAGES
from counterpoise.data.extras import require
from counterpoise.data.folders import check_new

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

__all__ = ["add_arguments", "find_clips", "run"]

_SECONDS = 10.0


def find_clips(root: Path) -> tuple[list[Clip], tuple[str, ...]]:
    """List the videos of the three parts, each as often as it is listed, and the classes.

    Args:
        root: The folder with ``Annotations.txt``, ``trainSet.txt`` and so on, and ``AVE``, in
            which the videos are.

    Raises:
        FileNotFoundError: If a file is missing.
        CorruptFileError: If a list is none.
    """
    annotations = read_annotations(find(root, "Annotations.txt"))
    labels = annotations.clip_labels().tolist()
    rows = {part: annotations.rows(find(root, name)) for part, name in PARTS.items()}
    annotations.warn_of_shared(rows)
    clips, missing = [], []
    for part, chosen in rows.items():
        for row in chosen.tolist():
            video = root / "AVE" / f"{annotations.events[row].video}.mp4"
            if not video.is_file():
                missing.append(video.name)
            # By row: some videos are there under two categories.
            clips.append(Clip(f"{row} {video.stem}", labels[row], part, video, video))
    if missing:
        raise FileNotFoundError(
            f"`root` should hold all videos; found none of {len(missing)}, such as "
            f"{', '.join(missing[:3])}, in {root / 'AVE'}. Get them from the page of "
            "YapengTian/AVE-ECCV18."
        )
    return clips, annotations.categories


def add_arguments(parser: ArgumentParser) -> None:
    """Add where things lie, and what is kept."""
    from jsonargparse import ActionYesNo

    parser.add_argument(
        "--root", type=str, required=True, help="Folder with Annotations.txt, lists and AVE/*.mp4."
    )
    parser.add_argument("--output", type=str, default=None, help="New folder. Default: the cache.")
    parser.add_argument("--num-workers", type=int, default=0, help="Processes that decode.")
    parser.add_argument(
        "--progress", action=ActionYesNo(no_prefix="no_"), default=True, help="Show a bar."
    )


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
            Forms(seconds=_SECONDS, times=1),
            about={"name": "ave", "classes": list(categories)},
            num_workers=arguments.num_workers,
            progress=progress,
        )
    print(f"AVE, {len(clips)} clips, fingerprint {record['fingerprint'][:16]}: {output}")
