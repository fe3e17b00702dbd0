"""What a grid may hold: values of the right kind, labels that are text, and nothing twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from counterpoise.core.errors import check_choice, check_count, check_file_name
from counterpoise.experiments.compare.layering import FIELDS, check_layer
from counterpoise.models import FUSIONS

__all__ = [
    "SEARCH",
    "check_competition",
    "check_fusions",
    "check_layers",
    "check_pairs",
    "check_seeds",
    "check_text",
]

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
            _check_search(f"{name}.{label}.{SEARCH}", layer[SEARCH])


def _check_search(where: str, search: Any) -> None:
    search = {} if search is None else search
    check_layer(where, search, _OF_METHODS)
    for path, values in search.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise TypeError(
                f"`{where}.{path}` should be a list of values to try; found {values!r}. "
                "Write it as [0.1, 1.0]."
            )
        if _repeated(values) is not None:
            raise ValueError(
                f"`{where}.{path}` should hold different values, each of which is a try of its "
                f"own; found {values!r}. Remove what repeats."
            )


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


def check_seeds(seeds: Any, selection_seeds: Any) -> None:
    """Raise unless there are seeds, each once, and enough to choose configurations with.

    Raises:
        TypeError: If something else than integers is there.
        ValueError: If there are too few, or a seed is negative or stands there twice.
    """
    listed = list(seeds) if isinstance(seeds, (list, tuple, range)) else [seeds]
    if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in listed):
        raise TypeError(
            f"`seeds` should be a number of seeds or a list of them; found {seeds!r}. "
            "Write 5, or [0, 1, 2]."
        )
    if isinstance(seeds, int):
        check_count("seeds", seeds, at_least=1)
        found = seeds
    else:
        for seed in listed:
            check_count("seeds", seed, at_least=0)
        if not listed or len(set(listed)) < len(listed):
            raise ValueError(
                f"`seeds` should hold at least one, each once; found {listed}. "
                "Give a number of seeds, or a list of different ones."
            )
        found = len(listed)
    if selection_seeds is not None:
        check_count("selection_seeds", selection_seeds, at_least=1)
        if selection_seeds > found:
            raise ValueError(
                f"`selection_seeds` should be at most the number of seeds, {found}; "
                f"found {selection_seeds}. Leave it out for all."
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
    return next((each for at, each in enumerate(values) if each in values[:at]), None)
