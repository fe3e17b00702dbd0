"""The protocol: what is trained on what, what is reused, and which samples see what."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import LightningModule
from sklearn.linear_model import Ridge
from torch import nn

import counterpoise as cp
from counterpoise.data import Synthetic
from counterpoise.experiments.compete import compete
from counterpoise.experiments.runs import in_parallel, is_complete, load_best, run_folder
from counterpoise.measures import Batches, MonoModal, model_strengths
from counterpoise.training import Adam, Architecture, Constant, Network, Recipe, TrainerOptions
from counterpoise.training import run as training
from experiments.compete import squares

DATA = Synthetic(
    unique=(0.6, 0.3), redundancy=0.1, synergy=0.0, num_classes=3,
    num_features=7, num_train=96, num_validation=61, num_test=53,
)  # fmt: skip


def recipe(fusion="maxout", **options):
    settings = {
        "model": Network(fusion=fusion, num_features=5),
        "optimizer": Adam(learning_rate=0.01),
        "schedule": Constant(),
        "trainer": TrainerOptions(max_epochs=2, accelerator="cpu", num_threads=1),
        "batch_size": 32,
        "seed": 7,
    }
    return Recipe(DATA, **{**settings, **options})


class Reports(list):
    """Keeps what progress is told."""

    def __call__(self, done, total, last):
        self.append((done, total, last))


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """An early fusion, two methods, two seeds."""
    folder, reports = tmp_path_factory.mktemp("early"), Reports()
    found = compete(
        recipe(),
        [cp.Joint(), cp.AGM(alpha=2.0)],
        num_seeds=2,
        output=folder,
        num_workers=1,
        progress=reports,
    )
    return folder, found, reports


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A late fusion, one method, one seed."""
    folder = tmp_path_factory.mktemp("late")
    return folder, compete(recipe("concatenation"), num_seeds=1, output=folder, num_workers=1)


def no_training(monkeypatch):
    def train(*args, **options):
        raise AssertionError("training is called")

    monkeypatch.setattr(training, "train", train)


def runs_of(folder):
    return {
        path.name.rpartition("-")[0]: yaml.safe_load((path / "config.yaml").read_text())
        for path in (folder / "runs").iterdir()
    }


# -- what comes out ------------------------------------------------------------------------------


def test_every_method_and_seed_has_an_outcome_for_each_modality(early):
    _, found, _ = early
    assert [(o.method, o.seed) for o in found.outcomes] == [
        ("Joint", 7), ("Joint", 8), ("AGM", 7), ("AGM", 8)
    ]  # fmt: skip
    assert found.modalities == ("m1", "m2")
    for outcome in found.outcomes:
        assert all(0 < outcome.strength[name] < 2 for name in found.modalities)
        shares = sum(outcome.contribution.values())
        assert shares == pytest.approx(outcome.robustness[0] - outcome.robustness[-1])
        assert outcome.robustness[0] == pytest.approx(outcome.accuracy)
        assert set(outcome.probe) == set(outcome.alone) == {"m1", "m2"}
        assert outcome.seconds > 0
    # The models that were trained alone are the same for both methods.
    assert found.outcomes[0].alone == found.outcomes[2].alone
    assert found.outcomes[0].strength != found.outcomes[2].strength


def features(model, dataset, of_head):
    """The input of a network's head, by hand."""
    kept = []
    of_head.register_forward_pre_hook(lambda module, args: kept.append(args[0]))
    with torch.no_grad():
        model(**dict(zip(("m1", "m2"), dataset, strict=True)))
    return kept[0].double().numpy()


def test_strengths_are_those_of_the_formula_on_validation_and_test(early):
    folder, found, _ = early
    splits, base = DATA.load(), recipe()
    joint = load_best(base, splits, run_folder(base, splits, folder / "runs")).model
    (path,) = (folder / "runs").glob("synthetic-m2-alone-7-*")
    state = torch.load(path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    alone = base.model.build(splits).eval()
    alone.load_state_dict({k.removeprefix("balanced.model.model."): v for k, v in state.items()
                           if k.startswith("balanced.model.model.")})  # fmt: skip
    x, c = {}, {}
    for name, part in (("fit", splits.validation), ("test", splits.test)):
        m1, m2 = part.inputs["m1"], part.inputs["m2"]
        x[name] = features(joint, (m1, m2), joint.fusion.head)
        c[name] = features(alone, (torch.zeros_like(m1), m2), alone.fusion.head)
    error = Ridge(alpha=120.0).fit(x["fit"], c["fit"]).predict(x["test"]) - c["test"]
    b = len(error) * np.cov(c["test"], rowvar=False)
    expected = np.trace(error @ np.linalg.pinv(b, rcond=1e-10) @ error.T) / c["test"].shape[1]
    assert found.outcomes[0].strength["m2"] == pytest.approx(expected, rel=1e-4)


def test_models_are_trained_alike_but_for_method_and_what_is_absent(early):
    folder, _, _ = early
    runs = runs_of(folder)
    assert len(runs) == 2 * (2 + 2)
    joint, agm, alone = (runs[f"synthetic-{kind}-7"] for kind in ("joint", "agm", "m1-alone"))
    assert alone["method"]["class_path"].endswith("Joint")
    assert alone["model"]["init_args"]["modality"] == "m1"
    assert alone["model"]["init_args"]["model"] == joint["model"] == agm["model"]
    for name in ("data", "optimizer", "schedule", "trainer", "batch_size", "seed"):
        assert joint[name] == agm[name] == alone[name]


def test_concepts_are_fused_features_in_early_and_encoders_in_late_fusion(early, late):
    head = "fusion.head:input"
    assert early[1].paths.concepts == {"m1": head, "m2": head}
    assert late[1].paths.concepts == {"m1": "encoders.m1", "m2": "encoders.m2"}
    assert early[1].paths.fused == late[1].paths.fused == head


# -- what is reused ------------------------------------------------------------------------------


def test_progress_counts_runs_and_measurements(early):
    _, _, reports = early
    assert [done for done, _, _ in reports] == list(range(13))
    assert {total for _, total, _ in reports} == {8 + 4}
    assert reports[0][2] == ""
    assert reports[1][2].startswith("trained ")
    assert reports[-1][2].startswith("measured ")


def test_a_second_call_trains_and_measures_nothing(early, monkeypatch):
    folder, found, _ = early
    no_training(monkeypatch)
    reports = Reports()
    again = compete(recipe(), [cp.Joint(), cp.AGM(alpha=2.0)], num_seeds=2, output=folder,
                    progress=reports)  # fmt: skip
    assert again == found
    assert reports == [(0, 0, "all is there already")]


def test_other_paths_or_penalties_are_measured_on_the_same_runs(early, monkeypatch):
    folder, found, _ = early
    no_training(monkeypatch)
    options = {"num_seeds": 1, "output": folder, "num_workers": 1}
    other = compete(recipe(), ridge=1.0, **options).outcomes[0]
    assert other.strength != found.outcomes[0].strength
    assert other.accuracy == found.outcomes[0].accuracy
    encoder = compete(recipe(), concept={"m1": "encoders.m1", "m2": "encoders.m2"}, **options)
    assert encoder.outcomes[0].strength != found.outcomes[0].strength


def test_another_name_is_the_same_run_and_other_settings_are_another(tmp_path):
    splits = DATA.load()
    base = run_folder(recipe(), splits, tmp_path)
    assert run_folder(recipe(name="mine"), splits, tmp_path).name[-16:] == base.name[-16:]
    others = (
        recipe(seed=8),
        recipe(batch_size=16),
        recipe("gated"),
        recipe(method=cp.AGM(alpha=1.5)),
        recipe(absent=cp.absence.Constant(1.0)),
    )
    keys = {run_folder(other, splits, tmp_path).name[-16:] for other in others}
    assert len(keys | {base.name[-16:]}) == len(others) + 1
    fewer = Synthetic(num_train=5).load()
    assert run_folder(recipe(), fewer, tmp_path).name[-16:] != base.name[-16:]


def test_a_run_that_was_killed_goes_on_and_one_that_hardly_began_starts_anew(late, tmp_path):
    folder, found = late
    runs = {path.name: path for path in (folder / "runs").iterdir()}
    for name, path in runs.items():
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
        if "joint" in name:  # has its recipe and the checkpoint of an epoch
            for kept in ("config.yaml", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
                (tmp_path / "runs" / name / kept).write_bytes((path / kept).read_bytes())
    again = compete(recipe("concatenation"), num_seeds=1, output=tmp_path, num_workers=1)
    assert all(is_complete(path) for path in (tmp_path / "runs").iterdir())
    assert again.outcomes[0].strength == found.outcomes[0].strength


def test_work_in_other_processes_is_that_of_this_one():
    jobs = [3, 5, 7]
    here = dict(in_parallel(squares.square, jobs, num_workers=1))
    there = dict(in_parallel(squares.square, jobs, num_workers=2))
    assert here == {3: (9, torch.get_num_threads()), 5: (25, torch.get_num_threads()),
                    7: (49, torch.get_num_threads())}  # fmt: skip
    assert {job: square for job, (square, _) in there.items()} == {3: 9, 5: 25, 7: 49}


# -- the user's own models -----------------------------------------------------------------------


class Own(nn.Module):
    """A network of the user's, whose head sees a product: nothing of m2 gets through alone."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.last = (
            nn.Linear(7, 5, bias=False),
            nn.Linear(7, 5),
            nn.Linear(5, 3),
        )

    def forward(self, m1, m2):
        return self.last(self.ear(m1) * (1 + self.eye(m2)))


@dataclass(frozen=True)
class OwnNetwork(Architecture):
    def build(self, splits):
        return Own()


def test_a_network_of_ones_own_is_given_the_path_of_its_fused_feature(tmp_path):
    found = compete(
        recipe(model=OwnNetwork()), fused="last:input", num_seeds=1, output=tmp_path, num_workers=1
    )
    assert found.paths.concepts == {"m1": "last:input", "m2": "last:input"}
    (outcome,) = found.outcomes
    assert outcome.strength["m1"] > 0.01
    # Alone, m2 leaves its concept constant: there is nothing to lose.
    assert (outcome.strength["m2"], outcome.varying["m2"]) == (0, 0)
    assert outcome.varying["m1"] == 1
    assert outcome.probe == {}


def linear(weights):
    """A network whose fused feature is a fixed linear map of its two inputs."""

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fuse, self.head = nn.Linear(14, 14, bias=False), nn.Linear(14, 3)
            self.fuse.weight.data = weights

        def forward(self, m1, m2):
            return self.head(self.fuse(torch.cat([m1, m2], dim=1)))

    return Fixed()


@pytest.mark.parametrize("lightning", [False, True])
def test_a_joint_model_that_drops_a_modality_holds_it_back(lightning):
    splits = Synthetic(num_classes=3, num_features=7, num_validation=400, num_test=300).load()
    whole = torch.eye(14)
    joint = linear(torch.diag((torch.arange(14) < 7).float()))  # keeps m1, drops m2
    if lightning:
        joint = Wrapped(joint)
    concepts = {
        "m1": MonoModal(linear(whole), "m1", ("m1", "m2")),
        "m2": MonoModal(linear(whole), "m2", ("m1", "m2")),
    }
    found = model_strengths(
        joint,
        concepts,
        iter(Batches(splits.validation)),  # gone through once
        list(Batches(splits.test)),
        fused="net.fuse" if lightning else "fuse",
        concept={"m1": "fuse", "m2": "head:input"},
        ridge=1e-3,
    )
    # Seven of fourteen dimensions vary where a modality is alone: all of them lost is a half.
    assert found["m1"] == pytest.approx(0, abs=1e-6)
    assert found["m2"] == pytest.approx(0.5, abs=0.2)


class Wrapped(LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, **inputs):
        return self.net(**inputs)


# -- bad input -----------------------------------------------------------------------------------


def test_mistakes_are_found_before_anything_is_trained(tmp_path, monkeypatch):
    no_training(monkeypatch)

    def attempt(base=None, **options):
        compete(base or recipe(), output=tmp_path, num_workers=1, **options)

    with pytest.raises(
        ValueError, match=r"`paths\['fused'\]` should be the path .* found 'fusion.hea'"
    ):
        attempt(fused="fusion.hea")
    with pytest.raises(ValueError, match=r"`paths\['concept of m1'\]` should be the path of a mod"):
        attempt(concept="encoders.m3")
    with pytest.raises(
        ValueError, match=r"`fused` should name the fused feature of Own; found none"
    ):
        attempt(recipe(model=OwnNetwork()))
    with pytest.raises(ValueError, match=r"`concept` should name modalities, .* found 'm3'\."):
        attempt(concept={"m3": "encoders.m1"})
    with pytest.raises(ValueError, match=r"`concept` should have a path for each .* none for m2\."):
        attempt(concept={"m1": "encoders.m1"})
    with pytest.raises(ValueError, match=r"`num_seeds` should be at least 1; found 0"):
        attempt(num_seeds=0)
    with pytest.raises(ValueError, match=r"`ridge` should be finite, at least 0; found -1"):
        attempt(ridge=-1.0)
    small = Synthetic(num_train=96, num_validation=1, num_test=53)
    with pytest.raises(ValueError, match=r"at least 2 samples in its validation split.* found 1\."):
        attempt(Recipe(small))
    assert not list(tmp_path.iterdir())


def test_no_worker_is_an_error():
    with pytest.raises(ValueError, match=r"`num_workers` should be at least 1; found 0"):
        list(in_parallel(squares.square, [1], num_workers=0))


def test_features_that_are_not_finite_are_an_error_that_names_the_modality():
    splits = DATA.load()
    concepts = {"m2": MonoModal(linear(torch.full((14, 14), torch.nan)), "m2", ("m1", "m2"))}
    with pytest.raises(
        ValueError, match=r"Modality 'm2': `concept_fit` should be finite; found nan"
    ):
        model_strengths(
            linear(torch.eye(14)), concepts, Batches(splits.validation), Batches(splits.test),
            fused="fuse", concept="fuse",
        )  # fmt: skip


def test_results_are_files_that_others_can_read(early):
    folder, _, _ = early
    paths = list((folder / "runs").glob("synthetic-joint-7-*/competition-*.json"))
    assert paths
    assert all(json.loads(path.read_text())["seed"] == 7 for path in paths)
