"""Loggers of others, each by its real package: names of metrics, and the recipe as settings."""

import csv
import sys
import warnings

import pytest
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.loggers import WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from counterpoise.cli import main
from counterpoise.training import train
from counterpoise.training.loggers import finishing, own_loggers
from training.runs import recipe

GROUPED = {
    *("train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "test/accuracy"),
    *("train/loss_step", "response/left/accuracy", "response/right/score", "coefficient/left"),
    *("validation/response/right/accuracy", "validation/unimodal/left/loss"),
}


class Seen(Callback):
    """Keeps what Weights & Biases was told, while its run is open."""

    told = None

    def on_train_end(self, trainer, pl_module):
        [logger] = [each for each in trainer.loggers if isinstance(each, WandbLogger)]
        run = logger.experiment
        Seen.told = run.name, dict(run.config), dict(run.summary)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run from the command line under four loggers, without a network."""
    folder = tmp_path_factory.mktemp("logged")
    loggers = [
        "CSVLogger",
        {"class_path": "WandbLogger", "init_args": {"offline": True}},
        {
            "class_path": "lightning.pytorch.loggers.MLFlowLogger",
            "init_args": {"tracking_uri": f"file:{folder}/mlruns", "experiment_name": "tried"},
        },
    ]
    options = [
        *("train", "--data", "training.runs.Blobs", "--model", "training.runs.Small"),
        *("--method", "AGM", "--method.alpha", "0.25", "--name", "mine", "--batch_size", "13"),
        *("--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--progress", "false"),
        *("--trainer.log_every_n_steps", "2", "--optimizer", "SGD"),
        *(f"--loggers={loggers}", "--output", str(folder / "run")),
        '--callbacks=[{"class_path": "training.test_loggers.Seen"}]',
    ]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages, on one another
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("WANDB_SILENT", "true")
        assert main(options) == 0
    return folder


def test_csv_has_the_metrics_in_groups_and_the_recipe(logged):
    [metrics] = (logged / "run").rglob("lightning_logs/version_0/metrics.csv")
    assert set(next(csv.reader(metrics.read_text().splitlines()))) >= GROUPED
    settings = yaml.safe_load(metrics.with_name("hparams.yaml").read_text())
    assert (settings["method"], settings["method.alpha"]) == ("AGM", 0.25)
    assert settings["data"] == "training.runs.Blobs"
    assert settings["trainer.max_epochs"] == 2


def test_tensorboard_shows_the_recipe_beside_the_results(logged):
    events = EventAccumulator(str(logged / "run" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= GROUPED
    assert len(events.Scalars("test/accuracy")) == 1  # nothing was logged to have it shown

    def content(tag):
        return HParamsPluginData.FromString(events.SummaryMetadata(tag).plugin_data.content)

    start = content("_hparams_/session_start_info").session_start_info
    assert start.hparams["method"].string_value == "AGM"
    assert start.hparams["method.alpha"].number_value == 0.25
    shown = content("_hparams_/experiment").experiment.metric_infos
    assert {each.name.tag for each in shown} == {"validation/accuracy", "test/accuracy"}


def test_weights_and_biases_has_the_runs_name_and_the_recipe(logged):
    name, config, summary = sys.modules["training.test_loggers"].Seen.told
    assert name == "mine"
    assert (config["method"], config["method.alpha"]) == ("AGM", 0.25)
    assert set(summary) >= GROUPED - {"test/accuracy"}
    assert len(list((logged / "run" / "wandb").glob("offline-run-*/run-*.wandb"))) == 1
    assert sys.modules["wandb"].run is None  # or the next run would go on with it


def test_mlflow_has_the_runs_name_and_the_recipe(logged, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient(f"file:{logged}/mlruns")
    [run] = client.search_runs([client.get_experiment_by_name("tried").experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert set(run.data.metrics) >= GROUPED
    assert run.data.params["method.alpha"] == "0.25"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the database's packages, on one another
def test_mlflow_writes_to_a_database_beside_the_runs_if_it_is_told_nothing(tmp_path):
    train(recipe(loggers=["MLFlowLogger"], name="mine"), tmp_path / "run", progress=False)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    ids = [each.experiment_id for each in client.search_experiments()]
    assert [run.info.run_name for run in client.search_runs(ids)] == ["mine"]


def test_what_is_said_of_a_logger_is_heeded(tmp_path):
    other = tmp_path / "elsewhere"
    described = {"class_path": "CSVLogger", "init_args": {"save_dir": str(other), "name": "x"}}
    [logger] = own_loggers([described], tmp_path / "run", "mine")
    assert (logger.save_dir, logger.name) == (str(other), "x")


def test_a_run_of_weights_and_biases_ends_with_the_training_that_began_it(monkeypatch):
    class Run:
        ended = None

        def finish(self, exit_code):
            self.ended = exit_code

    class Wandb:
        run = None

    monkeypatch.setitem(sys.modules, "wandb", Wandb)
    Wandb.run = users = Run()
    with finishing():
        pass
    assert users.ended is None
    Wandb.run = None
    with finishing():
        Wandb.run = good = Run()
    assert good.ended == 0
    Wandb.run = None
    bad = Run()

    @finishing()
    def fails():
        Wandb.run = bad
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert bad.ended == 1
