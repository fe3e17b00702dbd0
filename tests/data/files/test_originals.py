import errno
import os
import re
from pathlib import Path

import pytest

from counterpoise.data.files.originals import open_original


def test_a_file_and_a_link_to_one_are_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with open_original(tmp_path / name) as file:
            assert file.read() == b"content"


@pytest.mark.parametrize(
    ("make", "kind", "found"),
    [
        (Path.mkdir, IsADirectoryError, "found a folder. Rename or remove it."),
        (os.mkfifo, ValueError, "found neither file nor folder. Rename or remove it."),
        (lambda path: None, FileNotFoundError, "found nothing. Get the file."),
        (
            lambda path: path.symlink_to("gone.wav"),
            FileNotFoundError,
            "found a link that leads to none, to gone.wav. Mend or remove it.",
        ),
    ],
    ids=["folder", "pipe", "nothing", "link"],
)
def test_what_is_no_file_is_named(tmp_path, make, kind, found):
    path = tmp_path / "x.wav"
    make(path)
    with pytest.raises(kind, match=re.escape(f"`{path}` should be a file; {found}")):
        open_original(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "x.wav"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    message = f"`{path}` should be a file that may be read; found one that may not (Permission den"
    with pytest.raises(PermissionError, match=re.escape(message)):
        open_original(path)
