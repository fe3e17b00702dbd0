"""Which fields of a dataclass are held against their annotations, and to what."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from counterpoise.core.fields import check_fields


@dataclass
class Options:
    """One field of each kind."""

    shuffle: bool = True
    depth: int = 0
    seed: int | None = 0
    rate: float = -1e300
    folder: Path | None = None
    kind: Literal["a", "b"] | None = "a"
    label: str = "x"
    names: tuple[str, ...] = ("one",)
    pair: tuple[str, int] = ("", 0)
    either: int | str = 0.5
    listed: list[str] | None = None


@pytest.mark.parametrize(
    ("field", "right", "wrong", "message"),
    [
        ("shuffle", False, 1, "be True or False; found 1"),
        ("depth", -(2**63), 0.5, "be an integer; found 0.5"),
        ("depth", 2**70, -(2**63) - 1, "be at least -9223372036854775808; found"),
        ("depth", 1, None, "be an integer; found None"),
        ("seed", None, 2**43, "be at most 8796093022207; found 8796093022208"),
        ("seed", 7, -1, "be at least 0; found -1"),
        ("rate", 1, float("inf"), "be finite; found inf"),
        ("rate", 1.5, "1", "be a number; found '1'"),
        ("folder", "here", 5, "be a path; found 5"),
        ("folder", None, ["here"], "be a path; found ['here']"),
        ("kind", "b", "c", "be one of 'a', 'b'; found 'c'"),
        ("kind", None, 1, "be one of 'a', 'b'; found 1"),
        ("label", "y", "", "be a text that is not empty; found ''"),
        ("label", "y", None, "be a text that is not empty; found None"),
        ("names", ["a", "b"], (), "name 1 or more; found 0"),
        ("names", ("a",), "ab", "be a list of names, none of them empty; found 'ab'"),
    ],
)
def test_a_field_is_what_its_annotation_says(field, right, wrong, message):
    check_fields(Options(**{field: right}))
    with pytest.raises((TypeError, ValueError), match=re.escape(f"`{field}` should {message}")):
        check_fields(Options(**{field: wrong}))


def test_other_kinds_of_fields_are_left_to_the_class():
    check_fields(Options(pair=0.5, either=None, listed=7))


def test_only_the_named_fields_are_looked_at_and_texts_may_be_empty_where_that_is_said():
    check_fields(Options(shuffle="no", label="y"), "label", "names")
    with pytest.raises(TypeError, match="`shuffle` should be True or False; found 'no'"):
        check_fields(Options(shuffle="no"), "label", "shuffle")
    check_fields(Options(label="", names=()), empty=("label", "names"))
    with pytest.raises(TypeError, match="`label` should be a text; found 5"):
        check_fields(Options(label=5), empty=("label",))
    with pytest.raises(ValueError, match="`names` should name 1 or more"):
        check_fields(Options(label="", names=()), empty=("label",))
