"""Settings: what they build, what they refuse, and that a file holds them whole."""

import math

import pytest
import torch
import yaml
from torch import nn

import counterpoise as cp
from counterpoise.data import MultimodalDataset, Splits, Synthetic
from counterpoise.training import (
    SGD,
    Adam,
    AdamW,
    Architecture,
    Constant,
    Cosine,
    Network,
    Recipe,
    StepLR,
    TrainerOptions,
)
from counterpoise.training.record import describe, write_csv, write_json
from training.runs import Blobs, Net, Small, recipe


def groups():
    return [{"params": [nn.Parameter(torch.zeros(3))], "modality": None}]


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        (SGD(0.3, 0.5, 0.2), torch.optim.SGD, {"lr": 0.3, "momentum": 0.5, "weight_decay": 0.2}),
        (SGD(0.3, 0.5, nesterov=True), torch.optim.SGD, {"nesterov": True}),
        (Adam(0.3, (0.5, 0.7), 0.2), torch.optim.Adam, {"lr": 0.3, "betas": (0.5, 0.7)}),
        (AdamW(0.3, (0.5, 0.7), 0.2), torch.optim.AdamW, {"weight_decay": 0.2}),
    ],
)
def test_optimizer_is_torch_s_with_these_settings(settings, kind, expected):
    optimizer = settings.build(groups())
    assert type(optimizer) is kind
    assert {name: optimizer.param_groups[0][name] for name in expected} == expected
    assert optimizer.param_groups[0]["modality"] is None


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Constant(), [1, 1, 1, 1]),
        (StepLR(every=2, factor=0.1), [1, 1, 0.1, 0.1]),
        (Cosine(), [(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]),
    ],
)
def test_schedule_gives_each_epoch_its_rate(schedule, factors):
    optimizer = SGD(learning_rate=0.5, momentum=0).build(groups())
    scheduler, rates = schedule.build(optimizer, 4), []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.5 * factor for factor in factors])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(learning_rate=-1), "`learning_rate` should be finite, at least 0; found -1"),
        (lambda: SGD(momentum=1.5), "`momentum` should be .* below 1; found 1.5"),
        (lambda: SGD(weight_decay=-2), "`weight_decay` should be .* at least 0; found -2"),
        (lambda: Adam(learning_rate=math.nan), "`learning_rate` should be finite.* found nan"),
        (lambda: Adam(weight_decay=-2), "`weight_decay` should be .* found -2"),
        (lambda: AdamW(learning_rate=-1), "`learning_rate` should be .* found -1"),
        (lambda: AdamW(weight_decay=-2), "`weight_decay` should be .* found -2"),
        (lambda: StepLR(every=0), "`every` should be at least 1; found 0"),
        (lambda: StepLR(factor=0), "`factor` should be .* above 0 and at most 1; found 0"),
        (lambda: TrainerOptions(max_epochs=0), "`max_epochs` should be at least 1; found 0"),
        (lambda: TrainerOptions(log_every_n_steps=0), "`log_every_n_steps` should be at least 1"),
        (lambda: TrainerOptions(accumulate_grad_batches=0), "`accumulate_grad_batches` should"),
        (lambda: TrainerOptions(devices=0), "`devices` should be at least 1; found 0"),
        (lambda: TrainerOptions(num_nodes=0), "`num_nodes` should be at least 1; found 0"),
        (lambda: TrainerOptions(num_threads=0), "`num_threads` should be at least 1; found 0"),
        (lambda: TrainerOptions(checkpoint_every_n_steps=0), "`checkpoint_every_n_steps` should"),
        (lambda: TrainerOptions(gradient_clip_val=0), "`gradient_clip_val` should be .* above 0"),
        (lambda: TrainerOptions(precision="32-ture"), "found '32-ture'. Did you mean '32-true'"),
        (lambda: TrainerOptions(accelerator="cup"), "`accelerator` should .* mean 'cpu'"),
        (lambda: Recipe(Blobs(), batch_size=0), "`batch_size` should be at least 1; found 0"),
        (lambda: Recipe(Blobs(), seed=-1), "`seed` should be at least 0; found -1"),
        (lambda: Recipe(Blobs(), coalitions="input"), "`coalitions` should .* mean 'inputs'"),
        (lambda: Recipe(Blobs(), attribution="shapely"), "`attribution` should .* 'shapley'"),
        (lambda: Network(fusion="maxot"), "`fusion` should be one of .* mean 'maxout'"),
        (lambda: Network(encoder="lenett"), "`encoder` should be one of .* mean 'lenet'"),
        (lambda: Network(encoder={"m1": "mpl"}), r"`encoder\['m1'\]` should .* mean 'mlp'"),
        (lambda: Network(num_features=0), "`num_features` should be at least 1; found 0"),
    ],
)
def test_setting_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_setting_of_another_type_is_refused():
    with pytest.raises(TypeError, match=r"`devices` should be an integer; found 2.0"):
        TrainerOptions(devices=2.0)
    with pytest.raises(TypeError, match=r"`num_features` should be an integer; found 2.0"):
        Network(num_features=2.0)
    with pytest.raises(TypeError, match=r"`encoder` should be a name or a mapping .* found None"):
        Network(encoder=None)


def test_recipe_fills_in_its_defaults_and_is_named_for_what_it_is():
    made = Recipe(Blobs(), cp.AGM(alpha=3.0), seed=11)
    assert made.name == "blobs-agm-11"
    kinds = (made.model, made.optimizer, made.schedule)
    assert kinds == (Network(), SGD(), StepLR())
    assert made.replace(seed=13).name == "blobs-agm-13"
    assert made.replace(seed=13, name="other").name == "other"


def test_a_recipe_is_described_by_public_names_that_do_not_move_with_modules(monkeypatch):
    made = recipe(method=cp.AGM(1.0, reference=cp.references.Fixed([1.0, 2.0])))
    before = made.describe()
    assert before["method"]["class_path"] == "counterpoise.AGM"
    assert before["optimizer"]["class_path"] == "counterpoise.training.SGD"
    monkeypatch.setattr(cp.AGM, "__module__", "counterpoise.methods.elsewhere")
    monkeypatch.setattr(type(made.optimizer), "__module__", "counterpoise.training.elsewhere")
    assert made.describe() == before


def test_recipe_is_described_by_plain_values_and_nothing_is_left_out():
    made = recipe(absent=cp.absence.Constant(0.5))
    described = made.describe()
    assert yaml.safe_load(yaml.safe_dump(described)) == described
    windowed = described["method"]["init_args"]
    assert (windowed["start"], windowed["stop"], windowed["unit"]) == (1, 99, "epochs")
    assert windowed["method"]["init_args"]["reference"] == {
        "class_path": "counterpoise.references.RunningMean"
    }
    assert described["absent"]["init_args"] == {"value": 0.5}
    assert described["trainer"]["max_epochs"] == 5
    assert described["optimizer"]["init_args"]["learning_rate"] == 0.05


def test_recipe_builds_another_copy_each_time():
    made = recipe()
    first, second = (made.build(Blobs().load()) for _ in range(2))
    assert first.method is not second.method
    assert first.method.modalities == ("left", "right")
    assert not made.method.modalities


@pytest.mark.parametrize("coalitions", [None, "inputs", "features", "shared"])
def test_recipe_wraps_the_network_that_its_model_builds(coalitions):
    balanced = recipe(coalitions=coalitions, monitor=True).build(Blobs().load())
    assert isinstance(balanced.model, Net)
    assert balanced.level == (coalitions or "shared")
    assert balanced.monitor


def test_recipe_samples_coalitions_on_request():
    assert recipe(num_passes=11).build(Blobs().load()).sampling == cp.Sampling(11)
    assert recipe().build(Blobs().load()).sampling is None


@pytest.mark.parametrize("fusion", ["additive", "concatenation"])
def test_network_is_made_for_the_data(fusion):
    splits = Synthetic(unique=(0.3, 0.2, 0.1), num_train=7, num_classes=5).load()
    model = Network(fusion=fusion, num_features=13)
    network = model.build(splits)
    out = network(**{name: splits.train.inputs[name][:2] for name in splits.modalities})
    assert out.shape == (2, 5)
    assert model.encoder_paths(network) == {f"m{i}": f"encoders.m{i}" for i in (1, 2, 3)}
    assert (model.head_paths(network) is not None) == (fusion == "additive")


def test_network_takes_no_token_ids():
    def make(num_samples):
        inputs = {"tone": torch.rand(num_samples, 3), "words": torch.ones(num_samples, 5).long()}
        return MultimodalDataset(inputs, torch.arange(num_samples) % 2)

    splits = Splits("toy", make(7), make(3), make(2), 2, "Noise.", "made here", "none")
    message = r"`data` should yield floating-point numbers for 'words', .*; found torch.int64\. Con"
    with pytest.raises(ValueError, match=message):
        Network().build(splits)


def test_architecture_of_a_user_knows_no_paths_unless_it_says_so():
    class Plain(Architecture):
        def build(self, splits):
            return Net()

    assert Plain().encoder_paths(Net()) is None
    assert Plain().head_paths(Net()) is None
    balanced = recipe(model=Plain()).build(Blobs().load())
    assert balanced.level == "inputs"
    assert Small().encoder_paths(Net()) == {"left": "encoders.left", "right": "encoders.right"}


def test_argument_that_an_object_does_not_keep_is_named():
    class Forgetful:
        def __init__(self, strength):
            self.power = strength

    with pytest.raises(TypeError, match="`Forgetful` should keep its argument `strength`"):
        describe(Forgetful(2.0))


def test_object_may_say_its_settings_itself():
    class Own:
        def __init__(self, strength):
            pass

        def settings(self):
            return {"strength": (1, 2)}

    assert describe(Own(2.0))["init_args"] == {"strength": [1, 2]}


def test_json_has_null_where_a_number_is_not_finite(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1.5, math.nan, (math.inf,)], "y": None})
    assert (tmp_path / "a.json").read_text().split() == (
        ["{", '"x":', "[", "1.5,", "null,", "[", "null", "]", "],", '"y":', "null", "}"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_csv_has_a_column_for_every_key(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": 2}, {"a": 3, "c": 4}])
    assert (tmp_path / "a.csv").read_text() == "a,b,c\n1,2,\n3,,4\n"
