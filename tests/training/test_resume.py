"""A run that is killed and resumed ends with the same bits as one that was not."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import counterpoise as cp
from counterpoise.training import RandomState, TorchSchedule, read_recipe, train
from counterpoise.training.config import names
from training import runs
from training.runs import recipe, same_bits

TESTS = Path(__file__).parents[1]


DIGITS = [name for name in names() if name.startswith("digits-")]


class Killed(BaseException):  # which no careful code catches
    """Stands for a kill: what lies on the disk is all that is left."""


def kill_at(monkeypatch, number, act):
    """Let forward call ``number`` act, counted from 1 at the first in training mode."""
    forward, calls = runs.Net.forward, []

    def counted(self, **inputs):
        if self.training or calls:
            calls.append(None)
        if len(calls) == number:
            act()
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", counted)


def stop():
    raise Killed


TIMED = (
    *("started", "wall_time_seconds"),
    *("seconds_per_step", "processor_seconds_per_step"),
)


def left_behind(folder):
    """Everything bit-comparable that a finished run leaves, without the times it took."""
    last, best = (
        torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for name in ("last", "best")
    )
    record = json.loads((folder / "record.json").read_text())
    for timed in (*TIMED, "digest"):
        del record[timed]
    for epoch in record["epochs"]:
        del epoch["seconds"]
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    random = last["callbacks"][RandomState().state_key]
    return {name: last[name] for name in kept} | {
        "random": random,
        "best": best["state_dict"],
        "record": record,
    }


def short(every):
    return recipe(trainer={"max_epochs": 3, "checkpoint_every_n_steps": every})


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight") / "run"
    train(short(2), folder, progress=False)
    return left_behind(folder)


def test_the_comparison_sees_another_seed(straight, tmp_path):
    train(short(2).replace(seed=4), tmp_path / "run", progress=False)
    assert not same_bits(left_behind(tmp_path / "run")["state_dict"], straight["state_dict"])


# A step calls the network 3 times, and so does validation of a batch; the engine looks in between.
KILLS = {
    "within the first epoch": 14,
    "in the first validation": 34,
    "at the start of an epoch": 38,
    "in an audit": 46,
    "within an epoch": 54,
    "between two coalitions": 56,
    "in a later validation": 63,
    "in the last validation": 84,
    "in the test": 90,
}


@pytest.mark.parametrize("number", KILLS.values(), ids=KILLS)
@pytest.mark.parametrize("every", [None, 2])
def test_resumed_run_ends_with_the_same_bits(straight, tmp_path, monkeypatch, number, every):
    same = short(every)
    with monkeypatch.context() as patch:
        kill_at(patch, number, stop)
        with pytest.raises(Killed):
            train(same, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "record.json").exists()
    torch.rand(number)  # whatever the process did meanwhile
    train(same, tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), straight)


KILLED_PROCESS = """
import os, signal, sys
from pathlib import Path
from training import runs
from training.test_resume import short
from counterpoise.training import train

forward, calls = runs.Net.forward, []

def counted(self, **inputs):
    if self.training or calls:
        calls.append(None)
    if len(calls) == 54:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, **inputs)

runs.Net.forward = counted
train(short(2), Path(sys.argv[1]), progress=False)
"""


def test_run_killed_by_the_system_is_resumed_by_another_process(straight, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": str(TESTS),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    command = [sys.executable, "-c", KILLED_PROCESS, str(tmp_path / "run")]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == {
        ".lock",
        "best.ckpt",
        "last.ckpt",
        "previous.ckpt",
    }
    train(short(2), tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), straight)


PLATEAU = TorchSchedule(
    "torch.optim.lr_scheduler.ReduceLROnPlateau", {"patience": 0, "threshold": 0.5}
)
STOPPING = {
    "class_path": "lightning.pytorch.callbacks.EarlyStopping",
    "init_args": {"monitor": "validation/loss", "min_delta": 0.5, "patience": 1},
}


@pytest.mark.parametrize("number", [14, 38, 54, None], ids=str)
def test_plateaus_and_early_stopping_are_those_of_a_run_that_was_not_killed(
    number, tmp_path, monkeypatch
):
    same = recipe(
        trainer={"max_epochs": 4, "checkpoint_every_n_steps": 2},
        schedule=PLATEAU,
        callbacks=[STOPPING],
    )
    record = train(same, tmp_path / "straight", progress=False)
    expected = left_behind(tmp_path / "straight")
    assert [len(record["epochs"]), expected["lr_schedulers"][0]["last_epoch"]] == [2, 2]
    assert expected["lr_schedulers"][0]["_last_lr"] == pytest.approx([0.005] * 3)
    if number is None:  # the record of a run that has ended is lost: it is tested again
        (tmp_path / "straight" / "record.json").unlink()
        train(same, tmp_path / "straight", resume=True, progress=False)
        assert same_bits(left_behind(tmp_path / "straight"), expected)
        return
    with monkeypatch.context() as patch:
        kill_at(patch, number, stop)
        with pytest.raises(Killed):
            train(same, tmp_path / "run", progress=False)
    train(same, tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), expected)


def teachers(recipe):
    """Encoders as they are drawn, which are as good as any to hold bits against."""
    model = recipe.replace(method=cp.Joint()).build(recipe.data.load()).model
    paths = recipe.architecture.encoder_paths(model)
    return {name: model.get_submodule(path) for name, path in paths.items()}


# One of each kind of what a method keeps: averages, prototypes, noise, teachers, turns, stops,
# rates, weights and starts. The state of each method by itself is held to the bit in the contract.
KEPT = ("agm", "pmr", "ogm-ge", "umt", "reconboost", "mses", "mslr", "gblend", "relearning")
QUICK = {f"digits-{name}" for name in KEPT}


@pytest.mark.parametrize(
    "name",
    [
        *(n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in DIGITS),
        "linear heads",
    ],
)
def test_every_method_resumes_within_an_epoch_to_the_same_bits(name, tmp_path, monkeypatch):
    method = cp.MLB(heads="linear") if name == "linear heads" else read_recipe(name).method
    same = recipe(method=method, trainer={"max_epochs": 2, "checkpoint_every_n_steps": 2})
    how = {"progress": False, "teachers": teachers(same) if name == "digits-umt" else None}
    train(same, tmp_path / "straight", **how)
    with monkeypatch.context() as patch:
        kill_at(patch, 25, stop)
        with contextlib.suppress(Killed):
            train(same, tmp_path / "run", **how)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    train(same, tmp_path / "run", resume=True, **how)
    assert same_bits(left_behind(tmp_path / "run"), left_behind(tmp_path / "straight"))
