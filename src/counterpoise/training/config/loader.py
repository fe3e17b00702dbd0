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


def load(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        yaml.YAMLError: If it is no YAML, or a mapping holds a key twice.
        UnicodeDecodeError: If it is no text.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "grid.yaml"
        ...     _ = file.write_text("seeds: 3")
        ...     load(file)
        {'seeds': 3}
    """
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, _Loader)
