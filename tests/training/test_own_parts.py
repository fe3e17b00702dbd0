"""Networks, optimisers, schedules, metrics, loggers and callbacks of others, by class path."""

import csv
import re

import pytest
import torch
import yaml
from torch import optim

from counterpoise.cli import main
from counterpoise.training import Module, TorchOptimizer, TorchSchedule, read_recipe, train
from counterpoise.training.by_path import made
from counterpoise.training.config.foreign import adopted, adopted_arguments
from counterpoise.training.loggers import own_loggers
from counterpoise.training.own_parts import own_callbacks, own_metrics
from training.own import Counting, Own
from training.runs import Blobs, recipe

HERE = "training.own"
DATA = {"class_path": "training.runs.Blobs"}


METRIC = {
    "class_path": "torchmetrics.classification.MulticlassMatthewsCorrCoef",
    "init_args": {"num_classes": 3},
}
OWN = {
    "data": DATA,
    "model": {"class_path": f"{HERE}.Own", "init_args": {"width": 11}},
    "optimizer": {"class_path": "torch.optim.Adagrad", "init_args": {"lr": 0.05}},
    "schedule": {
        "class_path": "torch.optim.lr_scheduler.ExponentialLR",
        "init_args": {"gamma": 0.5},
    },
    "metrics": {"matthews": METRIC},
    "loggers": [{"class_path": "lightning.pytorch.loggers.CSVLogger"}],
    "callbacks": [{"class_path": f"{HERE}.Counting", "init_args": {"every": 7}}],
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1},
    "batch_size": 13,
}


def test_a_recipe_of_others_parts_is_read_trained_and_written(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(OWN))
    own = read_recipe(path)
    Counting.epochs = 0
    record = train(own, tmp_path / "run", progress=False)
    assert record["model"]["name"] == "Own"
    assert record["model"]["num_parameters"] == 11 * 5 + 11 + 11 * 7 + 11 + 22 * 3 + 3
    assert -1 <= record["test"]["matthews"] <= 1
    assert Counting.epochs == 14
    written = next((tmp_path / "run").rglob("lightning_logs/**/metrics.csv"))
    assert "validation/matthews" in next(csv.reader(written.read_text().splitlines()))
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(last["optimizer_states"][0]["state"][0]) == {"step", "sum"}  # Adagrad's
    assert last["lr_schedulers"][0]["_last_lr"] == pytest.approx([0.05 * 0.5**2])
    again = read_recipe(tmp_path / "run" / "config.yaml")
    assert again.describe() == own.describe()
    assert train(again, tmp_path / "again", progress=False)["test"] == record["test"]


def test_options_name_others_parts_and_set_their_arguments(tmp_path, capsys):
    options = [
        *("train", "--data", DATA["class_path"], "--model", f"{HERE}.Own", "--model.width", "11"),
        *("--model.encoders", '{"left": "left", "right": "right"}'),
        *("--optimizer=torch.optim.Adagrad", "--optimizer.lr=0.05"),
        *("--schedule", "torch.optim.lr_scheduler.ExponentialLR", "--schedule.gamma", "0.5"),
        *("--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--progress=false"),
        *("--output", str(tmp_path / "run")),
    ]
    assert main(options) == 0, capsys.readouterr().err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["model"] == {
        "class_path": "counterpoise.training.Module",
        "init_args": {
            "module": f"{HERE}.Own",
            "arguments": {"width": 11},
            "encoders": {"left": "left", "right": "right"},
            "heads": None,
        },
    }
    assert config["optimizer"]["init_args"]["arguments"] == {"lr": 0.05}
    assert config["schedule"]["init_args"]["arguments"] == {"gamma": 0.5}


def test_arguments_may_be_objects_themselves():
    slope = {"class_path": "torch.nn.LeakyReLU", "init_args": {"negative_slope": 0.25}}
    architecture = Module(Own, {"width": 3, "slope": slope})
    assert architecture.build(Blobs().load()).slope.negative_slope == 0.25


def test_classes_are_taken_as_well_as_paths():
    assert Module(Own).settings()["module"] == f"{HERE}.Own"
    assert TorchOptimizer(optim.Adagrad).settings()["optimizer"] == "torch.optim.Adagrad"


def test_a_schedule_may_move_with_each_step_or_by_the_validation_loss(tmp_path):
    step = TorchSchedule("torch.optim.lr_scheduler.LinearLR", {"total_iters": 10}, interval="step")
    plateau = TorchSchedule("torch.optim.lr_scheduler.ReduceLROnPlateau", {"patience": 0})
    for name, schedule in (("step", step), ("plateau", plateau)):
        train(recipe(schedule=schedule), tmp_path / name, progress=False)
    last = torch.load(tmp_path / "step" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["lr_schedulers"][0]["last_epoch"] == 25  # 5 epochs of 5 steps


def test_callbacks_may_replace_the_weights_that_are_tested_and_save_checkpoints(tmp_path):
    kept = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"}
    kept["init_args"] = {"dirpath": str(tmp_path / "a" / "b"), "filename": "kept"}
    callbacks = [{"class_path": f"{HERE}.Replacing"}, kept]
    record = train(
        recipe(callbacks=callbacks, trainer={"max_epochs": 1}), tmp_path / "run", progress=False
    )
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["state_dict"]["balanced.model.head.bias"].tolist() == [7.0] * 3
    assert record["predictions"]["num_samples"] == 29
    assert (tmp_path / "a" / "b" / "kept.ckpt").is_file()


def test_what_is_ours_stays_as_it_is():
    config = {"model": {"class_path": "Network"}, "optimizer": "SGD", "seed": 3}
    assert adopted(config) == config
    options = ["--model.fusion", "film", "--seed", "3", "--optimizer", "Adam"]
    assert adopted_arguments(config, options) == (config, options)


@pytest.mark.parametrize(
    ("message", "make"),
    [
        (
            "`model` should be the path of a class; found 'training.nowhere.Net', but there is no "
            "module 'training.nowhere'.",
            lambda: Module("training.nowhere.Net"),
        ),
        (
            f"found '{HERE}.Onw', but '{HERE}' has no 'Onw'. Did you mean 'Own'?",
            lambda: Module(f"{HERE}.Onw"),
        ),
        (
            "`model` should be a class derived from Module; found 'torch.optim.SGD', which is not.",
            lambda: Module("torch.optim.SGD"),
        ),
        (
            "`optimizer` should be the path of a class, as package.module.Class; found 'Adagrad'.",
            lambda: TorchOptimizer("Adagrad"),
        ),
        (
            "`schedule` should be a class derived from LRScheduler; found",
            lambda: TorchSchedule("torch.optim.SGD"),
        ),
        (
            "`interval` should be one of 'epoch', 'step'; found 'batch'.",
            lambda: TorchSchedule("torch.optim.lr_scheduler.StepLR", interval="batch"),
        ),
        (
            "`part` should hold 'class_path' and, where the class takes any, 'init_args'; found",
            lambda: made("part", {"class": "torch.nn.ReLU"}),
        ),
        (
            "`callbacks` should be a class derived from Callback; found 'torch.nn.ReLU'",
            lambda: own_callbacks([{"class_path": "torch.nn.ReLU"}]),
        ),
        (
            "`loggers` should be a class derived from Logger; found 'torch.nn.ReLU'",
            lambda: own_loggers([{"class_path": "torch.nn.ReLU"}], None, "run"),
        ),
        (
            "`metrics` should have names without a slash that the task does not have, 'accuracy' "
            "and 'loss'; found 'accuracy'. Rename it.",
            lambda: own_metrics({"accuracy": METRIC}, taken=["accuracy"]),
        ),
        (
            "`metrics.f` should be a class derived from Metric; found 'torch.nn.ReLU'",
            lambda: own_metrics({"f": {"class_path": "torch.nn.ReLU"}}, taken=[]),
        ),
    ],
)
def test_what_is_no_such_part_is_refused(message, make):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_what_a_module_of_the_users_lacks_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import nothing_of_this_name\nclass Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        Module("lacking.Net")
