"""A run that leaves the finite numbers ends as diverged, whatever its method."""

import json

import pytest
import torch

import counterpoise as cp
from counterpoise.training import SGD, train
from counterpoise.training.divergence import DivergedError, check_finite, diverging
from training import runs
from training.runs import recipe

METHODS = {
    "Joint": cp.Joint,
    "AGM": cp.AGM,
    "OGM": cp.OGM,
    "OGM-GE": cp.OGMGE,
    "MSES": cp.MSES,
    "MSLR": cp.MSLR,
    "UnimodalLoss": cp.UnimodalLoss,
    "MMPareto": cp.MMPareto,
    "PMR": cp.PMR,
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_diverges_alike(tmp_path, method):
    steep = recipe(method=method(), optimizer=SGD(learning_rate=1e30), trainer={"max_epochs": 2})
    record = train(steep, tmp_path / "run", progress=False)
    assert record["outcome"] == "diverged"
    assert "should be finite; found " in record["divergence"]
    assert record["test"] is None
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == record


def test_a_loss_that_is_not_finite_between_records_is_found_at_the_next(tmp_path, monkeypatch):
    forward, calls = runs.Net.forward, []

    def once_infinite(self, **inputs):
        calls.extend([None] * self.training)
        third = self.training and len(calls) == 3
        return forward(self, **inputs) * (torch.inf if third else 1)

    monkeypatch.setattr(runs.Net, "forward", once_infinite)
    seldom = recipe(method=cp.Joint(), trainer={"max_epochs": 2, "log_every_n_steps": 5})
    record = train(seldom, tmp_path / "run", progress=False)
    assert record["divergence"] == (
        "`training loss` should be finite; found nan in epoch 1, after 4 steps. "
        "Lower the learning rate, or clip the gradient."
    )


def test_a_validation_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch):
    forward = runs.Net.forward

    def infinite(self, **inputs):
        return forward(self, **inputs) * (1 if self.training else torch.inf)

    monkeypatch.setattr(runs.Net, "forward", infinite)
    record = train(recipe(method=cp.Joint()), tmp_path / "run", progress=False)
    assert record["divergence"].startswith("`validation loss` should be finite; found nan in epo")
    assert record["best_epoch"] is None


def test_a_diverged_run_is_complete_and_not_run_again(tmp_path, monkeypatch):
    steep = recipe(method=cp.Joint(), optimizer=SGD(learning_rate=1e30))
    record = train(steep, tmp_path / "run", progress=False)
    monkeypatch.setattr(runs.Net, "forward", None)
    assert train(steep, tmp_path / "run", resume=True, progress=False) == record


def test_what_a_finite_run_came_to_is_done(tmp_path):
    record = train(recipe(trainer={"max_epochs": 1}), tmp_path / "run", progress=False)
    assert record["outcome"] == "done"
    assert record["divergence"] is None


def test_other_floating_point_errors_of_a_method_keep_their_message():
    with pytest.raises(DivergedError, match="the score of 'left'"), diverging():
        raise FloatingPointError("the score of 'left'")


@pytest.mark.parametrize("loss", [float("inf"), -float("inf"), float("nan")])
def test_check_finite_says_what_is_not(loss):
    with pytest.raises(DivergedError, match=f"`loss` should be finite; found {loss} in epoch 3, "):
        check_finite("loss", loss, epoch=2, step=7)
    check_finite("loss", torch.tensor(3.5), epoch=2, step=7)
