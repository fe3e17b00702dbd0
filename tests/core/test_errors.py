"""Where the checks of arguments draw the line, and how their errors read."""

import pytest

from counterpoise.core.errors import (
    check_count,
    check_file_name,
    check_range,
    check_seed,
    described,
    essence,
    suggestion,
)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (lambda n: check_count("n", n, at_least=2), (2, 10**9), (1,)),
        (lambda n: check_count("n", n, at_least=2, at_most=5), (2, 5), (1, 6)),
        (lambda n: check_seed("n", n), (0, 2**43 - 1), (-1, 2**43)),
        (lambda n: check_range("n", n, low=0, high=1), (0, 1), (-0.1, 1.1)),
        (lambda n: check_range("n", n, low=0, high=1, open_low=True), (0.1, 1), (0,)),
        (lambda n: check_range("n", n, low=0, high=1, open_high=True), (0, 0.9), (1,)),
        (lambda n: check_range("n", n, low=0), (0, 1e300), (float("inf"), float("nan"))),
        (lambda n: check_file_name("n", n), ("a b", "x" * 200), ("x" * 201, "é" * 101)),
    ],
)
def test_numbers_at_the_ends_of_what_is_allowed(check, right, wrong):
    for value in right:
        check(value)
    for value in wrong:
        with pytest.raises(ValueError, match=r"`n` should be .*; found"):
            check(value)


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"low": 0}, "finite, at least 0;"),
        ({"low": 0, "open_low": True}, "finite, above 0;"),
        ({"low": 0, "high": 1}, "finite, at least 0 and at most 1;"),
        (
            {"low": 0, "high": 1, "open_low": True, "open_high": True},
            "finite, above 0 and below 1;",
        ),
        ({"low": float("-inf")}, "finite;"),
    ],
)
def test_a_range_is_told_with_its_ends(limits, rule):
    with pytest.raises(ValueError, match=f"`x` should be {rule} found nan. Choose a value in"):
        check_range("x", float("nan"), **limits)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a\x1fb", "without a control character;"),
        (" . ", "more than dots and spaces;"),
        ("x" * 201, "of at most 200 bytes;"),
    ],
)
def test_what_is_wrong_with_a_name_of_a_file_is_told(name, rule):
    with pytest.raises(ValueError, match=rf"`n` should be the name of a folder, {rule} found"):
        check_file_name("n", name)


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("agm", ["OGM", "AGM"], " Did you mean 'AGM'?"),
        ("l", ["learning", "rate"], ""),
        ("zz", ["zone_zero", "zeal"], " Did you mean 'zone_zero'?"),
    ],
)
def test_a_name_is_suggested_by_case_or_initials(name, known, told):
    assert suggestion(name, known) == told


def test_the_essence_of_a_message_is_its_own_first_line_or_what_a_union_expects_first():
    of_two = "x\n- `a` should be 1; found 2.\n- `b` should be 3; found 4."
    assert essence(of_two) == "`a` should be 1; found 2."
    union = "no\nErrors:\n  - Not a\n    number\n  - Expected a <class 'NoneType'>\n"
    assert essence(union) == "Not a number"
    assert essence("two\n  lines") == "two lines"


def test_what_is_long_is_shortened_in_the_middle_and_nothing_else():
    whole, longer = "a" * 98, "a" * 79 + "b" * 20  # with the quotation marks 100 and 101
    assert described(whole) == repr(whole)
    assert described(longer) == f"'{'a' * 79} ... {'b' * 14}'"
