"""The paper's data sets, made small in their true formats, are trained on from file to record."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.data import AVE, CMUMOSEI, CREMAD, URFunny
from counterpoise.data.clips.archive import Archive
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.crema_d.layout import find_clips
from counterpoise.training import (
    SGD,
    Architecture,
    PaperNetwork,
    Recipe,
    TrainerOptions,
    read_recipe,
    train,
)
from counterpoise.training.config import names
from support.affective import humor, mosei, write_pickle
from support.ave import make_ave
from support.clips import make_crema_d
from training.runs import same_bits
from training.test_resume import left_behind

METHODS = {
    "Joint": cp.Joint(),
    "AGM": cp.AGM(alpha=1.0),
    "OGMGE": cp.OGMGE(alpha=0.5),
    "MSES": cp.MSES(),
    "MSLR": cp.MSLR(),
    "UnimodalLoss": cp.UnimodalLoss(),
}


class Averages(nn.Module):
    """A linear encoder of each modality's average over time, place or segments."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], num_classes: int) -> None:
        super().__init__()
        sizes = {
            name: self.averaged(torch.zeros(1, *shape)).shape[1] for name, shape in shapes.items()
        }
        self.encoders = nn.ModuleDict({name: nn.Linear(size, 5) for name, size in sizes.items()})
        self.heads = nn.ModuleDict({name: nn.Linear(5, num_classes) for name in sizes})

    @staticmethod
    def averaged(x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4:  # channels first: rows of a spectrogram, colours of a picture
            x = x.mean(-1)
            return x.flatten(1) / 10 if x.shape[1] == 1 else x.mean(-1)
        return x.mean(tuple(range(1, x.ndim - 1)))

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return sum(
            self.heads[name](self.encoders[name](self.averaged(x)).tanh())
            for name, x in inputs.items()
        )


@dataclass(frozen=True)
class Average(Architecture):
    def build(self, splits):
        return Averages(splits.sample_shapes, splits.num_classes)

    def encoder_paths(self, model):
        return {name: f"encoders.{name}" for name in model.encoders}

    def head_paths(self, model):
        return {name: f"heads.{name}" for name in model.heads}


def crema_d(folder):
    root = make_crema_d(folder / "originals")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build(folder / "built", find_clips(root), Forms(), about={"name": "crema-d"})
    return CREMAD(root=folder / "built")


SOURCES = {
    "crema-d": crema_d,
    "ur-funny": lambda folder: URFunny(root=write_pickle(folder / "humor.pkl", humor(41))),
    "cmu-mosei": lambda folder: CMUMOSEI(root=write_pickle(folder / "m.pkl", mosei(41))),
    "ave": lambda folder: AVE(root=make_ave(folder / "ave"), preset="features"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    made = {}

    def of(name):
        if name not in made:
            made[name] = SOURCES[name](tmp_path_factory.mktemp(name))
        return made[name]

    return of


def recipe(source, method, epochs=12):
    return Recipe(
        data=source,
        method=method,
        model=Average(),
        optimizer=SGD(learning_rate=0.1, momentum=0.9),
        batch_size=7,
        trainer=TrainerOptions(max_epochs=epochs, log_every_n_steps=2, accelerator="cpu"),
        seed=3,
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.filterwarnings("ignore:The training part shares videos")
def test_every_method_learns_what_is_planted(sources, tmp_path, name, method):
    source = sources(name)
    record = train(recipe(source, METHODS[method]), tmp_path / "run", progress=False)
    guessing = 1 / source.load().num_classes
    assert record["test"]["accuracy"] > 1.5 * guessing


class Killed(Exception):
    """Stands for a kill: what lies on the disk is all that is left."""


def test_a_run_with_random_views_is_resumed_to_the_same_bits(sources, tmp_path, monkeypatch):
    same = recipe(sources("crema-d"), cp.AGM(alpha=1.0), epochs=3)
    train(same, tmp_path / "straight", progress=False)
    read, calls = Archive.read, []

    def counted(self, rows, seed=None, epoch=0):
        calls.append(epoch)
        if calls.count(1) == 2:  # within the second epoch
            raise Killed
        return read(self, rows, seed, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "read", counted)
        with pytest.raises(Killed):
            train(same, tmp_path / "run", progress=False)
    torch.rand(5)
    train(same, tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), left_behind(tmp_path / "straight"))


PAPERS = [n for n in names() if n.startswith(("crema-d", "ur-funny", "ave", "cmu-mosei"))]


def test_each_data_set_of_the_paper_has_a_recipe_for_each_required_method():
    methods = {type(read_recipe(name).method).__name__ for name in PAPERS}
    assert methods == set(METHODS)
    assert len(PAPERS) == len(SOURCES) * len(METHODS)


@pytest.mark.parametrize("name", [n for n in PAPERS if n.startswith("ave")])
@pytest.mark.filterwarnings("ignore:The training part shares videos")
def test_the_recipes_of_ave_train_its_network_on_segments(tmp_path, name):
    source = AVE(root=make_ave(tmp_path / "ave"))
    trainer = TrainerOptions(max_epochs=2, log_every_n_steps=1, accelerator="cpu")
    small = read_recipe(name).replace(data=source, batch_size=7, trainer=trainer)
    record = train(small, tmp_path / "run", progress=False)
    assert record["task"]["kind"] == "segments"
    assert record["epochs"][1]["train/loss"] < record["epochs"][0]["train/loss"]
    assert "extra_loss" in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]


def test_masks_stay_where_a_modality_of_cmu_mosei_is_absent(tmp_path):
    path = write_pickle(tmp_path / "m.pkl", mosei(11))
    recipe = read_recipe("cmu-mosei-agm")
    splits = CMUMOSEI(root=path, modalities=("text", "audio"), masks=True).load()
    assert set(splits.sample_shapes["text"]) == {"tokens", "mask"}
    assert set(recipe.architecture.absent_values(splits)) == {"text", "audio"}
    balanced = recipe.build(splits)
    batch = splits.example(3)
    absent = balanced.absent(0, batch["text"])
    assert not absent["tokens"].any()
    assert torch.equal(absent["mask"], batch["text"]["mask"])
    assert not batch["text"]["mask"].all()


def test_the_networks_of_the_paper_are_built_for_the_shapes_of_the_data(tmp_path):
    splits = URFunny(root=write_pickle(tmp_path / "humor.pkl", humor(11))).load()
    model = PaperNetwork("ur-funny", "late").build(splits)
    batch = splits.example(2)
    with torch.no_grad():
        assert model(**{name: batch[name] for name in splits.modalities}).shape == (2, 2)
    with pytest.raises(ValueError, match="`fusion` should be one of 'late', 'maxout'; found 'psp'"):
        PaperNetwork("ur-funny", "psp")
