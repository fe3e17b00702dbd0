"""Count the house: lines, lines of code, rooms, floors, arrows between rooms, circles.

A room is a folder or file directly below ``src/counterpoise``; an arrow leads from one room to
another that it imports, wherever in the file the import stands; the floors are the longest way
along arrows. A circle is a set of files, or of rooms, that import each other.

    python benchmarks/house.py [path of the package]
    python benchmarks/house.py --by-feature

The second counts what serves the features of the package's first form apart from what came later,
by the list of files in ``house_later.yaml``.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["FLOORS", "LIGHT", "SIDE", "House"]

PACKAGE = Path(__file__).parents[1] / "src" / "counterpoise"
LATER = Path(__file__).with_name("house_later.yaml")

FLOORS = (
    *(("__main__",), ("cli",), ("experiments",), ("__init__",)),
    *(("integrations", "measures", "report"), ("training",), ("balanced",)),
    *(("engine",), ("methods",), ("core",)),
)
"""Rooms from the top down: each imports only from floors below its own."""

SIDE = ("data", "models")
"""Rooms that serve from the side: they import the core alone, and any room above it imports them,
but for those of the mathematics."""

LIGHT = ("__init__", "balanced", "core", "engine", "methods")
"""Rooms that import nothing but PyTorch and the standard library."""

_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}

Graph = Mapping[str, set[str]]
"""By name, the names that it leads to."""


@dataclass(frozen=True)
class House:
    """The sources of the package, and who imports whom.

    Args:
        root: The folder of the package.
    """

    root: Path = PACKAGE

    @cached_property
    def sources(self) -> dict[str, str]:
        """The text of each file, by its dotted path without the package's own name."""
        return {
            ".".join(path.relative_to(self.root).with_suffix("").parts): path.read_text("utf-8")
            for path in sorted(self.root.rglob("*.py"))
        }

    @cached_property
    def _trees(self) -> dict[str, ast.Module]:
        return {name: ast.parse(text) for name, text in self.sources.items()}

    @cached_property
    def files(self) -> Graph:
        """By file, the files of the package that it imports."""
        return {
            name: {found for path in self._paths(name) if (found := self._file(path))} - {name}
            for name in self.sources
        }

    @cached_property
    def rooms(self) -> Graph:
        """By room, the rooms that it imports."""
        graph: dict[str, set[str]] = {}
        for name, imported in self.files.items():
            graph.setdefault(_room(name), set()).update(map(_room, imported))
        return {room: found - {room} for room, found in graph.items()}

    @property
    def num_lines(self) -> int:
        """Lines of all files."""
        return sum(len(text.splitlines()) for text in self.sources.values())

    @property
    def num_code_lines(self) -> int:
        """Lines that hold more than a comment or a part of a docstring."""
        return sum(len(_code_lines(text, self._trees[n])) for n, text in self.sources.items())

    def by_feature(self, later: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Count the lines of features that came later, and of the rest.

        Args:
            later: By feature, the files and folders that would not be there without it.

        Returns:
            By feature, the lines of its files; first, under "", those of all other files.

        Raises:
            ValueError: If a path leads to no file, or a file stands there twice.
        """
        lines = {"": self.num_lines}
        counted: set[str] = set()
        for feature, paths in later.items():
            lines[feature] = 0
            for path in paths:
                dotted = path.removesuffix(".py").replace("/", ".")
                files = {n for n in self.sources if n == dotted or n.startswith(f"{dotted}.")}
                if not files or files & counted:
                    raise ValueError(
                        f"`{path}` should be files that stand there once; found "
                        f"{'no file' if not files else 'it twice'}. Mend the list."
                    )
                counted |= files
                lines[feature] += sum(len(self.sources[name].splitlines()) for name in files)
            lines[""] -= lines[feature]
        return lines

    @property
    def num_arrows(self) -> int:
        """Pairs of rooms of which one imports the other."""
        return sum(map(len, self.rooms.values()))

    @property
    def num_floors(self) -> int:
        """Rooms on the longest way along arrows; rooms in a circle count as one."""
        parts = _components(self.rooms)
        home = {room: index for index, part in enumerate(parts) for room in part}
        depth: dict[int, int] = {}
        for index, part in enumerate(parts):  # what a part leads to comes before it
            below = {home[to] for room in part for to in self.rooms[room]} - {index}
            depth[index] = 1 + max((depth[each] for each in below), default=0)
        return max(depth.values())

    @property
    def circles(self) -> list[set[str]]:
        """Files, and rooms, that import each other in a circle."""
        parts = _components(self.files) + _components(self.rooms)
        return [part for part in parts if len(part) > 1]

    def upward(self) -> list[str]:
        """Return the imports that do not lead downwards, or from the mathematics to the side."""
        floor = {room: index for index, rooms in enumerate(FLOORS) for room in rooms}
        found = []
        for name, imported in self.files.items():
            for other in sorted(imported):
                here, there = _room(name), _room(other)
                if here == there:
                    continue
                if there in SIDE:
                    allowed = here not in SIDE and floor[here] < floor["balanced"]
                elif here in SIDE:
                    allowed = there == "core"
                else:
                    allowed = floor[here] < floor[there]
                if not allowed:
                    found.append(f"{name} -> {other}")
        return found

    def unknown_rooms(self) -> set[str]:
        """Return the rooms that have no floor."""
        return set(self.rooms) - {room for rooms in FLOORS for room in rooms} - set(SIDE)

    def heavy(self) -> list[str]:
        """Return what light rooms import beyond PyTorch and the standard library."""
        fine = {*sys.stdlib_module_names, "torch", self.root.name}
        return [
            f"{name} -> {path}"
            for name in self.sources
            if _room(name) in LIGHT
            # A method may take a helper from another library when it comes to need it.
            for path in self._paths(name, at_once=_room(name) == "methods")
            if path.partition(".")[0] not in fine
        ]

    def _paths(self, name: str, *, at_once: bool = False) -> Iterator[str]:
        """Yield the dotted path of everything that a file imports, or imports at once."""
        tree = self._trees[name]
        for node in tree.body if at_once else ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def _file(self, path: str) -> str | None:
        """The file of this package that a path leads to: the module, or the one that holds it."""
        package, _, inner = path.partition(".")
        if package != self.root.name:
            return None
        for candidate in (inner, inner.rpartition(".")[0]):
            for file in (candidate, f"{candidate}.__init__".removeprefix(".")):
                if file in self.sources:
                    return file
        return None


def _room(name: str) -> str:
    return name.partition(".")[0]


def _code_lines(text: str, tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):  # strings that stand alone: docstrings, also those of constants
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def _components(graph: Graph) -> list[set[str]]:
    """Return sets of nodes that reach each other, each after all that it leads to (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part: set[str] = set()
            while node not in part:
                part.add(stack.pop())
            found.append(part)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def print_by_feature() -> None:
    """Print the lines of later features, and of what serves those of then, as Markdown."""
    import yaml

    lines = House().by_feature(yaml.safe_load(LATER.read_text("utf-8")))
    then = lines.pop("")
    print("| serves | lines |\n|---|---|")
    print(f"| features of the first form (700b65e) | {then:,} |")
    print(f"| features that came later | {sum(lines.values()):,} |")
    for feature, count in lines.items():
        print(f"| — {feature} | {count:,} |")


def main() -> None:
    """Print the counts."""
    if sys.argv[1:] == ["--by-feature"]:
        print_by_feature()
        return
    house = House(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else House()
    print(f"lines    {house.num_lines:,}")
    print(f"code     {house.num_code_lines:,}")
    print(f"files    {len(house.sources)}")
    print(f"rooms    {len(house.rooms)}: {', '.join(house.rooms)}")
    print(f"floors   {house.num_floors}")
    print(f"arrows   {house.num_arrows}")
    print(f"circles  {len(house.circles)}")
    for circle in house.circles:
        print("  ", " ".join(sorted(circle)))


if __name__ == "__main__":
    main()
