"""Files from the network, checked, and never under their name before they are whole."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from counterpoise.core.files import replacing
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.folders import explaining_full_disk, make_folder

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is (0: not known)."""

_BLOCK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte


def fetch(
    urls: Sequence[str], path: str | Path, digest: str | None, progress: Progress | None = None
) -> Path:
    """Download a file, unless it is there already.

    It is written beside its place and renamed once its content is what it should be, so that an
    interrupted download leaves nothing under the name; the next one starts anew.

    Args:
        urls: Where it can be had, tried in order.
        path: Where it shall lie.
        digest: Sha256 of its content, hexadecimal; None if it varies and is checked otherwise.
        progress: Told of the bytes that have come. Default: nobody.

    Returns:
        The path.

    Raises:
        ConnectionError: If it can be had nowhere; the message names each place and its reason.
        CorruptFileError: If what lies there already, or all that came, has another digest.
        OSError: If its folder cannot be made or written to.
        DiskFullError: If there is no room for it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a").write_bytes(b"content")
        >>> fetch([(folder / "a").as_uri()], folder / "b", None).read_bytes()
        b'content'
    """
    path = Path(path)
    if path.exists():
        _check(path, path, digest)
        return path
    make_folder(str(path.parent), path.parent)
    with explaining_full_disk(str(path), path.parent), replacing(path) as partial:
        failures: list[Exception] = []
        for url in urls:
            try:
                _copy(url, partial, f"Downloading {path.name}", progress)
                _check(partial, url, digest)
            except (URLError, HTTPException, TimeoutError, ConnectionError, CorruptFileError) as e:
                if isinstance(e, HTTPError):
                    e.close()  # it holds the connection
                failures.append(e)
                continue
            return path
        raise _nowhere(urls, path, failures)


def _nowhere(urls: Sequence[str], path: Path, failures: Sequence[Exception]) -> Exception:
    if all(isinstance(failure, CorruptFileError) for failure in failures):
        return failures[0]
    reasons = "; ".join(f"{url}: {e}" for url, e in zip(urls, failures, strict=True))
    return ConnectionError(
        f"`{path.name}` should be had from the network; found {reasons}. "
        f"Put it into {path.parent} by other means, or try again."
    )


def _copy(url: str, path: Path, what: str, progress: Progress | None) -> None:
    with urlopen(url, timeout=_TIMEOUT) as source, path.open("wb") as file:
        total, done = int(source.headers.get("Content-Length") or 0), 0
        while block := source.read(_BLOCK):
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(what, done, total)
    if done < total:
        raise ConnectionError(f"it ended after {done} of {total} bytes")


def _check(path: Path, place: object, digest: str | None) -> None:
    if digest is None:
        return
    actual = file_digest(path)
    if actual != digest:
        raise CorruptFileError(
            f"`{place}` should have content with sha256 {digest[:12]}...; found {actual[:12]}... "
            f"in {path.stat().st_size} bytes. Delete it and try again, or get it elsewhere."
        )


def fingerprint_files(paths: Iterable[Path]) -> str:
    """Return the sha256 over names and contents of files, whatever their order or folder.

    Example:
        >>> fingerprint_files([])[:8]
        'e3b0c442'
    """
    digest = sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(f"{path.name}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def extract(
    archive: str | Path, folder: str | Path, suffix: str, progress: Progress | None = None
) -> None:
    """Unpack the files with a suffix from a gzipped tar archive into one flat folder.

    Args:
        archive: The ``.tar.gz`` file.
        folder: Where the files shall lie, an existing folder. Their folders are dropped, and so
            are links and whatever else is no plain file.
        suffix: How their names end.
        progress: Told of the files that are out.

    Raises:
        CorruptFileError: If the archive is damaged or cut off.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(suffix)]
            for number, member in enumerate(members, start=1):
                source = tar.extractfile(member)
                assert source is not None  # it is a plain file
                _write(source, folder / Path(member.name).name)
                if progress is not None:
                    progress(f"Unpacking {archive.name}", number, len(members))
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's own trouble; a damaged gzip stream has no number
        raise CorruptFileError(
            f"`{archive}` should be a whole .tar.gz archive; found one that cannot be read "
            f"({error}). Delete it and get it again."
        ) from error


def _write(source: IO[bytes], path: Path) -> None:
    with source, path.open("wb") as file:
        while block := source.read(_BLOCK):
            file.write(block)
