"""The commands that build CREMA-D and AVE."""

import json

import pytest

from counterpoise.cli.main import main
from counterpoise.data import AVE, CREMAD
from support.ave import make_ave, make_videos
from support.clips import make_crema_d

pytestmark = pytest.mark.filterwarnings(
    "ignore:1 of .* clips have no sound", "ignore:The training part shares videos"
)


@pytest.fixture(scope="module")
def crema_d(tmp_path_factory):
    return make_crema_d(tmp_path_factory.mktemp("originals") / "crema-d", num_actors=3)


def test_crema_d_is_built_as_asked_for_and_read(crema_d, tmp_path, capsys):
    output = tmp_path / "out"
    options = ["--num-pictures=2", "--seconds=1", "--times=2", "--no_progress"]
    given = ["data", "build", "crema-d", "--root", str(crema_d), "--output", str(output)]
    assert main([*given, *options]) == 0
    record = json.loads((output / "clips.json").read_text())
    assert record["forms"] == {"seconds": 1.0, "times": 2, "num_pictures": 2}
    assert record["classes"] == ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"]
    out, error = capsys.readouterr()
    assert out == f"CREMA-D, 18 clips, fingerprint {record['fingerprint'][:16]}: {output}\n"
    assert error == ""
    assert CREMAD(root=output).load().sample_shapes["audio"] == (1, 257, 63)


def test_crema_d_goes_to_the_cache_where_it_is_looked_for(crema_d, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path))
    assert main(["data", "build", "crema-d", "--root", str(crema_d)]) == 0
    assert "decoding clips" in capsys.readouterr().err
    assert len(CREMAD().load().test) == 6
    assert main(["data", "build", "crema-d", "--root", str(crema_d)]) == 2
    assert "`output` should be a new or empty folder" in capsys.readouterr().err


def test_missing_clips_are_said_in_one_line_or_left_out(crema_d, tmp_path, capsys):
    import shutil

    own = shutil.copytree(crema_d, tmp_path / "own")
    (own / "AudioWAV" / "1002_IEO_SAD_XX.wav").unlink()
    given = ["data", "build", "crema-d", "--root", str(own), "--output", str(tmp_path / "out")]
    assert main([*given, "--no_progress"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "found none of 1, such as 1002_IEO_SAD_XX" in error
    assert main([*given, "--no_progress", "--skip-missing"]) == 0
    assert "17 clips" in capsys.readouterr().out


def test_ave_is_built_from_its_videos_and_read(tmp_path, capsys):
    root, output = make_videos(make_ave(tmp_path / "ave")), tmp_path / "out"
    given = ["data", "build", "ave", "--root", str(root), "--output", str(output)]
    assert main([*given, "--no_progress"]) == 0
    assert capsys.readouterr().out.startswith("AVE, 24 clips, fingerprint ")
    splits = AVE(root=output, preset="clips").load()
    assert splits.sample_shapes == {"audio": (1, 257, 625), "image": (3, 224, 224)}
    assert splits.num_classes == 4


@pytest.mark.parametrize("name", ["crema-d", "ave"])
def test_a_missing_package_says_what_to_install(name, crema_d, tmp_path, monkeypatch, capsys):
    from counterpoise.data.files import extras

    monkeypatch.setattr(
        extras, "find_spec", lambda module: None if module in ("av", "soxr") else True
    )
    given = ["data", "build", name, "--root", str(crema_d), "--output", str(tmp_path / "out")]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert f'not installed: av, soxr. Run: pip install "counterpoise[{name}]"' in error
