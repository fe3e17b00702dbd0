"""Data sets by name."""

from __future__ import annotations

from inspect import signature

from counterpoise.core.errors import suggestion
from counterpoise.data.ave.source import AVE
from counterpoise.data.avmnist.source import AVMNIST
from counterpoise.data.brca.source import BRCA
from counterpoise.data.cmu_mosei.source import CMUMOSEI, CMUMOSI
from counterpoise.data.contract import Splits
from counterpoise.data.crema_d.source import CREMAD
from counterpoise.data.digits.digits import Digits
from counterpoise.data.kinetics_sounds.source import KineticsSounds
from counterpoise.data.source import DataSource
from counterpoise.data.synthetic.synthetic import Synthetic
from counterpoise.data.ur_funny.source import URFunny

SOURCES: dict[str, type[DataSource]] = {
    source.name: source
    for source in (
        *(AVE, AVMNIST, BRCA, CMUMOSEI, CMUMOSI, CREMAD),
        *(Digits, KineticsSounds, Synthetic, URFunny),
    )
}
"""Each data set's name and the class whose arguments are its options."""


def register(source: type[DataSource]) -> type[DataSource]:
    """Make a data set of one's own known to :func:`load`; usable as a class decorator.

    Raises:
        ValueError: If another class has the name already.
    """
    if not (isinstance(source, type) and issubclass(source, DataSource)):
        raise TypeError(
            f"`source` should be a class below DataSource; found {source!r}. Pass the class itself."
        )
    if SOURCES.setdefault(source.name, source) is not source:
        raise ValueError(
            f"`source` should have a name of its own; found {source.name!r}, which is "
            f"{SOURCES[source.name].__name__}. Set another `name`."
        )
    return source


def load(name: str, **options: object) -> Splits:
    """Load a data set by its name.

    Args:
        name: A key of :data:`SOURCES`.
        options: The arguments of its class.

    Returns:
        The data, divided into training, validation and test.

    Raises:
        ValueError: If there is no such data set; the nearest name is suggested.
        TypeError: If the data set has no such option; the nearest is suggested.

    Example:
        >>> load("synthetic", num_train=7).train.sample_shapes
        {'m1': (32,), 'm2': (32,)}
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(
            f"`name` should be a known data set ({', '.join(sorted(SOURCES))}); "
            f"found {name!r}." + suggestion(str(name), SOURCES)
        )
    source = SOURCES[name]
    known = signature(source).parameters
    for option in options:
        if option not in known:
            raise TypeError(
                f"`{name}` should be given options among {', '.join(known)}; "
                f"found {option!r}.{suggestion(option, known)}"
            )
    return source(**options).load()
