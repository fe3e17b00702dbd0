"""Features out of a module by path: the right ones, in one pass, without a trace."""

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

import counterpoise as cp
from counterpoise.data import MultimodalDataset
from counterpoise.measures import Batches, extract_features, model_strengths
from support.networks import Late, batch
from support.wrapping import Calls


class Net(nn.Module):
    """Two maps, one used in place afterwards, a list, a tuple, and something called twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(2, 3, 1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm1d(3)
        self.pair = Pair()
        self.mean = nn.Identity()
        self.unused = nn.Linear(2, 2)
        self.turned = Turned()

    def forward(self, x):
        x = self.norm(self.relu(self.first(x)))
        self.turned(x)
        self.pair(x)
        return self.mean(self.mean(x.mean(dim=(1, 2))))


class Pair(nn.Module):
    def forward(self, x):
        return x, x + 1


class Turned(nn.Module):
    def forward(self, x):
        return x.transpose(0, 1)


def data(sizes=(5, 7)):
    generator = torch.Generator().manual_seed(3)
    return [
        {"x": torch.randn(n, 2, 11, generator=generator), "target": torch.arange(n)} for n in sizes
    ]


@pytest.fixture
def net():
    torch.manual_seed(5)
    return Net()


def test_features_are_those_of_the_modules_flattened(net):
    paths = {"map": "first", "also": "first:output", "before": "relu:input", "in": "first:input"}
    found = extract_features(net, data(), paths)
    x = torch.cat([each["x"] for each in data()])
    expected = net.first(x).flatten(1)
    # The activation changes its input in place: what is kept is what was there before.
    for name in ("map", "also", "before"):
        torch.testing.assert_close(found.features[name], expected)
    assert torch.equal(found.features["in"], x.flatten(1))
    assert found.target.tolist() == [*range(5), *range(7)]
    assert not found.features["map"].requires_grad


def determinants(x):
    return torch.linalg.slogdet(x.flatten(1)[:, :4].view(-1, 2, 2))


class Told(nn.Module):
    """A module that returns a mapping with a named tuple in it."""

    def forward(self, x):
        return {"last": determinants(x), "x": x}


@pytest.mark.parametrize(
    ("path", "of"),
    [
        ("pair[1]", lambda x: (x + 1).flatten(1)),
        ("told[x]", lambda x: x.flatten(1)),
        ("told[last][logabsdet]", lambda x: determinants(x)[1][:, None]),
        ("told[last][-2]", lambda x: determinants(x)[0][:, None]),
    ],
)
def test_an_index_leads_into_what_a_module_returns(path, of):
    model = nn.Sequential()
    model.pair, model.told = Pair(), Told()
    model.forward = lambda x: (model.pair(x), model.told(x))
    x = torch.cat([each["x"] for each in data()])
    found = extract_features(model, data(), {"entry": path}).features["entry"]
    torch.testing.assert_close(found, of(x))


def test_an_index_without_an_entry_is_an_error(net):
    with pytest.raises(ValueError, match=r"should lead to an entry; found a tuple, which has none"):
        extract_features(net, data(), {"a": "pair[2]"})


def test_all_paths_share_one_pass_in_eval_mode_and_flags_come_back(net):
    net.first.eval()
    flags, statistics = [m.training for m in net.modules()], net.norm.running_mean.clone()
    with Calls(net) as notes:
        extract_features(net, data(), {"a": "first", "b": "norm", "c": "norm:input"})
    assert notes == [(5, "eval"), (7, "eval")]
    assert [m.training for m in net.modules()] == flags
    assert torch.equal(net.norm.running_mean, statistics)
    assert not net.first._forward_hooks
    assert not net.norm._forward_pre_hooks


def test_a_failing_model_leaves_no_hook_behind(net):
    with pytest.raises(RuntimeError, match=r"normalized|size|channels"):
        extract_features(net, [{"x": torch.zeros(3, 1, 11)}], {"a": "first"})
    assert not net.first._forward_hooks
    assert net.training


def test_scalars_become_rows_and_empty_batches_have_none():
    class Scalar(nn.Module):
        def __init__(self):
            super().__init__()
            self.sum = Sum()

        def forward(self, x):
            return self.sum(x)

    class Sum(nn.Module):
        def forward(self, x):
            return x.flatten(1).sum(dim=1)

    found = extract_features(Scalar(), data((5, 0)), {"sum": "sum", "in": "sum:input"})
    assert found.features["sum"].shape == (5, 1)
    assert found.features["in"].shape == (5, 22)


def test_a_wrapped_model_and_one_that_is_called_otherwise():
    model = Late(2).double()
    inputs, target = batch(2, 7)
    plain = extract_features(model, [inputs], {"ear": "ear"})
    balanced = cp.Balanced(model, model.names, cp.Joint())
    wrapped = extract_features(balanced, [{**inputs, "target": target}], {"ear": "model.ear"})
    assert plain.target is None
    assert torch.equal(plain.features["ear"], wrapped.features["ear"])
    other = extract_features(
        nn.Sequential(nn.Identity()),
        [{"x": torch.arange(6.0).view(3, 2)}],
        {"all": "0"},
        call=lambda model, batch: model(batch["x"]),
    )
    assert other.features["all"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_batches_of_a_data_set_come_in_order():
    dataset = MultimodalDataset({"x": torch.arange(7.0)}, torch.arange(7))
    batches = Batches(dataset, 3)
    found = list(batches)
    assert len(batches) == len(list(batches)) == 3
    assert list(Batches(dataset.subset(slice(0, 0)))) == []
    assert [each["target"].tolist() for each in found] == [[0, 1, 2], [3, 4, 5], [6]]
    assert torch.equal(torch.cat([each["x"] for each in found]), torch.arange(7.0))
    with pytest.raises(ValueError, match=r"`batch_size` should be at least 1; found 0"):
        Batches(dataset, 0)


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["frist", "", "first.weight", ":input"])
def test_an_unknown_path_is_an_error(net, path):
    with pytest.raises(ValueError, match=r"`paths\['a'\]` should be the path of a module .* found"):
        extract_features(net, data(), {"a": path})


def test_the_nearest_path_is_suggested(net):
    with pytest.raises(ValueError, match=r"found 'frist'\. Did you mean 'first'\?"):
        extract_features(net, data(), {"a": "frist"})


def test_another_side_than_input_and_output_is_an_error(net):
    with pytest.raises(ValueError, match=r"should end with ':input', ':output' or neither; found"):
        extract_features(net, data(), {"a": "first:weights"})


def test_a_module_that_is_called_never_or_twice_is_an_error(net):
    with pytest.raises(RuntimeError, match=r"= 'unused' should be called exactly once.* found 0"):
        extract_features(net, data(), {"a": "unused"})
    with pytest.raises(RuntimeError, match=r"= 'mean' should be called exactly once.* found 2"):
        extract_features(net, data(), {"a": "mean"})


def test_a_feature_that_is_no_tensor_is_an_error(net):
    with pytest.raises(TypeError, match=r"= 'pair' should give one tensor; found 2 of them"):
        extract_features(net, data(), {"a": "pair"})


def test_a_feature_without_a_row_a_sample_is_an_error(net):
    with pytest.raises(ValueError, match=r"= 'turned' should have a row for each of 5 samples"):
        extract_features(net, data(), {"a": "turned"})


def test_no_batch_is_an_error(net):
    with pytest.raises(ValueError, match=r"`batches` should hold at least one batch; found none"):
        extract_features(net, [], {"a": "first"})


def test_a_batch_that_names_nothing_is_an_error(net):
    message = r"Each batch should be a mapping of names to tensors; found a tuple\. Name what"
    with pytest.raises(TypeError, match=message):
        extract_features(net, [(torch.zeros(5, 2, 3), torch.zeros(5))], {"a": "first"})
    with pytest.raises(TypeError, match=message):
        model_strengths(
            net, {"x": net}, [(torch.zeros(5, 2, 3),)], data(), fused="first", concept="first"
        )


def test_a_module_that_cannot_be_run_is_an_error():
    class Training(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

    message = r"`model` should have a `forward`, to be run on batches; found a Training without"
    with pytest.raises(TypeError, match=message):
        extract_features(Training(), data(), {"a": "net.first"})
