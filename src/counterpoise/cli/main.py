"""The command ``counterpoise``: parse, call, print.

A subcommand is a line in :data:`COMMANDS` and a module with two functions,
``add_arguments(parser)`` and ``run(arguments)``, which may return a code for the process to exit
with; if it takes ``--config``, also with ``DEFAULTS``, the configuration under every file, and
``BASES``, what each section's class derives from; and perhaps with ``AFTER_INTERRUPT``, how to go
on after Ctrl-C. The module is imported when its command is asked for, so that help comes at once.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from counterpoise import __version__
from counterpoise.cli.failures import TRACEBACK, Interrupted, in_one_line, users_place
from counterpoise.core.errors import essence, is_ours, suggestion

if TYPE_CHECKING:
    from types import ModuleType

    from jsonargparse import ArgumentParser


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        module: Where its two functions are.
        help: What it does, in a line.
    """

    module: str
    help: str


COMMANDS = {
    "train": Command("counterpoise.cli.train", "Train one model and write its record."),
    "compare": Command("counterpoise.cli.compare", "Compare methods on data sets over seeds."),
    "data build av-mnist": Command(
        "counterpoise.cli.build_data", "Build AV-MNIST from MNIST and spoken digits."
    ),
    "data build crema-d": Command(
        "counterpoise.cli.build_crema_d", "Build CREMA-D from its recordings and videos."
    ),
    "data build ave": Command(
        "counterpoise.cli.build_ave", "Build clips with one label each from the videos of AVE."
    ),
    "compete": Command("counterpoise.cli.compete", "Measure how strongly modalities compete."),
    "study": Command(
        "counterpoise.cli.study", "Answer a question about competition by experiment."
    ),
    "report": Command("counterpoise.cli.report", "Write one page of runs that were trained."),
    "cite": Command(
        "counterpoise.cli.cite", "Print the BibTeX of methods, or of those that runs used."
    ),
    "list": Command("counterpoise.cli.list", "List the methods, data sets, recipes or fusions."),
    "demo": Command("counterpoise.cli.demo", "Train on digits with and without AGM, and compare."),
}
"""Subcommands by name; a name may have several words."""

_USER_ERRORS = (ArgumentError, ValueError, TypeError, OSError, ImportError, FloatingPointError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Modules are also looked for in the current folder.

    Args:
        argv: Arguments without the program's name. Default: those of the process.

    Returns:
        0 if all went well; 1 if some of what was to be done failed, and the rest was done; 2 after
        a mistake of the caller, among them whatever their own code raises, which is stated in one
        line on standard error; with COUNTERPOISE_TRACEBACK=1 in the environment it is raised
        instead. 130 after Ctrl-C, 141 if nobody reads the output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        print(f"counterpoise {__version__}")
        return 0
    try:
        with _importing_from_here(), _warnings_in_one_line():
            code = _dispatch(arguments)
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # who reads the output has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from_user = isinstance(error, _USER_ERRORS) or users_place(error) is not None
        if not from_user or os.environ.get(TRACEBACK) == "1":
            raise
        print(f"counterpoise: error: {in_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        how = str(error) if isinstance(error, Interrupted) else ""
        print(f"counterpoise: interrupted{how and f'. {how}'}", file=sys.stderr)
        return 130


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Find classes of the user's own in the current folder, as ``python -m`` does.

    It comes last: a file that happens to be called like a package must not take its place.
    """
    here = str(Path.cwd())
    if {here, ""} & set(sys.path):
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show what is said to the user without the place in the source that said it."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if category not in (UserWarning, RuntimeWarning):
            usual(message, category, *place, **more)
            return
        print(f"counterpoise: warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: counterpoise COMMAND [options]",
            "",
            "Balanced multi-modal training.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  -h, --help   Show this help, or after a command the command's own.",
            "  --version    Show the version.",
        ]
    )


def _dispatch(arguments: list[str]) -> int:
    longest = max(name.count(" ") for name in COMMANDS) + 1
    for num_words in range(longest, 0, -1):
        name = " ".join(arguments[:num_words])
        if name in COMMANDS:
            break
    else:
        if any(command.startswith(f"{name} ") for command in COMMANDS):
            name = " ".join(takewhile(lambda word: word[:1] != "-", arguments[:longest]))
        raise ValueError(
            f"The command should be one of {', '.join(COMMANDS)}; found {name!r}."
            + suggestion(name, COMMANDS)
        )
    module = import_module(COMMANDS[name].module)
    if hasattr(module, "check_words"):
        module.check_words(arguments[num_words:])
    parser = _parser(name, module)
    try:
        code: int | None = module.run(_parsed(arguments[num_words:], parser, module))
    except KeyboardInterrupt as error:
        how = getattr(module, "AFTER_INTERRUPT", None)
        raise (Interrupted(how) if how and not isinstance(error, Interrupted) else error) from None
    return code or 0


def _parsed(arguments: list[str], parser: ArgumentParser, module: ModuleType) -> Any:
    from counterpoise.cli.options import normalised, what_was_meant

    rest = normalised(arguments, parser)
    config: dict[str, Any] = {}
    bases: dict[str, type] = {}
    if hasattr(module, "DEFAULTS"):
        from counterpoise.training.config.layers import resolve

        bases = module.BASES
        config, rest = resolve(rest, module.DEFAULTS, bases)
    below = [f"--config={json.dumps(config)}"] if config else []
    try:
        return parser.instantiate(parser.parse_args([*below, *rest]))
    except (ArgumentError, ValueError, TypeError) as error:
        meant = (
            None if is_ours(essence(str(error))) else what_was_meant(rest, parser, config, bases)
        )
        if meant is None:
            raise
        raise ValueError(meant) from error


def _parser(name: str, module: ModuleType) -> ArgumentParser:
    from counterpoise.cli.parser import Parser

    parser = Parser(
        prog=f"counterpoise {name}",
        description=COMMANDS[name].help,
        exit_on_error=False,
        allow_abbrev=False,
    )
    if hasattr(module, "DEFAULTS"):
        parser.add_argument(
            "--config",
            action="config",
            help="A YAML file, or the name of a packaged recipe. It names classes, whose modules "
            "are imported: run a recipe of others as you would run their code.",
        )
    module.add_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
