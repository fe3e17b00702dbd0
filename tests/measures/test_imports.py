"""Names of the package come when they are asked for."""

import pytest

import counterpoise.measures


def test_every_public_name_exists_and_others_do_not():
    for name in counterpoise.measures.__all__:
        assert getattr(counterpoise.measures, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'strenght'"):
        counterpoise.measures.strenght  # noqa: B018 # reading it is the test
