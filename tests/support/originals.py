"""Small originals of AV-MNIST in their true formats: images in IDX, recordings in WAV."""

import gzip
import struct
import wave
from pathlib import Path

import torch

PREFIXES = {"train": "train", "test": "t10k"}


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.numpy().tobytes(), mtime=0))


def write_wav(path, samples, rate=8000, channels=1, width=2):
    content = samples.to({1: torch.uint8, 2: torch.int16, 4: torch.int32}[width])
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(content.numpy().tobytes())


def write_mnist(folder, images, labels):
    """Write images (N, 28, 28) and labels (N,), each by part."""
    folder.mkdir(exist_ok=True)
    for part, prefix in PREFIXES.items():
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images[part])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels[part])
    return folder


def make_mnist(folder, num_train=61, num_test=23):
    """Images whose bright row tells the digit; each digit in turn."""
    generator = torch.Generator().manual_seed(0)
    images, labels = {}, {}
    for part, number in (("train", num_train), ("test", num_test)):
        labels[part] = torch.arange(number, dtype=torch.uint8) % 10
        noise = torch.randint(0, 40, (number, 28, 28), dtype=torch.uint8, generator=generator)
        noise[torch.arange(number), 2 * labels[part].long() + 3] += 200
        images[part] = noise
    return write_mnist(folder, images, labels)


def make_fsdd(folder, speakers=("ada", "ben", "cleo"), indices=(0, 1, 2, 40, 41)):
    """Tones whose pitch tells the digit, of durations that tell speaker and index."""
    folder.mkdir(exist_ok=True)
    for digit in range(10):
        for place, speaker in enumerate(speakers):
            for index in indices:
                steps = torch.arange(307 + 53 * place + 11 * index).double()
                tone = 9000 * torch.sin(steps * (digit + 1) * torch.pi / 12)
                write_wav(folder / f"{digit}_{speaker}_{index}.wav", tone.round())
    return folder


def slice_of(shared, folder, *, num_train, num_test, speakers, indices):
    """Make originals of the first images and some recordings of the real ones."""
    from counterpoise.data.avmnist.idx import read_idx

    images, labels = {}, {}
    for part, number in (("train", num_train), ("test", num_test)):
        start = f"{PREFIXES[part]}-"
        images[part] = read_idx(shared / "mnist" / f"{start}images-idx3-ubyte.gz")[:number]
        labels[part] = read_idx(shared / "mnist" / f"{start}labels-idx1-ubyte.gz")[:number]
    mnist = write_mnist(folder / "mnist", images, labels)
    fsdd = folder / "fsdd"
    fsdd.mkdir()
    for digit in range(10):
        for speaker in speakers:
            for index in indices:
                name = f"{digit}_{speaker}_{index}.wav"
                Path(fsdd / name).symlink_to(shared / "fsdd" / "recordings" / name)
    return mnist, fsdd
