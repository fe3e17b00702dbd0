import errno
import io
import re
import resource
import tarfile
import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from counterpoise.data.avmnist import sources
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.download import extract, fetch, fingerprint_files
from counterpoise.data.files.folders import DiskFullError

CONTENT = bytes(range(256)) * 4001  # several blocks
DIGEST = sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT under /whole, breaks off under /short, and has nothing else."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path not in ("/whole", "/short"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[:1000])

    def log_message(self, *arguments):
        pass


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server():
    with serving() as found:
        yield found


def test_a_file_comes_whole_and_tells_how_it_goes(server, tmp_path):
    told = []
    path = fetch(
        [f"{server[1]}/whole"], tmp_path / "deep" / "x", DIGEST, lambda *said: told.append(said)
    )
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert told[-1] == ("Downloading x", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert len(told) > 2


def test_a_file_that_is_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    asked = len(server[0].asked)
    fetch([f"{server[1]}/whole"], tmp_path / "x", DIGEST)
    assert len(server[0].asked) == asked


def test_the_next_place_is_tried(server, tmp_path):
    urls = [f"{server[1]}/nothing", f"{server[1]}/short", f"{server[1]}/whole"]
    assert fetch(urls, tmp_path / "x", DIGEST).read_bytes() == CONTENT


def test_what_can_be_had_nowhere_is_said_with_every_reason(server, tmp_path):
    urls = [f"{server[1]}/nothing", f"{server[1]}/short", "http://127.0.0.1:9/closed"]
    with pytest.raises(ConnectionError) as caught:
        fetch(urls, tmp_path / "x", DIGEST)
    message = str(caught.value)
    assert message.startswith("`x` should be had from the network; found ")
    assert "nothing: HTTP Error 404" in message
    assert f"short: it ended after 1000 of {len(CONTENT)} bytes" in message
    assert "closed: <urlopen error" in message
    assert message.endswith(f"Put it into {tmp_path} by other means, or try again.")
    assert list(tmp_path.iterdir()) == []


def test_other_content_is_refused_and_not_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"other")
    with pytest.raises(CorruptFileError, match=r"content with sha256 .* in 5 bytes. Delete it"):
        fetch([(tmp_path / "a").as_uri()], tmp_path / "x", DIGEST)
    with pytest.raises(
        CorruptFileError, match=re.escape(f"`{tmp_path / 'a'}` should have content")
    ):
        fetch([], tmp_path / "a", DIGEST)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interrupted_download_leaves_nothing(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)

    def stop(*said):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([(tmp_path / "a").as_uri()], tmp_path / "x", DIGEST, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_fills_up_while_a_file_comes_is_one_error_and_nothing_stays(server, tmp_path):
    def full(*said):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "deep" / "x"
    message = f"`{path}` should have room; found the disk full at {path.parent}. What was begun"
    with pytest.raises(DiskFullError, match=re.escape(message)):
        fetch([f"{server[1]}/whole", f"{server[1]}/short"], path, DIGEST, full)
    assert list(path.parent.iterdir()) == []


def pack(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("data/link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "../../elsewhere"
        tar.addfile(link)


FILES = {"data/a.wav": b"one", "../../b.wav": b"two", "/c.wav": b"three", "data/notes.md": b"no"}


def test_plain_files_with_the_suffix_are_unpacked_into_the_folder_and_nowhere_else(tmp_path):
    pack(tmp_path / "x.tar.gz", FILES)
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    told = []
    extract(tmp_path / "x.tar.gz", folder, ".wav", lambda *said: told.append(said))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "a.wav": b"one",
        "b.wav": b"two",
        "c.wav": b"three",
    }
    assert told == [("Unpacking x.tar.gz", number, 3) for number in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "x.tar.gz"]


@pytest.mark.parametrize("length", [0, 7, -30])
def test_a_damaged_archive_is_named(tmp_path, length):
    archive = tmp_path / "x.tar.gz"
    pack(archive, {f"{number}.wav": CONTENT[:70_000] for number in range(3)})
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(CorruptFileError, match=re.escape(f"`{archive}` should be a whole .tar.gz")):
        extract(archive, tmp_path, ".wav")


def test_a_fingerprint_depends_on_names_and_contents_alone(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            (tmp_path / folder / name).write_text(f"content of {name}")
    one, two = (list((tmp_path / folder).iterdir()) for folder in ("one", "two"))
    assert fingerprint_files(one) == fingerprint_files(reversed(two))
    (tmp_path / "two" / "b").write_text("changed")
    assert fingerprint_files(one) != fingerprint_files(two)
    assert fingerprint_files(one) != fingerprint_files(one[:1])


def test_mnist_comes_from_the_first_place_that_has_it(tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    for name in sources.MNIST_FILES:
        (there / name).write_text(name)
    digests = {name: sha256(name.encode()).hexdigest() for name in sources.MNIST_FILES}
    monkeypatch.setattr(sources, "MNIST_FILES", digests)
    places = (f"{tmp_path.as_uri()}/empty/", f"{there.as_uri()}/")
    monkeypatch.setattr(sources, "MNIST_PLACES", places)
    folder = sources.download_mnist(tmp_path / "mnist")
    assert {path.name for path in folder.iterdir()} == set(digests)


def test_recordings_come_unpacked_and_once(tmp_path, monkeypatch):
    recordings = {f"fsdd-1/recordings/{n}_ada_0.wav": bytes([n]) for n in range(3)}
    pack(tmp_path / "x.tar.gz", {**recordings, "fsdd-1/README.md": b"no"})
    monkeypatch.setattr(sources, "FSDD_PLACES", [(tmp_path / "x.tar.gz").as_uri()])
    with pytest.raises(CorruptFileError, match=r"recordings with fingerprint 99aa.* in 3 files"):
        sources.download_fsdd(tmp_path / "fsdd")
    assert [path.name for path in (tmp_path / "fsdd").iterdir()] == ["fsdd-v1.0.10.tar.gz"]
    for name, content in recordings.items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(content)
    found = fingerprint_files(tmp_path.glob("*.wav"))
    monkeypatch.setattr(sources, "FSDD_FINGERPRINT", found)
    folder = sources.download_fsdd(tmp_path / "fsdd")
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}_ada_0.wav" for n in range(3)]
    assert list((tmp_path / "fsdd").iterdir()) == [folder]
    monkeypatch.setattr(sources, "FSDD_PLACES", [])
    assert sources.download_fsdd(tmp_path / "fsdd") == folder


def test_recordings_that_the_disk_cannot_hold_are_one_error_and_none_stay(tmp_path, monkeypatch):
    recordings = {"fsdd-1/0_ada_0.wav": b"short", "fsdd-1/0_ada_1.wav": bytes(300_000)}
    pack(tmp_path / "x.tar.gz", recordings)
    monkeypatch.setattr(sources, "FSDD_PLACES", [(tmp_path / "x.tar.gz").as_uri()])
    folder = tmp_path / "fsdd"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        message = f"`{folder / 'recordings'}` should hold files as large as they must be"
        with pytest.raises(DiskFullError, match=re.escape(message)):
            sources.download_fsdd(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in folder.iterdir()] == ["fsdd-v1.0.10.tar.gz"]
