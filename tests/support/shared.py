"""Real data that is not part of the project, for tests that use it where it is there."""

import os
from pathlib import Path

import pytest


def shared_data(*names):
    """Return the folder of shared data that holds all the names, or skip the test, saying so.

    It is ``$COUNTERPOISE_SHARED_DATA``, or ``shared/data`` in or beside any folder above here.
    """
    given = os.environ.get("COUNTERPOISE_SHARED_DATA")
    above = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    for folder in [Path(given)] if given else above:
        if all((folder / name).exists() for name in names):
            return folder
    return pytest.skip(
        f"shared data with {' and '.join(names)} is not here; COUNTERPOISE_SHARED_DATA names it"
    )
