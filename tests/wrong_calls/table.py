"""All wrong calls, and what each is answered: one table, from which a file of messages is made.

Run as a script it writes the file anew; read what has changed before you commit it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from counterpoise.core.errors import described

sys.path[:0] = [str(Path(__file__).parents[1])]
from wrong_calls.core import CORE  # noqa: E402  # as a script it is not on the path
from wrong_calls.data import DATA  # noqa: E402
from wrong_calls.engine import ENGINE  # noqa: E402
from wrong_calls.experiments import EXPERIMENTS  # noqa: E402
from wrong_calls.measures import MEASURES, STATISTICS  # noqa: E402
from wrong_calls.methods import METHODS  # noqa: E402
from wrong_calls.models import MODELS  # noqa: E402
from wrong_calls.training import TRAINING  # noqa: E402
from wrong_calls.values import Row  # noqa: E402

FILE = Path(__file__).with_name("messages.txt")
ROWS: list[Row] = [*CORE, *ENGINE, *METHODS, *MODELS, *DATA]
ROWS += [*TRAINING, *MEASURES, *STATISTICS, *EXPERIMENTS]


class Call(NamedTuple):
    """A call with one argument wrong."""

    function: Callable[..., Any]
    right: dict[str, Any]
    argument: str
    value: Any

    def answer(self) -> str:
        """Make the call; return what it is refused with."""
        try:
            self.function(**{**self.right, self.argument: self.value})
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "accepted"


def calls_of(row: Row) -> list[Call]:
    """Return the wrong calls of a row."""
    function, right, wrong = row
    return [
        Call(function, right, name, value) for name, values in wrong.items() for value in values
    ]


CALLS = [call for row in ROWS for call in calls_of(row)]


def title(number: int) -> str:
    """Return what a row is called: its function and which arguments, counted if there are more."""
    names = [f"{function.__name__}({', '.join(wrong)})" for function, _, wrong in ROWS]
    before = names[:number].count(names[number])
    return names[number] + (f" {before + 1}" if before else "")


def messages(answers: list[tuple[Call, str]]) -> list[str]:
    """Return two lines for each argument and message, ``{}`` in it standing for the value."""
    lines: dict[tuple[str, str], list[str]] = {}
    for call, answer in answers:
        found = described(call.value)
        line = answer.replace(f"found {found}", "found {}", 1)
        # Which classes there are depends on what other tests have imported.
        line = re.sub(r"be called like one of [^;]*;", "be called like one of ...;", line)
        lines.setdefault((call.argument, line), []).append(found)
    return [
        f"    {name} = {' | '.join(found)}\n        {line}" for (name, line), found in lines.items()
    ]


def written() -> dict[str, str]:
    """Return the messages of each row as the file has them, by its title."""
    parts = FILE.read_text(encoding="utf-8").split("\n\n")
    return {head: body for head, _, body in (part.strip("\n").partition("\n") for part in parts)}


if __name__ == "__main__":
    parts = [
        "\n".join([title(number), *messages([(call, call.answer()) for call in calls_of(row)])])
        for number, row in enumerate(ROWS)
    ]
    FILE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
