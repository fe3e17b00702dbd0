import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from counterpoise.data.files import folders
from counterpoise.data.files.folders import DiskFullError, check_new, new_folder


def test_the_folder_appears_when_all_is_done_and_not_before(tmp_path):
    output = tmp_path / "deep" / "made"
    with new_folder(output) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("x")
        assert not output.exists()
    assert (output / "inner" / "a").read_text() == "x"
    assert list(output.parent.iterdir()) == [output]


def test_an_empty_folder_is_taken(tmp_path):
    with new_folder(tmp_path / "empty") as folder:
        (tmp_path / "empty").mkdir()
        (folder / "a").touch()
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["a"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_what_fails_or_is_interrupted_leaves_nothing(tmp_path, error):
    def fill():
        with new_folder(tmp_path / "made") as folder:
            (folder / "half").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_kept(tmp_path):
    output = tmp_path / "made"
    output.mkdir()
    (output / "mine").write_text("x")
    message = f"`output` should be a new or empty folder; found {output} with 1 entries. Choose"
    with pytest.raises(ValueError, match=re.escape(message)), new_folder(output):
        pass
    assert (output / "mine").read_text() == "x"
    assert list(tmp_path.iterdir()) == [output]


def test_a_file_in_the_place_is_kept(tmp_path):
    (tmp_path / "made").write_text("x")
    with (
        pytest.raises(NotADirectoryError, match=r"should be a new or empty folder; found the file"),
        new_folder(tmp_path / "made"),
    ):
        pass
    assert (tmp_path / "made").read_text() == "x"


@pytest.mark.parametrize("inner", ["x", "x/y"])
@pytest.mark.parametrize("checked", [check_new, lambda output: new_folder(output).__enter__()])
def test_a_file_in_the_way_is_named(tmp_path, inner, checked):
    file = tmp_path / "file"
    file.write_text("x")
    message = f"`output` should be a folder in folders; found the file {file}. Choose another place"
    with pytest.raises(NotADirectoryError, match=re.escape(message)):
        checked(file / inner)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_place_that_cannot_be_written_to_is_seen_before_anything_is_done(
    tmp_path, monkeypatch, number
):
    def refuse(dir):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folders, "TemporaryFile", refuse)
    message = (
        f"`output` should lie where files can be made; found that they cannot at {tmp_path} "
        f"({os.strerror(number)}). Mend that, or choose another folder; COUNTERPOISE_CACHE"
    )
    for checked in (check_new, lambda output: new_folder(output).__enter__()):
        with pytest.raises(OSError, match=re.escape(message)):
            checked(tmp_path / "deep" / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_the_system_does_not_take_is_named(tmp_path):
    message = f"files can be made; found that they cannot at {tmp_path}/.* .File name too long"
    with pytest.raises(OSError, match=message), new_folder(tmp_path / ("x" * 300)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_a_disk_is_mounted_no_folder_is_made(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path / "disk")
    message = "should be a folder that can be replaced; found .*disk, where a disk is mounted"
    with pytest.raises(ValueError, match=message), new_folder(tmp_path / "disk"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "disk"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path, there):
    (tmp_path / "link").symlink_to(tmp_path / "made")
    if there:
        (tmp_path / "made").mkdir()
    with new_folder(tmp_path / "link") as folder:
        (folder / "a").touch()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "made"]
    assert (tmp_path / "link").is_symlink()


def test_a_link_that_leads_to_itself_is_named(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "link")
    message = f"`output` should be a new or empty folder; found the file {tmp_path / 'link'}"
    with pytest.raises(NotADirectoryError, match=re.escape(message)):
        check_new(tmp_path / "link")


def test_too_little_room_is_seen_before_anything_is_written(tmp_path):
    needed = shutil.disk_usage(tmp_path).total * 2
    message = (
        f"`output` should have room for {needed / 1e6:,.1f} MB; found too little: "
        r"[\d,]+\.\d MB are free at .*\. Nothing was written\. Free some room, or choose another"
    )
    with (
        pytest.raises(DiskFullError, match=message),
        new_folder(tmp_path / "made", needed),
    ):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("num_bytes", "room"), [(0, "room"), (2_500_000, "room for 2.5 MB")])
@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, "disk"), (errno.EDQUOT, "user's quota of the disk")]
)
def test_a_disk_that_fills_up_is_one_error_and_nothing_stays(
    tmp_path, monkeypatch, number, full, num_bytes, room
):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_234_567_890)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    message = (
        f"`spoken` should have {room}; found the {full} full at {tmp_path}. What was begun is "
        "removed, 1,234.6 MB are free now. Free some room, or choose another folder; "
        "COUNTERPOISE_CACHE moves the cache."
    )

    def fill():
        with new_folder(tmp_path / "made", num_bytes, what="spoken") as folder:
            (folder / "half").touch()
            raise OSError(number, os.strerror(number))

    with pytest.raises(DiskFullError, match=f"^{re.escape(message)}$"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_limit_to_the_size_of_files_is_told_from_a_full_disk(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    message = (
        "`output` should hold files as large as they must be; found a limit to the size of a file "
        f"at {tmp_path}, of the shell (ulimit -f) or of the disk's format. What was begun is "
        "removed. Raise the limit, or choose another folder"
    )
    try:
        with (
            pytest.raises(DiskFullError, match=f"^{re.escape(message)}"),
            new_folder(tmp_path / "made") as folder,
        ):
            (folder / "large").write_bytes(bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_other_trouble_of_the_disk_stays_what_it_is(tmp_path):
    with (
        pytest.raises(OSError, match="worn out") as caught,
        new_folder(tmp_path / "made"),
    ):
        raise OSError(errno.EIO, "worn out")
    assert not isinstance(caught.value, DiskFullError)


def test_one_process_at_a_time_fills_a_folder(tmp_path):
    with new_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("first")
        with (
            pytest.raises(ValueError, match="filled by one process at a time; found another"),
            new_folder(tmp_path / "made"),
        ):
            pass
    assert (tmp_path / "made" / "a").read_text() == "first"


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from counterpoise.data.files.folders import new_folder\n"
        "with new_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'inner').mkdir()\n"
        "    (folder / 'inner' / 'half').write_text('x')\n"
        "    (folder / 'other').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    output = tmp_path / "made"
    killed = subprocess.run([sys.executable, "-c", code, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    with new_folder(output) as folder:
        assert list(folder.iterdir()) == []
        (folder / "a").write_text("whole")
    assert [path.name for path in output.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [output]


def test_the_lock_is_given_back(tmp_path):
    free = os.dup(0)  # the lowest number that is free
    os.close(free)
    for _ in range(3):
        with pytest.raises(ValueError, match="again"), new_folder(tmp_path / "made"):
            raise ValueError("again")
    again = os.dup(0)
    os.close(again)
    assert again == free
