"""A small AVE in its true formats: annotations, features in HDF5, orders, and videos."""

import h5py
import numpy as np

from support.clips import pictures, tone, write_video

NUMBER = 24
CATEGORIES = ("Church bell", "Male speech, man speaking", "Bark", "Mandolin")
HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"
VIDEO_CODECS = ("libx264", "aac")


def rows():
    """Rows of which two share a video, in train and test, and one has its start at its end."""
    found = []
    for place in range(NUMBER):
        start = place % 4
        end = start if place == 5 else 10 - place % 3
        video = "sharedvideo" if place in (1, NUMBER - 2) else f"video{place:06d}"
        found.append((CATEGORIES[place % 4], video, "good", start, end))
    return found


def line(row):
    return "&".join(map(str, row)) + "\n"


def segments():
    """Labels (N, 10) by a plain loop."""
    labels = np.full((NUMBER, 10), len(CATEGORIES))
    for place, (category, _, _, start, end) in enumerate(rows()):
        for second in range(10):
            if start <= second < end:
                labels[place, second] = CATEGORIES.index(category)
    return labels


PARTS = {"train": range(16), "val": range(16, 20), "test": range(20, 24)}


def make_ave(folder, *, header=True, orders=True, chunks=None):
    """Features whose mean tells the class of each second, float64 in one piece or in chunks."""
    folder.mkdir(exist_ok=True)
    annotations = "".join(map(line, rows()))
    (folder / "Annotations.txt").write_text((HEADER if header else "") + annotations)
    for part, places in PARTS.items():
        text = "".join(line(rows()[place]) for place in reversed(places))
        (folder / f"{part}Set.txt").write_text((HEADER if header else "") + text)
        if orders:
            with h5py.File(folder / f"{part}_order.h5", "w") as file:
                file["order"] = np.array(places[::-1])
    draw = np.random.default_rng(0)
    labels = segments()
    for name, shape in (("audio", (16,)), ("visual", (2, 2, 16))):
        mean = labels.reshape(NUMBER, 10, *[1] * len(shape))
        values = draw.normal(0, 0.3, (NUMBER, 10, *shape)) + mean
        code = 4 * np.eye(16)[labels]  # a direction for each class, without a mean
        values += (code - code.mean(-1, keepdims=True)).reshape(
            NUMBER, 10, *[1] * (len(shape) - 1), 16
        )
        with h5py.File(folder / f"{name}_feature.h5", "w") as file:
            file.create_dataset("avadataset", data=values, chunks=chunks and (3, 10, *shape))
    return folder


def write_labels(folder, name, labels):
    with h5py.File(folder / name, "w") as file:
        file["avadataset"] = np.eye(len(CATEGORIES) + 1)[labels]


def make_videos(folder, seconds=2):
    """A video for each id: colour and pitch tell the class of its first row."""
    for place, (category, video, *_) in enumerate(rows()):
        path = folder / "AVE" / f"{video}.mp4"
        if not path.exists():
            number = CATEGORIES.index(category)
            colour = (50 * number, 200 - 50 * number, 90)
            sound = tone(300 + 500 * number, seconds, 44_100, seed=place)
            write_video(path, pictures(colour, 25, place), sound, codecs=VIDEO_CODECS)
    return folder
