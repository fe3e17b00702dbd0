"""What belongs to PyTorch as a whole: caches, the fast path of attention, the default type."""

import threading
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm
from torch.utils import checkpoint

import counterpoise as cp
from counterpoise.engine.checkpointing import NoCheckpoints, ReentrantCheckpoints
from counterpoise.engine.precision import left_as_it_was
from zoo.kinds import ROWS, WIDTH, Wired, draw, head, mlp, vectors
from zoo.refusals import CLOSE, LEVELS, assert_same_step, wrap


def normed(size):
    return nn.Sequential(weight_norm(nn.Linear(size, 8)), nn.Tanh(), nn.Linear(8, WIDTH))


@pytest.mark.parametrize("level", LEVELS)
def test_weights_that_are_cached_keep_their_gradient(level):
    torch.manual_seed(5)
    model = Wired({"ear": normed(5), "eye": normed(11)}, head())
    expected, found = wrap(deepcopy(model), level), wrap(model, level)
    inputs, target, _ = vectors()(0)
    with parametrize.cached():
        out = found(**inputs, target=target)
    assert_same_step((found, out), (expected, expected(**inputs, target=target)))


class Read(nn.Module):
    """The mean over all positions of a transformer, padded ones too."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 13, dropout=0.0, batch_first=True)
        self.ear, self.eye = nn.TransformerEncoder(layer, 2), mlp(11)
        self.out, self.rest = nn.Linear(8, WIDTH), head()

    def forward(self, ear, eye, padded):
        heard = self.out(self.ear(ear, src_key_padding_mask=padded))
        return self.rest(heard.mean(dim=1), self.eye(eye))


@pytest.mark.parametrize("level", LEVELS)
def test_attention_without_gradient_is_that_of_training(level):
    torch.manual_seed(5)
    model = Read()
    watched = wrap(deepcopy(model), level, encoders={"ear": "ear", "eye": "eye"}, method=cp.Joint())
    watched.monitor = True
    balanced = wrap(model, level, encoders={"ear": "ear", "eye": "eye"})
    inputs, target, _ = draw(0, ear=(5, 8), eye=(11,))
    inputs["padded"] = torch.arange(5) >= torch.arange(ROWS).unsqueeze(1).clamp(1, 4)
    found, expected = (b(**inputs, target=target).responses for b in (watched, balanced))
    torch.testing.assert_close(found, expected, **CLOSE)
    assert torch.backends.mha.get_fastpath_enabled()


class Padded(Read):
    """Lowers the scores of steps that are all zeros, as many do, by a large number."""

    def forward(self, ear, eye):
        return super().forward(ear, eye, -1e4 * (ear == 0).all(dim=2).to(ear))


@pytest.mark.parametrize("level", LEVELS)
def test_attention_is_inspected_as_it_is_trained(level):
    torch.manual_seed(5)
    balanced = wrap(Padded(), level, encoders={"ear": "ear", "eye": "eye"})
    inputs, target, _ = draw(0, ear=(5, 8), eye=(11,))
    # The fast path knows padding alone: it makes NaN of an absent sequence, all of which is.
    assert balanced(**inputs, target=target).responses.isfinite().all()


@pytest.mark.parametrize("change", [NoCheckpoints, ReentrantCheckpoints, None])
def test_threads_take_turns(change):
    def changed():
        return change() if change else left_as_it_was(nn.Linear(2, 3), {})

    real, entered = checkpoint.CheckpointFunction, threading.Event()

    def work():
        with changed():
            entered.set()

    thread = threading.Thread(target=work)
    with changed():
        thread.start()
        assert not entered.wait(0.05)
    thread.join()
    assert entered.is_set()
    assert checkpoint.CheckpointFunction is real
