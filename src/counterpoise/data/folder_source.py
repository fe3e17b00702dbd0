"""Data sets that lie in a folder: the user's, or one in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from counterpoise.data.files.cache import cache_directory
from counterpoise.data.files.paths import expand
from counterpoise.data.source import DataSource


@dataclass(frozen=True)
class FolderSource(DataSource):
    """A data set whose files are in a folder.

    Args:
        root: The folder, or for some the file; ``$NAME`` stands for an environment variable.
            Default: one in the cache, by the name of the data set.
    """

    root: Path | None = None

    @property
    def cached_as(self) -> str:
        """Name of the folder in the cache."""
        return self.name

    @property
    def folder(self) -> Path:
        """Where the files are looked for.

        Raises:
            ValueError: If ``root`` names an environment variable that is not set.
        """
        return (
            cache_directory() / self.cached_as if self.root is None else expand("root", self.root)
        )
