"""The protocol: what is trained on what, what is reused, and which samples see what."""

import json
import re
import shutil
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
from counterpoise.experiments.cells import Run
from counterpoise.experiments.compete import compete
from counterpoise.experiments.session import FailedCellsError
from counterpoise.experiments.trained import load_best
from counterpoise.measures import Batches, UnimodalModel, model_strengths
from counterpoise.measures.unimodal import UnimodalNetwork, alone_recipe
from counterpoise.training import Adam, Architecture, Constant, Network, Recipe, TrainerOptions
from counterpoise.training import run as training

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
        runs=folder,
        backend="threading",
        progress=reports,
    )
    return folder, found, reports


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A late fusion, one method, one seed."""
    folder = tmp_path_factory.mktemp("late")
    return folder, compete(recipe("concatenation"), num_seeds=1, runs=folder, backend="threading")


def no_training(monkeypatch):
    def train(*args, **options):
        raise AssertionError("training is called")

    monkeypatch.setattr(training, "train", train)


def runs_of(folder):
    """Recipes of the runs by what they are trained on, and seed."""
    found = {}
    for path in (folder / "models").iterdir():
        recipe = yaml.safe_load((path / "config.yaml").read_text())
        alone = recipe["model"]["init_args"].get("modality")
        kind = recipe["method"]["class_path"].rpartition(".")[2]
        found[alone or kind, recipe["seed"]] = recipe
    return found


def folder_of(recipe, folder):
    return folder / "models" / Run(recipe, DATA.load().fingerprint).key


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
        assert outcome.robustness[0] == pytest.approx(outcome.joint)
        assert set(outcome.probe) == set(outcome.alone) == {"m1", "m2"}
        assert set(outcome.utilisation) == set(outcome.discrepancy) == {"m1", "m2"}
        assert all(value < 1 for value in outcome.utilisation.values())
        first, second = outcome.discrepancy.values()
        assert first * second == pytest.approx(1)  # for two modalities
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
    joint = load_best(base, splits, folder_of(base, folder)).model
    path = folder_of(alone_recipe(base, "m2"), folder)
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
    joint, agm, alone = (runs[kind, 7] for kind in ("Joint", "AGM", "m1"))
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
    again = compete(recipe(), [cp.Joint(), cp.AGM(alpha=2.0)], num_seeds=2, runs=folder,
                    progress=reports)  # fmt: skip
    assert again == found
    assert reports == [(0, 0, "all is there already")]


def test_other_paths_or_penalties_are_measured_on_the_same_runs(early, monkeypatch):
    folder, found, _ = early
    no_training(monkeypatch)
    options = {"num_seeds": 1, "runs": folder, "backend": "threading"}
    other = compete(recipe(), ridge=1.0, **options).outcomes[0]
    assert other.strength != found.outcomes[0].strength
    assert other.joint == found.outcomes[0].joint
    encoder = compete(recipe(), concept={"m1": "encoders.m1", "m2": "encoders.m2"}, **options)
    assert encoder.outcomes[0].strength != found.outcomes[0].strength


def test_another_name_is_the_same_run_and_other_settings_are_another():
    fingerprint = DATA.load().fingerprint
    base = Run(recipe(), fingerprint).key
    assert Run(recipe(name="mine"), fingerprint).key == base
    others = (
        recipe(seed=8),
        recipe(batch_size=16),
        recipe("gated"),
        recipe(method=cp.AGM(alpha=1.5)),
        recipe(absent=cp.absence.Constant(1.0)),
    )
    keys = {Run(other, fingerprint).key for other in others}
    assert len(keys | {base}) == len(others) + 1
    assert Run(recipe(), "0" * 64).key != base


def test_what_is_damaged_is_made_again_to_the_same_bits(late, tmp_path):
    folder, found = late
    again = shutil.copytree(folder, tmp_path / "copy")
    path = folder_of(recipe("concatenation"), again) / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    for result in (again / "results").iterdir():
        if "measurement" in result.read_text():
            result.write_text("{}")
    reports = Reports()
    with pytest.warns(UserWarning, match="is damaged") as warned:
        repaired = compete(recipe("concatenation"), num_seeds=1, runs=again, backend="threading",
                           progress=reports)  # fmt: skip
    assert len(warned) == 2
    assert [last.split()[0] for _, _, last in reports[1:]] == ["trained", "measured"]
    assert repaired.outcomes[0].strength == found.outcomes[0].strength


def test_a_run_that_fails_is_told_when_all_others_are_done(tmp_path, monkeypatch):
    train = training.train

    def fail(recipe, *args, **options):
        if isinstance(recipe.model, UnimodalNetwork) and recipe.model.modality == "m2":
            raise ValueError("no such luck")
        return train(recipe, *args, **options)

    message = (
        "1 of 1 failed, first 'synthetic-joint-7, competition': RuntimeError: The run 'm2 alone' "
        "failed: ValueError: no such luck All others are kept. Correct it, and start again with "
        "retry_failed."
    )
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", fail)
        for _ in range(2):
            with pytest.raises(FailedCellsError, match=re.escape(message)):
                compete(recipe(), num_seeds=1, runs=tmp_path, backend="threading")
    reports = Reports()
    compete(recipe(), num_seeds=1, runs=tmp_path, backend="threading", retry_failed=True,
            progress=reports)  # fmt: skip
    assert [last.partition(" ")[0] for _, _, last in reports[1:]] == ["trained", "measured"]


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
        recipe(model=OwnNetwork()),
        fused="last:input",
        num_seeds=1,
        runs=tmp_path,
        backend="threading",
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
        "m1": UnimodalModel(linear(whole), "m1", ("m1", "m2")),
        "m2": UnimodalModel(linear(whole), "m2", ("m1", "m2")),
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
        compete(base or recipe(), runs=tmp_path, backend="threading", **options)

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


def test_methods_that_would_be_told_alike_are_refused():
    """Or their runs would count as further seeds of one."""
    message = "`methods` should differ in their class's name or a setting; found AGM twice"
    for again in (cp.AGM(1.0), cp.AGM(1)):
        with pytest.raises(ValueError, match=message):
            compete(recipe(), [cp.AGM(), cp.Joint(), again])


def test_features_that_are_not_finite_are_an_error_that_names_the_modality():
    splits = DATA.load()
    concepts = {"m2": UnimodalModel(linear(torch.full((14, 14), torch.nan)), "m2", ("m1", "m2"))}
    with pytest.raises(
        ValueError, match=r"Modality 'm2': `concept_fit` should be finite; found nan"
    ):
        model_strengths(
            linear(torch.eye(14)), concepts, Batches(splits.validation), Batches(splits.test),
            fused="fuse", concept="fuse",
        )  # fmt: skip


def test_results_are_files_that_others_can_read(early):
    folder, found, _ = early
    contents = [json.loads(path.read_text()) for path in (folder / "results").iterdir()]
    measured = [each["record"] for each in contents if "measurement" in each["identity"]]
    strengths = {each["strength"]["m1"] for each in measured}
    assert strengths >= {outcome.strength["m1"] for outcome in found.outcomes}
