"""What is changed for a while, and that it is put back: checkpoints, modes, types, weights."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import checkpoint as torch_checkpoint

from counterpoise.engine.checkpointing import NoCheckpoints, ReentrantCheckpoints, checkpointed
from counterpoise.engine.heads import close
from counterpoise.engine.modes import EvaluationMode, modules_of
from counterpoise.engine.precision import (
    left_as_it_was,
    precise,
    precise_type,
    weights_of,
    widened,
)

NAMES = ("CheckpointFunction", "_checkpoint_without_reentrant_generator")


def swapped():
    return [getattr(torch_checkpoint, name) for name in NAMES]


# -- checkpoints -------------------------------------------------------------------------------


class Counted:
    """A function that counts its calls, and multiplies by a weight of its own."""

    def __init__(self):
        self.num_calls, self.weight = 0, torch.tensor(3.0, requires_grad=True)

    def __call__(self, x):
        self.num_calls += 1
        return self.weight * x


@pytest.mark.parametrize("reentrant", [True, False])
def test_without_checkpoints_nothing_is_computed_anew_and_afterwards_it_is(reentrant):
    before, counts = swapped(), []
    for off in (True, False):
        function, x = Counted(), torch.tensor(2.0, requires_grad=True)
        call = {"use_reentrant": reentrant}
        if off:
            with NoCheckpoints():
                y = torch_checkpoint.checkpoint(function, x, **call)
        else:
            y = torch_checkpoint.checkpoint(function, x, **call)
        y.backward()
        assert (y.item(), x.grad.item(), function.weight.grad.item()) == (6, 3, 2)
        counts.append(function.num_calls)
    assert counts == [1, 2]
    assert swapped() == before


def test_checkpoints_of_ours_work_where_those_of_the_model_are_off():
    function = Counted()
    with NoCheckpoints():
        inside = swapped()
        y = checkpointed(function, torch.tensor(2.0))  # nothing but the weight has a gradient
        assert swapped() == inside
    y.backward()
    assert (function.num_calls, function.weight.grad.item()) == (2, 2)


def test_the_depth_of_reentrant_checkpoints_is_told_and_ends_with_an_error_too():
    seen, before = [], swapped()

    def function(x):
        seen.append(noted.depth)
        return 2 * x

    def nested(x):
        seen.append(noted.depth)
        return torch_checkpoint.checkpoint(function, x, use_reentrant=True)

    def failing(x):
        raise RuntimeError("no")

    x = torch.tensor(2.0, requires_grad=True)
    noted = ReentrantCheckpoints()
    with noted as entered:
        assert entered is noted
        y = torch_checkpoint.checkpoint(nested, x, use_reentrant=True)
        assert noted.depth == 0
        with pytest.raises(RuntimeError, match="no"):
            torch_checkpoint.checkpoint(failing, x, use_reentrant=True)
        assert noted.depth == 0
    assert (y.item(), seen) == (4, [1, 2])
    assert swapped() == before


# -- modes -------------------------------------------------------------------------------------


class Odd(nn.Module):
    """Keeps its flag elsewhere, as scripted modules do."""

    kept = True

    @property
    def training(self):
        return self.kept

    @training.setter
    def training(self, value):
        self.kept = value


def network():
    torch.manual_seed(0)
    shared = nn.Dropout()
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), shared, shared)
    model.add_module("frozen", nn.BatchNorm1d(5).eval())
    model.add_module("plain", nn.BatchNorm1d(5, track_running_stats=False))
    model.add_module("recurrent", nn.GRU(5, 7, num_layers=2, dropout=0.3))
    model.odd, model.nothing = Odd(), None
    return model


def test_all_modules_are_found_once():
    model = network()
    model.add_module("missing", None)
    assert set(modules_of(model)) == set(model.modules())
    assert len(modules_of(model)) == len(list(model.modules()))


@pytest.mark.parametrize("for_backward", [False, True])
def test_flags_are_those_of_evaluation_for_a_while(for_backward):
    model = network()
    before = [module.training for module in model.modules()]
    with EvaluationMode(model.modules(), for_backward=for_backward):
        inside = [name for name, module in model.named_modules() if module.training]
        assert inside == (["recurrent"] if for_backward else [])
        assert model.recurrent.dropout == (0 if for_backward else 0.3)
        assert not model.odd.kept
    assert [module.training for module in model.modules()] == before
    assert not model.frozen.training
    assert model.recurrent.dropout == 0.3
    with EvaluationMode(model.modules()):  # by default it is not gone backward through
        assert not model.recurrent.training


@pytest.mark.parametrize("copies", [False, True])
def test_a_pass_in_between_moves_other_statistics_than_those_that_are_read(copies):
    model = network()
    own, frozen = model[1].running_mean, model.frozen.running_mean
    modes = EvaluationMode(model.modules(), **({"copies": True} if copies else {}))
    with modes:
        assert (model[1].running_mean is own) != copies
        assert torch.equal(model[1].running_mean, own)
        assert torch.equal(model[1].running_var, torch.ones(5))
        assert model.frozen.running_mean is frozen
        assert model.plain.running_mean is None
    assert model[1].running_mean is own


# -- types and weights -------------------------------------------------------------------------


class Mixed(nn.Module):
    """Tensors of several kinds."""

    def __init__(self):
        super().__init__()
        self.coarse = nn.Parameter(torch.ones(3, dtype=torch.bfloat16), requires_grad=False)
        self.single = nn.Parameter(torch.ones(2))
        self.wide = nn.Parameter(torch.ones(2).double())
        self.register_buffer("mean", torch.ones(5))
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("phase", torch.ones(2, dtype=torch.complex64))


def test_a_model_computes_in_a_type_for_a_while():
    model = Mixed()
    before = {name: (id(t), t.dtype) for name, t in (*model.named_parameters(),)}
    data = {name: t.data_ptr() for name, t in model.named_buffers()}
    with torch.autocast("cpu", torch.bfloat16), precise(model, torch.float64):
        kinds = {name: t.dtype for name, t in model.state_dict().items()}
        assert kinds.pop("count") == torch.int64
        assert kinds.pop("phase") == torch.complex64
        assert set(kinds.values()) == {torch.float64}
        assert not model.coarse.requires_grad
        assert model.single.requires_grad
        assert id(model.wide) == before["wide"][0]
        assert not torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_dtype() == torch.float32
    assert {name: (id(t), t.dtype) for name, t in model.named_parameters()} == before
    assert {name: t.data_ptr() for name, t in model.named_buffers()} == data
    assert model.mean.dtype == torch.float32


def test_other_weights_are_computed_with_for_a_while_also_after_an_error():
    model = Mixed()
    other = {
        "single": torch.full((2,), 5.0),
        "coarse": torch.zeros(3).double(),
        "mean": torch.ones(1),
    }
    own = dict(model.named_parameters())

    def look():
        with weights_of(model, other):
            assert model.single is own["single"]
            assert model.single.tolist() == [5, 5]
            assert model.coarse is not own["coarse"]
            assert (model.coarse.dtype, model.coarse.tolist()) == (torch.float64, [0, 0, 0])
            assert model.mean.shape == (1,)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        look()
    assert all(parameter is own[name] for name, parameter in model.named_parameters())
    assert (model.single.tolist(), model.coarse.tolist()) == ([1, 1], [1, 1, 1])
    assert model.mean.shape == (5,)


@pytest.mark.parametrize(("size", "kind"), [(2**27, torch.float64), (2**27 + 1, torch.float32)])
def test_large_models_are_looked_at_in_single_precision(size, kind):
    model = nn.ParameterList([torch.empty(size - 3, device="meta"), torch.empty(3, device="meta")])
    model.append(nn.UninitializedParameter())
    assert precise_type(model, {"ear": torch.ones(2)}) == kind


def test_copies_in_a_type_leave_what_is_copied_alone():
    tree = {"x": torch.ones(2), "y": (torch.ones(3).half(), torch.tensor([4, 5]))}
    found = widened(tree, torch.float32)
    assert found["x"] is not tree["x"]
    assert found["x"].data_ptr() != tree["x"].data_ptr()
    assert [t.dtype for t in found["y"]] == [torch.float32, torch.int64]
    assert found["y"][1].data_ptr() != tree["y"][1].data_ptr()


def random_states():
    _, key, place, *_ = np.random.get_state()  # noqa: NPY002 - the one that models draw from
    return [torch.get_rng_state().tolist(), random.getstate(), key.tolist(), place]


def test_modes_random_numbers_and_casts_are_as_before():
    model, x = network()[:1], torch.ones(7, 3)
    states = random_states()
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad(), left_as_it_was(model, {"ear": x}):
            assert not any(module.training for module in model.modules())
            model(x)
            torch.rand(3), random.random(), np.random.random()  # noqa: NPY002 - as above
        model(x).float().sum().backward()
    assert model[0].weight.grad.any()
    assert random_states() == states
    assert all(module.training for module in model.modules())


# -- what is the same but for rounding ---------------------------------------------------------

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("truth", "error", "same"),
    [
        ([1.0, 0.5], [2.5e-8, 0.0], True),  # 1.5e-8 of the value, and as much of the largest
        ([1.0, 0.5], [3.5e-8, 0.0], False),
        ([2.0, 0.0], [0.0, 2.5e-8], True),
        ([2.0, 0.0], [0.0, 3.5e-8], False),
        ([-2.0, 0.0], [0.0, 2.5e-8], True),
        ([INF, 0.01, 0.0], [0.0, 0.0, 1e-9], False),
        ([-INF, 0.01, 0.0], [0.0, 0.0, 1e-9], False),
        ([-INF, INF, NAN, 1.0], [0.0, 0.0, 0.0, 1e-9], True),
        ([NAN, 1.0], [1.0, 1e-6], False),
    ],
)
def test_values_are_close_as_far_as_their_type_allows(truth, error, same):
    truth, error = (torch.tensor(values, dtype=torch.float64) for values in (truth, error))
    assert close(truth + error, truth) == same
