"""What a grid may hold: values of the right kind, labels that are text, and nothing twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from counterpoise.core.errors import check_choice, check_count, check_file_name
from counterpoise.experiments.compare.layering import FIELDS, check_layer
from counterpoise.experiments.compare.spaces import Choices, Space, num_combinations, read_space
from counterpoise.models import FUSIONS

SEARCH = "search"
"""The key of a method's layer that holds what is to be tried."""

_OF_METHODS = tuple(name for name in FIELDS if name not in ("data", "model"))


def check_text(name: str, value: object) -> None:
    """Raise TypeError unless a value is a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(
            f"`{name}` should be a string, not empty; found {value!r}. Put it in quotes."
        )
    if name == "name":  # of a folder
        check_file_name(name, value)


def check_layers(name: str, layers: object) -> None:
    """Check all data sets of a grid, or all its methods.

    Args:
        name: "data" or "methods".
        layers: Labels and their layers.

    Raises:
        TypeError: If it is no mapping, a label no string, a layer no mapping or a search no list.
        ValueError: If there is none, or a layer sets what it may not.
    """
    if not isinstance(layers, Mapping):
        raise TypeError(
            f"`{name}` should be a mapping of labels to settings; found {layers!r}. "
            "Write one 'label: {name: value}' a line, or 'label: null' for no settings."
        )
    _check_some(name, layers)
    for label, layer in layers.items():
        if not isinstance(label, str) or not label:
            raise TypeError(
                f"`{name}` should have strings as labels; found {label!r}. Put it in quotes."
            )
        searched = (*_OF_METHODS, SEARCH) if name == "methods" else FIELDS
        check_layer(f"{name}.{label}", {} if layer is None else layer, searched)
        if layer and SEARCH in layer:
            check_search(f"{name}.{label}.{SEARCH}", layer[SEARCH])


def check_search(where: str, search: Any) -> None:
    """Check what may be set, of one method or of all.

    Raises:
        TypeError: If it is no mapping, or holds something else than lists and ranges.
        ValueError: If it sets what it may not, or a range or list is not as it should be.
    """
    search = {} if search is None else search
    check_layer(where, search, _OF_METHODS)
    read_space(where, search)


def check_fusions(fusions: object) -> None:
    """Raise unless it is None or a list of different fusions.

    Raises:
        TypeError: If it is no list.
        ValueError: If it is empty, or a fusion is not known or stands there twice.
    """
    if fusions is None:
        return
    if not isinstance(fusions, (list, tuple)):
        raise TypeError(
            f"`fusions` should be a list of names; found {fusions!r}. Write it as [additive]."
        )
    _check_some("fusions", fusions)
    for fusion in fusions:
        check_choice("fusions", fusion, FUSIONS)
    if (again := _repeated(fusions)) is not None:
        raise ValueError(
            f"`fusions` should hold each once; found {again!r} again. Remove what repeats."
        )


def read_seeds(name: str, given: Any, *, first: int = 0) -> tuple[int, ...]:
    """Return seeds that are given as a number of them, or as a list.

    Args:
        name: What they are called in the grid, for errors.
        given: The number, or the list.
        first: From which seed on a number of them counts.

    Raises:
        TypeError: If something else than integers is there.
        ValueError: If there are too few, or a seed is negative or stands there twice.
    """
    listed = list(given) if isinstance(given, (list, tuple, range)) else [given]
    if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in listed):
        raise TypeError(
            f"`{name}` should be a number of seeds or a list of them; found {given!r}. "
            "Write 5, or [0, 1, 2]."
        )
    if isinstance(given, int):
        check_count(name, given, at_least=1)
        return tuple(range(first, first + given))
    for seed in listed:
        check_count(name, seed, at_least=0)
    if not listed or len(set(listed)) < len(listed):
        raise ValueError(
            f"`{name}` should hold at least one, each once; found {listed}. "
            "Give a number of seeds, or a list of different ones."
        )
    return tuple(listed)


def check_disjoint(seeds: Collection[int], search_seeds: Collection[int]) -> None:
    """Raise if configurations would be chosen by runs that they are then judged by.

    Raises:
        ValueError: If a seed is among both.
    """
    shared = sorted(set(seeds) & set(search_seeds))
    if shared:
        raise ValueError(
            f"`search_seeds` should hold none of `seeds`, by which methods are judged; found "
            f"{shared} in both. Name others."
        )


def check_budgets(
    spaces: Mapping[str, Space], shared: Mapping[str, Any], trials: int | None
) -> None:
    """Raise unless every method tries as many configurations.

    Args:
        spaces: What is searched for each method.
        shared: What is searched for all of them.
        trials: How many configurations each tries; None for all combinations.

    Raises:
        TypeError: If the number of trials is none.
        ValueError: If the numbers differ, or a range is searched without trials.
    """
    if trials is not None:
        check_count("trials", trials, at_least=1)
        if not shared:
            raise ValueError(
                "`search` should hold what is searched for all methods, since there are `trials`; "
                "found nothing. Write at least the learning rate there."
            )
        return
    for label, space in spaces.items():
        for path, axis in space.items():
            if not isinstance(axis, Choices):
                raise ValueError(
                    f"`trials` should be given where a range is searched; found {path!r} of "
                    f"{label!r} in a range. Say how many configurations each method tries, or "
                    "write a list."
                )
    counts = {label: num_combinations(space) for label, space in spaces.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{label}: {count}" for label, count in counts.items())
        raise ValueError(
            "`methods` should each try the same number of configurations, or the comparison "
            f"is not fair; found {listed}. Give each `search` as many combinations."
        )


def check_pairs(pairs: object, methods: Collection[str], baseline: str) -> None:
    """Raise unless it is a list of pairs of methods that are not compared anyway.

    Args:
        pairs: The pairs.
        methods: Labels of all methods.
        baseline: That of the one that all others are compared with.

    Raises:
        TypeError: If it is no list of lists.
        ValueError: If a pair is none, names what is no method, or is told already.
    """
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) for pair in pairs
    ):
        raise TypeError(
            f"`pairs` should be a list of pairs; found {pairs!r}. "
            "Write it as [[this one, against that one]]."
        )
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(
                f"`pairs` should hold pairs of different methods; found {pair!r}. "
                "Write each as [this one, against that one]."
            )
        for label in pair:
            check_choice("pairs", label, methods)
        if baseline in pair:
            raise ValueError(
                f"`pairs` should leave out the baseline {baseline!r}, which every method is "
                f"compared with anyway; found {pair!r}. Remove it."
            )
    if (again := _repeated([set(pair) for pair in pairs])) is not None:
        raise ValueError(
            "`pairs` should hold each two methods once, in whichever order; found "
            f"{' and '.join(map(repr, sorted(again)))} again. Remove what repeats."
        )


def check_competition(competition: object) -> None:
    """Raise unless it is true, false or a mapping of paths of features.

    Raises:
        TypeError: If it is something else.
        ValueError: If a path is of something else than "fused" or "concept".
    """
    if not isinstance(competition, (bool, Mapping)):
        raise TypeError(
            "`competition` should be true, false or a mapping of paths of features; found "
            f"{competition!r}. Write true, or {{fused: PATH}}."
        )
    for name in competition if isinstance(competition, Mapping) else ():
        check_choice("competition", name, ("fused", "concept"))


def _check_some(name: str, values: Collection[Any]) -> None:
    if not values:
        raise ValueError(f"`{name}` should hold at least one; found none. Name one.")


def _repeated(values: Sequence[Any]) -> Any:
    """The first value that equals one before it; None if there is none."""
    return next((value for at, value in enumerate(values) if value in values[:at]), None)
