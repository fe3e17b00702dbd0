"""Options of the command line: with hyphens or underscores; for an unknown one the nearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from counterpoise.training.config.layers import merge
from counterpoise.training.config.unknown import arguments_of, class_of, unknown_name
from counterpoise.training.options import TrainerOptions

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def add_flag(parser: Any, name: str, text: str, *, default: bool = True) -> None:
    """Add ``--name`` and ``--no-name``.

    Args:
        parser: A parser, or a group of one.
        name: In words with hyphens.
        text: For help.
        default: What holds without either.
    """
    from jsonargparse import ActionYesNo

    parser.add_argument(
        f"--{name}", action=ActionYesNo(no_prefix="no-"), default=default, help=text
    )


def normalised(arguments: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Write options as the parser knows them.

    Hyphens and underscores are the same, and so are ``--no-progress`` and ``--progress false``.

    Args:
        arguments: As typed.
        parser: Which will read them.
    """
    from jsonargparse import ActionYesNo

    arguments = _classes_first(arguments)
    actions = dict(_actions(parser))
    flags = {name for name, action in actions.items() if isinstance(action, ActionYesNo)}
    known = {_canonical(name): name for name in actions}
    options: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            name = known.get(_canonical(name), name.replace("-", "_") if "." in name else name)
            name = f"--{name.lstrip('_-')}"
        if equals and name in flags and value.lower() in _SWITCH:
            options.append(_switched(name, value))
        elif options and options[-1] in flags and argument.lower() in _SWITCH:
            options[-1] = _switched(options[-1], argument)
        else:
            options.append(name + equals + value)
    return options


def _classes_first(arguments: Sequence[str]) -> list[str]:
    """Put ``--method AGM`` before ``--method.alpha 1``, whichever was typed first."""
    starts = [i for i, argument in enumerate(arguments) if argument.startswith("--")]
    ends = [*starts[1:], *([len(arguments)] if starts else [])]
    ordered = list(arguments[: starts[0] if starts else None])
    for start, end in zip(starts, ends, strict=True):
        section = f"{arguments[start].partition('=')[0]}."
        above = [i for i, argument in enumerate(ordered) if argument.startswith(section)]
        place = above[0] if above else len(ordered)
        ordered[place:place] = arguments[start:end]
    return ordered


_SWITCH = {"true": True, "yes": True, "false": False, "no": False}


def _switched(name: str, value: str) -> str:
    if _SWITCH[value.lower()]:
        return name
    positive = name.startswith("--no-")
    return f"--{name.removeprefix('--no-')}" if positive else f"--no-{name.removeprefix('--')}"


def _canonical(name: str) -> str:
    return name.replace("_", "-")


def _actions(parser: Any) -> Iterator[tuple[str, Any]]:
    """Yield the options of a parser, and of those of its subcommands."""
    yield from parser._option_string_actions.items()
    for action in parser._actions:
        for subparser in (getattr(action, "_name_parser_map", None) or {}).values():
            yield from _actions(subparser)


def what_was_meant(
    arguments: Sequence[str],
    parser: ArgumentParser,
    config: Mapping[str, Any],
    bases: Mapping[str, type],
) -> str | None:
    """Look in arguments that were refused for an option or a setting that there is not.

    Args:
        arguments: Normalised.
        parser: Which refused them.
        config: What lies under them, by sections.
        bases: For sections that name a class, what it has to derive from.

    Returns:
        What to say of the first such name; None if there is none, so that something else is
        wrong.
    """
    whole = merge(config, _overlay(arguments, config, bases))
    text = unknown_name(whole, {**bases, "trainer": TrainerOptions}) if bases else None
    if text is not None:
        return text
    options = [name for name in dict(_actions(parser)) if name.startswith("--")]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name not in options and not _is_setting(name, bases):
            near = _nearest(name.removeprefix("--"), [*options, *_settings(whole, bases)])
            meant = f" Did you mean {near!r}?" if near else " --help lists them."
            return f"`{name}` should be an option of this command; found that it is none.{meant}"
    return None


def _overlay(
    arguments: Sequence[str], config: Mapping[str, Any], bases: Mapping[str, type]
) -> dict[str, Any]:
    """The sections that options set over a configuration, as a file would say it."""
    overlay: dict[str, Any] = {}
    for index, argument in enumerate(arguments):
        name, equals, value = argument.removeprefix("--").partition("=")
        value = value if equals else next(iter(arguments[index + 1 : index + 2]), "")
        section, _, setting = name.partition(".")
        if not argument.startswith("--") or section not in bases or "help" in setting:
            continue
        if not setting and value.replace(".", "").isidentifier():
            overlay[section] = {"class_path": value, "init_args": {}}
        elif setting and "." not in setting:
            below = config.get(section)
            named = {"class_path": below} if isinstance(below, str) else dict(below or {})
            of_section = overlay.setdefault(section, {**named, "init_args": {}})
            of_section["init_args"][setting] = value
    return overlay


def _is_setting(name: str, bases: Mapping[str, type]) -> bool:
    return name.removeprefix("--").partition(".")[0] in bases


def _settings(config: Mapping[str, Any], bases: Mapping[str, type]) -> list[str]:
    """The settings of the classes that a configuration names, as options."""
    options = []
    for section, base in bases.items():
        kind = class_of(base, config.get(section))
        if kind is not None:
            options += [f"--{section}.{name}" for name in arguments_of(kind)]
    return options


def _nearest(name: str, options: Sequence[str]) -> str | None:
    """The option that is spelt like a name, at whole or after its last dot, or abbreviated so."""
    by_leaf = {option.rpartition(".")[2].lstrip("-"): option for option in reversed(options)}
    by_initials = {
        "".join(word[:1] for word in leaf.replace("-", "_").split("_")): option
        for leaf, option in by_leaf.items()
        if "_" in leaf or "-" in leaf
    }
    whole = get_close_matches(f"--{name}", options, n=1, cutoff=0.75)
    leaf = get_close_matches(name.rpartition(".")[2], list(by_leaf), n=1, cutoff=0.7)
    if whole:
        return whole[0]
    return by_leaf[leaf[0]] if leaf else by_initials.get(name)
