"""What the command line says of mistakes, the user's own code, and Ctrl-C."""

import subprocess
import sys

import pytest

from counterpoise.cli.failures import in_one_line, users_place
from counterpoise.cli.main import main
from counterpoise.training.config.class_modules import check_class_path, check_class_paths

TRAIN = ["train", "--data", "Synthetic", "--data.num_train", "59", "--trainer.max_epochs", "1"]

MODULE = """
from dataclasses import dataclass
from torch import nn
from counterpoise.training import Architecture

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(7, num_classes)

    def forward(self, **inputs):
        return self.head(inputs["m1"])

@dataclass(frozen=True)
class Wrong(Architecture):
    def build(self, splits):
        return Net(splits.num_classes)

@dataclass(frozen=True)
class Stopping(Architecture):
    def build(self, splits):
        raise KeyboardInterrupt
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's own in the current folder, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing_network.py").write_text(MODULE)
    yield "failing_network"
    sys.modules.pop("failing_network", None)


def complaint(capsys, *arguments, code=2):
    assert main(list(arguments)) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("counterpoise: error: ")


def test_a_mistake_in_the_users_network_is_one_line_with_its_place(module, capsys, tmp_path):
    wrong = [*TRAIN, "--model", f"{module}.Wrong", "--output", "run"]
    for _ in range(2):  # the first does not stand in the way of the second
        assert complaint(capsys, *wrong).startswith(
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied"
        )
    line = complaint(capsys, *wrong)
    place = "(failing_network.py, line 12, in forward; COUNTERPOISE_TRACEBACK=1 shows the whole tra"
    assert place in line


def test_the_whole_traceback_comes_by_the_variable(module, monkeypatch):
    monkeypatch.setenv("COUNTERPOISE_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        main([*TRAIN, "--model", f"{module}.Wrong", "--output", "run"])


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("counterpoise.cli.train.fields", None)
    with pytest.raises(TypeError):
        raise TypeError
    error = KeyError("nowhere")
    assert users_place(error) is None
    assert in_one_line(error) == "'nowhere'"


def test_ctrl_c_before_anything_is_kept_says_so(module, capsys):
    line = complaint(capsys, *TRAIN, "--model", f"{module}.Stopping", code=130)
    assert line == "counterpoise: interrupted. Nothing was kept."


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def stopped(recipe, output, **options):
        output.mkdir()
        (output / "config.yaml").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("counterpoise.training.run.train", stopped)
    folder = tmp_path / "a run"
    line = complaint(capsys, *TRAIN, f"--output={folder}", code=130)
    assert line == (
        f"counterpoise: interrupted. Go on: counterpoise train --config '{folder}/config.yaml' "
        f"--output '{folder}' --resume"
    )


NEAREST = [
    (["--method", "AGM", "--alhpa", "1"], "Did you mean '--method.alpha'?"),
    (["--method", "AGM", "--method.alhpa", "1"], "found 'alhpa'. Did you mean 'alpha'?"),
    (["--max_epoch", "3"], "Did you mean '--trainer.max_epochs'?"),
    (["--max-epochs", "3"], "Did you mean '--trainer.max_epochs'?"),
    (["--trainer.max_epoch", "3"], "Did you mean '--trainer.max_epochs'?"),
    (["--lr", "0.1"], "Did you mean '--optimizer.learning_rate'?"),
    (["--optimizer.lr", "0.1"], "found 'lr'. Did you mean 'learning_rate'?"),
    (["--method", "AMG"], "found 'AMG'. Did you mean 'AGM'?"),
    (["--batchsize", "3"], "Did you mean '--batch_size'?"),
    (["--optimizer", "Sgd"], "found 'Sgd'. Did you mean 'SGD'?"),
    (["--method.alhpa", "1", "--method", "AGM"], "found 'alhpa'. Did you mean 'alpha'?"),
    (["--method", "counterpoise.methdos.AGM"], "'counterpoise.methdos'. Did you mean 'methods'?"),
    (["--optimizer", "torch.optm.Adagrad"], "there is no module 'torch.optm'. Did you mean 'optim"),
    (["--xyzzy"], "found that it is none. --help lists them."),
    (["--name", "../elsewhere"], "`name` should be the name of a folder, without '/'"),
]


@pytest.mark.parametrize(("arguments", "expected"), NEAREST, ids=lambda value: " ".join(value))
def test_the_nearest_name_is_suggested(arguments, expected, capsys):
    assert expected in complaint(capsys, *TRAIN, *arguments)


@pytest.mark.parametrize("name", ["Method", "UnimodalTask"])
def test_classes_that_others_are_made_from_are_no_methods(name, capsys):
    line = complaint(capsys, *TRAIN, "--method", name)
    offered = line.partition(";")[0]
    assert f"'{name}'" not in offered
    assert "'AGM'" in offered


@pytest.mark.parametrize(
    "spelling",
    [["--no-progress"], ["--no_progress"], ["--progress", "false"], ["--progress=no"]],
    ids=" ".join,
)
def test_options_are_understood_in_either_spelling(spelling, capsys):
    line = complaint(capsys, *TRAIN, *spelling, "--trainer.max-epochs=0")
    assert line == "`max_epochs` should be at least 1; found 0. Pass 1 or more."


def test_a_module_that_does_not_hold_the_class_is_not_executed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harmful.py").write_text("open('executed', 'w').close()\nclass Weakest: ...\n")
    line = complaint(capsys, *TRAIN, "--method", "harmful.Weekest")
    assert line == (
        "`method` should be the path of a class; found 'harmful.Weekest', but 'harmful' has no "
        "'Weekest'. Did you mean 'Weakest'?"
    )
    config = tmp_path / "recipe.yaml"
    config.write_text("method: {class_path: AGM, init_args: {reference: {class_path: harmful.X}}}")
    assert "'harmful' has no 'X'" in complaint(capsys, *TRAIN, "--config", str(config))
    for section, kind in (("model", "Module"), ("optimizer", "TorchOptimizer")):
        path, key = f"counterpoise.training.{kind}", "module" if section == "model" else section
        text = f"{section}: {{class_path: {path}, init_args: {{{key}: harmful.X}}}}"
        config.write_text(f"data: Synthetic\n{text}")
        assert "'harmful' has no 'X'" in complaint(capsys, "train", "--config", str(config))
    grid = tmp_path / "grid.yaml"
    grid.write_text("data: {Synthetic: }\nmethods: {Joint: , harmful.X: }\n")
    assert "'harmful' has no 'X'" in complaint(capsys, "compare", str(grid))
    assert not (tmp_path / "executed").exists()


def test_names_that_show_only_when_a_module_runs_are_left_to_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "dynamic_names"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("def __getattr__(name): return int\n")
    (package / "inner" / "__init__.py").write_text("if True:\n    from os import path as Held\n")
    check_class_path("method", "dynamic_names.Anything")
    check_class_paths([{"a": {"class_path": "dynamic_names.inner.Held"}}])
    with pytest.raises(ValueError, match=r"'dynamic_names\.inner' has no 'path'"):
        check_class_path("method", "dynamic_names.inner.path")
    with pytest.raises(ValueError, match="there is no module 'dynamic_nomes'"):
        check_class_path("method", "dynamic_nomes.X")
    assert "dynamic_names" not in sys.modules


@pytest.mark.parametrize("command", ["train", "compare"])
def test_help_says_that_recipes_and_grids_are_code(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "as you would run their code" in " ".join(text.split())


def test_output_that_nobody_reads_any_more_ends_without_a_word():
    command = [sys.executable, "-m", "counterpoise", "list", "methods"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
