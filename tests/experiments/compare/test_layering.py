import re

import pytest

import counterpoise as cp
from counterpoise.experiments.compare.layering import (
    check_layer,
    compose,
    laid_over,
    starting_point,
)
from counterpoise.training import SGD, Adam


def recipe(*layers):
    return compose(laid_over(starting_point(), {"data": "Synthetic"}, *layers), "`methods.x`")


def test_without_layers_a_recipe_has_its_defaults_and_one_thread():
    found = recipe()
    assert isinstance(found.method, cp.Joint)
    assert isinstance(found.optimizer, SGD)
    assert found.trainer.num_threads == 1


def test_dotted_paths_reach_through_classes_and_their_arguments():
    found = recipe(
        {"method": "AGM", "trainer.max_epochs": 3},
        {"method.reference": "counterpoise.references.ExponentialAverage"},
        {"method.reference.decay": 0.7, "method.alpha": 2.5, "optimizer.learning_rate": 0.5},
    )
    assert (found.method.alpha, found.method.reference.decay) == (2.5, 0.7)
    assert (found.trainer.max_epochs, found.optimizer.learning_rate) == (3, 0.5)


def test_a_later_layer_wins_and_another_class_starts_afresh():
    first = {"optimizer": {"class_path": "SGD", "init_args": {"learning_rate": 0.5}}}
    assert recipe(first, {"optimizer.learning_rate": 0.25}).optimizer.learning_rate == 0.25
    other = recipe(first, {"optimizer": "Adam"}).optimizer
    assert isinstance(other, Adam)
    assert other.learning_rate == Adam().learning_rate


def test_layers_are_left_as_they_are():
    base = {"method": {"class_path": "AGM", "init_args": {"alpha": 1.0}}}
    layer = {"method.alpha": 2.0}
    laid_over(base, layer)["method"]["init_args"]["alpha"] = 3.0
    assert base == {"method": {"class_path": "AGM", "init_args": {"alpha": 1.0}}}
    assert layer == {"method.alpha": 2.0}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"methd": "AGM"}, "found 'methd'. Did you mean 'method'?"),
        ({"trainr.max_epochs": 3}, "found 'trainr'. Did you mean 'trainer'?"),
        ({"seed": 3}, "`methods.x` should be one of 'data', 'method'"),
        ({"method": "AGN"}, "`methods.x.method` should be one of"),
        ({"method": "AGN"}, "found 'AGN'. Did you mean 'AGM'?"),
        ({"data": {"class_path": "Digit"}}, "Did you mean 'Digits'?"),
    ],
)
def test_names_that_are_not_known_are_refused_with_the_nearest(layer, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_layer("methods.x", layer)


def test_a_path_that_leads_through_a_value_is_refused():
    message = r"`max_epochs` should hold settings for 'x' to be one; found 3\. Correct the path"
    with pytest.raises(ValueError, match=message):
        laid_over({"trainer": {"max_epochs": 3}}, {"trainer.max_epochs.x": 3})


def test_a_section_without_settings_is_refused():
    message = r"`base.trainer` should hold settings; found nothing\. Write them below it, or leave"
    with pytest.raises(ValueError, match=message):
        check_layer("base", {"trainer": None})


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match=r"`methods.x` should be a mapping of settings; found 3\."):
        check_layer("methods.x", 3)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"method": "AGM", "method.alpha": -1},
            "`alpha` should be finite, at least 0; found -1.0.",
        ),
        (
            {"method": "AGM", "method.alfa": 1},
            "`method` should have settings of AGM, one of 'alpha', ",
        ),
        ({"method": "AGM", "method.alfa": 1}, "; found 'alfa'. Did you mean 'alpha'? (At"),
        ({"data.num_trian": 59}, "found 'num_trian'. Did you mean 'num_train'? (At"),
        ({"optimizer.momentun": 0.5}, "of SGD, one of 'learning_rate', 'momentum',"),
        ({"method": "Joint", "method.alpha": 1}, "settings of Joint, none at all; found 'alpha'"),
        (
            {
                "method.reference.class_path": "counterpoise.references.ExponentialAverage",
                "method": "AGM",
                "method.reference.init_args": {"dcay": 0.5},
            },
            "`method.reference` should have settings of ExponentialAverage, one of 'decay'; found",
        ),
        (
            {"method": "counterpoise.methods.AGN"},
            "`method` should be the path of a class; found 'counterpoise.methods.AGN', but "
            "'counterpoise.methods' has no 'AGN'. Did you mean 'AGM'? (At",
        ),
        ({"method": "counterpoise.method.AGM"}, "but there is no module 'counterpoise.method'."),
        ({"method": "AGM", "method.alpha": "x"}, "Expected a <class 'float'>. Got value: x"),
        ({"batch_size": 0}, "`batch_size` should be at least 1; found 0."),
        ({"trainer.max_epoch": 3}, "`trainer` should have settings of TrainerOptions, one of"),
        ({"trainer.max_epoch": 3}, "found 'max_epoch'. Did you mean 'max_epochs'? (At"),
        (
            {"method": "no.such.Method"},
            "found 'no.such.Method', but there is no module 'no.such'. Install",
        ),
    ],
)
def test_settings_that_make_no_recipe_are_refused_in_one_line_that_says_where(layer, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        recipe(layer)
    assert str(caught.value).endswith("(At `methods.x` in the grid.)")
    assert "\n" not in str(caught.value)
    assert "NoneType" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("1 / 0", "division by zero"), ("import nosuch", "No module named 'nosu")]
)
def test_a_module_of_one_s_own_that_cannot_be_imported_says_why(
    tmp_path, monkeypatch, text, message
):
    (tmp_path / "failing_module.py").write_text(f"{text}\n\n\nclass Method:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=message):
        recipe({"method": "failing_module.Method"})
