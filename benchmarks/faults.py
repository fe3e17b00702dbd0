"""Faults tried on purpose, and how many were survived: a table of kills, damage and mistakes.

Fresh processes are killed at random moments and resumed, their weights compared bit by bit with
those of a run that was left alone; files are damaged; calls are made that must be refused; a disk
is full, a folder read-only, a clock set back. Run: python benchmarks/faults.py [--train-kills 32]
[--compare-kills 8] [--fuzzed 100]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch

from counterpoise.experiments import Store
from counterpoise.training.sealing import damage

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the kinds of damage and the wrong calls lie there

TRAIN = (
    *("train", "--data=Synthetic", "--method=AGM", "--trainer.max_epochs=6", "--batch_size=16"),
    *("--trainer.accelerator=cpu", "--trainer.checkpoint_every_n_steps=20", "--no-progress"),
)
GRID = """
data: {Synthetic: {data.num_train: 1000}}
methods: {Joint: , AGM: }
seeds: 2
base: {trainer.max_epochs: 3, trainer.accelerator: cpu}
"""
SET_BACK = """
import sys, time
from counterpoise.cli import main
real, start = time.time, time.monotonic()
time.time = lambda: real() - (86400 if time.monotonic() > start + 8 else 0)
sys.exit(main(sys.argv[1:]))
"""


class Row(NamedTuple):
    """A kind of fault, how often it was tried and survived, and what counts as surviving."""

    fault: str
    tried: int
    survived: int
    meaning: str


def start(*arguments: str, limit: int | None = None) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, which may write files of ``limit`` KiB."""
    command = [sys.executable, "-m", "counterpoise", *arguments]
    if limit is not None:
        command = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "-", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code and what it wrote to standard error."""
    _, errors = process.communicate()
    return process.returncode, errors


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the last weights of a run, on the processor."""
    path = folder / "checkpoints" / "last.ckpt"
    assert damage(path) is None
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def results(folder: Path) -> dict[str, object]:
    """Return what the cells of a comparison came to, without the times they took."""
    contents = {path.stem: json.loads(path.read_text()) for path in folder.glob("results/*.json")}
    return {key: (each["record"] or {}).get("test") for key, each in contents.items()}


def kill_at_random(arguments: tuple[str, ...], seconds: float, rng: random.Random) -> None:
    """Start a command and kill it, the process and nothing else, within so many seconds."""
    process = start(*arguments)
    time.sleep(rng.uniform(0, seconds))
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def kills_of_train(folder: Path, number: int) -> Row:
    """Kill ``train`` at random moments, and resume it once."""
    rng, began = random.Random(0), time.perf_counter()
    assert ended(start(*TRAIN, f"--output={folder / 'straight'}"))[0] == 0
    seconds = time.perf_counter() - began
    expected, survived = weights(folder / "straight"), 0
    for trial in range(number):
        output = folder / f"killed-{trial}"
        arguments = (*TRAIN, f"--output={output}")
        kill_at_random(arguments, seconds, rng)
        resume = ("--resume",) if (output / "config.yaml").is_file() else ()
        code, _ = ended(start(*arguments, *resume))
        survived += code == 0 and same(weights(output), expected)
    return Row("`train` killed at a random moment", number, survived, "resumed to the same bits")


def kills_of_compare(folder: Path, number: int) -> Row:
    """Kill ``compare`` at random moments, and give the same command again."""
    rng, grid = random.Random(1), folder / "grid.yaml"
    grid.write_text(GRID)
    command = ("compare", str(grid), "--jobs=1", "--no-progress")
    began = time.perf_counter()
    assert ended(start(*command, *_places(folder / "straight-grid")))[0] == 0
    seconds = time.perf_counter() - began
    expected, survived = results(folder / "straight-grid"), 0
    assert len(expected) == 4  # two methods, two seeds
    for trial in range(number):
        arguments = (*command, *_places(folder / f"killed-grid-{trial}"))
        kill_at_random(arguments, seconds, rng)
        code, _ = ended(start(*arguments))
        survived += code == 0 and results(folder / f"killed-grid-{trial}") == expected
    return Row("`compare` killed at a random moment", number, survived, "the same results")


def _places(folder: Path) -> tuple[str, str]:
    return f"--runs={folder}", f"--output={folder / 'report'}"


def damaged_checkpoints(folder: Path) -> Row:
    """Damage a checkpoint in every way that is known, and look whether it shows."""
    damages = import_module("training.test_damage").DAMAGES
    survived = 0
    for number, harm in enumerate(damages.values()):
        path = folder / f"damaged-{number}.ckpt"
        shutil.copy(folder / "straight" / "checkpoints" / "last.ckpt", path)
        harm(path)
        survived += damage(path) is not None
    return Row("checkpoint damaged, each way once", len(damages), survived, "recognised")


def damaged_results(folder: Path) -> Row:
    """Damage a result in the store of runs in every way; it has to be set aside, and computed anew.

    The store then answers that there is no such result, so that the next call computes it; one
    comparison is made again for all, whose results have to be those of the first.
    """
    damages = import_module("training.test_damage").DAMAGES
    whole, survived = folder / "straight-grid", 0
    expected = results(whole)
    for number, harm in enumerate(damages.values()):
        store = Store(shutil.copytree(whole, folder / f"damaged-store-{number}"))
        path = sorted(store.results.glob("*.json"))[number % len(expected)]
        harm(path)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = store.read(path.stem)
        anew = found is None and len(told) == 1 and not path.exists()
        survived += anew or found == Store(whole).read(path.stem)  # of a last line without its end
    command = ("compare", str(folder / "grid.yaml"), "--jobs=1", "--no-progress")
    code, _ = ended(start(*command, *_places(store.path)))
    if code or results(store.path) != expected:
        survived = 0
    return Row(
        "result in the store damaged", len(damages), survived, "set aside and made anew, or whole"
    )


def fuzzed_files(folder: Path, number: int) -> Iterator[Row]:
    """Damage data files at random; whatever is not harmless has to be one clear error."""
    tests = import_module("data.test_damaged_files")
    for kind, (whole, read) in tests.READERS.items():
        rng, path, survived = random.Random(2), folder / "fuzzed", 0
        for _ in range(number):
            path.write_bytes(tests.harmed(whole, rng))
            message = _told(tests.complaint, read, path)
            survived += message is None or (" should " in message and "found " in message)
        yield Row(f"data file with random damage ({kind})", number, survived, "one clear error")


def _told(complaint: Callable[..., str | None], *arguments: object) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return complaint(*arguments)
        except Exception as error:  # any other is what must not be: it counts as not survived
            return repr(error)


def wrong_calls() -> Row:
    """Make every call of the table; each has to be refused as a mistake of the caller."""
    calls = import_module("wrong_calls.table").CALLS
    survived = sum(_is_refused(call.answer()) for call in calls)
    return Row("wrong call of the Python API", len(calls), survived, "refused by name")


def _is_refused(answer: str) -> bool:
    return (
        re.match(r"(ValueError|TypeError): .* should .*[;:,]? found .*[.?]\)?$", answer) is not None
    )


def surroundings(folder: Path) -> Iterator[Row]:
    """A full disk, a folder that cannot be written to, a clock that is set back."""
    expected, output = weights(folder / "straight"), folder / "full"
    code, errors = ended(start(*TRAIN, f"--output={output}", limit=24))
    told = code == 2 and len(errors.strip().splitlines()) == 1
    resume = ("--resume",) if (output / "config.yaml").is_file() else ()
    code, _ = ended(start(*TRAIN, f"--output={output}", *resume))
    whole = code == 0 and same(weights(output), expected)
    yield Row("disk full (a limit of file size)", 1, told and whole, "one line; then the same bits")
    code, errors = ended(start(*TRAIN, "--output=/proc/run"))
    told = code == 2 and len(errors.strip().splitlines()) == 1
    yield Row("folder that cannot be written to", 1, told, "one line")
    back = folder / "clock"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SET_BACK, *TRAIN, f"--output={back}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    survived = done.returncode == 0 and same(weights(back), expected)
    yield Row("clock set back a day while training", 1, survived, "the same bits")


def main() -> None:
    """Try everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--train-kills", type=int, default=32)
    parser.add_argument("--compare-kills", type=int, default=8)
    parser.add_argument("--fuzzed", type=int, default=100, help="Files of each kind.")
    options = parser.parse_args()
    print("| fault | tried | survived | that is |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for row in _rows(Path(name), options):
            cells = (row.fault, str(row.tried), str(int(row.survived)), row.meaning)
            print(f"| {' | '.join(cells)} |", flush=True)


def _rows(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    yield kills_of_train(folder, options.train_kills)
    yield damaged_checkpoints(folder)
    yield from surroundings(folder)
    yield from fuzzed_files(folder, options.fuzzed)
    yield wrong_calls()
    if options.compare_kills:
        yield kills_of_compare(folder, options.compare_kills)
        yield damaged_results(folder)


if __name__ == "__main__":
    main()
