"""YAML files in which a repeated key is an error, instead of silently overriding the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads plain values, and mappings whose keys differ."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Check the keys as written: those that ``<<`` brings in may be overridden."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return node


def load(path: Path, what: str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Args:
        path: The file.
        what: What it is given as, for messages, such as "config".

    Raises:
        ValueError: If it is no YAML, a mapping holds a key twice, or the whole is no mapping.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "grid.yaml"
        ...     _ = file.write_text("seeds: 3")
        ...     load(file, "grid")
        {'seeds': 3}
    """
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(
            f"`{what}` should be a YAML file; found {str(path)!r}, which is not: {problem}. "
            "Correct it there."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"`{what}` should hold settings by name; found a {type(content).__name__} in "
            f"{str(path)!r}. Write one 'name: value' a line."
        )
    return content
