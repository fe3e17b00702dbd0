"""The parser of the command line: jsonargparse's, which writes classes by their public names."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser

from counterpoise.core.class_paths import class_path

_CLASS = re.compile(r"(?<=class_path: )counterpoise\.[\w.]+")


class Parser(ArgumentParser):
    """Parses as its base does; what ``--print_config`` writes outlives a move of modules."""

    def dump(self, *args: Any, **kwargs: Any) -> str:
        """Write a configuration, arguments as in the base."""
        return _CLASS.sub(_public, super().dump(*args, **kwargs))


def _public(match: re.Match[str]) -> str:
    module, _, name = match[0].rpartition(".")
    return class_path(getattr(import_module(module), name))
