"""The paper's data sets, made small in their true formats, are trained on from file to record."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.data import (
    AVE,
    CMUMOSEI,
    CREMAD,
    MultimodalDataset,
    StoredDataset,
    URFunny,
)
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.crema_d.layout import find_clips
from counterpoise.experiments.compare import Grid, compare
from counterpoise.experiments.compete import compete
from counterpoise.experiments.compete.paths import find_paths
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

METHODS = ("Joint", "AGM", "OGMGE", "MSES", "MSLR", "UnimodalLoss")


class Averages(nn.Module):
    """A linear encoder of each modality's average over time, place or segments; late fusion."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], num_classes: int) -> None:
        super().__init__()
        sizes = {
            name: self.averaged(torch.zeros(1, *shape)).shape[1] for name, shape in shapes.items()
        }
        self.encoders = nn.ModuleDict({name: nn.Linear(size, 3) for name, size in sizes.items()})
        self.fused = nn.Identity()
        self.heads = nn.ModuleDict({name: nn.Linear(3, num_classes) for name in sizes})

    @staticmethod
    def averaged(x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4:  # channels first: rows of a spectrogram, colours of a picture
            x = x.mean(-1)
            return x.flatten(1) / 10 if x.shape[1] == 1 else x.mean(-1)
        return x.mean(tuple(range(1, x.ndim - 1)))

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        features = [self.encoders[name](self.averaged(x)).tanh() for name, x in inputs.items()]
        parts = self.fused(torch.cat(features, dim=1)).split(3, dim=1)
        return sum(self.heads[name](part) for name, part in zip(inputs, parts, strict=True))


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


QUICK_AND_SLOW = [
    ("ave", ("Joint", "AGM")),
    *(pytest.param(name, METHODS, marks=pytest.mark.slow) for name in SOURCES),
]
TRAINER = {"max_epochs": 12, "log_every_n_steps": 2, "accelerator": "cpu", "num_threads": 1}
GRID = {
    "base": {
        "model": {"class_path": "training.test_data_sets.Average"},
        "optimizer": {"class_path": "SGD", "init_args": {"learning_rate": 0.1, "momentum": 0.9}},
        "batch_size": 7,
        "trainer": TRAINER,
    },
    "seeds": [3],
    "redraw": False,  # one division, as the command that measures one recipe has it
    "competition": {"fused": "fused"},
}


SETTINGS = {"AGM": {"method.alpha": 1.0}, "OGMGE": {"method.alpha": 0.5}}


@pytest.mark.parametrize(("name", "methods"), QUICK_AND_SLOW)
@pytest.mark.filterwarnings("ignore:The training part shares videos")
def test_each_data_set_is_compared_and_measured_from_its_files(sources, tmp_path, name, methods):
    source = sources(name)
    splits, options = source.load(), {"root": str(source.root)}
    if name == "ave":
        options["preset"] = source.preset
    data = {"data": {"class_path": type(source).__name__, "init_args": options}}
    settings = {method: SETTINGS.get(method, {}) for method in methods}
    grid = Grid(name=name, data={name: data}, methods=settings, **GRID)
    how = {"runs": tmp_path, "backend": "threading", "jobs": 1}
    found = compare(grid, tmp_path / "out", progress=False, **how)
    assert not found.failures
    (block,) = found.blocks
    assert {row.method for row in block.rows} == set(methods)
    # Of so few test samples, all methods together tell that they learn.
    assert fmean(row.accuracy.mean for row in block.rows) > 1.5 / splits.num_classes
    for row in block.rows:
        losses = [epoch["train/loss"] for epoch in row.records[0]["epochs"]]
        assert losses[-1] < 0.8 * losses[0]
        (measured,) = row.competition.outcomes.values()
        for quantity in ("strength", "alone", "probe", "contribution"):
            assert set(measured[quantity]) == set(splits.modalities)
        assert all(0 < strength < math.inf for strength in measured["strength"].values())
    assert "Competition of modalities on" in (tmp_path / "out" / "report.html").read_text()
    # The command that measures one recipe finds all of it there.
    recipe, told = grid.shared_recipe(name, "").replace(seed=3), []
    again = compete(recipe, [cp.AGM(alpha=1.0)], num_seeds=1, fused="fused",
                    progress=lambda *seen: told.append(seen), **how)  # fmt: skip
    agm = next(row for row in block.rows if row.method == "AGM")
    assert again.outcomes[0].strength == agm.competition.outcomes[3]["strength"]
    assert told == [(0, 0, "all is there already")]


class Killed(Exception):
    """Stands for a kill: what lies on the disk is all that is left."""


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.filterwarnings("ignore:The training part shares videos")
def test_a_run_is_resumed_to_the_same_bits(sources, tmp_path, monkeypatch, name):
    """On CREMA-D with random views, which are those of the epoch."""
    trainer = TrainerOptions(**{**TRAINER, "max_epochs": 3})
    same = Recipe(sources(name), cp.AGM(alpha=1.0), Average(), SGD(0.1), batch_size=7,
                  trainer=trainer, seed=3)  # fmt: skip
    kind = MultimodalDataset if name == "cmu-mosei" else StoredDataset
    read, calls, last = kind.__getitems__, [], [math.inf]

    def counted(self, indices):
        calls.append(len(indices))
        if len(calls) == last[0]:
            raise Killed
        return read(self, indices)

    monkeypatch.setattr(kind, "__getitems__", counted)
    train(same, tmp_path / "straight", progress=False)
    last[0] = len(calls) // 2  # within the second epoch
    calls.clear()
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


@pytest.mark.parametrize("name", ["ave", pytest.param("cmu-mosei", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:The training part shares videos")
def test_features_of_the_papers_networks_are_found_before_training(tmp_path, name):
    source = {
        "ave": lambda: AVE(root=make_ave(tmp_path / "ave")),
        "cmu-mosei": lambda: CMUMOSEI(
            root=write_pickle(tmp_path / "m.pkl", mosei(11)),
            modalities=("text", "audio"),
            masks=True,
        ),
    }[name]()
    recipe = read_recipe(f"{name}-joint").replace(data=source)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The encoder of .* is not probed")
        # A concept of few dimensions: the covariance of others is not known from so few samples.
        paths = find_paths(recipe, source.load(), None, "fusion.head")
    assert paths.fused == "fusion.head:input"
    assert paths.num_fused == {"ave": 256, "cmu-mosei": 1024}[name]
    assert paths.by_segment == (name == "ave")
