"""Two processes train as one does on their batches together, and one of them reports."""

import json
import os
import subprocess
import sys

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.plugins.environments import ClusterEnvironment
from lightning.pytorch.utilities import rank_zero_only

from counterpoise.training import results, train
from counterpoise.training.processes import is_first_process
from training.runs import recipe

RECIPE = """
data: {class_path: Synthetic, init_args: {num_train: 247, num_validation: 59, num_test: 61}}
method: AGM
model: {class_path: Network, init_args: {fusion: concatenation}}
trainer: {max_epochs: 2, accelerator: cpu, num_threads: 1, log_every_n_steps: 3}
"""


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_first_process_is_the_one_without_or_with_rank_zero(name, monkeypatch):
    for each in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(each, raising=False)
    assert is_first_process(2)
    monkeypatch.setenv(name, "0")
    assert is_first_process(2)
    monkeypatch.setenv(name, "1")
    assert not is_first_process(2)
    assert is_first_process(1)


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "batch",
    "SLURM_NTASKS": "16",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "3",
}


def test_a_run_on_one_device_is_the_same_within_a_job_of_slurm(tmp_path, monkeypatch):
    """Such as a worker of Dask, the fourth of 16 that a batch script starts."""
    given = recipe(trainer={"max_epochs": 1})
    outside = train(given, tmp_path / "outside", progress=False)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 3)  # as Lightning reads it when imported
    inside = train(given, tmp_path / "inside", progress=False)
    assert (inside["test"], inside["steps"]) == (outside["test"], outside["steps"])
    names = [
        sorted(path.name.partition(".out")[0] for path in (tmp_path / each).rglob("*"))
        for each in ("outside", "inside")
    ]
    assert names[0] == names[1]
    assert rank_zero_only.rank == 3


@pytest.mark.parametrize(("count", "lightning_decides"), [(1, False), (2, True)])
def test_only_a_run_of_several_processes_asks_for_a_cluster(
    count, lightning_decides, tmp_path, monkeypatch
):
    asked = {}

    def stop(**settings):
        asked.update(settings)
        raise MisconfigurationException("seen")

    monkeypatch.setattr("counterpoise.training.run.Trainer", stop)
    with pytest.raises(ValueError, match="`trainer` should be possible on this machine"):
        train(recipe(trainer={"devices": count}), tmp_path / "run", progress=False)
    clusters = [p for p in asked["plugins"] or [] if isinstance(p, ClusterEnvironment)]
    assert (not clusters) == lightning_decides


def trained(folder, *options):
    config = folder.parent / "recipe.yaml"
    config.write_text(RECIPE)
    command = [sys.executable, "-m", "counterpoise", "train", "--config", str(config)]
    result = subprocess.run(
        [*command, "--output", str(folder), "--progress", "false", *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return result.stdout, json.loads((folder / "record.json").read_text()), weights


@pytest.mark.slow
def test_two_processes_train_as_one_does_on_both_batches(tmp_path):
    _, one, alone = trained(tmp_path / "one", "--batch_size", "26")
    out, two, together = trained(
        tmp_path / "two",
        *("--batch_size", "13", "--trainer.devices", "2", "--trainer.strategy", "ddp"),
    )
    assert out.count("accuracy") == 1
    # 247 = 9 x 26 + 13: the last batch is split into 7 and 6, whose gradients are averaged.
    assert two["steps"]["step"] == one["steps"]["step"] == [3, 6, 9, 12, 15, 18]
    for quantity in ("scores", "coefficients"):
        for name, values in one["steps"][quantity].items():
            assert two["steps"][quantity][name][:3] == pytest.approx(values[:3], rel=1e-4)
            assert two["steps"][quantity][name] == pytest.approx(values, rel=2e-2)
    of_one, of_two = (results.tested_responses(record) for record in (one, two))
    assert of_two == pytest.approx(of_one, abs=2 / 61)
    for name, value in alone.items():
        if value.is_floating_point() and name.startswith("balanced.model"):
            torch.testing.assert_close(together[name], value, rtol=0.05, atol=5e-3)
