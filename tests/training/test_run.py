"""One run: what it leaves behind, what it says, and what it refuses to do."""

import csv
import io
import json
import logging
import math
import signal
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
import yaml
from rich.console import Console
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.training import Recipe, read_recipe, train
from counterpoise.training.callbacks import Checkpoints, RandomState
from counterpoise.training.predictions import read_predictions
from counterpoise.training.progress import Bar, Lines, progress_callbacks
from training import runs
from training.runs import Blobs, recipe, same_bits

KEYS = {
    "name",
    "method",
    "data",
    "task",
    "model",
    "seed",
    "versions",
    "outcome",
    "divergence",
    "digest",
    "hardware",
    "started",
    "wall_time_seconds",
    "seconds_per_step",
    "processor_seconds_per_step",
    "best_epoch",
    "test",
    "predictions",
    "epochs",
    "steps",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return folder, train(recipe(), folder, progress=False)


def test_folder_holds_everything(run):
    folder, _ = run
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("tensorboard/events")}
    assert events
    assert names - events == {
        "config.yaml",
        "record.json",
        "metrics.csv",
        "predictions.npz",
        "checkpoints/.lock",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "tensorboard/hparams.yaml",
    }


def test_record_is_what_was_returned_and_says_what_was_run(run):
    folder, record = run
    assert json.loads((folder / "record.json").read_text()) == record
    assert set(record) == KEYS
    assert record["method"]["name"] == "AGM"
    window = record["method"]["settings"]
    assert window["method"]["init_args"]["alpha"] == 2.0
    assert (window["start"], window["stop"]) == (1, 99)
    assert record["data"] == {
        "name": "blobs",
        "fingerprint": Blobs().load().fingerprint,
        "note": "Gaussian blobs.",
        "modalities": ["left", "right"],
        "num_classes": 3,
        "sizes": {"train": 59, "validation": 23, "test": 29},
    }
    network = runs.Net()
    assert record["model"]["num_parameters"] == sum(p.numel() for p in network.parameters())
    assert record["model"]["name"] == "Net"
    assert record["seed"] == 3
    assert record["versions"]["torch"] == version("torch")  # `__version__` may name CUDA's, too
    assert record["hardware"]["num_threads"] == torch.get_num_threads()
    assert record["seconds_per_step"] > 0
    assert record["processor_seconds_per_step"] > 0
    assert record["wall_time_seconds"] >= sum(epoch["seconds"] for epoch in record["epochs"]) > 0


def test_record_has_a_row_for_each_epoch_and_each_recorded_step(run):
    _, record = run
    assert [epoch["epoch"] for epoch in record["epochs"]] == [0, 1, 2, 3, 4]
    steps = record["steps"]
    assert steps["step"] == list(range(2, 26, 2))  # 5 steps an epoch
    assert len(steps["loss"]) == 12
    for quantity in ("scores", "coefficients"):
        assert set(steps[quantity]) == {"left", "right"}
        assert all(len(values) == 12 for values in steps[quantity].values())
    pairs = list(zip(*steps["coefficients"].values(), strict=True))
    assert pairs[:2] == [(1.0, 1.0)] * 2  # before the window
    assert all(min(pair) < 1 < max(pair) for pair in pairs[2:])


def test_csv_holds_the_same_values(run):
    folder, record = run
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train/loss_step"]) for row in rows if row["train/loss_step"]]
    assert losses == record["steps"]["loss"]
    accuracies = [float(r["validation/accuracy"]) for r in rows if r["validation/accuracy"]]
    assert accuracies == [epoch["validation/accuracy"] for epoch in record["epochs"]]
    scores = [float(row["response/right/score"]) for row in rows if row["response/right/score"]]
    assert scores == record["steps"]["scores"]["right"]
    assert [int(row["step"]) for row in rows] == sorted(int(row["step"]) for row in rows)


def test_tensorboard_holds_the_same_values(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, record = run
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("train/loss_step")]
    assert losses == pytest.approx(record["steps"]["loss"])
    coefficients = [event.value for event in events.Scalars("coefficient/left")]
    assert coefficients == pytest.approx(record["steps"]["coefficients"]["left"])
    assert len(events.Scalars("validation/accuracy")) == 5


def test_best_epoch_is_the_first_of_highest_validation_accuracy(run):
    _, record = run
    accuracies = [epoch["validation/accuracy"] for epoch in record["epochs"]]
    assert record["best_epoch"] == accuracies.index(max(accuracies))


def test_test_results_are_those_of_the_best_weights(run):
    folder, record = run
    balanced = recipe().build(Blobs().load()).eval()
    saved = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    balanced.load_state_dict(
        {k.removeprefix("balanced."): v for k, v in saved.items() if k.startswith("balanced.")}
    )
    part = Blobs().load().test
    out = balanced.respond(**part.inputs, target=part.target)
    assert record["test"]["loss"] == pytest.approx(F.cross_entropy(out.logits, part.target).item())
    hits = (out.logits.argmax(dim=1) == part.target).float().mean()
    assert record["test"]["accuracy"] == pytest.approx(hits.item())
    for m, name in enumerate(("left", "right")):
        hits = (out.responses[m].argmax(dim=1) == part.target).float().mean()
        assert record["test"][f"response/{name}/accuracy"] == pytest.approx(hits.item())
    kept = read_predictions(folder / "predictions.npz", record["predictions"]["digest"])
    assert kept["prediction"].tolist() == out.logits.argmax(dim=1).tolist()
    assert kept["value"].tolist() == (out.logits.argmax(dim=1) == part.target).tolist()
    assert record["predictions"]["num_samples"] == len(part)


def test_configuration_makes_the_same_run_again(run, tmp_path):
    folder, record = run
    again = read_recipe(folder / "config.yaml")
    assert again.describe() == recipe().describe()
    assert train(again, tmp_path / "again", progress=False)["steps"] == record["steps"]


def test_joint_training_has_no_coefficients_and_scores_only_on_request(tmp_path):
    plain = train(recipe(method=cp.Joint()), tmp_path / "plain", progress=False)
    assert plain["steps"]["scores"] is plain["steps"]["coefficients"] is None
    watched = train(recipe(method=cp.Joint(), monitor=True), tmp_path / "watched", progress=False)
    assert watched["steps"]["coefficients"] is None
    assert all(math.isfinite(s) for s in watched["steps"]["scores"]["left"])
    assert watched["steps"]["loss"] == plain["steps"]["loss"]


def test_monitoring_costs_coalitions_at_recorded_steps_only(tmp_path, monkeypatch):
    forward, modes = runs.Net.forward, []

    def noted(self, **inputs):
        modes.append(self.training)
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", noted)
    watched = recipe(
        method=cp.Joint(), monitor=True, trainer={"max_epochs": 1, "log_every_n_steps": 5}
    )
    train(watched, tmp_path / "run", progress=False)
    steps = modes[modes.index(True) :]
    assert steps[:4] == [True] * 4  # nothing beside them
    last = len(steps) - steps[::-1].index(True)
    look = steps[4 : last - 1]  # at the model, before its first coalitions
    assert look.count(True) == 1  # where its modes are compared
    assert steps.count(True) == 5 + 1
    assert steps[last : last + 3] == [False] * 3  # the coalitions of step 5, and validation


def test_changes_of_the_process_end_with_the_run(tmp_path):
    level = logging.getLogger("lightning.pytorch").level
    train(recipe(trainer={"max_epochs": 1, "num_threads": 1}), tmp_path / "run", progress=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert logging.getLogger("lightning.pytorch").level == level


def test_records_are_as_many_as_asked_where_an_epoch_is_shorter_than_the_interval(tmp_path):
    short = recipe(trainer={"max_epochs": 2, "log_every_n_steps": 1000})
    record = train(short, tmp_path / "run", progress=False)
    assert record["steps"]["step"] == [5, 10]


def test_folder_that_holds_something_is_refused(run):
    folder, _ = run
    with pytest.raises(ValueError, match=r"`output` should be a new or an empty folder; found '.*"):
        train(recipe(), folder, progress=False)
    with pytest.raises(ValueError, match="`output` should be a new or an empty folder"):
        train(recipe(), folder / "config.yaml", progress=False)


@pytest.mark.parametrize(("higher", "best"), [(True, 1), (False, 3)])
def test_an_epoch_whose_metric_is_no_number_is_the_best_of_none(higher, best, tmp_path):
    checkpoints = Checkpoints(tmp_path, "metric", higher_is_better=higher)
    trainer = SimpleNamespace(
        callbacks=[], is_global_zero=False, save_checkpoint=lambda *_, **__: None
    )
    for epoch, value in enumerate([math.nan, 0.3, math.nan, 0.2]):
        trainer.callback_metrics = {"metric": torch.tensor(value)}
        checkpoints.consider(trainer, epoch)
    assert checkpoints.best_epoch == best


def test_finished_run_is_not_run_again(run, monkeypatch):
    folder, record = run
    monkeypatch.setattr(runs.Net, "forward", None)
    assert train(recipe(), folder, resume=True, progress=False) == record


def test_nothing_to_resume_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"should hold the run to resume; found no config\.yaml"):
        train(recipe(), tmp_path / "run", resume=True, progress=False)


def test_another_recipe_is_refused_on_resume(run):
    folder, _ = run
    with pytest.raises(ValueError, match=r"`method` should be as in the run to resume"):
        train(recipe(method=cp.AGM(alpha=3.0)), folder, resume=True, progress=False)
    assert yaml.safe_load((folder / "config.yaml").read_text()) == recipe().describe()


def test_ctrl_c_can_be_caught_and_resumed(tmp_path, monkeypatch, run):
    handler = signal.getsignal(signal.SIGINT)
    forward, calls = runs.Net.forward, []

    def counted(self, **inputs):
        calls.append(None)
        if len(calls) == 70:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    with monkeypatch.context() as patch:
        patch.setattr(runs.Net, "forward", counted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), tmp_path / "run", progress=False)
    assert signal.getsignal(signal.SIGINT) is handler
    record = train(recipe(), tmp_path / "run", resume=True, progress=False)
    assert record["steps"] == run[1]["steps"]


def test_random_state_of_another_number_of_processes_is_refused():
    class FourProcesses:
        world_size, global_rank = 4, 1

    kept = RandomState()
    kept.load_state_dict(RandomState().state_dict())
    with pytest.raises(ValueError, match=r"number of processes should be 1, .* found 4"):
        kept.on_train_start(FourProcesses(), None)


def test_progress_suits_the_console():
    assert progress_callbacks(False) == []
    (bar,) = progress_callbacks(True, Console(force_terminal=True))
    (lines,) = progress_callbacks(True, Console(force_terminal=False))
    assert isinstance(bar, Bar)
    assert isinstance(lines, Lines)


def test_lines_tell_of_each_epoch(tmp_path, capsys):
    record = train(recipe(trainer={"max_epochs": 2}), tmp_path / "run")
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    epoch = record["epochs"][1]
    left, right = (epoch[f"validation/response/{name}/accuracy"] for name in ("left", "right"))
    assert out[1] == (
        f"epoch 2/2: validation {epoch['validation/accuracy']:.1%} "
        f"(left {left:.1%}, right {right:.1%})"
    )


def test_lines_tell_how_far_a_long_epoch_has_come():
    """The clock moves by 20 s a batch; a line is due after 30 s of silence."""
    now, out = [0.0], io.StringIO()
    lines = Lines(Console(file=out, width=40), every=30, clock=lambda: now[0])
    loop = SimpleNamespace(total_batch_idx=-1)
    trainer = SimpleNamespace(
        num_training_batches=5,
        max_epochs=2,
        current_epoch=0,
        fit_loop=loop,
        is_global_zero=True,
        is_last_batch=False,
    )
    lines.on_train_start(trainer, None)
    for batch in range(5):
        now[0] += 20
        loop.total_batch_idx = batch
        trainer.is_last_batch = batch == 4
        lines.on_train_batch_end(trainer, None, None, None, batch)
    assert out.getvalue().splitlines() == [
        "epoch 1/2, batch 2 of 5, about 3 min left",
        "epoch 1/2, batch 4 of 5, about 2 min left",
    ]
    assert "\r" not in out.getvalue()


@pytest.mark.parametrize("name", ["digits-joint", "digits-agm"])
def test_packaged_recipes_differ_in_the_method_alone(name):
    packaged = read_recipe(name)
    assert isinstance(packaged, Recipe)
    other = read_recipe("digits-joint").describe() | {
        key: packaged.describe()[key] for key in ("method", "name")
    }
    assert packaged.describe() == other


def test_same_bits_tells_values_apart():
    assert same_bits({"a": [torch.ones(2), 3]}, {"a": [torch.ones(2), 3]})
    assert not same_bits({"a": [torch.ones(2), 3]}, {"a": [torch.ones(2), 4]})
    assert not same_bits({"a": [torch.ones(2)]}, {"a": [torch.zeros(2)]})
