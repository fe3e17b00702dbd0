"""Arguments that may differ from modality to modality, checked once for all methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from counterpoise.core.errors import check_list, check_mapping, check_range, suggestion

PerModality = float | Sequence[float] | Mapping[str, float]
"""One number for all modalities, one each in their order, or one each by name."""


def per_modality(
    name: str, value: PerModality | None, modalities: Sequence[str], *, default: float
) -> list[float]:
    """Return a finite number of at least 0 for each modality, in order.

    Args:
        name: What the argument is called, for errors.
        value: As given; None for the default.
        modalities: Names, in order.
        default: Stands for None.

    Raises:
        ValueError: If there are too few or too many, a name is no modality, or a number is
            negative or not finite.

    Example:
        >>> per_modality("factors", {"image": 0.7, "audio": 1.3}, ["audio", "image"], default=1.0)
        [1.3, 0.7]
        >>> per_modality("factors", None, ["audio", "image"], default=1.0)
        [1.0, 1.0]
    """
    check_per_modality(name, value)
    if value is None or isinstance(value, (int, float)):
        numbers = [default if value is None else float(value)] * len(modalities)
    elif isinstance(value, Mapping):
        for key in (*value, *modalities):
            if key not in modalities or key not in value:
                raise ValueError(
                    f"`{name}` should have a number for each of {', '.join(modalities)}; found "
                    f"{', '.join(value) or 'none'}.{suggestion(key, modalities)} Name each once."
                )
        numbers = [float(value[modality]) for modality in modalities]
    else:
        numbers = [float(number) for number in value]
        if len(numbers) != len(modalities):
            raise ValueError(
                f"`{name}` should have a number for each of {', '.join(modalities)}; found "
                f"{len(numbers)}. Give {len(modalities)}, or one number for all."
            )
    return numbers


def check_per_modality(name: str, value: PerModality | None) -> None:
    """Raise unless what is given, for one modality or for each, are finite numbers of at least 0.

    Args:
        name: What the argument is called.
        value: As given; the modalities are not known yet.

    Raises:
        TypeError: If it is something else.
        ValueError: If a number is negative or not finite.
    """
    if isinstance(value, Mapping):
        check_mapping(name, value, (int, float), "modalities to numbers")
    elif value is not None and not isinstance(value, (int, float)):
        check_list(name, value, (int, float), "a number, one for each modality, or by name")
    listed: Iterable[float] = [] if value is None else [value]  # type: ignore[list-item]
    if isinstance(value, (Mapping, Sequence)):
        listed = value.values() if isinstance(value, Mapping) else value
    for number in listed:
        check_range(name, number, low=0)
