"""What each study answers: the words change when the numbers do."""

import re

import pytest

from counterpoise.experiments.study.estimates import MEASURES, RESPONSE_SCORES
from counterpoise.experiments.study.findings import Results
from counterpoise.experiments.study.observations import Observations
from experiments.study import made


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Spare the drawings where an answer alone is asked for."""
    monkeypatch.setattr(Results, "to_figures", lambda *_, **__: [])


def answer(name, seen):
    """What a study answers, in one string, with the signs of a keyboard."""
    text = "\n".join(made.study(name).find(seen).answer)
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def row(name, seen, *condition):
    """A row of a study's main table."""
    return made.study(name).find(seen).results[0].rows[condition]


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [(made.faithful, "Yes"), (made.chance, "No"), (made.reversed_, "No")],
)
def test_responses_recover_only_what_goes_with_the_truth(estimate, verdict):
    assert answer("responses", made.responses(agm_score=estimate)).startswith(verdict)


def test_responses_that_go_with_the_truth_loosely_recover_it_in_part():
    def loose(truth, by_itself, chance):
        return truth + 0.3 * chance

    text = answer("responses", made.responses(agm_score=loose))
    assert text.startswith("In part:")
    assert "Better than the score: none" not in text


def test_responses_tell_slope_and_error():
    def half(truth, by_itself, chance):
        return truth / 2

    found = row("responses", made.responses(agm_score=half), MEASURES["agm_score"])
    assert found["slope"].mean == pytest.approx(0.5)
    truths = [pair[0] for setting in made.TRUTHS.values() for pair in setting.values()]
    assert found["error"].mean == pytest.approx(sum(truths) / len(truths) / 2)
    assert found["correlation"].mean == pytest.approx(1)


def test_responses_say_which_truth_they_follow():
    assert "no more closely" in answer("responses", made.responses())
    text = answer("responses", made.responses(agm_score=made.by_itself))
    assert "tracks more closely" in text


def test_responses_name_what_fails():
    text = answer("responses", made.responses(probe=made.chance))
    assert text.endswith(f"told from none: {MEASURES['probe']}.")
    assert answer("responses", made.responses()).endswith("told from none: none.")


def test_reliance_moves_where_it_does():
    text = answer("reliance", made.reliance({"AGM(1)": 0.1, "OGM-GE": -0.1}, gained=-0.05))
    assert text.startswith("Yes, by: AGM(1) (both learnt alike).")
    assert "AGM(1) moves it towards that modality: +10.0 (" in text
    assert "OGM-GE moves it away from that modality: -10.0 (" in text
    assert answer("reliance", made.reliance()).startswith("No: by none of the methods, within 5.0")
    assert answer("reliance", made.reliance({"AGM(1)": -0.1})).startswith("No: by none")


def test_reliance_that_varies_too_much_is_not_shown_to_stay():
    """A null of little power is no answer: it says what it could have seen."""
    loose = made.reliance()
    spread = [0.3, -0.3, 0.2, -0.2, 0.0]
    for found, shift in zip(loose.measured[made.SPEEDS[0], "AGM(1)"], spread, strict=True):
        found["reliance"] += shift
    text = answer("reliance", loose)
    seen = re.match(r"It is shown for none of the methods: a move of (\d+\.\d) points", text)
    assert float(seen[1]) > 30
    assert "AGM(1) is not shown to move it (undecided: " in text
    assert "OGM-GE is not shown to move it (equivalent, within 5.0)" in text
    few = made.reliance()
    few.measured = {condition: found[:4] for condition, found in few.measured.items()}
    assert answer("reliance", few).startswith("It is not shown: there are too few seeds to test.")


def test_reliance_is_compared_with_joint_training_by_seed():
    seen = made.reliance({"AGM(1)": 0.1}, gained=-0.05)
    found = row("reliance", seen, made.SPEEDS[0], "AGM(1)")
    assert found["moved"].mean == pytest.approx(0.1, abs=1e-9)
    assert found["gained"].mean == pytest.approx(-0.05, abs=1e-9)
    assert "moved" not in row("reliance", seen, made.SPEEDS[0], "Joint")


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("shifts", ["gained"]),
        ("references", ["gained", "raised"]),
        ("reliance", ["moved", "gained"]),
        ("attributions", ["against"]),
    ],
)
def test_tables_hold_the_differences_of_the_answer_with_the_same_intervals(name, differences):
    found = made.study(name).find(getattr(made, name)())
    results, told = found.results[0], " ".join(found.answer)
    shown = [
        results.quantities[what].text(row[what])
        for condition, row in results.rows.items()
        for what in differences
        if what in row and condition[-1] != "Joint"
    ]
    assert len(shown) > 3
    assert [text for text in shown if text not in told] == []


@pytest.mark.parametrize(
    ("gap", "words"), [(0.1, "does better"), (-0.1, "does worse"), (0, "cannot be told from")]
)
def test_shifts_compare_running_mean_and_fixed_reference(gap, words):
    text = answer("shifts", made.shifts({"running mean": 0.6 + gap}))
    assert words in text.splitlines()[0]
    shown = f"{100 * gap:+.1f}" if gap else "0.0"
    assert f"{shown} (" in text.splitlines()[0]
    nulls = text.partition("What cannot be told from joint training: ")[2]
    assert ("running mean (" in nulls) == (gap == 0)
    assert "fixed (equivalent, within 1.0)" in nulls


def test_shifts_tell_how_strong_modulation_is_in_the_end():
    assert "differ from 1 by 0.10" in answer("shifts", made.shifts())
    assert "differ from 1 by 0.40" in answer("shifts", made.shifts(late=0.4))


def test_initialisations_matter_where_strengths_change():
    assert answer("initialisations", made.initialisations()).startswith("Hardly:")
    text = answer("initialisations", made.initialisations(other=(0.8, 0.3)))
    assert text.startswith("Yes: for m1 it matters")
    assert "0.80" in text


def test_initialisations_that_overlap_leave_no_order():
    assert "modalities can be put in order in spite of it" in answer(
        "initialisations", made.initialisations()
    )
    text = answer("initialisations", made.initialisations((0.5, 0.5), (0.5, 0.5)))
    assert "not all modalities can be put in order" in text


@pytest.mark.parametrize(("by_joint", "by_concept"), [(0.1, 0.02), (0.02, 0.1)])
def test_initialisations_are_divided_by_what_they_are_of(by_joint, by_concept):
    seen = made.initialisations(by_joint=by_joint, by_concept=by_concept)
    found = row("initialisations", seen, "m1")
    assert found["by_joint"].mean == pytest.approx(by_joint, abs=0.003)
    assert found["by_concept"].mean == pytest.approx(by_concept, abs=0.003)


def test_initialisations_are_paired_on_the_diagonal():
    found = row("initialisations", made.initialisations(other=(0.8, 0.3)), "m1")
    assert found["same"].mean == pytest.approx(0.6, abs=1e-9)
    assert found["other"].mean == pytest.approx(0.8, abs=1e-9)
    assert found["change"].mean == pytest.approx(0.2, abs=1e-9)


def test_fusions_agree_or_they_do_not():
    agree = answer("fusions", made.fusions({"additive": (0.6, 0.3), "gated": (0.5, 0.2)}))
    assert agree.count("the fusions agree: m1 is held back most") == 2
    text = answer("fusions", made.fusions({"additive": (0.6, 0.3), "gated": (0.2, 0.5)}))
    assert text.count("the answer depends on the fusion") == 2
    assert "m1 is held back most under additive; m2 is held back most under gated" in text
    assert "from 0.20" in text
    assert "to 0.60" in text


def test_fusions_without_a_difference_name_no_modality():
    seen = made.fusions({"additive": (0.5, 0.5), "gated": (0.4, 0.4)}, spread=0.1)
    text = answer("fusions", seen)
    assert "modalities are not distinguishable under additive and gated" in text
    assert "held back most under" not in text
    assert "depends on the fusion" not in text


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("responses", made.responses()),
        ("scores", made.scores()),
        ("agreement", made.agreement()),
        ("fusions", made.fusions({"additive": (0.6, 0.3), "gated": (0.5, 0.2)})),
        ("initialisations", made.initialisations(other=(0.8, 0.3))),
    ],
)
def test_of_too_few_seeds_nothing_is_denied(name, seen):
    assert "too few" not in answer(name, seen)
    few = Observations({condition: rows[:3] for condition, rows in seen.measured.items()})
    if name == "initialisations":  # of which each meets the concepts of all
        for measured in few.measured["joint",]:
            measured["strength"] = {m: row[:3] for m, row in measured["strength"].items()}
    text = "\n".join(made.study(name, num_seeds=3).find(few).answer)
    assert "here are too few seeds to test" in text
    denied = "No:|not track|o not agree|no fusion holds|Hardly|not distinguishable|cannot|not all"
    assert not re.search(denied, text)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (made.faithful, "They agree closely"),
        (made.chance, "They do not agree beyond chance"),
        (made.reversed_, "They contradict each other"),
    ],
)
def test_agreement_is_that_of_the_two_measures(estimate, words):
    assert answer("agreement", made.agreement(carried=estimate)).startswith(words)


def test_agreement_says_which_is_the_steadier():
    text = answer("agreement", made.agreement(carried=made.chance))
    assert "SHAPE is the more robust" in text
    text = answer("agreement", made.agreement(shape_accuracy=made.chance))
    assert "ompetition strength is the more robust" in text
    assert "not distinguishable" in answer("agreement", made.agreement())


def test_agreement_counts_what_measuring_and_training_cost():
    text = answer("agreement", made.agreement(seconds=2.0, alone=100.0))
    assert "costs 2 s by SHAPE and 1 min 44 s by competition strength, 1 min 40 s" in text


def test_agreement_holds_to_the_truth_only_where_it_is_known():
    seen = made.agreement()
    for measured in seen.measured[("three",)]:
        for values in measured["estimates"].values():
            values.update({"m1": -1.0, "m2": 5.0, "m3": 2.0})
    assert row("agreement", seen, MEASURES["shape_nats"])["truth"].mean > 0.98


def test_attributions_are_judged_against_shapley():
    text = answer("attributions", made.attributions())
    assert text.startswith("For accuracy it makes no difference here, within 1 point.")
    assert "alone on synergy (equivalent, within 1.0)" in text
    loose = made.attributions()
    for found, shift in zip(
        loose.measured["synergy", "alone"], [0.1, -0.1, 0.2, -0.2, 0], strict=True
    ):
        found["accuracy"] += shift
    text = answer("attributions", loose)
    assert text.startswith("It is not shown that it makes a difference for accuracy here, nor")
    assert re.search(r"alone on synergy \(undecided: \d\d\.\d would have been found", text)
    losing = made.attributions({("synergy", "alone"): -0.1})
    assert answer("attributions", losing).startswith(
        "It helps: accuracy is lower with alone on synergy."
    )
    winning = made.attributions({("redundant", "leave-one-out"): 0.1})
    text = answer("attributions", winning)
    assert text.startswith("It is not needed")
    assert "Accuracy is higher with leave-one-out on redundant." in text


def test_attributions_leave_joint_training_out_of_the_question():
    seen = made.attributions({(setting, "Joint"): -0.3 for setting in ("redundant", "synergy")})
    assert "makes no difference" in answer("attributions", seen)
    found = row("attributions", seen, "synergy", "Joint")
    assert found["against"].mean == pytest.approx(-0.3, abs=1e-9)


def test_references_are_compared_with_the_fixed_one():
    seen = made.references({"running mean": 0.95, "exponential average": 0.8})
    text = answer("references", seen)
    assert "the running mean does better than the fixed reference (+5.0 (" in text
    assert "the exponential average does worse than the fixed reference (-10.0 (" in text
    text = answer("references", made.references())
    assert text.count("cannot be told from the fixed reference") == 2
    assert text.count("points; equivalent, within 1.0)") == 2


def test_references_tell_what_the_weakest_response_gains():
    seen = made.references(weakest={"none": 0.7})
    assert "none +20.0 (" in answer("references", seen)
    assert row("references", seen, "none")["raised"].mean == pytest.approx(0.2, abs=1e-9)


def test_scores_track_or_they_do_not():
    assert " tracks the true contribution" in answer("scores", made.scores())
    for estimate in (made.chance, made.reversed_):
        text = answer("scores", made.scores(cross_entropy=estimate))
        assert "does not track the true contribution" in text


def test_scores_are_set_against_the_cross_entropy():
    worse = made.scores(brier=made.reversed_)
    assert f"worse: {RESPONSE_SCORES['brier']};" in answer("scores", worse)
    better = made.scores(cross_entropy=made.reversed_, accuracy=made.faithful)
    assert "contribution better: none" not in answer("scores", better)
    assert "accuracy" in answer("scores", better).partition("worse:")[0]


def test_scores_count_the_pairs_in_order():
    assert row("scores", made.scores(), RESPONSE_SCORES["accuracy"])["order"].mean == 1
    seen = made.scores(accuracy=made.reversed_)
    assert row("scores", seen, RESPONSE_SCORES["accuracy"])["order"].mean == 0
