"""Where the checks of arguments draw the line, and how their errors read."""

from pathlib import Path

import pytest
import torch

from counterpoise.core.errors import (
    check_choice,
    check_count,
    check_file_name,
    check_flag,
    check_function,
    check_kind,
    check_list,
    check_mapping,
    check_names,
    check_path,
    check_range,
    check_seed,
    check_text,
    described,
    essence,
    is_ours,
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
    given = f'Parser key "a":\n {union}  Given value: [1]'
    assert essence(given) == 'Parser key "a": Not a number. Got value: [1]'
    assert essence("two\n  lines") == "two lines"


def test_what_is_long_is_shortened_in_the_middle_and_nothing_else():
    whole, longer = "a" * 98, "a" * 79 + "b" * 20  # with the quotation marks 100 and 101
    assert described(whole) == repr(whole)
    assert described(longer) == f"'{'a' * 79} ... {'b' * 14}'"


class Method:
    """Stands for a class of which an object is asked for."""


RIGHT = {
    check_count: [({"at_least": 0}, 0)],
    check_flag: [({}, True), ({}, False)],
    check_kind: [({"kind": int, "what": "a number"}, 5)],
    check_function: [
        ({"what": "a loss"}, None),
        ({"what": "a loss"}, len),
        ({"what": "a loss", "optional": False}, len),
    ],
    check_mapping: [
        ({"kind": int, "what": "names to sizes"}, {}),
        ({"kind": int, "what": "names to sizes"}, {"a": 1}),
        ({"kind": None, "what": "names to sizes"}, {"a": "b"}),
        ({"kind": None, "what": "names to sizes"}, torch.nn.ModuleDict({"a": torch.nn.Identity()})),
    ],
    check_names: [
        ({}, ["a"]),
        ({}, ("a", "b")),
        ({"at_least": 2}, ("a", "b")),
        ({"at_least": 0}, ()),
        ({"known": ("a", "b")}, ("b",)),
    ],
    check_list: [({"kind": int, "what": "sizes"}, [1, 2]), ({"kind": int, "what": "sizes"}, ())],
    check_path: [({}, "a"), ({}, Path("a")), ({}, None), ({"optional": False}, "a")],
    check_text: [({}, "a"), ({"empty": True}, "")],
    check_range: [({"low": 0}, 0), ({"low": 0, "high": 2}, 2.0)],
    check_choice: [({"choices": ("a", "b")}, "b")],
}

WRONG = [
    (check_count, {"at_least": 0}, True, "be an integer; found True. Pass an int."),
    (check_count, {"at_least": 0}, 1.0, "be an integer; found 1.0. Pass an int."),
    (check_flag, {}, 1, "be True or False; found 1. Pass one of them."),
    (
        check_kind,
        {"kind": Method, "what": "a method"},
        Method,
        "be a method; found the class Method. Make an object of it: Method(...).",
    ),
    (
        check_kind,
        {"kind": Method, "what": "a method"},
        None,
        "be a method; found None. Pass an object of that kind.",
    ),
    (check_function, {"what": "a loss"}, 5, "be a loss; found 5. Pass a function."),
    (
        check_function,
        {"what": "a loss", "optional": False},
        None,
        "be a loss; found None. Pass a function.",
    ),
    (
        check_function,
        {"what": "a loss"},
        Method,
        "be a loss; found the class Method. Make an object of it: Method(...).",
    ),
    (
        check_mapping,
        {"kind": int, "what": "names to sizes"},
        [1],
        "map names to sizes; found [1]. Pass a dictionary.",
    ),
    *(
        (
            check_mapping,
            {"kind": int, "what": "names to sizes"},
            {key: entry},
            f"map names to sizes; found {key!r}: {entry!r}. Mend that entry.",
        )
        for key, entry in ((5, 1), ("", 1), ("a", "b"))
    ),
    *(
        (
            check_names,
            {},
            value,
            f"be a list of names, none of them empty; found {value!r}. Pass for example (",
        )
        for value in (5, "ab", b"ab", {"a"}, ["a", ""], ["a", 5])
    ),
    (check_names, {}, (), "name 1 or more; found 0. Add what is missing."),
    (check_names, {"at_least": 3}, ("a", "b"), "name 3 or more; found 2. Add what is missing."),
    (check_names, {}, ("b", "a", "a"), "name each once; found 'a' several times. Keep one."),
    (check_names, {"known": ("a", "b")}, ("a", "c"), "be one of 'a', 'b'; found 'c'."),
    *(
        (check_list, {"kind": int, "what": "sizes"}, value, f"be sizes; found {value!r}. Pass a")
        for value in (5, "ab", b"ab", {1})
    ),
    *(
        (check_list, {"kind": int, "what": "sizes"}, [1, value], f"found {value!r} in it. Mend")
        for value in (1.5, True)
    ),
    (check_path, {}, 5, "be a path; found 5. Pass a str or a pathlib.Path."),
    (check_path, {"optional": False}, None, "be a path; found None. Pass a str or"),
    (check_text, {}, "", "be a text that is not empty; found ''. Pass a str."),
    (check_text, {}, 5, "be a text that is not empty; found 5. Pass a str."),
    (check_text, {"empty": True}, 5, "be a text; found 5. Pass a str."),
    (check_range, {"low": 0}, True, "be a number; found True. Pass an int or a float."),
    (check_range, {"low": 0}, "1", "be a number; found '1'. Pass an int or a float."),
    (check_range, {"low": 0, "high": 1}, float("-inf"), "be finite, at least 0 and at most 1;"),
    (
        check_choice,
        {"choices": ("mean", "sum")},
        "maen",
        "be one of 'mean', 'sum'; found 'maen'. Did you mean 'mean'?",
    ),
    (check_choice, {"choices": ("a",)}, 5, "be one of 'a'; found 5."),
    (check_file_name, {}, 5, "be a text; found 5. Pass a str."),
    *(
        (check_file_name, {}, f"a{c}b", f"be the name of a folder, without {c!r}; found")
        for c in '/\\:*?"<>|'
    ),
]


@pytest.mark.parametrize("check", RIGHT, ids=lambda check: check.__name__)
def test_what_is_right_passes(check):
    for options, value in RIGHT[check]:
        check("n", value, **options)


@pytest.mark.parametrize(("check", "options", "value", "message"), WRONG)
def test_what_is_wrong_is_told_with_what_to_do(check, options, value, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        check("n", value, **options)
    assert str(caught.value).startswith("`n` should ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, "a"], "[1, 'a']"),
        ({1, 2}, "{1, 2}"),
        ({"a": 1}, "{'a': 1}"),
        ({"a": object()}, "a dict"),
        ({object(): 1}, "a dict"),
        (range(3), "a range"),
        (Method(), "a Method"),
        (slice(None), "a slice"),
        (ValueError(), "a ValueError"),
        (OSError(), "an OSError"),
        (torch.Size((2, 3)), "torch.Size([2, 3])"),
        (torch.float32, "torch.float32"),
        (torch.zeros(2, 3), "a Tensor of torch.float32 and shape (2, 3)"),
        (len, "the function len"),
        (described, "the function described"),
        (int, "the class int"),
    ],
)
def test_what_was_found_is_told_in_a_few_words(value, words):
    assert described(value) == words


def test_what_has_a_shape_or_a_type_of_numbers_but_not_both_is_told_by_its_kind():
    class Odd:
        shape = (2, 3)
        dtype = None

    class OddToo:
        dtype = "int"

    assert (described(Odd()), described(OddToo())) == ("an Odd", "an OddToo")


def test_our_messages_are_told_from_others():
    assert is_ours("`a b` should be 1")
    assert not is_ours("it said: `a` should be 1")
