"""Runs on single modalities as teachers: made once, taken from the store, learnt from."""

import re
import shutil
from dataclasses import dataclass

import pytest
import torch
import yaml

import counterpoise as cp
from counterpoise.cli.main import main
from counterpoise.data import Synthetic
from counterpoise.experiments import FailedCellsError, unimodal_teachers
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.compete import compete
from counterpoise.training import (
    Adam,
    Architecture,
    Constant,
    Network,
    Recipe,
    TrainerOptions,
    train,
)
from counterpoise.training import run as training

DATA = Synthetic(
    unique=(0.6, 0.3), redundancy=0.1, synergy=0.0, num_classes=3,
    num_features=7, num_train=96, num_validation=61, num_test=53,
)  # fmt: skip
TRAINER = TrainerOptions(max_epochs=2, accelerator="cpu", num_threads=1)
NAMES = ("m1", "m2")


def recipe(**changes):
    settings = {
        "model": Network(fusion="concatenation", num_features=5),
        "optimizer": Adam(learning_rate=0.01),
        "schedule": Constant(),
        "trainer": TRAINER,
        "batch_size": 32,
        "seed": 7,
    }
    return Recipe(DATA, **{**settings, **changes})


def trained_on(folder):
    """What each kept model was trained on: a modality's name, or a method's."""
    found = []
    for path in (folder / "models").iterdir():
        config = yaml.safe_load((path / "config.yaml").read_text())
        method = config["method"]["class_path"].rpartition(".")[2]
        found.append(config["model"]["init_args"].get("modality", method))
    return sorted(found)


def state_of(path):
    return torch.load(path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def competed(tmp_path_factory):
    """UMT of two weights, whose competition is measured."""
    folder = tmp_path_factory.mktemp("competed")
    methods = [cp.UMT(weight=3.0), cp.chain(cp.UMT(weight=0.5), cp.OGM())]
    found = compete(recipe(), methods, num_seeds=1, runs=folder, backend="threading")
    return folder, found


def no_training(monkeypatch):
    def train(*args, **options):
        raise AssertionError("training is called")

    monkeypatch.setattr(training, "train", train)


def test_teachers_are_the_runs_on_single_modalities_each_trained_once(competed):
    folder, found = competed
    assert trained_on(folder) == ["Chain", "UMT", *NAMES]
    assert [outcome.method for outcome in found.outcomes] == ["UMT", "Chain"]
    assert found.outcomes[0].settings == {"teachers": None, "weight": 3.0}


def test_what_is_learnt_from_are_their_encoders_bit_for_bit(competed, monkeypatch):
    folder, _ = competed
    no_training(monkeypatch)
    teachers = unimodal_teachers(recipe(), runs=folder)
    assert list(teachers) == list(NAMES)
    compared = 0
    for path in (folder / "models").iterdir():
        prefix = "balanced.method.teachers."
        state = {k: v for k, v in state_of(path).items() if k.startswith(prefix)}
        for name, teacher in teachers.items() if state else ():
            for key, expected in teacher.state_dict().items():
                assert torch.equal(state[f"{prefix}{name}.{key}"], expected)
                compared += 1
    assert compared == 2 * 4  # two linear layers each, in the run that is not a chain


def test_train_takes_them_from_python_and_cannot_do_without(competed, tmp_path):
    folder, found = competed
    given = recipe(method=cp.UMT(weight=3.0))
    message = r"`teachers` should be trained for UMT; found encoders as they were drawn\. Pass what"
    with pytest.raises(ValueError, match=message):
        train(given, tmp_path / "without", progress=False)
    teachers = unimodal_teachers(given, runs=folder)
    record = train(given, tmp_path / "run", progress=False, teachers=teachers)
    assert record["test"]["accuracy"] == found.outcomes[0].joint
    saved = {k: v for k, v in state_of(tmp_path / "run").items() if "teachers" in k}
    assert saved
    by_hand = cp.UMT(teachers, weight=3.0).settings()["teachers"]
    assert all(re.fullmatch(r"\w+ [0-9a-f]{16}", text) for text in by_hand.values())
    assert by_hand["m1"] != by_hand["m2"]


@pytest.fixture
def settings(tmp_path):
    """The same recipe as a file."""
    path = tmp_path / "umt.yaml"
    described = recipe(method=cp.UMT(weight=3.0)).describe()
    path.write_text(yaml.safe_dump({k: v for k, v in described.items() if k != "name"}))
    return path


def test_a_file_that_names_the_method_trains_it_with_what_is_in_the_store(
    competed, settings, tmp_path, monkeypatch
):
    folder, found = competed
    monkeypatch.setenv("COUNTERPOISE_RUNS", str(folder))
    before = trained_on(folder)
    output = tmp_path / "run"
    arguments = ["train", f"--config={settings}", f"--output={output}", "--progress=false"]
    assert main(arguments) == 0
    assert trained_on(folder) == before
    record = yaml.safe_load((output / "record.json").read_text())
    assert record["test"]["accuracy"] == found.outcomes[0].joint


def test_a_grid_trains_missing_teachers_once_for_all_its_configurations(tmp_path):
    described = recipe().describe()
    base = {k: described[k] for k in ("model", "optimizer", "schedule", "trainer", "batch_size")}
    grid = Grid(
        data={"synthetic": {"data": described["data"]}},
        methods={
            "Joint": {"search": {"optimizer.weight_decay": [0.0, 0.1]}},
            "UMT": {"search": {"method.weight": [0.0, 3.0]}},
        },
        base=base,
        seeds=1,
        name="taught",
    )
    comparison = compare(
        grid, tmp_path / "report", runs=tmp_path / "runs", progress=False, backend="threading"
    )
    assert not comparison.failures
    found = trained_on(tmp_path / "runs")
    seeds = len(found) // 2  # of the search, and of what was chosen
    assert found == sorted(NAMES * seeds)
    assert seeds <= 2
    joint, umt = (o.chosen.results for o in comparison.outcomes)
    assert {r.state for r in (*joint.values(), *umt.values())} == {"done"}


def test_a_model_that_was_removed_is_trained_anew_before_it_is_learnt_from(tmp_path):
    runs = tmp_path / "runs"
    first = unimodal_teachers(recipe(), runs=runs, backend="threading")
    for path in (runs / "models").iterdir():
        shutil.rmtree(path)
    again = compete(recipe(), [cp.UMT()], num_seeds=1, runs=runs, backend="threading")
    assert len(again.outcomes) == 1
    second = unimodal_teachers(recipe(), runs=runs)
    for name in NAMES:
        for key, expected in first[name].state_dict().items():
            assert torch.equal(second[name].state_dict()[key], expected)


@dataclass(frozen=True)
class Unknown(Architecture):
    """A network of which it is not told where its encoders are."""

    def build(self, splits):
        return Network(fusion="concatenation", num_features=5).build(splits)


def test_a_network_that_does_not_tell_of_its_encoders_makes_no_teachers(tmp_path):
    message = r"`model` should tell where the encoder of 'm1' is, .*; found paths of none\. Let"
    with pytest.raises(ValueError, match=message):
        unimodal_teachers(recipe(model=Unknown()), runs=tmp_path, backend="threading")


def test_teachers_that_cannot_be_trained_are_named(tmp_path):
    given = recipe(method=cp.UMT(), optimizer=Adam(1e30))
    with pytest.raises(FailedCellsError, match=r"The run 'm1' diverged"):
        compete(given, num_seeds=1, runs=tmp_path, backend="threading")
