"""Prints constraints that hold every package at the oldest version that pyproject.toml allows.

``python tests/oldest_versions.py EXTRA ... [--keep NAME ...]``, on Python 3.11 or later. What is
kept has the version of constraints.txt: a package whose oldest version cannot be had.
"""

import argparse
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def requirements(extras):
    """Yield what the project and the extras need, extras within extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    waiting, seen = list(extras), set()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for text in project["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if requirement.name == project["name"]:
                waiting += requirement.extras
            else:
                texts.append(text)
    return [Requirement(text) for text in texts]


def oldest(requirement):
    """Return the lower bound of a requirement; None if it has none."""
    bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
    return max(bounds, default=None, key=lambda text: [int(n) for n in re.findall(r"\d+", text)])


def main(words=None):
    """Print a line for each package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--keep", nargs="*", default=[])
    arguments = parser.parse_args(words)
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    lines = {}
    for requirement in requirements(arguments.extras):
        name, bound = requirement.name, oldest(requirement)
        if name in arguments.keep:
            lines[name] = f"{name}=={pins[name]}"
        elif bound is not None:
            lines[name] = f"{name}=={bound}"
    print("\n".join(lines.values()))


if __name__ == "__main__":
    main()
