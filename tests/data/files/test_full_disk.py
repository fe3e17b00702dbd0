"""Errors that a full disk led to, through whatever was raised on the way."""

import errno
from pathlib import Path

import pytest

from counterpoise.data.files.folders import DiskFullError
from counterpoise.data.files.full_disk import ending_when_full, lacks_room


def full(number=errno.ENOSPC):
    return OSError(number, "No space left on device", "last.ckpt")


def raised_from(error, cause):
    error.__cause__ = cause
    return error


def raised_within(error, context):
    error.__context__ = context
    return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_an_error_that_a_full_disk_led_to_is_one_of_a_full_disk(number):
    assert lacks_room(full(number))
    assert lacks_room(raised_from(RuntimeError("worse"), full(number)))
    assert lacks_room(raised_within(RuntimeError("while tidying up"), full(number)))
    assert lacks_room(raised_from(RuntimeError("worse"), DiskFullError("no room for data")))


def test_other_errors_are_not_and_stay_as_they_are():
    error = OSError(errno.EACCES, "Permission denied")
    assert not lacks_room(raised_from(error, error))  # which has no end
    with pytest.raises(PermissionError), ending_when_full(Path("out")):
        raise error


def test_what_says_itself_where_room_is_lacking_is_left_to():
    with pytest.raises(DiskFullError, match="`cache` should have room"), ending_when_full(Path()):
        raise raised_from(RuntimeError("worse"), DiskFullError("`cache` should have room"))
