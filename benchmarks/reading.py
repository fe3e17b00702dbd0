"""How fast AV-MNIST is read: batches sliced from the memory map, and samples one by one.

    python benchmarks/reading.py                     # random files of the true shapes and types
    python benchmarks/reading.py --root FOLDER       # what counterpoise data build av-mnist made
    python benchmarks/reading.py --write             # benchmarks/results/<date>-reading-cpu.md

Each way reads shuffled batches of 64 to the end of the data, in turn, many times over; a figure is
the median over rounds. "One by one" is the usual Dataset: a sample is taken from the memory map,
made floating point and divided by 255, and PyTorch's DataLoader stacks them, in this process or
in others that stay alive from round to round. The files lie in the system's cache of pages after
the first round, which is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import add_options, report, seconds_of
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from counterpoise.data import AVMNIST
from counterpoise.data.files.npy import RowWriter, map_npy
from counterpoise.training.data import BatchLoader, EpochOrder

BATCH = 64
WORKERS = (0, 1, 2)


class OneByOne(Dataset[dict[str, Tensor]]):
    """Gives one sample at a time, as the field's loaders do."""

    def __init__(self, root: Path, num_samples: int, audio_size: int = 112) -> None:
        self.image = map_npy(root / "image" / "train_data.npy").numpy()
        self.audio = map_npy(root / "audio" / "train_data.npy").numpy()
        self.labels = map_npy(root / "train_labels.npy").numpy()
        self.num_samples, self.audio_size = num_samples, audio_size

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.image[index].reshape(1, 28, 28).astype(np.float32) / 255
        audio = self.audio[index][None].astype(np.float32) / 255
        if self.audio_size < audio.shape[-1]:
            blocks = (self.audio_size, audio.shape[-1] // self.audio_size) * 2
            audio = audio.reshape(1, *blocks).mean(axis=(2, 4))
        return {
            "audio": torch.from_numpy(audio),
            "image": torch.from_numpy(image),
            "target": int(self.labels[index]),
        }


def write_random(root: Path, num_samples: int) -> None:
    """Write files of the layout, types and shapes of AV-MNIST."""
    generator = torch.Generator().manual_seed(0)
    for part, number in (("train", num_samples), ("test", BATCH)):
        shapes = {
            f"image/{part}_data.npy": (number, 784),
            f"audio/{part}_data.npy": (number, 112, 112),
            f"{part}_labels.npy": (number,),
        }
        for name, shape in shapes.items():
            (root / name).parent.mkdir(exist_ok=True)
            high = 256 if len(shape) > 1 else 10
            with RowWriter(root / name, shape, torch.uint8) as writer:
                for rows in torch.split(torch.arange(number), 1000):
                    size = (len(rows), *shape[1:])
                    writer.write(
                        rows, torch.randint(high, size, dtype=torch.uint8, generator=generator)
                    )


def drain(loader: Any) -> None:
    for batch in loader:
        assert len(batch["target"]) > 0


def ways(root: Path, num_samples: int) -> dict[str, Callable[[], None]]:
    """Return what reads all samples once, by name."""
    dataset = AVMNIST(root=root, num_train=num_samples).load().train
    order = EpochOrder(len(dataset), BATCH, seed=0)
    found: dict[str, Callable[[], None]] = {}
    found["sliced batches"] = partial(drain, BatchLoader(lambda _: dataset, order))
    for workers in WORKERS:
        loader = DataLoader(
            OneByOne(root, len(dataset)),
            BATCH,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        name = f"one by one, {f'{workers} workers' if workers else 'in this process'}"
        found[name] = partial(drain, loader)
    return found


def measure(
    root: Path, options: argparse.Namespace, device: torch.device
) -> list[Callable[[], str]]:
    """Let all ways read in turn; return the rows of the table."""
    reading = ways(root, options.samples)
    for step in reading.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in reading}
    for _ in range(options.rounds):
        for name, step in reading.items():
            times[name].append(seconds_of(step, device))

    def row(name: str) -> str:
        own = statistics.median(times[name])
        base = statistics.median(
            a / b for a, b in zip(times[name], times["sliced batches"], strict=True)
        )
        return f"| {name} | {options.samples / own:,.0f} | {base:.1f} |"

    return [partial(row, name) for name in reading]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.set_defaults(rounds=5)
    parser.add_argument("--root", type=Path, help="a folder of AV-MNIST")
    parser.add_argument("--samples", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder)
        if options.root is None:
            # A little more than is read, since validation is cut off.
            write_random(root, options.samples * 12 // 11 + 12)
        report(
            "reading",
            "Samples of AV-MNIST read in a second",
            [
                f"Shuffled batches of {BATCH} from {options.samples:,} pairs of "
                f"{'random bytes' if options.root is None else 'the data set'}, uint8 on disk, "
                "float32 when read."
            ],
            ["way", "samples a second", "time, as a ratio to sliced batches"],
            partial(measure, root, options),
            options,
        )


if __name__ == "__main__":
    main()
