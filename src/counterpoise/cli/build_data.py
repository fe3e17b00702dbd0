"""``counterpoise data build av-mnist``: originals found or downloaded, and the data set built."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from counterpoise.cli.options import add_flag
from counterpoise.core.errors import check_choice
from counterpoise.data.avmnist.build import build
from counterpoise.data.avmnist.options import PRESETS, Options, check_speaker_is_held_out
from counterpoise.data.avmnist.sources import download_fsdd, download_mnist
from counterpoise.data.files.cache import cache_directory
from counterpoise.data.files.download import Progress
from counterpoise.data.files.folders import check_new

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

_NO_NOISE = "none"


def add_arguments(parser: ArgumentParser) -> None:
    """Add where things lie, and what can be chosen."""

    def add(option: str, kind: Any, text: str) -> None:
        parser.add_argument(option, type=kind, default=None, help=text)

    add("--mnist", str, "Folder of MNIST's four gzipped IDX files. Default: download them.")
    add("--fsdd", str, "Folder of recordings digit_speaker_index.wav. Default: download them.")
    add("--noise", str, "Folder of WAV files to take noise from. Default: coloured noise.")
    add("--output", str, "The folder to build, new or empty. Default: one in the cache.")
    parser.add_argument(
        "--preset",
        type=str,
        default="published",
        help="published: loud noise, known voices. clean: no noise, an unknown voice in the test. "
        "The options below change it.",
    )
    add("--components", int, "Principal components of the images to keep.")
    add("--noise-level", float | str, "Noise over speech in decibels, or 'none'.")
    add("--split", str, "What is kept for the test: recordings, or a speaker.")
    add("--speaker", str, "Which speaker that is, with --split speaker or --preset clean.")
    add("--validation-speaker", str, "A speaker heard in validation only. Default: none.")
    add("--num-validation", int, "How many training pairs are for validation.")
    add("--size", int, "Rows and columns of a spectrogram.")
    add("--dtype", str, "uint8 or float32.")
    parser.add_argument("--seed", type=int, default=0, help="Of noise and of the order of speech.")
    add_flag(parser, "progress", "Show a bar.")


def run(arguments: Namespace) -> None:
    """Build, and say what lies where."""
    options = _options(arguments)
    cache = cache_directory()
    name = options.preset or "custom"
    output = Path(arguments.output or cache / f"av-mnist-{name}")
    check_new(output)  # before anything is downloaded
    with building(show=arguments.progress) as progress:
        mnist = arguments.mnist or download_mnist(cache / "mnist", progress)
        fsdd = arguments.fsdd or download_fsdd(cache / "fsdd", progress)
        record = build(
            output,
            mnist=mnist,
            fsdd=fsdd,
            noise=arguments.noise,
            options=options,
            progress=progress,
        )
    print(f"AV-MNIST ({name}), fingerprint {record['fingerprint'][:16]}: {output}")


def _options(arguments: Namespace) -> Options:
    check_choice("preset", arguments.preset, PRESETS)
    given = {
        field.name: arguments[field.name]
        for field in fields(Options)
        if arguments[field.name] is not None
    }
    level = given.get("noise_level")
    if isinstance(level, str):
        check_choice("noise_level", level, [_NO_NOISE, "a number"])
        given["noise_level"] = None
    options = replace(PRESETS[arguments.preset], **given)
    if "speaker" in given:  # even the default is named for something
        check_speaker_is_held_out(options.speaker, options.split)
    return options


@contextmanager
def building(*, show: bool) -> Iterator[Progress | None]:
    """Yield what shows the progress of a build, if it shall be shown; ends cleanly if stopped."""
    with _terminated_cleanly(), _bar(show=show) as progress:
        yield progress


@contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Let a request to end the process be an exception, so that what is half-made is removed.

    A closed terminal is one too, unless it is ignored already, as under ``nohup``.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for request in before:  # a terminal that closes may say so twice; removing goes on
            signal.signal(request, signal.SIG_IGN)
        sys.exit(128 + number)

    requests = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]  # Windows has one
    before = {request: signal.getsignal(request) for request in requests if request is not None}
    before = {request: handler for request, handler in before.items() if handler != signal.SIG_IGN}
    for request in before:
        signal.signal(request, stop)
    try:
        yield
    finally:
        for request, handler in before.items():
            signal.signal(request, handler)


@contextmanager
def _bar(*, show: bool) -> Iterator[Progress | None]:
    """Yield what shows each kind of work on a line of its own, on the standard error."""
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, Any] = {}
    with RichProgress(*columns, console=Console(stderr=True)) as bar:

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total or None)

        yield progress
