"""Reading a recipe from a configuration file, as ``counterpoise train --config`` does."""

from __future__ import annotations

import os
from typing import Any

from counterpoise.core.absence import Absence
from counterpoise.data import DataSource
from counterpoise.methods import Method
from counterpoise.training.architectures import Architecture
from counterpoise.training.config.layers import resolve
from counterpoise.training.optimization import Optimizer, Schedule
from counterpoise.training.recipe import Recipe

DEFAULTS: dict[str, Any] = {
    "method": {"class_path": "Joint"},
    "model": {"class_path": "Network"},
    "optimizer": {"class_path": "SGD"},
    "schedule": {"class_path": "StepLR"},
}
"""What holds under every configuration file; the same as the defaults of :class:`Recipe`."""

BASES: dict[str, type] = {
    "data": DataSource,
    "method": Method,
    "model": Architecture,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "absent": Absence,
}
"""What the class that each section names derives from."""


def read_recipe(config: str | os.PathLike[str]) -> Recipe:
    """Read a recipe as ``counterpoise train --config`` does.

    Args:
        config: A YAML file, or the name of a packaged recipe.

    Raises:
        ValueError: If there is no such file, a class or a setting is not known or out of range.

    Example:
        >>> read_recipe("digits-agm").name
        'digits-agm-0'
    """
    if not isinstance(config, (str, os.PathLike)):
        raise TypeError(
            f"`config` should be a file or the name of a packaged recipe; found {config!r}. "
            "Pass a text or a path."
        )
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe)
    content, _ = resolve(["--config", os.fspath(config)], DEFAULTS, BASES)
    try:
        arguments = parser.instantiate(parser.parse_object(content))
    except ArgumentError as error:
        raise ValueError(f"`config` should hold a recipe; found in {config}: {error}") from error
    return Recipe(**vars(arguments))
