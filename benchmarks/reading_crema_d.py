"""How fast CREMA-D is built and read: memory-mapped clips against one file after another.

    python benchmarks/reading_crema_d.py             # clips of the true sizes and formats
    python benchmarks/reading_crema_d.py --write     # keeps the figures in benchmarks/results

Made here are flv files of 480 x 360 with 75 frames, recordings of 2.5 s at 16 kHz, and a JPEG a
second, of noise and moving shapes. They are built by one process; then shuffled batches of 64 are
read with random views, in turn, many times over; a figure is the median over rounds. "Files" is the
usual Dataset: the recording is resampled and transformed, a JPEG is decoded, cut, resized by Pillow
and normalised, and PyTorch's DataLoader stacks them, in this process or in others that stay alive.
The files lie in the system's cache of pages after the first round, which is not counted. Seconds of
the processor, of this process alone, tell what a quiet core would do where the machine is busy.

What is needed is what two ResNet-18 can train on. We have no figure of our own for a GPU. NVIDIA
publishes (DeepLearningExamples, ResNet50 v1.5 for PyTorch, one A100 80 GB) 938 images of 224 x 224
a second in TF32 and 2,470 in mixed precision. Two ResNet-18 take 3.6 of its 4.1 billion
multiplications a sample, so that we assume 1,070 and 2,810 samples a second.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from PIL import Image
from timing import add_options, report, seconds_of
from torch.utils.data import DataLoader, Dataset

from counterpoise.data import CREMAD
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.clips.views import normalise, random_view
from counterpoise.data.crema_d.layout import CLASSES, find_clips
from counterpoise.training.data import BatchLoader, EpochOrder

BATCH, RATE, FPS = 64, 16_000, 30
WORKERS = (0, 1, 2)
NEEDED = "1,070 (TF32) or 2,810 (mixed precision) samples a second"


class Files(Dataset[dict[str, Any]]):
    """Reads one sample's files at a time, as the field's loaders do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stems = sorted(path.stem for path in (root / "Audio").glob("*.wav"))

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> dict[str, Any]:
        stem = self.stems[index]
        with wave.open(str(self.root / "Audio" / f"{stem}.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(32768)
        samples = soxr.resample(samples, RATE, 22_050)
        samples = np.tile(samples, 3)[: 3 * 22_050].clip(-1, 1)
        transform = torch.stft(
            torch.from_numpy(samples.astype(np.float32)),
            *(512, 353),
            window=torch.hann_window(512),
            pad_mode="constant",
            return_complex=True,
        )
        with Image.open(self.root / "Image-01-FPS" / stem / "00000.jpg") as image:
            picture = np.asarray(image.convert("RGB"))
        height, width = picture.shape[:2]
        view = random_view(height, width, torch.Generator().manual_seed(index))
        part = Image.fromarray(picture).crop(
            (view.left, view.top, view.left + view.width, view.top + view.height)
        )
        seen = np.array(part.resize((224, 224), Image.Resampling.BILINEAR))
        if view.mirrored:
            seen = seen[:, ::-1].copy()
        return {
            "audio": (transform.abs() + 1e-7).log()[None],
            "image": normalise(torch.from_numpy(seen).permute(2, 0, 1), torch.empty(3, 224, 224)),
            "target": CLASSES.index(stem[9:12]),
        }


def make(root: Path, number: int) -> None:
    """Write clips of the true formats and sizes, as videos and as pictures."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 40, (360, 480, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:360, :480]
    for place in range(number):
        stem = f"{1001 + place // 6}_IEO_{CLASSES[place % 6]}_XX"
        frames = [
            noise + (((rows - 180) ** 2 + (columns - 100 - 3 * t) ** 2 < 9000)[..., None] * 150)
            for t in range(75)
        ]
        _write_video(root / "VideoFlash" / f"{stem}.flv", [f.astype(np.uint8) for f in frames])
        folder = root / "Image-01-FPS" / stem
        folder.mkdir(parents=True)
        for second in range(3):
            Image.fromarray(frames[29 * second].astype(np.uint8)).save(
                folder / f"{29 * second:05d}.jpg"
            )
        samples = (draw.normal(0, 3000, 5 * RATE // 2)).astype("<i2")
        for name in ("AudioWAV", "Audio"):
            path = root / name / f"{stem}.wav"
            path.parent.mkdir(exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(samples.tobytes())


def _write_video(path: Path, frames: list[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("flv", rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def drain(loader: Any) -> None:
    for batch in loader:
        assert len(batch["target"]) > 0


def ways(root: Path, built: Path) -> dict[str, Callable[[], None]]:
    """Return what reads all samples once, by name."""
    archive = CREMAD(root=built, split="actor")._archive()
    dataset = archive.dataset(range(len(archive.labels))).seen(archive.views).drawn(seed=0, epoch=0)
    order = EpochOrder(len(dataset), BATCH, seed=0)
    found: dict[str, Callable[[], None]] = {}
    for workers in WORKERS:
        name = f"{workers} workers" if workers else "in this process"
        loader = BatchLoader(lambda _: dataset, order, num_workers=workers)
        if not workers:
            found[f"mapped clips, {name}"] = partial(drain, loader)
        else:
            kept = DataLoader(
                dataset,
                batch_sampler=order,
                collate_fn=_as_it_is,
                num_workers=workers,
                persistent_workers=True,
            )
            found[f"mapped clips, {name}"] = partial(drain, kept)
        files = DataLoader(
            Files(root), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        found[f"files, {name}"] = partial(drain, files)
    return found


def _as_it_is(batch: Any) -> Any:
    return batch


def measure(
    root: Path, options: argparse.Namespace, device: torch.device
) -> list[Callable[[], str]]:
    """Build, then let all ways read in turn; return the rows of the table."""
    clips = find_clips(root)
    start, before = time.perf_counter(), time.process_time()
    build(root / "built", clips, Forms(), about={"name": "crema-d"})
    building = len(clips) / (time.perf_counter() - start)
    alone = len(clips) / (time.process_time() - before)
    reading = ways(root, root / "built")
    for step in reading.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in reading}
    busy: dict[str, list[float]] = {name: [] for name in reading}
    for _ in range(options.rounds):
        for name, step in reading.items():
            before = time.process_time()
            times[name].append(seconds_of(step, device))
            busy[name].append(time.process_time() - before)

    def row(name: str) -> str:
        own = f"{len(clips) / statistics.median(busy[name]):,.0f}" if "process" in name else "-"
        return f"| {name} | {len(clips) / statistics.median(times[name]):,.0f} | {own} |"

    def built() -> str:
        minutes = 7442 / alone / 60
        name = f"building (all 7,442: {minutes:.1f} minutes of one core)"
        return f"| {name} | {building:,.0f} | {alone:,.0f} |"

    return [built, *(partial(row, name) for name in reading)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.set_defaults(rounds=5)
    parser.add_argument("--samples", type=int, default=384)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.samples)
        report(
            "reading_crema_d",
            "Clips of CREMA-D built and read in a second",
            [
                f"{options.samples} clips of 2.5 s, 480 x 360. Needed beside two ResNet-18 on an "
                f"A100: {NEEDED}, an assumption from NVIDIA's figures for ResNet-50 and the ratio "
                "of multiplications.",
            ],
            ["way", "samples a second", "samples a second of the processor"],
            partial(measure, Path(folder), options),
            options,
        )


if __name__ == "__main__":
    main()
