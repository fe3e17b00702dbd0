"""The videos of AVE, as clips with one label each."""

from __future__ import annotations

from pathlib import Path

from counterpoise.data.ave.annotations import PARTS, read_annotations
from counterpoise.data.ave.reading import find
from counterpoise.data.clips.build import Clip


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
