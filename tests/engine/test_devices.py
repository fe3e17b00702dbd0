"""What an accelerator computes in another way than the CPU, computed here; and where nothing is."""

import pytest
import torch

import counterpoise as cp
from counterpoise.core.autocast import is_autocast, without_autocast
from counterpoise.engine import passes, signals, statistics
from counterpoise.methods import agm
from support.devices import step_unread
from support.harness import Run, method_state, network, wrap
from support.wrapping import LEVELS

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def accelerator(monkeypatch):
    """Let the CPU compute as the engine has an accelerator compute."""
    for module in (signals, passes, agm):
        monkeypatch.setattr(module, "known_finite", lambda values: False)
    monkeypatch.setattr(statistics, "_is_on_cpu", lambda x: False)
    monkeypatch.setattr(statistics, "_kept", lambda output: None)  # which cuDNN may not keep


@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize("make", [cp.AGM, cp.UnimodalLoss, cp.MMPareto])
@pytest.mark.parametrize("level", LEVELS)
def test_training_is_that_of_the_cpu(level, make, spoilt, accelerator, request):
    def trained():
        run = Run(wrap(network("late"), make(), level, statistics="batch"))
        if spoilt:
            data = run.data
            run.data = lambda step: _spoilt(data(step)) if step == 3 else data(step)
        return run.epochs(3)

    found = trained()
    request.getfixturevalue("monkeypatch").undo()
    expected = trained()
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, **CLOSE)
    states = [method_state(run.balanced) for run in (found, expected)]
    torch.testing.assert_close(*states, **CLOSE)


def _spoilt(batch):
    inputs, target = batch
    name, *_ = inputs
    return {**inputs, name: inputs[name].where(inputs[name] > -1, torch.nan)}, target


def test_a_device_that_knows_no_autocast_has_none():
    meta = torch.device("meta")
    assert not is_autocast(meta)
    with without_autocast(meta), torch.autocast("cpu", torch.bfloat16):
        assert not is_autocast(meta)
        assert is_autocast(torch.device("cpu"))
        with without_autocast(torch.device("cpu")):
            assert not is_autocast(torch.device("cpu"))


OPTIONS = {
    "monitored": {"method": cp.Joint, "monitor": True},
    "alone": {"attribution": "alone"},
    "sampled": {"sampling": cp.Sampling(num_passes=10)},
    "running statistics": {"statistics": "running"},
    "another reference": {"method": lambda: cp.AGM(reference=cp.references.Fixed([1.0, 2.0, 0.5]))},
    "an average": {"method": lambda: cp.AGM(reference=cp.references.ExponentialAverage())},
    "a constant": {"absent": cp.absence.Constant(0.5)},
    "noise": {"absent": cp.absence.Noise(0.5)},
    "labels left out": {"score": cp.scores.CrossEntropy(ignore_index=0)},
}


@pytest.mark.filterwarnings("ignore:The model normalises with batch statistics")
@pytest.mark.parametrize("case", OPTIONS)
def test_a_step_with_options_stays_on_its_device_and_does_not_wait_for_it(case):
    options = dict(OPTIONS[case])
    method, options = options.pop("method", cp.AGM)(), {"statistics": "batch", **options}
    step_unread(Run(wrap(network("late"), method, "shared", **options)).epochs(2))
