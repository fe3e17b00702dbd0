"""``counterpoise cite METHOD_OR_RUN ...``: BibTeX of the methods that runs used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.methods.bibliography import MMCOSINE, REFERENCES, bibtex, names_in

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add what to cite."""
    parser.add_argument(
        "what",
        type=str,
        nargs="+",
        metavar="METHOD_OR_RUN",
        help="Names of methods, such as AGM, or folders of runs, whose records tell their methods.",
    )


def run(arguments: Namespace) -> None:
    """Print the entries, each publication once.

    Raises:
        ValueError: If a word is neither a method nor a folder with records.
    """
    names = [name for word in arguments.what for name in names_of(word)]
    entries = bibtex(dict.fromkeys(names))
    print(entries or "% Joint training alone: there is no method to cite.")


def names_of(word: str) -> list[str]:
    """Return the names of the methods that a word stands for.

    Args:
        word: A method's name, or the folder of a run or of several, at any depth.

    Raises:
        ValueError: If it is neither, or a run's method is unknown here.
    """
    from counterpoise.training.record import read_sealed

    folder = Path(word)
    if word in REFERENCES or not folder.is_dir():
        return names_in(word)
    records = sorted(folder.rglob("record.json"))
    if not records:
        raise ValueError(
            f"`what` should be methods or folders of runs; found no record.json below {word!r}. "
            "Pass the folder that a run was written to."
        )
    contents = [read_sealed(path) for path in records]
    titles = dict.fromkeys(content["method"]["name"] for content in contents)
    known = [name for title in titles for name in names_in(title)]
    fusions = {content["model"]["settings"].get("fusion") for content in contents}
    # A method of the user's own is the user's to cite.
    methods = [name for name in known if name in REFERENCES or name == "Joint"]
    return [*methods, *([MMCOSINE] if "cosine" in fusions else [])]
