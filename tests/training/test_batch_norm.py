"""Running statistics estimated anew before validation."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn

import counterpoise as cp
from counterpoise.training import MultimodalDataModule, PreciseBatchNorm, train
from training.runs import SIZES, Blobs, recipe, same_bits
from training.test_module import fit, made

NUM_BATCHES = 3  # of the five in an epoch
PATH = "counterpoise.training.PreciseBatchNorm"


class Validated(Callback):
    """Notes the model as it is validated."""

    def __init__(self):
        self.states = []

    def on_validation_end(self, trainer, pl_module):
        model = pl_module.balanced.model
        assert not any(part.training for part in model.modules())
        self.states.append({k: v.clone() for k, v in model.state_dict().items()})


def statistics(state, name, num_batches=NUM_BATCHES, batches=None):
    """Return mean and variance of an encoder's first layer over batches, by plain functions."""
    if batches is None:
        batches = MultimodalDataModule(Blobs().load(), 13, seed=3).train_dataloader()
    weight, bias = (state[f"encoders.{name}.0.{part}"] for part in ("weight", "bias"))
    inputs = [batch[name] for batch in batches][:num_batches]
    outputs = [nn.functional.linear(x, weight, bias) for x in inputs]
    return (
        torch.stack([output.mean(dim=0) for output in outputs]).mean(dim=0),
        torch.stack([output.var(dim=0) for output in outputs]).mean(dim=0),
    )


def test_validated_statistics_are_those_of_the_present_weights(tmp_path):
    states = []
    for number, callbacks in enumerate([[], [PreciseBatchNorm(NUM_BATCHES)]]):
        watcher, module = Validated(), made(cp.AGM(2.5), statistics="batch")
        torch.manual_seed(7)
        fit(module, tmp_path / str(number), callbacks=[*callbacks, watcher], max_epochs=3)
        states.append(watcher.states)
    assert len(states[0]) == len(states[1]) == 3
    for lagging, precise in zip(*states, strict=True):
        for name in SIZES:
            layer = f"encoders.{name}.1"
            mean, var = statistics(precise, name)
            torch.testing.assert_close(precise[f"{layer}.running_mean"], mean)
            torch.testing.assert_close(precise[f"{layer}.running_var"], var)
            assert (lagging[f"{layer}.running_mean"] - mean).abs().max() > 0.01
        moved = ("running_mean", "running_var", "num_batches_tracked")
        weights = [key for key in precise if not key.endswith(moved)]
        assert all(torch.equal(lagging[key], precise[key]) for key in weights)  # same training


def test_more_batches_than_there_are_means_all_of_them(tmp_path):
    watcher = Validated()
    fit(made(), tmp_path, callbacks=[PreciseBatchNorm(), watcher], max_epochs=1)
    mean, _ = statistics(watcher.states[-1], "left", num_batches=5)
    torch.testing.assert_close(watcher.states[-1]["encoders.left.1.running_mean"], mean)


@pytest.mark.filterwarnings("ignore:Found 1 module.s. in eval mode")
def test_frozen_layers_and_momenta_stay(tmp_path):
    module = made()
    frozen, learning = (module.balanced.model.encoders[name][1] for name in SIZES)
    frozen.eval()
    learning.momentum = 0.25
    kept = {key: value.clone() for key, value in frozen.state_dict().items() if "running" in key}
    fit(module, tmp_path, callbacks=[PreciseBatchNorm()], val_check_interval=2)
    assert all(torch.equal(value, frozen.state_dict()[key]) for key, value in kept.items())
    assert not frozen.training
    assert (learning.training, learning.momentum) == (True, 0.25)


def best_model(folder):
    """Return what the best epoch's checkpoint has of the model."""
    state = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    prefix = "balanced.model."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def test_a_recipe_names_it_and_the_best_epoch_has_its_statistics(tmp_path):
    described = {"class_path": PATH, "init_args": {"num_batches": NUM_BATCHES}}
    states = []
    for run in ("first", "second"):
        train(recipe(callbacks=[described]), tmp_path / run, progress=False)
        states.append(best_model(tmp_path / run))
    for name in SIZES:
        mean, _ = statistics(states[0], name)
        torch.testing.assert_close(states[0][f"encoders.{name}.1.running_mean"], mean)
    assert same_bits(*states)


@pytest.mark.slow
def test_statistics_are_means_over_processes(tmp_path):
    described = {"class_path": PATH, "init_args": {"num_batches": 2}}
    config = recipe(trainer={"max_epochs": 1, "devices": 2, "strategy": "ddp"}).describe()
    config |= {"callbacks": [described], "name": None}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "counterpoise", "train", "--config", str(path)]
    result = subprocess.run(
        [*command, "--output", str(tmp_path / "run"), "--progress", "false"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    state = best_model(tmp_path / "run")
    whole = MultimodalDataModule(Blobs().load(), 26, seed=3).train_dataloader()
    halves = [
        {name: batch[name][part] for name in SIZES}
        for batch in whole
        for part in (slice(0, 13), slice(13, 26))
    ]
    for name in SIZES:
        mean, var = statistics(state, name, num_batches=4, batches=halves)
        torch.testing.assert_close(state[f"encoders.{name}.1.running_mean"], mean)
        torch.testing.assert_close(state[f"encoders.{name}.1.running_var"], var)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="`num_batches` should be"):
        PreciseBatchNorm(0)
    trainer = SimpleNamespace(strategy=FSDPStrategy.__new__(FSDPStrategy))
    message = (
        "The trainer's strategy should leave each process the whole model, for PreciseBatchNorm "
        "to run it; found FSDPStrategy. Train with strategy='ddp', or without this callback."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        PreciseBatchNorm().setup(trainer, SimpleNamespace(balanced=None), "fit")
    with pytest.raises(TypeError, match=r"wrapped model as `balanced`, .* found a Mine"):
        PreciseBatchNorm().setup(trainer, type("Mine", (), {})(), "fit")
