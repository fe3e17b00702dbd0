"""Competition where there are no classes, and in networks whose encoders return what they like."""

import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import counterpoise as cp
from counterpoise.cli.compete import print_competition, write_competition
from counterpoise.data import DataSource, Loaders, MultimodalDataset, Regression, Splits
from counterpoise.experiments.compete import compete
from counterpoise.experiments.compete.prose import facts, lead
from counterpoise.measures import extract_features
from counterpoise.training import SGD, Architecture, Module, Network, Recipe, TrainerOptions
from counterpoise.training import run as training
from training.test_tasks import SIZES, TASKS, Hidden, Steps

OPTIONS = TrainerOptions(max_epochs=3, log_every_n_steps=5, accelerator="cpu", num_threads=1)


def measured(kind, folder, **options):
    model = Module(Steps) if kind == "segments" else Network(num_features=11)
    settings = {"model": model, "optimizer": SGD(0.1), "batch_size": 31, "trainer": OPTIONS}
    recipe = Recipe(Hidden(kind), **settings)
    return compete(recipe, num_seeds=1, runs=folder, backend="threading", **options)


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_is_measured_by_its_own_metric(kind, tmp_path, capsys):
    paths = {"fused": "head:input", "concept": {name: name for name in SIZES}}
    found = measured(kind, tmp_path, **(paths if kind == "segments" else {}))
    form, (outcome,) = TASKS[kind].form, found.outcomes
    assert found.form == form
    assert found.paths.by_segment == (kind == "segments")
    for name in SIZES:
        assert 0 < outcome.strength[name] < 2
        assert form.is_better(outcome.alone[name], than=found.data["guess"])
        assert form.is_better(outcome.probe[name], than=found.data["guess"])
        assert form.is_better(outcome.joint, than=outcome.alone[name])
        assert outcome.contribution[name] > 0  # of an error too
    assert outcome.robustness[0] == pytest.approx(outcome.joint, abs=1e-5)
    gained = form.turned(outcome.robustness[0]) - form.turned(outcome.robustness[-1])
    assert sum(outcome.contribution.values()) == pytest.approx(gained, abs=1e-5)
    assert not found.unlearnt()
    print_competition(found)
    page = write_competition(found, tmp_path / "out").read_text("utf-8")
    told = capsys.readouterr().out + page
    assert form.text(outcome.joint) in told
    assert "ccuracy, %" not in page


def test_segments_are_the_samples_that_concepts_are_predicted_for(tmp_path):
    """A concept of D numbers a segment, and not of D times their number a sample."""
    splits = Hidden("segments").load()
    model = Steps(3, splits.sample_shapes)
    batches = [splits.test.__getitems__(range(start, start + 50)) for start in (0, 50)]
    batches[1]["target"][3, 1] = -100  # does not count
    found = extract_features(model, batches, {"left": "left"}, segments=splits.task)
    assert found.features["left"].shape == (100 * 4 - 1, 11)
    assert len(found.target) == 100 * 4 - 1
    row = 53 * 4  # the first segment of the sample whose second does not count
    expected = model.left(batches[1]["left"][3])
    assert torch.equal(found.features["left"][row : row + 3], expected[[0, 2, 3]])


# -- encoders that return tuples -----------------------------------------------------------------


@dataclass(frozen=True)
class Readings(DataSource):
    """Two sensors over time; the target is the sum of what they began with."""

    noise: float = 0.3

    def load(self):
        parts = []
        for size, seed in ((193, 0), (89, 1), (83, 2)):
            generator = torch.Generator().manual_seed(seed)
            hidden = torch.randn(size, 2, generator=generator)
            inputs = {
                name: hidden[:, place, None, None]
                + self.noise * torch.randn(size, 5, 3, generator=generator)
                for place, name in enumerate(("heat", "tilt"))
            }
            parts.append(MultimodalDataset(inputs, hidden.sum(1, keepdim=True)))
        return Splits("readings", *parts, Regression())


class Recurrent(nn.Module):
    """A GRU and an LSTM, which return tuples, and a head that uses their final states."""

    def __init__(self):
        super().__init__()
        self.heat, self.tilt = nn.GRU(3, 7, batch_first=True), nn.LSTM(3, 5, batch_first=True)
        self.fuse, self.head = nn.Linear(12, 13), nn.Linear(13, 1)

    def forward(self, heat, tilt):
        states = self.heat(heat)[1][-1], self.tilt(tilt)[1][0][-1]
        return self.head(self.fuse(torch.cat(states, dim=1)).relu())


@dataclass(frozen=True)
class Recurrents(Architecture):
    def build(self, splits):
        return Recurrent()

    def encoder_paths(self, model):
        return {"heat": "heat", "tilt": "tilt"}


RECURRENT = Recipe(
    Readings(), model=Recurrents(), optimizer=SGD(0.1), batch_size=31,
    trainer=replace(OPTIONS, max_epochs=4),
)  # fmt: skip
CONCEPT = {"heat": "heat[1][-1]", "tilt": "tilt:output[1][0][-1]"}


def test_encoders_that_return_tuples_are_measured_by_an_index(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compete(RECURRENT, [cp.Joint(), cp.AGM(1.0)], num_seeds=1, fused="head:input",
                        concept=CONCEPT, runs=tmp_path, backend="threading")  # fmt: skip
    assert found.paths.encoders == CONCEPT
    for outcome in found.outcomes:
        assert all(0 < outcome.strength[name] < 1.5 for name in CONCEPT)
        assert set(outcome.probe) == set(CONCEPT)


def test_what_an_index_leads_to_is_tried_before_the_first_training(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train", None)

    def attempt(concept, fused="head:input"):
        compete(RECURRENT, fused=fused, concept=concept, runs=tmp_path, backend="threading")

    with pytest.raises(TypeError, match=r"one tensor; found 2 of them\. Say which by an index, as"):
        attempt({"heat": "heat", "tilt": "fuse"})
    with pytest.raises(ValueError, match=r"should lead to an entry; found a tuple, .* none 5\. In"):
        attempt({"heat": "heat[5]", "tilt": "fuse"})
    with pytest.raises(ValueError, match=r"found a Tensor of shape \(1, 8, 7\), which has none 3"):
        attempt({"heat": "heat[1][3]", "tilt": "fuse"})
    with pytest.raises(ValueError, match=r"for each of 8 samples; found shape \(1, 8, 7\)\. Name"):
        attempt({"heat": "heat[1]", "tilt": "fuse"})
    with pytest.raises(ValueError, match=r"should be the path of a module .*; found 'head\[1'"):
        attempt(CONCEPT, fused="head[1")
    assert not list(tmp_path.iterdir())


def test_an_encoder_without_a_known_feature_is_not_probed_and_that_is_said(tmp_path):
    with pytest.warns(UserWarning, match="encoder of .* is not probed. `paths") as told:
        found = compete(RECURRENT, num_seeds=1, fused="head:input", concept="fuse",
                        runs=tmp_path, backend="threading")  # fmt: skip
    assert len(told) == 2
    assert found.outcomes[0].probe == {}


def test_features_of_unequal_lengths_are_refused():
    model = nn.Module()
    model.inner = nn.Identity()
    model.forward = lambda x: model.inner(x)
    batches = [{"x": torch.zeros(2, steps, 3)} for steps in (5, 7)]
    with pytest.raises(ValueError, match=r"found 15 in one batch and 21 in another, as of sequen"):
        extract_features(model, batches, {"x": "inner"})
    assert extract_features(model, batches, {"x": "inner[:, -1]"}).features["x"].shape == (4, 3)


# -- loaders of one's own --------------------------------------------------------------------


def test_loaders_of_which_nobody_knows_the_samples_are_measured(tmp_path):
    parts = Readings().load().parts.values()
    sets = [TensorDataset(*part.inputs.values(), part.target) for part in parts]
    loaders = [DataLoader(each, 31, shuffle=place == 0) for place, each in enumerate(sets)]
    data = Loaders(*loaders, task=Regression(), fields=("heat", "tilt", "target"))
    found = compete(replace(RECURRENT, data=data), num_seeds=1, fused="head:input",
                    concept=CONCEPT, runs=tmp_path, backend="threading")  # fmt: skip
    assert found.data["guess"] is None
    assert found.unlearnt() == []
    assert all(0 < strength < 1.5 for strength in found.outcomes[0].strength.values())
    assert dict(facts(found))["Train / probe / test"] == " / ".join("\N{EN DASH}" * 3)


# -- what was not learnt -------------------------------------------------------------------------


def test_a_modality_that_learnt_nothing_alone_is_told_and_left_out_of_the_verdict(tmp_path):
    idle = replace(OPTIONS, max_epochs=1)
    recipe = Recipe(Hidden("regression"), model=Network(num_features=11), optimizer=SGD(1e-9),
                    batch_size=31, trainer=idle)  # fmt: skip
    found = compete(recipe, num_seeds=1, runs=tmp_path, backend="threading")
    assert found.unlearnt() == list(SIZES)
    warning, told = lead(found)
    assert warning.startswith("Trained alone, left and right did not learn: left ")
    assert "where guessing reaches 0." in warning
    assert told.startswith("Competition strength under Joint: ")  # and no verdict
    (outcome,) = found.outcomes
    guess, error = found.data["guess"], found.data["guess_error"]
    assert 0 < error < 0.1 * guess
    just = replace(outcome, alone={"left": guess - 0.9 * error, "right": guess - 1.1 * error})
    assert replace(found, outcomes=(just,)).unlearnt() == ["left"]
    assert not any("held back most" in text for text in lead(replace(found, outcomes=(just,))))


def test_a_verdict_that_the_probe_speaks_against_says_so(tmp_path):
    found = measured("multilabel", tmp_path)
    (outcome,) = found.outcomes
    most = max(outcome.strength, key=outcome.strength.get)
    better = replace(outcome, probe={**outcome.probe, most: outcome.alone[most] + 0.01})
    text = lead(replace(found, outcomes=(better,)))[0]
    assert f"{most} is held back most in the one run there is; yet a linear probe of its" in text
    worse = replace(outcome, probe={**outcome.probe, most: outcome.alone[most] - 0.01})
    assert "But" not in lead(replace(found, outcomes=(worse,)))[0]
