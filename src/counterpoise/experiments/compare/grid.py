"""What is compared with what: methods x data sets x fusions x seeds, at an equal search budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from counterpoise.core.errors import check_choice, check_range, suggestion
from counterpoise.data import SOURCES
from counterpoise.experiments.compare.checking import (
    SEARCH,
    check_competition,
    check_fusions,
    check_layers,
    check_pairs,
    check_seeds,
    check_text,
)
from counterpoise.experiments.compare.layering import (
    check_layer,
    compose,
    laid_over,
    starting_point,
)
from counterpoise.training.config.layers import class_names
from counterpoise.training.config.reading import BASES

if TYPE_CHECKING:
    from counterpoise.training import Recipe

__all__ = ["Candidate", "Grid"]

Layers = dict[str, dict[str, Any] | None]


class Candidate(NamedTuple):
    """A configuration that a method is tried with on a data set with a fusion.

    Attributes:
        data: Label of the data set.
        fusion: Name of the fusion; "" if the grid leaves the model as it is.
        method: Label of the method.
        number: Which of the method's configurations, from 0.
        changes: What the search sets: values by dotted path.
        recipe: Everything, with seed 0.
    """

    data: str
    fusion: str
    method: str
    number: int
    changes: dict[str, Any]
    recipe: Recipe


@dataclass(frozen=True)
class Grid:
    """A comparison: every method on every data set with every fusion and seed.

    Settings are layers: over the defaults of a :class:`counterpoise.training.Recipe` lies
    ``base``, over it what the data set says, the fusion, what the method says and last what its
    search tries. A layer sets fields of a recipe as a configuration file does (``method: AGM``,
    ``trainer: {max_epochs: 3}``) or single settings by dotted path (``optimizer.learning_rate:
    0.1``).

    Args:
        data: Labels of data sets and their layers. Where a layer names no ``data``, the label is
            the name of the data set, or the path of a class of your own.
        methods: Labels of methods and their layers, without data and model, which are the same
            for all. Where a layer names no ``method``, the label is the class's name, or its
            path. ``search`` maps dotted paths to lists of values: each combination is a
            configuration to try.
        baseline: Label of the method that the others are compared with.
        seeds: How many seeds, counted from 0, or which. Default: 5.
        fusions: Fusions of :class:`counterpoise.training.Network`. Default: the model as the
            layers say.
        base: Layer below all others.
        selection_seeds: With how many of the seeds configurations are tried before one of them
            is chosen. Default: all, which costs most and chooses best.
        pairs: Further pairs of labels of methods, the first of which is compared with the second;
            they are corrected for together with the differences to the baseline. Default: none.
        competition: Whether to measure how modalities compete in the chosen runs: a probe of each
            encoder, competition strengths, robustness. Takes one run more for each modality, data
            set, fusion and seed, on the modality alone with the settings that all methods share.
            Networks of your own need a mapping instead, of "fused" and if need be "concept", as
            :func:`counterpoise.experiments.compete.compete` takes them.
        margin: The largest difference of accuracies that does not matter, in (0, 1): what is shown
            to be smaller is called equivalent. Default: 0.01, one point.
        name: What the comparison is called.

    Every method tries the same number of configurations, and the one with the highest mean
    validation accuracy is chosen; the test data have no say.

    Raises:
        ValueError: If a name is not known (the nearest is suggested), a number is out of range,
            something stands there twice, or the methods try different numbers of configurations.
        TypeError: If a value is of another kind, a layer no mapping or a search no list.

    Example:
        >>> grid = Grid(
        ...     data={"synthetic": {"trainer.max_epochs": 3}},
        ...     methods={
        ...         "Joint": {"search": {"optimizer.learning_rate": [0.01, 0.1]}},
        ...         "AGM": {"search": {"method.alpha": [0.5, 2.0]}},
        ...     },
        ...     seeds=3,
        ... )
        >>> [(each.method, each.changes) for each in grid.candidates()][-1]
        ('AGM', {'method.alpha': 2.0})
        >>> grid.num_cells
        12
    """

    data: Layers
    methods: Layers
    baseline: str = "Joint"
    seeds: int | list[int] = 5
    fusions: list[str] | None = None
    base: dict[str, Any] = field(default_factory=dict)
    selection_seeds: int | None = None
    pairs: list[list[str]] = field(default_factory=list)
    competition: bool | dict[str, Any] = False
    margin: float = 0.01
    name: str = "comparison"

    def __post_init__(self) -> None:
        check_text("name", self.name)
        check_layer("base", self.base)
        check_layers("data", self.data)
        check_layers("methods", self.methods)
        check_fusions(self.fusions)
        check_seeds(self.seeds, self.selection_seeds)
        check_choice("baseline", self.baseline, self.methods)
        check_pairs(self.pairs, self.methods, self.baseline)
        check_competition(self.competition)
        check_range("margin", self.margin, low=0, high=1, open_low=True, open_high=True)
        counts = {label: self._num_tries(label) for label in self.methods}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{label}: {count}" for label, count in counts.items())
            raise ValueError(
                "`methods` should each try the same number of configurations, or the comparison "
                f"is not fair; found {found}. Give each `search` as many combinations."
            )

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(range(self.seeds) if isinstance(self.seeds, int) else self.seeds)

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds with which configurations are tried."""
        return self.all_seeds[: self.selection_seeds]

    @property
    def num_tries(self) -> int:
        """How many configurations each method tries."""
        return self._num_tries(self.baseline)

    @property
    def num_cells(self) -> int:
        """How many runs the comparison takes."""
        later = len(self.all_seeds) - len(self.first_seeds)
        each = self.num_tries * len(self.first_seeds) + later
        return len(self.data) * len(self.fusions or [""]) * len(self.methods) * each

    @property
    def feature_paths(self) -> dict[str, Any]:
        """Paths of features that ``competition`` names; all others are found."""
        return dict(self.competition) if isinstance(self.competition, dict) else {}

    def candidates(self) -> list[Candidate]:
        """Return every configuration on every data set with every fusion.

        Raises:
            ValueError: If settings do not make a recipe; the message says where in the grid.
        """
        return [
            self._candidate(data, fusion, method, number, changes)
            for data, fusion, method in product(self.data, self.fusions or [""], self.methods)
            for number, changes in enumerate(self._searched(method))
        ]

    def shared_recipe(self, data: str, fusion: str) -> Recipe:
        """Return joint training with the settings that all methods share, with seed 0.

        Raises:
            ValueError: If settings do not make a recipe.
        """
        layers = [*self._below(data, fusion), {"method": "Joint"}]
        return compose(laid_over(starting_point(), *layers), f"`data.{data}`")

    def describe(self) -> dict[str, Any]:
        """Return the grid as a YAML file holds it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def _candidate(
        self, data: str, fusion: str, method: str, number: int, changes: dict[str, Any]
    ) -> Candidate:
        of_method = dict(self.methods[method] or {})
        of_method.pop(SEARCH, None)
        layers = [
            *self._below(data, fusion),
            _named(f"methods.{method}", method, of_method, "method"),
            changes,
        ]
        config = laid_over(starting_point(), *layers)
        where = f"`data.{data}`, `methods.{method}`"
        return Candidate(data, fusion, method, number, changes, compose(config, where))

    def _below(self, data: str, fusion: str) -> list[Mapping[str, Any]]:
        """Return the layers that all methods lie on."""
        return [
            self.base,
            _named(f"data.{data}", data, self.data[data] or {}, "data"),
            {"model.fusion": fusion} if fusion else {},
        ]

    def _searched(self, method: str) -> Iterator[dict[str, Any]]:
        search = (self.methods[method] or {}).get(SEARCH) or {}
        for values in product(*search.values()):
            yield dict(zip(search, values, strict=True))

    def _num_tries(self, method: str) -> int:
        search = (self.methods[method] or {}).get(SEARCH) or {}
        return prod(map(len, search.values()))


def _named(where: str, label: str, layer: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Let the label name the class where the layer does not."""
    if section in layer:
        return dict(layer)
    if "." in label and all(map(str.isidentifier, label.split("."))):  # a class of one's own
        return {section: label, **layer}
    known = {name: name for name in class_names(BASES[section])}
    if section == "data":
        known |= {name: kind.__name__ for name, kind in SOURCES.items()}
    if label not in known:
        raise ValueError(
            f"`{where}` should say which `{section}` it is, or be called like one of "
            f"{', '.join(map(repr, sorted(known)))}; found {label!r}.{suggestion(label, known)}"
        )
    return {section: known[label], **layer}
