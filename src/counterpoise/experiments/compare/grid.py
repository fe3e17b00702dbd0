"""What is compared with what: methods x data sets x fusions x seeds, at an equal search budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from counterpoise.core.errors import check_choice, check_flag, check_range, suggestion
from counterpoise.data import SOURCES
from counterpoise.experiments.compare.checking import (
    SEARCH,
    check_budgets,
    check_competition,
    check_disjoint,
    check_fusions,
    check_layers,
    check_pairs,
    check_search,
    check_text,
    read_seeds,
)
from counterpoise.experiments.compare.layering import (
    check_layer,
    compose,
    laid_over,
    starting_point,
)
from counterpoise.experiments.compare.spaces import Choices, Space, num_combinations, read_space
from counterpoise.training.config.layers import class_names
from counterpoise.training.config.reading import BASES

if TYPE_CHECKING:
    from counterpoise.training import Recipe

Layers = dict[str, dict[str, Any] | None]

Place = tuple[str, str, str]
"""Labels of a data set and a method, and between them the fusion; "" if there is none."""

FIRST_SEARCH_SEED = 1000  # far from the seeds that methods are judged by, also when these are more


class Candidate(NamedTuple):
    """A configuration that a method is tried with on a data set with a fusion.

    Attributes:
        data: Label of the data set.
        fusion: Name of the fusion; "" if the grid leaves the model as it is.
        method: Label of the method.
        number: Which of the configurations that the method tries, from 0.
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
            path. ``search`` says what may be set, beside what all methods search.
        baseline: Label of the method that the others are compared with.
        seeds: By how many seeds methods are judged, counted from 0, or by which. Default: 5.
        fusions: Fusions of :class:`counterpoise.training.Network`. Default: the model as the
            layers say.
        base: Layer below all others.
        search: What is searched for every method alike, above all the learning rate: by dotted
            path a list of values, or a range, ``{low: 0.001, high: 0.1, log: true}``, with ``int:
            true`` of integers.
        trials: How many configurations each method tries: the one that the layers describe, and
            others that Optuna finds. Default: every combination of the lists, of which each
            method has to have as many.
        search_seeds: With how many seeds, counted from 1000, or which, configurations are tried
            before one of them is chosen: none of ``seeds``. Default: 1.
        redraw: Whether each seed also redraws the division into training and validation, of data
            that can be divided otherwise (``redivided`` of :class:`counterpoise.data.DataSource`);
            the test samples stay. Default: True.
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

    Every method tries the same number of configurations, and the one with the best mean
    validation result is chosen; the test data have no say.

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
        >>> [(c.method, c.changes) for c in grid.candidates()][-1]
        ('AGM', {'method.alpha': 2.0})
        >>> grid.num_cells  # 2 methods, each 2 configurations with 1 seed, and 1 with 3 others
        10
    """

    data: Layers
    methods: Layers
    baseline: str = "Joint"
    seeds: int | list[int] = 5
    fusions: list[str] | None = None
    base: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    trials: int | None = None
    search_seeds: int | list[int] = 1
    redraw: bool = True
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
        check_search(SEARCH, self.search)
        check_flag("redraw", self.redraw)
        search_seeds = read_seeds("search_seeds", self.search_seeds, first=FIRST_SEARCH_SEED)
        check_disjoint(self.all_seeds, search_seeds)
        check_choice("baseline", self.baseline, self.methods)
        check_pairs(self.pairs, self.methods, self.baseline)
        check_competition(self.competition)
        check_range("margin", self.margin, low=0, high=1, open_low=True, open_high=True)
        check_budgets({m: self.space(m) for m in self.methods}, self.search, self.trials)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds by which methods are judged, in order."""
        return read_seeds("seeds", self.seeds)

    @property
    def choosing_seeds(self) -> tuple[int, ...]:
        """The seeds by which configurations are chosen; none where there is nothing to choose."""
        if self.num_tries == 1:
            return ()
        return read_seeds("search_seeds", self.search_seeds, first=FIRST_SEARCH_SEED)

    @property
    def num_tries(self) -> int:
        """How many configurations each method tries."""
        return self.trials or num_combinations(self.space(self.baseline))

    @property
    def places(self) -> list[Place]:
        """All methods on all data sets with all fusions, in order."""
        return list(product(self.data, self.fusions or [""], self.methods))

    @property
    def num_cells(self) -> int:
        """How many runs the comparison takes."""
        per_place = self.num_tries * len(self.choosing_seeds) + len(self.all_seeds)
        return len(self.places) * per_place

    @property
    def feature_paths(self) -> dict[str, Any]:
        """Paths of features that ``competition`` names; all others are found."""
        return dict(self.competition) if isinstance(self.competition, dict) else {}

    def space(self, method: str) -> Space:
        """Return what is searched for a method, that which all methods share first."""
        own = (self.methods[method] or {}).get(SEARCH) or {}
        return read_space(SEARCH, self.search | own)

    def candidates(self) -> list[Candidate]:
        """Return every configuration that is known before anything is run.

        Without ``trials`` these are all. With them each method's first ones on the first data set
        have each setting at its ends, so that mistakes show, and elsewhere it has the
        configuration that the layers describe.

        Raises:
            ValueError: If settings do not make a recipe; the message says where in the grid.
        """
        candidates, tried = [], set()
        for place in self.places:
            method = place[2]
            several = self._probes(method) if method not in tried else [{}]
            changes = self.combinations(method) if self.trials is None else several
            tried.add(method)
            candidates += [self.candidate(place, k, change) for k, change in enumerate(changes)]
        return candidates

    def combinations(self, method: str) -> list[dict[str, Any]]:
        """Return all combinations of a method's lists."""
        space = self.space(method)
        lists = [axis.values for axis in space.values() if isinstance(axis, Choices)]
        return [dict(zip(space, values, strict=True)) for values in product(*lists)]

    def candidate(self, place: Place, number: int, changes: dict[str, Any]) -> Candidate:
        """Return a configuration of a method on a data set with a fusion.

        Args:
            place: Which ones.
            number: Which of the configurations that the method tries.
            changes: What the search sets.

        Raises:
            ValueError: If settings do not make a recipe; the message says where in the grid.
        """
        data, fusion, method = place
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

    def shared_recipe(self, data: str, fusion: str) -> Recipe:
        """Return joint training with the settings that all methods share, with seed 0.

        Raises:
            ValueError: If settings do not make a recipe.
        """
        layers = [*self._below(data, fusion), {"method": "Joint"}]
        return compose(laid_over(starting_point(), *layers), f"`data.{data}`")

    def describe(self) -> dict[str, Any]:
        """Return the grid as a YAML file holds it."""
        return {setting.name: getattr(self, setting.name) for setting in fields(self)}

    def _below(self, data: str, fusion: str) -> list[Mapping[str, Any]]:
        """Return the layers that all methods lie on."""
        return [
            self.base,
            _named(f"data.{data}", data, self.data[data] or {}, "data"),
            {"model.fusion": fusion} if fusion else {},
        ]

    def _probes(self, method: str) -> list[dict[str, Any]]:
        """Return no change, and each setting alone at each of its ends."""
        ends = {
            path: axis.values if isinstance(axis, Choices) else (axis.low, axis.high)
            for path, axis in self.space(method).items()
        }
        return [{}, *({path: value} for path, values in ends.items() for value in values)]


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
