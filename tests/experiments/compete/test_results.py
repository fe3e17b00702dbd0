"""Results over seeds: intervals, differences, what is said of them, the table and the page."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from counterpoise.cli.compete import print_competition, write_competition
from counterpoise.experiments.compete import Competition, Outcome
from counterpoise.experiments.compete.page import competition_page, strength_figure
from counterpoise.experiments.compete.paths import Paths
from counterpoise.experiments.compete.prose import facts, highest, lead, notes
from counterpoise.measures.statistics import Interval, judge, mean_interval, paired_difference

DATA = {
    "name": "toy",
    "note": "Made of <numbers>.",
    "num_samples": {"train": 1200, "validation": 30, "test": 40},
    "fingerprint": "abc",
}
PATHS = Paths("head:input", {"ear": "ears", "eye": "eyes"}, {"ear": "ears", "eye": "eyes"})


def outcome(method, seed, ear, eye, *, joint=0.9, **options):
    settings = {
        "settings": {},
        "joint": joint,
        "strength": {"ear": ear, "eye": eye},
        "varying": {"ear": 1.0, "eye": 0.75},
        "fit_per_dimension": 7.5,
        "alone": {"ear": 0.8, "eye": 0.7},
        "probe": {"ear": 0.6, "eye": 0.65},
        "contribution": {"ear": 0.2, "eye": 0.6},
        "cooperation": 0.05,
        "robustness": [0.9, 0.1],
        "seconds": 30.0,
        "seconds_alone": 60.0,
    }
    return Outcome(method=method, seed=seed, **{**settings, **options})


def competition(*outcomes):
    return Competition({"seed": 0}, DATA, PATHS, 120.0, outcomes)


CLEAR = (
    outcome("Joint", 0, 0.70, 0.50, joint=0.90),
    outcome("Joint", 1, 0.75, 0.52, joint=0.92),
    outcome("Joint", 2, 0.72, 0.51, joint=0.91),
)
BETTER = (
    outcome("AGM", 0, 0.60, 0.52, joint=0.91),
    outcome("AGM", 1, 0.64, 0.49, joint=0.93),
    outcome("AGM", 2, 0.62, 0.53, joint=0.92),
)


# -- intervals -----------------------------------------------------------------------------------


def test_a_hand_worked_interval():
    """Of 1, 2, 3: mean 2, deviation 1, t(2) at 97.5% = 4.3027, half 4.3027 / sqrt(3) = 2.4841."""
    found = mean_interval([1.0, 2.0, 3.0])
    assert found[:3] == pytest.approx((2.0, 2.0 - 2.4841, 2.0 + 2.4841), abs=1e-4)
    assert found.num_values == 3


def test_a_single_value_has_no_interval():
    found = mean_interval([0.3])
    assert found == Interval(0.3, None, None, 1)
    assert not found.excludes_zero


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=7), st.floats(-3, 3))
def test_intervals_move_with_the_values_and_hold_their_mean(values, shift):
    assume(max(values) - min(values) > 1e-6)  # else there is no interval
    found, moved = mean_interval(values), mean_interval([v + shift for v in values])
    assert found.low <= found.mean <= found.high
    assert moved[:3] == pytest.approx([v + shift for v in found[:3]], abs=1e-9)
    assert mean_interval(values, confidence=0.5).low >= found.low - 1e-12


def test_excluding_zero_means_that_both_ends_have_one_sign():
    assert Interval(1.0, 0.5, 1.5, 5).excludes_zero
    assert Interval(-1.0, -1.5, -0.5, 5).excludes_zero
    assert not Interval(1.0, -0.5, 2.5, 5).excludes_zero
    assert not Interval(1.0, 0.5, 1.5, 4).excludes_zero  # of too few values


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_nothing_can_be_told_of_values_that_are_not_finite(odd):
    found = mean_interval([1.0, odd, 3.0])
    assert found[1:4] == (None, None, 3)
    assert not found.excludes_zero
    assert not Interval(math.nan, math.nan, math.nan, 5).excludes_zero


# -- summary -------------------------------------------------------------------------------------


def test_the_summary_has_a_line_for_each_method_and_modality():
    lines = competition(*CLEAR, *BETTER).summary()
    assert [line[:2] for line in lines] == [
        ("Joint", "ear"), ("Joint", "eye"), ("AGM", "ear"), ("AGM", "eye")
    ]  # fmt: skip
    assert lines[0].strength.mean == pytest.approx((0.70 + 0.75 + 0.72) / 3)
    assert lines[0].strength.num_values == 3


def test_differences_are_taken_seed_by_seed():
    _, changes = competition(*CLEAR, *BETTER).judged()
    found, expected = changes["AGM", "ear"], mean_interval([-0.10, -0.11, -0.10])
    assert (found.mean, *found.interval) == pytest.approx(expected[:3])
    assert found.high - found.low < 0.1  # far less than each method varies by itself


def test_methods_of_one_name_are_told_apart_by_the_settings_that_differ():
    two = [replace(o, settings={"alpha": a, "clamp": 10}) for a in (1.0, 2.5) for o in BETTER]
    assert list(competition(*CLEAR, *two).methods) == ["Joint", "AGM(alpha=1.0)", "AGM(alpha=2.5)"]


def test_training_time_counts_each_run_once():
    assert competition(*CLEAR, *BETTER).seconds == 6 * 30 + 3 * 60


# -- words ---------------------------------------------------------------------------------------


def plain(text):
    """The text with the signs of a keyboard."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_the_lead_says_who_is_held_back_and_what_changes():
    first, second, third = map(plain, lead(competition(*CLEAR, *BETTER)))
    assert first == (
        "Under Joint, ear is held back most on average; 3 seeds are too few to test that."
    )
    assert second == (
        "Competition strength under Joint: ear 0.72 (0.66 to 0.79) and eye 0.51 (0.49 to 0.53)."
    )
    assert third.startswith(
        "AGM against Joint, seed by seed, changes competition strength by: ear -0.10 (-0.12 to "
        "-0.09) and eye 0.00 (-0.07 to +0.08). It changes accuracy"
    )
    # Equal differences of accuracies that move in steps of 1 / 40.
    assert "changes accuracy by +1.0 (-1.5 to +3.5) percentage points" in third
    five = [*CLEAR, outcome("Joint", 3, 0.71, 0.52), outcome("Joint", 4, 0.73, 0.5)]
    more = [*BETTER, outcome("AGM", 3, 0.61, 0.50), outcome("AGM", 4, 0.64, 0.53)]
    first, _, third = lead(competition(*five, *more))
    assert first == "Under Joint, ear is held back most."
    null = r"(undecided: 0\.\d\d would have been found with a .*?80%|equivalent, within 0.05)"
    assert re.search(
        rf"What cannot be told from no change: eye \({null}\)\. It changes accuracy", third
    )
    assert re.search(r"percentage points \(undecided: \d+\.\d would have been found", third)


def test_the_lead_does_not_tell_apart_what_the_seeds_do_not():
    strengths = ((0.7, 0.5), (0.5, 0.6), (0.7, 0.5), (0.6, 0.6), (0.6, 0.5))
    mixed = [outcome("Joint", seed, *each) for seed, each in enumerate(strengths)]
    text, _ = lead(competition(*mixed))
    assert text.startswith(
        "Under Joint, ear is held back most on average, but cannot be told from eye (undecided: 0."
    )


def test_no_difference_at_all_is_no_change():
    same = [outcome("AGM", seed, 0.7, 0.5) for seed in range(5)]
    text = lead(competition(*(replace(each, method="Joint") for each in same), *same))[2]
    assert (
        "ear 0.00 and eye 0.00. What cannot be told from no change: ear (undecided); eye (und"
        in plain(text)
    )
    assert "It changes accuracy by 0.0 (-1.3 to +1.3) percentage points (undecided: 1.7" in plain(
        text
    )


def test_what_is_held_back_most_is_told_from_all_others_not_from_the_second_alone():
    """The second is far enough and steady; the third is lower, but its runs vary too much."""
    strengths = (
        {"left": 0.80, "right": 0.5, "top": 0.90},
        {"left": 0.81, "right": 0.7, "top": 0.91},
        {"left": 0.82, "right": 1.1, "top": 0.92},
        {"left": 0.80, "right": 0.6, "top": 0.92},
        {"left": 0.82, "right": 1.2, "top": 0.90},
    )
    runs = [outcome("Joint", seed, 0, 0, strength=each) for seed, each in enumerate(strengths)]
    text, _ = lead(competition(*runs))
    assert text.startswith(
        "Under Joint, top is held back most on average, but cannot be told from right (undecided:"
    )
    steady = [replace(run, strength={**run.strength, "right": 0.5}) for run in runs]
    text, listed = lead(competition(*steady))
    assert text == "Under Joint, top is held back most."
    assert listed.startswith("Competition strength under Joint: left 0.81")


@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(st.floats(0, 1), min_size=5, max_size=5),
        min_size=2,
    )
)
def test_the_highest_is_told_from_each_other_by_its_own_difference(values):
    most, unclear = highest(values)
    assert mean_interval(values[most]).mean == max(mean_interval(v).mean for v in values.values())
    for name in set(values) - {most}:
        gap = mean_interval([a - b for a, b in zip(values[most], values[name], strict=True)])
        assert (name in unclear) == (gap.low is None or gap.low <= 0)


def test_one_seed_gives_numbers_without_intervals_and_a_warning():
    single = competition(CLEAR[0], BETTER[0])
    first, second, third = map(plain, lead(single))
    assert first.endswith("in the one run there is.")
    assert second == "Competition strength under Joint: ear 0.70 and eye 0.50."
    assert "by: ear -0.10 and eye +0.02. It changes" in third
    assert notes(single)[0].title == "One seed proves nothing."
    assert notes(competition(*CLEAR))[0].title == "Only 3 seeds."
    many = competition(*(outcome("Joint", seed, 0.7, 0.5 + seed / 100) for seed in range(5)))
    assert [note.title for note in notes(many)] == ["About the data."]


def test_all_that_is_told_is_one_family():
    five = [*CLEAR, outcome("Joint", 3, 0.71, 0.52), outcome("Joint", 4, 0.73, 0.5)]
    more = [*BETTER, outcome("AGM", 3, 0.61, 0.50), outcome("AGM", 4, 0.64, 0.53)]
    found = competition(*five, *more)
    gaps, changes = found.judged()
    assert (list(gaps), list(changes)) == (
        ["eye"], [("AGM", "ear"), ("AGM", "eye"), ("AGM", "joint")]
    )  # fmt: skip
    gap = paired_difference(found.values("Joint", "strength", "ear"),
                            found.values("Joint", "strength", "eye"))  # fmt: skip
    assert gaps["eye"].estimate == gap
    change = paired_difference(found.values("AGM", "joint"), found.values("Joint", "joint"),
                               step=1 / 40)  # fmt: skip
    assert changes["AGM", "joint"].estimate == change
    told = [*gaps.values(), *changes.values()]
    expected = judge([each.estimate for each in told], margin=[0.05, 0.05, 0.05, 0.01])
    assert told == expected
    few = competition(*CLEAR, *BETTER).judged()
    assert {each.verdict for found in few for each in found.values()} == {"too few seeds"}


def test_a_regression_of_few_samples_is_marked():
    few = [replace(each, fit_per_dimension=0.5) for each in CLEAR]
    found = {note.title: note.text for note in notes(competition(*few))}
    assert "had 0.5 samples for each dimension" in found["Few samples to fit on."]
    assert "Few samples to fit on." not in {n.title for n in notes(competition(*CLEAR))}


def test_facts_place_the_result():
    found = dict(facts(competition(*CLEAR)))
    assert found["Train / probe / test"] == "1,200 / 30 / 40"
    assert found["Seeds"] == "0, 1, 2"
    assert found["Training time, all runs added up"] == "4 min 30 s"


# -- table, figure, page -------------------------------------------------------------------------


def test_the_table_holds_means_and_intervals_at_full_precision():
    rows = list(csv.DictReader(io.StringIO(competition(*CLEAR, *BETTER).table().to_csv())))
    assert [(row["method"], row["modality"]) for row in rows][1:3] == [
        ("Joint", "eye"), ("AGM", "ear")
    ]  # fmt: skip
    found = mean_interval([0.70, 0.75, 0.72])
    for name, value in zip(("strength", "strength_low", "strength_high"), found, strict=False):
        assert float(rows[0][name]) == pytest.approx(value, abs=1e-15)
    assert float(rows[2]["joint"]) == pytest.approx(0.92)
    assert [row["varying"] for row in rows[:2]] == ["1.0", "0.75"]
    assert rows[0]["num_seeds"] == "3"


def test_what_is_not_known_is_left_open():
    bare = replace(CLEAR[0], probe={}, contribution={}, cooperation=None, robustness=[])
    row = next(csv.DictReader(io.StringIO(competition(bare).table().to_csv())))
    assert (row["probe"], row["contribution"], row["strength_low"]) == ("", "", "")
    assert "–" in competition(bare).table().to_markdown()  # noqa: RUF001 # an en dash is meant


def test_imbalance_as_other_papers_measure_it_is_a_table_of_its_own(tmp_path):
    """Gaps of 0.05, 0.15 and 0.1: mean 0.1, t(2) at 97.5% = 4.3027, half 0.05 4.3027 / sqrt(3)."""
    probes = ({"ear": 0.6, "eye": 0.65}, {"ear": 0.7, "eye": 0.55}, {"ear": 0.6, "eye": 0.7})
    told = {"utilisation": {"ear": 0.1, "eye": 0.4}, "discrepancy": {"ear": 0.8, "eye": 1.25}}
    runs = [replace(run, probe=p, **told) for run, p in zip(CLEAR, probes, strict=True)]
    found = competition(*runs)
    folder = write_competition(found, tmp_path / "report").parent
    rows = list(csv.DictReader(io.StringIO((folder / "imbalance.csv").read_text())))
    assert [(row["modality"], row["utilisation"]) for row in rows] == [
        ("ear", "0.1"),
        ("eye", "0.4"),
    ]
    assert float(rows[1]["discrepancy"]) == pytest.approx(1.25)
    half = 0.05 * 4.3027 / math.sqrt(3)
    assert float(rows[0]["gap"]) == pytest.approx(0.1)
    assert float(rows[0]["gap_low"]) == pytest.approx(0.1 - half, abs=1e-4)
    page = (folder / "report.html").read_text("utf-8")
    assert "Conditional utilisation rate" in page
    bare = competition(replace(CLEAR[0], probe={}))
    assert not (write_competition(bare, tmp_path / "bare").parent / "imbalance.csv").exists()


def test_the_figure_has_a_panel_a_modality_that_names_each_method():
    figure = strength_figure(competition(*CLEAR, *BETTER))
    assert [panel.title for panel in figure.panels] == ["ear", "eye"]
    for panel in figure.panels:
        rows = [r["n"] for values in panel.spec["datasets"].values() for r in values if "n" in r]
        assert list(dict.fromkeys(rows)) == ["Joint", "AGM"]
    assert plain(figure.panels[0].description) == (
        "Competition strength. Joint, ear: 0.72 (0.66 to 0.79). AGM, ear: 0.62 (0.57 to 0.67)."
    )


def test_the_figure_holds_strengths_beyond_one_and_single_seeds():
    figure = strength_figure(competition(outcome("Joint", 0, 1.8, 0.1)))
    low, high = figure.panels[0].spec["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0
    assert high > 1.8


def test_the_page_is_self_contained_and_escapes_what_it_shows(tmp_path):
    page = competition_page(competition(*CLEAR, *BETTER))
    text = page.write(tmp_path / "report.html").read_text("utf-8")
    assert "Made of &lt;numbers&gt;." in text
    assert not re.search(r"https?:", text)
    assert "<td>paths.concepts.ear</td>" in text or "paths.concepts.ear" in text
    assert competition_page(competition(*CLEAR, *BETTER)).to_html() == page.to_html()


def test_files_are_written_beside_each_other(tmp_path):
    found = competition(*CLEAR)
    page = write_competition(found, tmp_path / "new" / "folder")
    assert page.name == "report.html"
    kept = json.loads((page.parent / "competition.json").read_text())
    assert [Outcome(**each) for each in kept["outcomes"]] == list(found.outcomes)
    assert (page.parent / "strengths.csv").read_text() == found.table().to_csv()


def test_the_terminal_shows_every_line_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_competition(competition(*CLEAR, *BETTER))
    out = plain(capsys.readouterr().out)
    assert re.search(r"Joint +ear +0\.72 \(0\.66 to 0\.79\) +80\.0% +60\.0% +20\.0% +91\.0%", out)
    assert re.search(r"AGM +eye +0\.51 \(0\.46 to 0\.57\)", out)
    assert "…" not in out
    assert "held back most" in out


def test_long_names_fit_as_well(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ("spectrogram of the microphone", "depth", "optical_flow_of_the_left_camera")
    method = "UnimodalLoss + Windowed(MMPareto) + OGMGE, alpha=0.8"
    found = []
    for seed, strength in enumerate((0.4, 0.5, 0.6)):
        values = dict.fromkeys(("varying", "alone", "contribution"), dict.fromkeys(names, 0.5))
        values["strength"] = dict.fromkeys(names, strength)
        found.append(replace(outcome(method, seed, 0, 0), probe={}, **values))
    print_competition(competition(*found))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    table = plain(out).partition("Under ")[0]
    assert table.count("0.50 (0.25 to 0.75)") == len(names)
    for word in [*names[0].split(), names[1], names[2][:20], "probe", "contribution"]:
        assert word in table
