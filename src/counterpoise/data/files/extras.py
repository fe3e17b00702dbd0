"""What to say when an optional package is missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec


def require(what: str, extra: str, packages: Mapping[str, str]) -> None:
    """Raise unless all packages that something needs can be imported; imports none of them.

    Args:
        what: What needs them, for the message.
        extra: The extra of this package that installs them.
        packages: Each package's module name and the name it is installed by.

    Raises:
        ImportError: If one is missing; the message holds the pip command.

    Example:
        >>> require("this line", "train", {"torch": "torch"})
    """
    missing = [project for module, project in packages.items() if find_spec(module) is None]
    if missing:
        raise ImportError(
            f"{what} needs {' and '.join(packages.values())}; not installed: "
            f'{", ".join(missing)}. Run: pip install "counterpoise[{extra}]"'
        )
