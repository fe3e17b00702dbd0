import math

import pytest

from counterpoise.report import ACCURACY, GLOSSARY, Format, Metric, terms
from counterpoise.report.formats import (
    FACTOR,
    MISSING,
    P_VALUE,
    PERCENT,
    POINTS,
    duration,
    enumerate_words,
    interval,
    milliseconds,
    significant,
)

MINUS = "\N{MINUS SIGN}"
TIED = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("form", "value", "shown"),
    [
        (Format(2), 1234.5, "1,234.50"),
        (Format(1), -0.04, "0.0"),
        (Format(3), -0.0, "0.000"),
        (Format(2), -3.14159, f"{MINUS}3.14"),
        (PERCENT, 0.9127, "91.3"),
        (PERCENT, -0.0004, "0.0"),
        (POINTS, 0.0123, "+1.2"),
        (POINTS, -0.0123, f"{MINUS}1.2"),
        (POINTS, 0.0, "0.0"),
        (POINTS, -0.0001, "0.0"),
        (POINTS, 0.0001, "0.0"),
        (P_VALUE, 0.00003, "< 0.0001"),
        (P_VALUE, 0.0456, "0.046"),
        (FACTOR, 4.3219, "4.32"),
        (FACTOR, 0.0123, "0.012"),
        (FACTOR, 0.0, "0.00"),
        (FACTOR, 2.5e7, "2.5·10⁷"),
        (Format(1), math.nan, "NaN"),
        (Format(1), math.inf, "∞"),
        (Format(1), -math.inf, f"{MINUS}∞"),
        (FACTOR, math.inf, "∞"),
    ],
)
def test_numbers_are_written_one_way(form, value, shown):
    assert form(value) == shown


@pytest.mark.parametrize("digits", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_no_zero_ever_has_a_sign(digits, signed, factor):
    form = Format(digits, factor, signed)
    for value in (-0.0, -1e-9, 1e-9, -0.4 * 10.0**-digits / factor):
        text = form(value)
        assert not any(sign in text for sign in ("-", "+", MINUS))
        assert float(text) == 0


def test_intervals_stay_on_one_line():
    text = interval(0.012, -0.004, 0.028, POINTS)
    assert text.replace(TIED, "_") == f"+1.2_({MINUS}0.4_to_+2.8)"
    assert len(text.split(" ")) == 1


@pytest.mark.parametrize("ends", [(None, None), (math.nan, math.nan), (0.1, None)])
def test_what_has_no_interval_is_written_without(ends):
    assert interval(0.5, *ends) == "0.50"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (0.43, "0.43 s"),
        (7.6, "7.6 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (116, "1 min 56 s"),
        (3599.6, "1 h 00 min"),
        (4000, "1 h 06 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_durations_have_two_units(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0.00"), (0.00042, "0.42"), (0.00987, "9.87"), (0.0443, "44.3"), (1.2345, "1,234")],
)
def test_times_of_steps_have_three_digits(seconds, shown):
    assert milliseconds(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.14159, "3.1"),
        (1e-15, "10⁻¹⁵"),
        (-1e-7, f"{MINUS}10⁻⁷"),
        (2.34e9, "2.3·10⁹"),
        (math.nan, "NaN"),
    ],
)
def test_extreme_numbers_are_shown_with_powers(value, shown):
    assert significant(value, 2) == shown


@pytest.mark.parametrize(
    ("words", "text"),
    [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_listed(words, text):
    assert enumerate_words(words) == text


def test_a_metric_says_what_it_is_called_written_and_which_way_is_better():
    assert ACCURACY.heading == "Accuracy, %"
    assert ACCURACY.on("Test", "of the probe") == "Test accuracy of the probe, %"
    assert (ACCURACY.text(0.5), ACCURACY.direction) == ("50.0%", "higher is better")
    error = Metric("mae", "absolute error", "", Format(3), Format(3, signed=True), "", False, False)
    assert (error.heading, error.in_units) == ("Absolute error", "")
    assert error.text(0.25) == "0.250"
    assert error.direction == "lower is better"


def test_terms_are_defined_once_and_found_by_name():
    assert terms("Probe", "Alone").terms == [(k, GLOSSARY[k]) for k in ("Probe", "Alone")]
    assert all(text.endswith(".") for text in GLOSSARY.values())
    with pytest.raises(ValueError, match=r"`names` should be one of .*; found 'Probes'.*'Probe'"):
        terms("Probes")


def test_a_dash_stands_for_what_is_missing():
    assert MISSING == "\N{EN DASH}"
