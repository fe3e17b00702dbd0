"""The command line: what it understands, and how it says that it does not."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib import import_module

import pytest
import torch
import yaml

import counterpoise as cp
from counterpoise.cli.demo import demo
from counterpoise.cli.main import COMMANDS, main
from counterpoise.data import DataSource, Synthetic
from counterpoise.training import Adam, Recipe, read_recipe
from counterpoise.training.config import find, names
from counterpoise.training.config.layers import class_names, layered
from counterpoise.training.config.reading import DEFAULTS
from counterpoise.training.options import PRECISIONS
from counterpoise.training.record import write_yaml
from training.runs import Blobs, Small

SMALL = ["--data", "Synthetic", "--data.num_train", "59", "--trainer.max_epochs", "1"]
ABSENT = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
QUIET = ["--progress", "false", "--trainer.num_threads", "1"]


def printed(capsys, *arguments):
    """The configuration that ``train`` would run with."""
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def complaint(capsys, *arguments):
    """The one line on standard error of a call that fails."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("counterpoise: error: ")
    return line.removeprefix("counterpoise: error: ")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_overview_names_every_command(arguments, capsys):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name}" in out
        assert command.help in out


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"counterpoise {cp.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert COMMANDS[name].help in capsys.readouterr().out


def test_help_lists_the_choices_of_options(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    *first, last = (f'"{name}"' for name in PRECISIONS)
    assert f"{', '.join(first)} or {last}" in printed
    assert ":data:" not in printed
    assert "Batches whose gradients are averaged for one optimiser step." in printed


def test_module_runs_as_the_command():
    command = [sys.executable, "-m", "counterpoise", "tarin"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.endswith("found 'tarin'. Did you mean 'train'?\n")


def test_defaults_are_those_of_the_recipe(capsys):
    config = printed(capsys, "--data", "Synthetic")
    described = Recipe(Synthetic()).describe()
    for section in DEFAULTS:
        ours, theirs = config[section], described[section]
        assert ours["class_path"].split(".")[-1] == theirs["class_path"].split(".")[-1]
        assert ours.get("init_args") == theirs.get("init_args")
    assert config["trainer"] == described["trainer"]
    assert config["batch_size"] == described["batch_size"]


def test_short_names_and_options_override_a_recipe(capsys):
    config = printed(
        capsys,
        *("--config", "digits-agm", "--method.alpha", "2.5", "--trainer.max_epochs=3"),
        *("--data.image_noise", "0.5", "--seed", "11"),
    )
    assert config["method"]["init_args"]["alpha"] == 2.5
    assert config["trainer"]["max_epochs"] == 3
    assert config["trainer"]["gradient_clip_val"] == 1.0  # of the recipe
    assert config["data"]["init_args"]["image_noise"] == 0.5
    assert config["seed"] == 11


def test_settings_do_not_pass_on_to_another_class(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "data: Synthetic\n"
        "optimizer: {class_path: SGD, init_args: {learning_rate: 0.7}}\n"
        "method:\n  class_path: AGM\n  init_args:\n    alpha: 3.0\n    reference:\n"
        "      class_path: ExponentialAverage\n      init_args: {decay: 0.5}\n"
    )
    path = str(tmp_path / "a.yaml")
    assert printed(capsys, "--config", path, "--optimizer", "Adam")["optimizer"]["init_args"] == {
        "learning_rate": Adam().learning_rate,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
    }
    assert printed(capsys, f"--config={path}", "--method=Joint")["method"] == {
        "class_path": "counterpoise.Joint"
    }
    kept = printed(capsys, "--config", path, "--method", "AGM", "--method.clamp", "5")["method"]
    assert kept["init_args"]["alpha"] == 3.0
    assert kept["init_args"]["clamp"] == 5.0
    assert kept["init_args"]["reference"]["init_args"] == {"decay": 0.5}
    inner = printed(capsys, "--config", path, "--method.reference", "RunningMean")["method"]
    assert inner["init_args"]["alpha"] == 3.0
    assert inner["init_args"]["reference"] == {"class_path": "counterpoise.references.RunningMean"}


OWN = """
data: {class_path: training.runs.Blobs, init_args: {num_train: 61}}
model: {class_path: training.runs.Small}
method: {class_path: experiments.compare.made.Dies, init_args: {marker: there}}
"""


def test_classes_of_one_s_own_are_named_in_a_file_by_their_path(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    recipe = read_recipe(path)
    assert (recipe.data, recipe.model) == (Blobs(num_train=61), Small())
    assert (type(recipe.method).__name__, recipe.method.marker) == ("Dies", "there")
    write_yaml(path, recipe.describe())  # as a run keeps it
    assert read_recipe(path).describe() == recipe.describe()
    kept = printed(capsys, "--config", str(path), "--method.always", "true")["method"]
    assert kept["init_args"] == {"marker": "there", "always": True}


def test_a_class_of_one_s_own_takes_no_settings_of_ours_of_the_same_name(tmp_path):
    (tmp_path / "ours.yaml").write_text(
        "data: Synthetic\nmethod: {class_path: Dies, init_args: {alpha: 3.0}}\n"
    )
    path = tmp_path / "own.yaml"
    path.write_text(
        f"base: {tmp_path / 'ours.yaml'}\n"
        "method: {class_path: experiments.compare.made.Dies, init_args: {marker: there}}\n"
    )
    assert read_recipe(path).method.marker == "there"


def test_classes_of_one_s_own_are_found_in_the_current_folder_after_packages(tmp_path):
    """By the installed command, which unlike ``python -m`` does not look there by itself."""
    (tmp_path / "mine.py").write_text(
        "import counterpoise as cp\nclass Mine(cp.Joint):\n    'My own.'\n"
    )
    (tmp_path / "jsonargparse.py").write_text("raise RuntimeError('not the package')\n")
    installed = "import sys; sys.path.remove(''); from counterpoise.cli.main import main; main()"
    options = ["--data", "Synthetic", "--method", "mine.Mine", "--print_config"]
    result = subprocess.run(
        [sys.executable, "-c", installed, "train", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert yaml.safe_load(result.stdout)["method"] == {"class_path": "mine.Mine"}


def test_the_current_folder_is_looked_in_for_the_command_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    printed(capsys, "--data", "Synthetic")
    assert sys.path == before


def test_only_classes_that_can_be_chosen_are_listed():
    methods = class_names(cp.Method)
    assert {"AGM", "Joint", "OGM", "MSES"} <= set(methods)
    assert "Method" not in methods
    assert not [name for name in methods if name.startswith("_")]
    assert {"Digits", "Features", "Synthetic"} <= set(class_names(DataSource))


def test_later_files_lie_over_earlier_ones(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("method: Joint\nbatch_size: 17\n")
    config = printed(capsys, "--config", "digits-agm", "--config", str(tmp_path / "a.yaml"))
    assert config["method"] == {"class_path": "counterpoise.Joint"}
    assert config["batch_size"] == 17
    assert config["trainer"]["max_epochs"] == layered("digits-agm")["trainer"]["max_epochs"]


def test_train_writes_a_run_and_says_where(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = [*SMALL, *QUIET, "--method", "AGM", "--output", str(folder)]
    assert main(["train", *arguments]) == 0
    record = json.loads((folder / "record.json").read_text())
    out = capsys.readouterr().out
    assert f"{record['test']['accuracy']:.1%}" in out
    assert str(folder) in out.replace("\n", "")
    assert main(["train", *arguments, "--resume"]) == 0
    assert f"{record['test']['accuracy']:.1%}" in capsys.readouterr().out
    assert read_recipe(folder / "config.yaml").describe()["method"]["init_args"]["alpha"] == 1.0


def test_run_is_named_for_its_recipe_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, *QUIET, "--seed", "5"]) == 0
    assert (tmp_path / "runs" / "synthetic-joint-5" / "record.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tarin"], "The command should be one of train, "),
        (["tarin"], "found 'tarin'. Did you mean 'train'?"),
        (["train"], "the following arguments are required: data"),
        (["train", *SMALL, "--method", "AGN"], "`method` should be one of "),
        (["train", *SMALL, "--method", "AGN"], "found 'AGN'. Did you mean 'AGM'?"),
        (["train", "--data", "Digit"], "found 'Digit'. Did you mean 'Digits'?"),
        (["train", *SMALL, "--method", "my.Own"], "my.Own"),
        (["train", *SMALL, "--method", "AGM", "--method.alpha", "x"], "alpha"),
        (
            ["train", *SMALL, "--method", "AGM", "--method.alpha=-1"],
            "`alpha` should be finite, at least 0; found -1.0. Choose a value in range.",
        ),
        (
            ["train", *SMALL, "--method", "Joint", "--method.alpha", "1"],
            "settings of Joint, none at all; found 'alpha'",
        ),
        (["train", *SMALL, "--trainer.max_epoch", "3"], "--trainer.max_epoch"),
        (["train", *SMALL, "--trainer.max_epochs", "0"], "`max_epochs` should be at least 1"),
        (["train", *SMALL, "--seed", "-1"], "`seed` should be at least 0; found -1."),
        (["train", "--config", "digits-agn"], "found 'digits-agn'. Did you mean 'digits-agm'?"),
        (["train", *SMALL, "--config"], "`--config` should be followed by a file or a recipe"),
        (["train", *SMALL, "--resume", "--output", "no"], "should hold the run to resume"),
        (["train", *SMALL, "--model.fusion", "maxout_"], "found 'maxout_'. Did you mean 'maxout'?"),
        (["train", *SMALL, "--trainer.accelerator", ABSENT], "`trainer` should be possible on"),
        (["train", *SMALL, "--method", "AGM", "--num_passes", "2"], "`num_passes` should be"),
        (["train", *SMALL, "--drop_last", "true"], "`batch_size` should leave at least one"),
        (["demo", "--epochs", "0"], "`epochs` should be at least 1; found 0."),
    ],
)
def test_mistake_is_told_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in complaint(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "`config` should be a YAML file; found "),
        ("- 1", "`config` should hold settings by name; found a list in "),
        ("data: Synthetic\nseed: 1\nseed: 2", "'seed' stands there twice"),
        ("data: Synthetic\nmethod: AGN", "found 'AGN'. Did you mean 'AGM'?"),
        ("data: Synthetic\nbatch_sise: 3", "batch_sise"),
    ],
)
def test_mistake_in_a_file_is_told_in_one_line(text, message, capsys, tmp_path):
    (tmp_path / "a.yaml").write_text(text)
    assert message in complaint(capsys, "train", "--config", str(tmp_path / "a.yaml"))


def test_mistake_in_a_file_that_is_read_as_a_recipe_is_a_value_error(tmp_path):
    (tmp_path / "a.yaml").write_text("data: Synthetic\nbatch_sise: 3")
    with pytest.raises(ValueError, match=r"`config` should hold a recipe; found in .*batch_sise"):
        read_recipe(tmp_path / "a.yaml")


def test_a_warning_is_told_in_one_line_and_of_those_who_program_as_ever(capsys, monkeypatch):
    def run(options):
        warnings.warn("A run is\n  damaged.", UserWarning, stacklevel=1)
        warnings.warn("Old name.", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr(import_module(COMMANDS["cite"].module), "run", run)
    with pytest.warns(DeprecationWarning, match="Old name") as as_ever:
        assert main(["cite", "AGM"]) == 0
    assert capsys.readouterr().err == "counterpoise: warning: A run is damaged.\n"
    assert len(as_ever) == 1


def test_files_that_are_bases_of_each_other_are_named(capsys, tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(f"base: {second}\n")
    second.write_text(f"base: {first}\n")
    line = complaint(capsys, "train", "--config", str(first))
    assert "`base` should lead to a file without one; found " in line
    assert f"{first} -> {second} -> {first}" in line


def test_traceback_comes_on_request(monkeypatch):
    monkeypatch.setenv("COUNTERPOISE_TRACEBACK", "1")
    with pytest.raises(ValueError, match="found 'tarin'"):
        main(["tarin"])


def test_missing_package_is_named_with_the_command_that_installs_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    monkeypatch.delitem(sys.modules, "counterpoise.cli.parser", raising=False)
    assert complaint(capsys, "train").endswith("Run: pip install 'counterpoise[train]'.")


def test_interruption_is_told(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["counterpoise.cli.main"], "_dispatch", interrupted)
    assert main(["train"]) == 130
    assert capsys.readouterr().err == "counterpoise: interrupted\n"


@pytest.mark.parametrize("name", names())
def test_packaged_recipes_are_complete_and_found_by_name(name):
    assert find(name).is_file()
    recipe = read_recipe(name)
    assert set(layered(name)) <= set(recipe.describe())
    kind = type(recipe.method).__name__.lower()
    assert recipe.name == f"{recipe.data.name}-{kind}-{recipe.seed}"


@pytest.fixture
def small_recipes(monkeypatch):
    """The demo's recipes on data that take no time."""

    def small(name):
        recipe = read_recipe(name)
        options = replace(recipe.trainer, max_epochs=2, log_every_n_steps=3)
        return recipe.replace(
            data=Synthetic(num_train=131, num_validation=59, num_test=61),
            model=None,
            trainer=options,
            batch_size=13,
        )

    monkeypatch.setattr("counterpoise.training.config.reading.read_recipe", small)


def test_demo_compares_two_runs_that_differ_in_the_method(small_recipes, tmp_path, capsys):
    joint, agm = demo(tmp_path / "demo", seed=7, epochs=1, progress=False)
    assert [joint["method"]["name"], agm["method"]["name"]] == ["Joint", "AGM"]
    for key in ("data", "model", "seed", "versions", "hardware"):
        assert joint[key] == agm[key]
    assert joint["seed"] == 7
    assert len(joint["epochs"]) == len(agm["epochs"]) == 1
    assert joint["steps"]["scores"] is not None
    assert joint["steps"]["coefficients"] is None
    out = " ".join(capsys.readouterr().out.split())
    assert "One seed proves nothing" in out
    assert "the speech is synthetic" in out
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "Joint training against AGM on digits" in page


def test_demo_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match="`output` should be a new or an empty folder"):
        demo(tmp_path)


def test_demo_finds_a_free_folder(small_recipes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    assert main(["demo", "--epochs", "1", "--progress", "false"]) == 0
    assert (tmp_path / "runs" / "demo-2" / "report.html").is_file()
