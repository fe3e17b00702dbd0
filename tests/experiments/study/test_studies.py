"""Each study: what it trains and what it measures."""

from collections import defaultdict
from dataclasses import FrozenInstanceError, replace
from math import log

import pytest

from counterpoise.experiments.study import STUDIES, study_class
from counterpoise.experiments.study.estimates import FUSED
from counterpoise.experiments.study.study import Study
from counterpoise.experiments.study.synthetic_settings import SETTINGS, SYNERGY, recipe_for
from counterpoise.experiments.trained import Trained
from counterpoise.measures import Batches, model_strengths
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.methods import AGM
from counterpoise.training import train
from experiments.study import made

EACH = pytest.mark.parametrize("name", STUDIES)


@EACH
def test_every_name_leads_to_its_study(name):
    kind = study_class(name)
    assert issubclass(kind, Study)
    assert kind.name == name
    assert kind.__module__ == f"counterpoise.experiments.study.{name}"
    assert kind.__name__ == STUDIES[name]
    assert kind.question.endswith("?")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"`name` should be one of .*'shift'\. Did .*'shifts'\?"):
        study_class("shift")


@EACH
def test_studies_are_frozen_and_take_seeds_enough_for_intervals(name):
    with pytest.raises(FrozenInstanceError):
        made.study(name).num_seeds = 7
    least = 3 if name in ("initialisations", "agreement") else 2
    rule = f"`num_seeds` should be at least {least}; found {least - 1}"
    with pytest.raises(ValueError, match=rule):
        made.study(name, num_seeds=least - 1)


def test_fusions_are_compared_where_there_are_any():
    with pytest.raises(ValueError, match="`fusions` should hold at least one; found none"):
        made.study("fusions", fusions=())


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name in STUDIES
        for field in ("num_train", "max_epochs", "alpha")
        if field in study_class(name).__dataclass_fields__
    ],
)
def test_numbers_out_of_range_are_refused(name, field):
    with pytest.raises(ValueError, match=f"`{field}` should be .*found -1"):
        made.study(name, **{field: -1})


@EACH
def test_every_condition_has_every_seed(name):
    seeds = defaultdict(list)
    for case in made.study(name).cases():
        seeds[case.condition].append(case.seed)
        wanted = {recipe.seed for part, recipe in case.runs.items() if "-" not in part}
        assert wanted == {case.seed}
    assert len({len(condition) for condition in seeds}) == 1
    assert all(sorted(found) == list(range(made.NUM_SEEDS)) for found in seeds.values())


@pytest.mark.parametrize("name", ["reliance", "shifts", "attributions", "references"])
def test_made_up_conditions_are_those_of_the_cases(name):
    conditions = {case.condition for case in made.study(name).cases()}
    assert conditions == set(made.everything()[name].conditions)


@pytest.mark.parametrize("name", ["responses", "scores"])
def test_synergy_is_studied_where_a_fusion_can_use_it(name):
    def settings(fusion):
        return {case.condition[0] for case in made.study(name, fusion=fusion).cases()}

    assert settings("additive") == settings("concatenation") == set(SETTINGS)
    assert settings("gated") == {*SETTINGS, *SYNERGY}


def test_initialisations_meet_the_concepts_of_all():
    for case in made.study("initialisations").cases():
        concepts = {f"{name}-{seed}" for name in ("m1", "m2") for seed in range(made.NUM_SEEDS)}
        assert case.runs.keys() == {"joint", *concepts}
        assert all(
            recipe.seed == int(part[-1]) for part, recipe in case.runs.items() if part != "joint"
        )


@EACH
def test_findings_are_complete(name):
    found = made.study(name).find(made.everything()[name])
    assert found.figures
    assert all(found.answer)
    for results in found.results:
        for values in results.rows.values():
            assert values.keys() <= results.quantities.keys()
        shown = set().union(*results.rows.values())
        assert shown == results.quantities.keys()
    assert found.study.question in found.to_page().to_html()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A joint run with AGM, and a run on each modality alone."""
    folder = tmp_path_factory.mktemp("runs")
    plain = recipe_for(made.TINY, "additive", max_epochs=1, seed=0)
    recipes = {"joint": plain.replace(method=AGM(1.0))}
    recipes |= {name: alone_recipe(plain, name) for name in made.TINY.modalities}
    for part, recipe in recipes.items():
        train(recipe, folder / part, progress=False)
    return {part: Trained(recipe, folder / part) for part, recipe in recipes.items()}


def runs_of(name, trained):
    """The runs of a case of a study, as far as they have to differ."""
    if name in ("responses", "agreement", "fusions"):
        return trained
    if name == "scores":
        return {"joint": trained["joint"]}
    if name == "initialisations":
        own = {f"{m}-{seed}": trained[m] for seed in range(made.NUM_SEEDS) for m in ("m1", "m2")}
        return {"joint": trained["joint"], **own}
    return {"run": trained["joint"]}


def shape(value):
    """Keys and lengths of a pytree of numbers, without the numbers."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    assert value is None or isinstance(value, (int, float))
    return "number"


@EACH
def test_what_is_measured_has_the_shape_that_is_made_up_here(name, trained):
    measured = study_class(name).measure(runs_of(name, trained))
    seen = made.everything()[name]
    measured = {key: each for key, each in measured.items() if key != "num_test"}  # not made up
    assert shape(measured) == shape(seen.measured[seen.conditions[0]][0])


def test_measured_truths_are_those_of_the_data(trained):
    for name in ("responses", "agreement"):
        measured = study_class(name).measure(runs_of(name, trained))
        assert measured["truth"] == pytest.approx({"m1": 0.6 * log(5), "m2": 0.2 * log(5)})
    measured = study_class("reliance").measure(runs_of("reliance", trained))
    assert measured["truth"] == pytest.approx(0.75)
    assert measured["accuracy"] == trained["joint"].record["test"]["accuracy"]


def test_strength_is_what_is_not_carried(trained):
    carried = study_class("responses").measure(trained)["estimates"]
    strength = study_class("fusions").measure(trained)
    for kept, lost in (("carried", "strength"), ("carried_standardised", "standardised")):
        for name, value in strength[lost].items():
            assert value == pytest.approx(1 - carried[kept][name])


def test_strengths_are_those_of_the_protocol(trained):
    joint, alone = trained["joint"], {n: trained[n] for n in made.TINY.modalities}
    expected = model_strengths(
        joint.balanced.model,
        {name: run.balanced.model for name, run in alone.items()},
        Batches(joint.splits.validation),
        Batches(joint.splits.test),
        fused=FUSED,
        concept={name: f"encoders.{name}" for name in alone},
    )
    assert study_class("fusions").measure(trained)["strength"] == pytest.approx(expected)
    assert all(0.1 < value < 3 for value in expected.values())


def test_equal_concepts_give_equal_strengths(trained):
    measured = study_class("initialisations").measure(runs_of("initialisations", trained))
    for values in measured["strength"].values():
        assert values == [values[0]] * made.NUM_SEEDS


def test_modulation_is_the_mean_distance_of_coefficients_from_one(trained):
    coefficients = trained["joint"].record["steps"]["coefficients"]
    distances = [abs(k - 1) for values in coefficients.values() for k in values]
    measured = study_class("references").measure(runs_of("references", trained))
    assert measured["modulation"] == pytest.approx(sum(distances) / len(distances))
    assert measured["modulation"] > 0


def test_options_reach_the_recipes():
    small = replace(made.study("reliance"), num_train=53, max_epochs=2, fusion="film")
    for case in small.cases():
        recipe = case.runs["run"]
        assert recipe.data.source.num_train == 53
        assert recipe.trainer.max_epochs == 2
        assert recipe.model.fusion == "film"
