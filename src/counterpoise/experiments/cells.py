"""The cells of experiments: runs and measurements, each known by all that decides its result."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.fingerprints import file_digest
from counterpoise.experiments.store import Keep, Store, content_key
from counterpoise.experiments.trained import encoders_of
from counterpoise.methods.umt import untaught
from counterpoise.training.record import describe, versions

if TYPE_CHECKING:
    from torch import nn

    from counterpoise.data import DataSource, Splits
    from counterpoise.methods import Method
    from counterpoise.training import Recipe

_NAMES_OF_CLASSES = ("class_path", "module", "optimizer", "schedule")
"""Settings that may be the path of a class of the caller's own."""

_MODALITIES: dict[str, tuple[str, ...]] = {}  # by the description of the data


class Cell(ABC):
    """Something that is computed once, and whose result is kept under a key of its content."""

    keep: Keep = "no"
    """Whether the model that computing it leaves is kept. Not part of the key."""

    @cached_property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All that decides what is computed, as plain values."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What to call the cell in a line."""

    @property
    def needs(self) -> Mapping[str, Run]:
        """The runs whose models have to be there before it can be computed, by their part."""
        return {}

    @property
    @abstractmethod
    def uses_gpu(self) -> bool:
        """Whether it computes on a GPU if there is one."""

    @abstractmethod
    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Compute; return what came out, as plain values.

        Args:
            store: Where the models of other runs are.
            folder: Free to use; what lies there was left by a process that was killed.
        """

    @cached_property
    def key(self) -> str:
        """Digest of the identity, 64 hexadecimal digits."""
        return content_key(self.identity)


@dataclass(frozen=True)
class Run(Cell):
    """A recipe trained on data.

    Args:
        recipe: Everything that decides what is computed, with its seed. The name has no part in it.
        fingerprint: Of the data.
        keep: Whether the model is kept.
        label: What to call it in a line. Default: the recipe's name.
    """

    recipe: Recipe
    fingerprint: str
    keep: Keep = "no"
    label: str = ""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Recipe without its name, data, versions of packages, and own code if there is any."""
        described = self.recipe.describe()
        del described["name"]
        own = {"own code": code} if (code := own_code(described)) else {}
        return {"recipe": described, "data": self.fingerprint, "versions": _versions(), **own}

    @property
    def title(self) -> str:
        """The label, or the name of the recipe."""
        return self.label or str(self.recipe.name)

    @property
    def uses_gpu(self) -> bool:
        """Whether the recipe lets it."""
        return self.recipe.trainer.accelerator != "cpu"

    @property
    def needs(self) -> Mapping[str, Run]:
        """The runs on each modality alone, if the method learns from their encoders."""
        if not untaught(self._method):
            return {}
        return teacher_runs(self.recipe, self.fingerprint)

    @property
    def _method(self) -> Method:
        assert self.recipe.method is not None  # a recipe puts Joint in its place
        return self.recipe.method

    def _teachers(self, store: Store) -> dict[str, nn.Module] | None:
        if not self.needs:
            return None
        return encoders_of(self.needs, store)

    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Train; go on in the folder if a run lies there that was killed.

        Returns:
            The record of the run.

        Raises:
            ValueError: If the data are not those that the run was planned with.
            RuntimeError: If a run failed that it learns from.
        """
        from counterpoise.training.run import train

        resume = (folder / "config.yaml").is_file()
        if folder.exists() and not resume:  # killed before it had written what it is
            shutil.rmtree(folder)
        # Under the name that the content gives: whoever goes on with it may call it otherwise.
        recipe, teachers = self.recipe.replace(), self._teachers(store)
        record = train(recipe, folder, resume=resume, progress=False, teachers=teachers)
        if record["data"]["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"The data should be those that the run was planned with, fingerprint "
                f"{self.fingerprint[:12]}; found {record['data']['fingerprint'][:12]}. "
                "Do not change them while it runs."
            )
        return record


def alone_runs(recipe: Recipe, modalities: Iterable[str], fingerprint: str) -> dict[str, Run]:
    """Return the runs of a recipe's network on each modality alone, whose models are kept.

    Competition is measured against them and teachers are made of them: both are the same cells,
    so that what one command has trained another does not train again.
    """
    from counterpoise.measures.unimodal import alone_recipe

    recipes = {name: alone_recipe(recipe, name) for name in modalities}
    return {name: Run(unimodal, fingerprint, "always") for name, unimodal in recipes.items()}


def teacher_runs(recipe: Recipe, fingerprint: str) -> dict[str, Run]:
    """Return the same runs for a method that learns from them; each data set is loaded once."""
    key = content_key(describe(recipe.data))
    if key not in _MODALITIES:
        _MODALITIES[key] = recipe.data.load().modalities
    return alone_runs(recipe, _MODALITIES[key], fingerprint)


def loading() -> Callable[[DataSource], Splits]:
    """Return a function that loads data, each source of the same description once."""
    loaded: dict[str, Splits] = {}

    def load(source: DataSource) -> Splits:
        key = content_key(describe(source))
        if key not in loaded:
            loaded[key] = source.load()
        return loaded[key]

    return load


def own_code(described: Any) -> dict[str, str]:
    """Return a digest of each file that a description names a class in.

    Those of packages whose versions are in the key anyway are left out.

    Example:
        >>> own_code({"class_path": "counterpoise.AGM", "init_args": {"alpha": 1.0}})
        {}
    """
    if isinstance(described, Mapping):
        named = {key: described[key] for key in _NAMES_OF_CLASSES if key in described}
        inner = [own_code(value) for value in described.values()]
    else:
        named = {}
        inner = [own_code(entry) for entry in described] if isinstance(described, list) else []
    found = {name: digest for codes in inner for name, digest in codes.items()}
    for path in named.values():
        if isinstance(path, str) and path.partition(".")[0] not in _versions():
            found |= _digest_of_module(path.rpartition(".")[0])
    return found


def _digest_of_module(path: str) -> dict[str, str]:
    """Return the digest of the module that a class lies in, maybe in another class; if known."""
    if path in ("", "__main__"):
        return {}
    with suppress(ImportError, ValueError):
        file = getattr(find_spec(path), "origin", None)
        return {path: file_digest(Path(file))} if file and Path(file).is_file() else {}
    return _digest_of_module(path.rpartition(".")[0])


@cache
def code_digest(*, everything: bool = False) -> str:
    """Return a digest of the sources of this package that have a say in what a run computes.

    Not part of a run's key, so that a typing error that is corrected repeats no run, but kept
    with each result: a report tells where its runs come from different sources.

    Args:
        everything: Whether to digest all sources, also those that only measure and report.
    """
    root = Path(__file__).parents[1]
    silent = () if everything else ("cli", "experiments", "report", "training/config")
    rooms = {root / room for room in silent}
    files = sorted(path for path in root.rglob("*.py") if rooms.isdisjoint(path.parents))
    return content_key([path.read_text(encoding="utf-8") for path in files])


@cache
def _versions() -> dict[str, str]:
    return versions()
