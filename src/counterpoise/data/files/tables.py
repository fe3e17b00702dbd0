"""Tables in text files, as others write them: with a byte-order mark, with any line ends."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import open_data


def read_table(
    path: str | Path, columns: int | None = None, *, delimiter: str = ","
) -> list[list[str]]:
    r"""Read the rows of a table; empty lines are left out.

    Args:
        path: The file, in UTF-8, with or without a byte-order mark.
        columns: How many each row has. Default: any number.
        delimiter: What stands between two.

    Returns:
        The rows, each with the same number of columns, without spaces around them.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is no text, has a row with another number of columns, or no row.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "train.csv"
        >>> _ = path.write_bytes(b"\xef\xbb\xbfclip,NEU\r\nother,SAD\r\n\r\n")
        >>> read_table(path, columns=2)
        [['clip', 'NEU'], ['other', 'SAD']]
    """
    path = Path(path)
    with open_data(path) as file:
        content = file.read()
    try:
        lines = csv.reader(
            io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter, strict=True
        )
        rows = [(lines.line_num, [cell.strip() for cell in row]) for row in lines]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError(
            f"`{path}` should be a table in UTF-8; found {len(content)} bytes that are not "
            f"({error}). Get the file again."
        ) from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise CorruptFileError(f"`{path}` should hold a table; found no rows. Get the file again.")
    number = columns or len(rows[0][1])
    for line, row in rows:
        if len(row) != number:
            raise CorruptFileError(
                f"`{path}` should have {number} columns divided by {delimiter!r}; found "
                f"{len(row)} in line {line}. Get the file again."
            )
    return [row for _, row in rows]
