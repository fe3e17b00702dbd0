import re

import pytest
import yaml

import counterpoise as cp
from counterpoise.data import Digits, Synthetic
from counterpoise.experiments.compare.files import read_grid
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.spaces import Choices, Range
from counterpoise.training import Adam
from experiments.compare.made import Fails
from training.runs import Blobs

METHODS = {
    "Joint": {"search": {"optimizer.weight_decay": [0.0, 0.5]}},
    "AGM": {"search": {"method.alpha": [0.5, 2.5]}},
}
THREE = {"Joint": None, "AGM": None, "OGM": None}
RATES = {"optimizer.learning_rate": {"low": 0.01, "high": 1.0, "log": True}}
DATA = {"digits": None, "small": {"data": "Synthetic", "data.num_train": 53}}


def grid(**changes):
    return Grid(**({"data": DATA, "methods": METHODS} | changes))


def test_every_method_meets_every_data_set_and_fusion():
    found = grid(fusions=["additive", "maxout"]).candidates()
    places = [each[:4] for each in found]
    assert places == [
        (data, fusion, method, number)
        for data in ("digits", "small")
        for fusion in ("additive", "maxout")
        for method in ("Joint", "AGM")
        for number in (0, 1)
    ]
    assert {each.recipe.model.fusion for each in found if each.fusion == "maxout"} == {"maxout"}


def test_labels_name_classes_unless_the_layer_does():
    found = {each.data: each.recipe.data for each in grid().candidates()}
    assert isinstance(found["digits"], Digits)
    assert isinstance(found["small"], Synthetic)
    assert found["small"].num_train == 53
    two = {"Joint": None, "mild AGM": {"method": "AGM", "method.alpha": 0.1}}
    methods = {each.method: each.recipe.method for each in grid(methods=two).candidates()}
    assert isinstance(methods["Joint"], cp.Joint)
    assert methods["mild AGM"].alpha == 0.1


def test_searches_try_every_combination():
    search = {"method.alpha": [0.5, 2.5], "optimizer.learning_rate": [0.1, 0.2, 0.3]}
    methods = {"AGM": {"search": search}}
    found = grid(methods=methods, baseline="AGM", data={"digits": None}).candidates()
    tried = [(each.recipe.method.alpha, each.recipe.optimizer.learning_rate) for each in found]
    assert tried == [(a, rate) for a in (0.5, 2.5) for rate in (0.1, 0.2, 0.3)]
    assert found[1].changes == {"method.alpha": 0.5, "optimizer.learning_rate": 0.2}


def test_layers_of_methods_lie_over_those_of_data_and_base():
    layers = {
        "base": {"batch_size": 7, "trainer.max_epochs": 3},
        "data": {"digits": {"batch_size": 11}},
        "methods": {"Joint": {"trainer.max_epochs": 5}},
    }
    (found,) = grid(**layers).candidates()
    assert (found.recipe.batch_size, found.recipe.trainer.max_epochs) == (11, 5)


@pytest.mark.parametrize(
    ("changes", "num_cells"),
    [
        ({"seeds": 5}, 2 * 2 * (2 + 5)),
        ({"seeds": [3, 1, 4]}, 2 * 2 * (2 + 3)),
        ({"seeds": 5, "search_seeds": 3}, 2 * 2 * (2 * 3 + 5)),
        ({"seeds": 3, "fusions": ["film", "gated", "maxout"]}, 2 * 2 * 3 * (2 + 3)),
        ({"methods": {"Joint": None, "AGM": None}}, 2 * 2 * 5),
        ({"trials": 7, "search": RATES}, 2 * 2 * (7 + 5)),
        ({"search": {"optimizer.momentum": [0.0, 0.5, 0.9]}}, 2 * 2 * (6 + 5)),
    ],
)
def test_cells_are_counted_before_they_are_run(changes, num_cells):
    assert grid(**changes).num_cells == num_cells


def test_configurations_are_chosen_by_seeds_that_judge_nothing():
    assert grid(seeds=3).choosing_seeds == (1000,)
    assert grid(seeds=3, search_seeds=2).choosing_seeds == (1000, 1001)
    assert grid(seeds=3, search_seeds=[7, 5]).choosing_seeds == (7, 5)
    assert grid(methods={"Joint": None, "AGM": None}).choosing_seeds == ()  # nothing to choose


def test_what_all_methods_search_comes_first_and_their_own_over_it():
    found = grid(trials=3, search=RATES).space("AGM")
    assert [*found] == ["optimizer.learning_rate", "method.alpha"]
    assert found["optimizer.learning_rate"] == Range(0.01, 1.0, log=True)
    own = {"AGM": {"search": {"optimizer.learning_rate": [0.1]}}, "Joint": None}
    found = grid(trials=3, search=RATES, methods=own).space("AGM")
    assert found == {"optimizer.learning_rate": Choices((0.1,))}


def test_each_setting_is_tried_at_its_ends_before_anything_is_run():
    found = grid(trials=3, search=RATES, fusions=["film", "gated"]).candidates()
    changes = [each.changes for each in found if each.method == "AGM"]
    rate, alpha = "optimizer.learning_rate", "method.alpha"
    ends = [{rate: 0.01}, {rate: 1.0}, {alpha: 0.5}, {alpha: 2.5}]
    assert changes == [{}, *ends, {}, {}, {}]
    wrong = {"Joint": None, "AGM": {"search": {"method.alpa": {"low": 1, "high": 2}}}}
    with pytest.raises(ValueError, match=r"`data.digits`, `methods.AGM` in the grid"):
        grid(trials=3, search=RATES, methods=wrong).candidates()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {}}, "`data` should hold at least one; found none."),
        ({"fusions": []}, "`fusions` should hold at least one; found none."),
        ({"fusions": ["maxot"]}, "found 'maxot'. Did you mean 'maxout'?"),
        ({"baseline": "joint"}, "`baseline` should be one of 'Joint', 'AGM'; found 'joint'."),
        ({"seeds": 0}, "`seeds` should be at least 1; found 0."),
        ({"seeds": []}, "`seeds` should hold at least one, each once; found []."),
        ({"seeds": [1, 1]}, "`seeds` should hold at least one, each once; found [1, 1]."),
        ({"seeds": [-1]}, "`seeds` should be at least 0; found -1."),
        ({"search_seeds": 0}, "`search_seeds` should be at least 1; found 0."),
        (
            {"seeds": [3, 5, 7], "search_seeds": [5, 11, 3]},
            "`search_seeds` should hold none of `seeds`, by which methods are judged; found [3, 5]",
        ),
        ({"trials": 0, "search": RATES}, "`trials` should be at least 1; found 0."),
        ({"trials": 3}, "`search` should hold what is searched for all methods, since there are"),
        (
            {"search": RATES},
            "`trials` should be given where a range is searched; found 'optimizer.learning_rate' "
            "of 'Joint' in a range.",
        ),
        ({"search": {"seed": [1]}}, "`search` should be one of"),
        (
            {"search": {"optimizer.momentum": {"low": 0, "hgh": 1}}},
            "`search.optimizer.momentum` should be one of 'low', 'high', 'log', 'int'; found 'hgh'",
        ),
        (
            {"search": {"optimizer.momentum": {"low": 0}}},
            "`search.optimizer.momentum` should have both ends of the range; found {'low': 0}.",
        ),
        (
            {"search": {"optimizer.momentum": {"low": 0, "high": 1, "log": True}}},
            "`search.optimizer.momentum.low` should be finite, above 0; found 0.",
        ),
        (
            {"search": {"optimizer.momentum": {"low": 1, "high": 1}}},
            "`search.optimizer.momentum.high` should be finite, above 1; found 1.",
        ),
        ({"pairs": [["AGM", "Joint", "AGM"]]}, "`pairs` should hold pairs of different methods;"),
        ({"pairs": [["AGM", "AGM"]]}, "found ['AGM', 'AGM']. Write each as [this one, against"),
        ({"pairs": [["AGM", "Jont"]]}, "found 'Jont'. Did you mean 'Joint'?"),
        ({"pairs": [["AGM", "Joint"]]}, "`pairs` should leave out the baseline 'Joint', which"),
        ({"pairs": [["Joint", "AGM"]]}, "compared with anyway; found ['Joint', 'AGM']. Remove it."),
        (
            {"methods": THREE, "pairs": [["AGM", "OGM"], ["OGM", "AGM"]]},
            "`pairs` should hold each two methods once, in whichever order; found 'AGM' and 'OGM'",
        ),
        ({"fusions": ["film", "film"]}, "`fusions` should hold each once; found 'film' again."),
        (
            {"methods": {"Joint": {"search": {"optimizer.weight_decay": [0.5, 0, 0.5]}}}},
            "`methods.Joint.search.optimizer.weight_decay` should hold different values, each",
        ),
        ({"competition": {"fuse": "head"}}, "found 'fuse'. Did you mean 'fused'?"),
        ({"methods": {**METHODS, "OGM": None}}, "the same number of configurations, or the"),
        ({"methods": {**METHODS, "OGM": None}}, "found Joint: 2, AGM: 2, OGM: 1."),
        ({"methods": {"Joint": {"model.fusion": "film"}}}, "`methods.Joint` should be one of"),
        ({"methods": {"Joint": {"data": "Digits"}}}, "`methods.Joint` should be one of"),
        ({"methods": {"Joint": {"search": {"seed": [1]}}}}, "`methods.Joint.search` should be one"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        grid(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"seeds": seeds}, f"`seeds` should be a number of seeds or a list of them; found {x}.")
            for seeds, x in (("five", "'five'"), (2.5, 2.5), (True, True), ([1, "a"], "[1, 'a']"))
        ),
        ({"search_seeds": "two"}, "`search_seeds` should be a number of seeds or a list of them;"),
        ({"trials": "two", "search": RATES}, "`trials` should be an integer; found 'two'."),
        ({"search": ["rate"]}, "`search` should be a mapping of settings; found ['rate']."),
        ({"redraw": "no"}, "`redraw` should be True or False; found 'no'."),
        (
            {"search": {"optimizer.momentum": {"low": 1, "high": 2.5, "int": True}}},
            "`search.optimizer.momentum` should have integers as ends, since int is true; found 1 "
            "and 2.5.",
        ),
        (
            {"search": {"optimizer.momentum": {"low": 0, "high": 1, "log": "yes"}}},
            "`search.optimizer.momentum.log` should be True or False; found 'yes'.",
        ),
        ({"data": ["digits"]}, "`data` should be a mapping of labels to settings; found ['dig"),
        ({"methods": "Joint"}, "`methods` should be a mapping of labels to settings; found 'Jo"),
        ({"data": {1: None}}, "`data` should have strings as labels; found 1. Put it in quotes."),
        ({"methods": {True: None}}, "`methods` should have strings as labels; found True. Put"),
        ({"data": {"digits": "all"}}, "`data.digits` should be a mapping of settings; found 'all'"),
        ({"methods": {"Joint": 0}}, "`methods.Joint` should be a mapping of settings; found 0."),
        ({"methods": {"Joint": {"search": []}}}, "`methods.Joint.search` should be a mapping of"),
        ({"base": [1]}, "`base` should be a mapping of settings; found [1]."),
        ({"fusions": "film"}, "`fusions` should be a list of names; found 'film'. Write it as [a"),
        ({"pairs": "AGM"}, "`pairs` should be a list of pairs; found 'AGM'. Write it as [[this"),
        ({"pairs": ["AGM", "Joint"]}, "`pairs` should be a list of pairs; found ['AGM', 'Joint']"),
        ({"name": 3}, "`name` should be a string, not empty; found 3. Put it in quotes."),
        ({"name": ""}, "`name` should be a string, not empty; found ''."),
        ({"competition": "yes"}, "`competition` should be true, false or a mapping of paths of"),
    ],
)
def test_values_of_another_kind_are_refused_in_one_line(changes, message):
    with pytest.raises(TypeError, match=re.escape(message)) as caught:
        grid(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [0.5, [], "0.5"])
def test_a_search_needs_lists(values):
    message = (
        r"`methods.AGM.search.method.alpha` should be a list of values to try, or a range; found"
    )
    with pytest.raises(TypeError, match=message):
        grid(methods={"Joint": None, "AGM": {"search": {"method.alpha": values}}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"digts": None}}, "`data.digts` should say which `data` it is, or be called"),
        ({"data": {"digts": None}}, "found 'digts'. Did you mean 'digits'?"),
        ({"methods": {"Joint": None, "AGN": None}}, "found 'AGN'. Did you mean 'AGM'?"),
        ({"methods": {"Joint": {"batch_size": 0}}}, "(At `data.digits`, `methods.Joint` in the"),
    ],
)
def test_what_makes_no_recipe_is_refused_before_anything_runs(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        grid(**changes).candidates()


YAML = """
name: two
data:
  digits: {trainer.max_epochs: 3}
methods:
  Joint: {search: {optimizer.weight_decay: [0.0, 0.001]}}
  AGM:
    search:
      method.alpha: [0.5, 2.5]
seeds: [3, 5]
"""


@pytest.mark.parametrize(
    ("text", "paths"),
    [("true", {}), ("false", {}), ("{fused: 'head:input'}", {"fused": "head:input"})],
)
def test_a_file_may_ask_for_competition(tmp_path, text, paths):
    (tmp_path / "grid.yaml").write_text(f"{YAML}competition: {text}\npairs: []\n")
    found = read_grid(tmp_path / "grid.yaml")
    assert (found.feature_paths, bool(found.competition)) == (paths, text != "false")


def test_single_modalities_are_trained_with_what_all_methods_share():
    found = grid(
        base={"batch_size": 11, "optimizer.weight_decay": 0.5},
        methods={"Joint": {"optimizer.weight_decay": 0.1}, "AGM": {"batch_size": 7}},
        fusions=["film"],
    ).shared_recipe("digits", "film")
    assert (type(found.method).__name__, found.batch_size) == ("Joint", 11)
    assert (found.optimizer.weight_decay, found.model.fusion) == (0.5, "film")


def test_a_grid_is_read_from_a_file(tmp_path):
    (tmp_path / "grid.yaml").write_text(YAML)
    found = read_grid(tmp_path / "grid.yaml")
    assert (found.name, found.all_seeds, found.num_tries) == ("two", (3, 5), 2)
    assert found.candidates()[3].recipe.method.alpha == 2.5
    assert Grid(**found.describe()) == found


def test_the_path_of_a_class_is_a_label_too():
    data = {"training.runs.Blobs": None, "digits": {"batch_size": 5}}
    methods = {"experiments.compare.made.Fails": {"batch_size": 7}, "Joint": None}
    found = grid(data=data, methods=methods).candidates()
    assert [(each.data, each.method) for each in found[:2]] == [
        ("training.runs.Blobs", "experiments.compare.made.Fails"),
        ("training.runs.Blobs", "Joint"),
    ]
    assert found[0].recipe.data == Blobs()
    assert (type(found[0].recipe.method), found[0].recipe.batch_size) == (Fails, 7)


def test_a_file_may_name_classes_by_their_path_with_and_without_arguments(tmp_path):
    (tmp_path / "grid.yaml").write_text(
        "data: {digits: null}\nbase:\n"
        "  optimizer: {class_path: counterpoise.training.Adam}\n"
        "  optimizer.learning_rate: 0.3\n"
        "methods:\n"
        "  Joint: {method: {class_path: counterpoise.Joint}}\n"
        "  A: {method: {class_path: counterpoise.AGM}, method.alpha: 2.0}\n"
        "  B:\n    method: {class_path: counterpoise.AGM, init_args: {alpha: 3.0}}\n"
        "    method.clamp: 5.0\n"
    )
    found = read_grid(tmp_path / "grid.yaml")
    joint, first, second = (each.recipe for each in found.candidates())
    assert type(joint.method) is cp.Joint
    assert joint.optimizer == Adam(learning_rate=0.3)
    assert (first.method.alpha, first.method.clamp) == (2.0, cp.AGM().clamp)
    assert (second.method.alpha, second.method.clamp) == (3.0, 5.0)
    assert yaml.safe_load(yaml.safe_dump(found.describe())) == found.describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "`grid` should be a YAML file; found "),
        ("- 1", "`grid` should hold settings by name; found a list in "),
        ("methds: {}", "`grid` should be one of 'data', 'methods', 'baseline'"),
        ("methds: {}", "found 'methds'. Did you mean 'methods'?"),
        ("methods: {Joint: null}", "`grid` should hold 'data'; found 'methods' in "),
        ("name: a\ndata:\n  digits: null\nname: b", "'name' stands there twice in "),
        ("methods:\n  AGM: {}\n  Joint: {}\n  AGM: {}", "'AGM' stands there twice in "),
        ("methods:\n  AGM: {}\n  Joint: {}\n  AGM: {}", "line 4, column 3. Correct it there."),
        ("{data: {digits: null}, methods: {Joint: null}, seeds: 0}", "`seeds` should be at least"),
    ],
)
def test_a_file_that_holds_no_grid_is_refused(tmp_path, text, message):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_grid(tmp_path / "grid.yaml")


def test_what_a_file_takes_over_from_another_place_may_be_set_anew(tmp_path):
    text = """
data:
  digits: &few {batch_size: 7, trainer.max_epochs: 3}
  synthetic: {<<: *few, batch_size: 11}
methods: {Joint: null}
"""
    (tmp_path / "grid.yaml").write_text(text)
    found = read_grid(tmp_path / "grid.yaml").candidates()
    assert [each.recipe.batch_size for each in found] == [7, 11]
    assert {each.recipe.trainer.max_epochs for each in found} == {3}


@pytest.mark.parametrize("value", ["some", "2.5", "true"])
def test_a_file_s_values_of_another_kind_are_refused(tmp_path, value):
    text = f"{{data: {{digits: null}}, methods: {{Joint: null}}, seeds: {value}}}"
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(TypeError, match=r"`seeds` should be a number of seeds or a list of them"):
        read_grid(tmp_path / "grid.yaml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`grid` should be a YAML file; found no file"):
        read_grid(tmp_path / "none.yaml")
