"""Data sets described by options that a configuration file or a command line can hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import get_annotations
from typing import Any, ClassVar

from counterpoise.data.contract import Splits


class DataSource(ABC):
    """A recipe for a data set: its options are constructor arguments, `load` does the work.

    Constructing one is cheap and checks the options; a typed constructor (a frozen dataclass)
    lets a configuration file or a command line build it.

    Attributes:
        name: What the data set is called, and runs on it. Default: the class's name in lower
            case.

    Example:
        >>> class Weather(DataSource):
        ...     def load(self):
        ...         raise NotImplementedError
        >>> Weather().name
        'weather'
    """

    name: ClassVar[str]
    _named_by_itself: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Name the class, unless it or one above it has a name of its own or makes it a field."""
        super().__init_subclass__(**options)
        above = cls.__mro__[: cls.__mro__.index(DataSource)]
        if not any(map(_is_named, above)):
            cls.name, cls._named_by_itself = cls.__name__.lower(), True

    @abstractmethod
    def load(self) -> Splits:
        """Return the data, built or read as the options say."""

    def redivided(self, seed: int) -> DataSource:
        """Return the same data, divided by a seed into samples to train on and to validate on.

        The test samples stay, and so do their order and whatever the division has to keep apart,
        such as speakers. Results over several seeds then tell what to expect of other training
        samples too. A data set that comes divided in one way alone is returned as it is, which is
        the default.

        Args:
            seed: What decides which samples are in which part.
        """
        return self


def _is_named(kind: type) -> bool:
    given = "name" in vars(kind) and not vars(kind).get("_named_by_itself", False)
    return given or "name" in get_annotations(kind)
