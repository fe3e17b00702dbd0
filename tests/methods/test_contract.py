"""The contract: all methods of the table times all properties."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.additive import Additive
from support.devices import step_unread
from support.encoders import KINDS, OfSparseWords, OfWords
from support.harness import Run, data_of, method_state, movements, network, wrap
from support.parallel import ROWS, trained, work
from support.table import TABLE, rows
from support.two_processes import run_in_two
from support.wrapping import LEVELS, assert_same, gradients

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def started(row, model, level="inputs", **options):
    """A run that has seen two epochs, so that whatever a method waits for has come."""
    return Run(wrap(model, row.make(len(model.names)), level, **options)).epochs(2)


def test_every_method_that_is_exported_has_a_row():
    named = [n for n in cp.__all__ if isinstance(getattr(cp, n), type)]
    methods = {n for n in named if issubclass(getattr(cp, n), cp.Method)} - {"Method"}
    assert set(TABLE) == methods


# -- what is left as it is -------------------------------------------------------------------------


@rows("neutral")
@pytest.mark.parametrize("level", LEVELS)
def test_no_strength_trains_as_joint_bit_for_bit(level, row):
    model = network(dropout=0.3, dtype=torch.float32)
    joint = Run(wrap(deepcopy(model), cp.Joint(), level)).epochs(2)
    still = Run(wrap(model, row.neutral(3), level)).epochs(2)
    assert_same(still.weights, joint.weights)


class Twins(Additive):
    """Encoders and heads with equal weights, for modalities of one size."""

    def __init__(self, num_modalities):
        super().__init__(num_modalities)
        for name in self.names:
            setattr(self, name, deepcopy(getattr(self, self.names[0])))
        self.heads = nn.ModuleList(deepcopy(self.heads[0]) for _ in self.names)


@rows("at_par")
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_equal_modalities_leave_training_unchanged(num_modalities, row):
    torch.manual_seed(5)
    model = Twins(num_modalities).double()
    varied = data_of(model)

    def data(seed):
        inputs, target = varied(seed)
        return dict.fromkeys(inputs, inputs[model.names[0]]), target

    joint = Run(wrap(deepcopy(model), cp.Joint()), data).epochs(3)
    modulated = Run(wrap(model, row.at_par(num_modalities)), data).epochs(3)
    for name, expected in joint.weights.items():
        torch.testing.assert_close(modulated.weights[name], expected, **CLOSE)


@rows("encoders_only")
@pytest.mark.parametrize("fusion", ["late", "maxout"])
def test_parameters_outside_the_encoders_keep_their_gradients(fusion, row):
    run = Run(wrap(network(fusion), row.encoders_only(3))).epochs(2)
    run.start_epoch()
    twin = deepcopy(run.balanced.model)
    inputs, target = run.data(run.num_steps)
    run.optimizer.zero_grad()
    run.forward().loss.backward()
    joint = wrap(twin, cp.Joint())
    joint.zero_grad()
    joint(**inputs, target=target).loss.backward()
    expected = gradients(twin)
    outside = [n for n in expected if not n.startswith(run.balanced.modalities)]
    assert outside
    found = gradients(run.balanced.model)
    assert_same({n: found[n] for n in outside}, {n: expected[n] for n in outside})


@rows()
@pytest.mark.parametrize("fusion", ["additive", "maxout"])
def test_parameters_that_the_loss_does_not_reach_are_never_touched(fusion, row):
    """In an encoder or outside all branches: weight decay moves whatever has a gradient."""
    model = network(fusion)
    model.eye.spare, model.spare = nn.Linear(3, 3).double(), nn.Linear(2, 2).double()
    run = Run(wrap(model, row.make(3)))
    for group in run.optimizer.param_groups:
        group["weight_decay"] = 0.1
    before = run.weights
    run.epochs(3)
    after = run.weights
    spare = [name for name in before if "spare" in name]
    assert len(spare) == 4
    for name in spare:
        assert model.get_parameter(name).grad is None, name
        assert torch.equal(after[name], before[name]), name


# Any two of number, fusion and level meet in a quick cell; all three of them in a slow one.
CELLS = [
    pytest.param(n, fusion, level, marks=[pytest.mark.slow] if n == 5 or (n + i + j) % 2 else [])
    for n in (2, 3, 5)
    for i, fusion in enumerate(("late", "maxout", "attention"))
    for j, level in enumerate(LEVELS)
]


@rows()
@pytest.mark.parametrize(("num_modalities", "fusion", "level"), CELLS)
def test_any_fusion_number_of_modalities_and_level(num_modalities, fusion, level, row):
    model = network(fusion, num_modalities)
    run = Run(wrap(model, row.make(num_modalities), level))
    plain = deepcopy(model)
    before = run.weights
    run.epochs(2, steps=1)
    if row.keeps_logits:
        inputs, _ = run.data(0)
        torch.manual_seed(0)
        assert torch.equal(run.outs[0].logits, plain(**inputs))
    for name, weight in run.weights.items():
        assert weight.isfinite().all(), name
    for encoder in model.names if row.moves_all else ():
        moved = [
            n for n, w in run.weights.items() if n.startswith(encoder) and w.ne(before[n]).any()
        ]
        assert moved, encoder
    assert run.outs[-1].coefficients.shape == (num_modalities,)


@rows()
@pytest.mark.parametrize("kind", ["batch-norm", "recurrent", "transformer"])
def test_any_kind_of_encoder(kind, row):
    """Batch-norm, tuples of outputs and state, sequences: trained, or refused with a reason."""
    model = KINDS[kind](3).double()
    balanced = cp.Balanced(model, model.encoders, row.make(3))
    run = Run(balanced)
    if kind in row.refuses:
        with pytest.raises(
            row.refuses[kind], match=r"^(The feature of modality|The encoder of|The teacher)"
        ):
            run.epochs(1)
        return
    before = run.weights
    run.epochs(3)
    for key, weight in run.weights.items():
        assert weight.isfinite().all(), key
    moved = {key.split(".")[0] for key, w in run.weights.items() if w.ne(before[key]).any()}
    assert moved >= set(model.names), moved


@rows()
def test_sparse_gradients_train_as_dense_ones_do(row):
    sparse, dense = (
        Run(cp.Balanced(model, model.encoders, row.make(3)), momentum=0).epochs(2)
        for model in (kind(3).double() for kind in (OfSparseWords, OfWords))
    )
    for name, expected in dense.weights.items():
        torch.testing.assert_close(sparse.weights[name], expected, **CLOSE)
    for out, expected in zip(sparse.outs, dense.outs, strict=True):
        torch.testing.assert_close(out.coefficients, expected.coefficients, **CLOSE)


# -- what the method does --------------------------------------------------------------------------


def labels_of_the_first(model):
    """Batches in which the first modality tells the labels and the others know nothing."""
    varied = data_of(model, rows=23)

    def data(seed):
        inputs, _ = varied(seed)
        generator = torch.Generator().manual_seed(3)
        teller = torch.randn(3, model.num_classes, generator=generator, dtype=torch.float64)
        return inputs, (inputs[model.names[0]] @ teller).argmax(dim=1)

    return data


@rows("effect")
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_the_effect_has_the_direction_of_the_paper(num_modalities, row):
    model = network("additive", num_modalities, norm=False)
    data = labels_of_the_first(model)
    joint = Run(wrap(model, cp.Joint()), data, momentum=0.0).epochs(3, steps=row.lead)
    method = (row.acting or row.make)(num_modalities)
    run = Run(wrap(deepcopy(model), method), data, momentum=0.0).epochs(row.warm, steps=5)
    leader, follower, *_ = movements(run, joint)
    assert row.effect(leader, follower), (leader, follower)


@rows("symmetric")
@pytest.mark.parametrize("fusion", ["additive", "maxout"])
def test_the_order_of_the_modalities_does_not_matter(fusion, row):
    model = network(fusion, 3)
    order = ("hand", "ear", "eye")
    turned = Run(wrap(deepcopy(model), row.make(3), names=order)).epochs(3)
    straight = Run(wrap(model, row.make(3))).epochs(3)
    for name, expected in straight.weights.items():
        torch.testing.assert_close(turned.weights[name], expected, **CLOSE)
    index = [model.names.index(name) for name in order]
    for found, expected in zip(turned.outs, straight.outs, strict=True):
        torch.testing.assert_close(found.coefficients, expected.coefficients[index], **CLOSE)


# -- numbers ---------------------------------------------------------------------------------------


@rows()
@pytest.mark.parametrize(
    ("scale", "labels"),
    [
        *((scale, "mixed") for scale in (0.0, 1e-8, 1.0, 1e8, 1e15)),
        *((1e15, labels) for labels in ("right", "wrong")),  # at most by so much
    ],
)
def test_numbers_are_finite_for_scores_of_any_size(scale, labels, row):
    model = network("additive", 3, norm=False, dtype=torch.float32)
    with torch.no_grad():
        for name in model.names:
            getattr(model, name).layers[-1].weight *= scale
            getattr(model, name).layers[-1].bias *= scale
    varied = data_of(model)

    def data(seed):
        inputs, target = varied(seed)
        with torch.no_grad():
            logits = model(**inputs)
        guesses = {"right": logits.argmax(dim=1), "wrong": logits.argmin(dim=1), "mixed": target}
        return inputs, guesses[labels]

    run = Run(wrap(model, row.make(3)), data, lr=0.0).epochs(3)
    for out in run.outs:
        assert out.loss.isfinite()
        assert out.coefficients.isfinite().all()
    for name, gradient in gradients(model).items():
        if gradient is None:  # of an encoder that the last of several steps was not for
            assert row.single is None, name
        else:
            assert gradient.isfinite().all(), name
    for name, value in method_state(run.balanced).items():
        assert value.isfinite().all() or name in ("previous", "best", "history", "checkpoint"), name


@rows()
@pytest.mark.parametrize("fusion", ["additive", "maxout"])
def test_a_batch_with_nan_in_one_modality_changes_no_state_for_good(fusion, row):
    model = network(fusion, 3, norm=False)
    varied = data_of(model)

    def data(seed):
        inputs, target = varied(seed)
        if seed == 2:
            inputs["eye"] = inputs["eye"].clone()
            inputs["eye"][0] = float("nan")
        return inputs, target

    run = Run(wrap(model, row.make(3)), data, lr=0.0).epochs(3)
    for out in run.outs:
        assert out.coefficients.isfinite().all()
    assert run.outs[-1].loss.isfinite()


@rows()
def test_under_bf16_autocast_state_and_decisions_stay_float32(row):
    model = network(norm=False, dtype=torch.float32)
    exact = Run(wrap(deepcopy(model), row.make(3)), lr=0.01).epochs(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = Run(wrap(model, row.make(3)), lr=0.01).epochs(2)
    for name, value in method_state(rounded.balanced).items():
        assert value.dtype in (torch.float32, torch.int64, torch.bool), name
    for found, expected in zip(rounded.outs, exact.outs, strict=True):
        assert found.coefficients.dtype == torch.float32
        assert found.loss.dtype == torch.float32
        torch.testing.assert_close(found.loss, expected.loss, rtol=0.05, atol=0.05)
    for name, expected in exact.weights.items():
        torch.testing.assert_close(rounded.weights[name], expected, rtol=0.1, atol=0.05)


# -- how it is trained -----------------------------------------------------------------------------


def added(ones, others):
    """The sums of two sets of gradients; None is where both have none."""
    assert [g is None for g in ones.values()] == [g is None for g in others.values()]
    return {n: None if g is None else g + others[n] for n, g in ones.items()}


@rows()
def test_a_step_that_raises_teaches_nothing(row, monkeypatch):
    """At its very end, when the method has seen all: as a criterion, or an interrupt, may."""
    trained, broken = (started(row, network(norm=False)) for _ in range(2))
    trained.start_epoch()
    broken.start_epoch()
    before = method_state(broken.balanced)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        for module in ("balanced", "engine.step"):
            patched.setattr(f"counterpoise.{module}.Output", interrupt)
        with pytest.raises(KeyboardInterrupt):
            broken.steps(1)
    assert_same(method_state(broken.balanced), before)
    assert_same(broken.steps(1).weights, trained.steps(1).weights)
    assert_same(method_state(broken.balanced), method_state(trained.balanced))


@rows("single")
def test_accumulated_micro_batches_give_the_sum_of_their_gradients(row):
    saved, found = started(row, network(dropout=0.3)).saved(), []
    for accumulate in (False, True):
        saved.seek(0)
        run, total = Run(wrap(network(dropout=0.3), row.make(3))).load(saved), None
        run.start_epoch()
        for seed in range(2):
            inputs, target = run.data(seed)
            torch.manual_seed(seed)
            run.balanced(**inputs, target=target).loss.backward()
            own = gradients(run.balanced)
            total = own if total is None or accumulate else added(total, own)
            if not accumulate:
                run.balanced.zero_grad()
        found.append(total)
    assert_same(found[1], found[0])


@rows()
@pytest.mark.parametrize("fusion", ["additive", "maxout"])
def test_state_survives_saving_in_mid_training_bit_for_bit(fusion, row):
    run = started(row, network(fusion, dropout=0.3))
    run.start_epoch()
    run.steps(1)
    saved = run.saved()
    resumed = Run(wrap(network(fusion, dropout=0.3), row.make(3))).load(saved)
    resumed.start_epoch()
    for each in (run, resumed):
        each.steps(1).end_epoch()
        each.epochs(2)
    assert_same(resumed.weights, run.weights)
    assert_same(method_state(resumed.balanced), method_state(run.balanced))


@rows("single")
@pytest.mark.parametrize(
    ("fusion", "level"), [("additive", "shared"), ("attention", "inputs"), ("maxout", "features")]
)
def test_a_step_stays_on_its_device_and_does_not_wait_for_it(fusion, level, row):
    run = started(row, network(fusion), level)
    run.start_epoch()
    step_unread(run)


@rows("single")
@pytest.mark.slow
# PyTorch's own tracer names what PyTorch deprecates, and looks at gradients where graphs break.
@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
    reason="older compilers are not held to it",
)
def test_compiled_steps_train_as_eager_ones(row):
    model = network(norm=False, dtype=torch.float32)
    eager, compiled = Run(wrap(deepcopy(model), row.make(3))), Run(wrap(model, row.make(3)))
    compiled.balanced.validate(**compiled.data(0)[0])
    torch.compiler.reset()
    step = torch.compile(compiled.balanced, backend="aot_eager")
    compiled.forward = lambda: Run.forward(compiled, step)
    for run in (eager, compiled):
        run.epochs(2, steps=1)
    torch.compiler.reset()
    if row.parallel is None:  # draws at random, in an order of the compiler's own
        return
    for found, expected in zip(compiled.outs, eager.outs, strict=True):
        torch.testing.assert_close(found.coefficients, expected.coefficients)
    for name, expected in eager.weights.items():
        torch.testing.assert_close(compiled.weights[name], expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What all methods come to in each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    run_in_two(work, str(folder))
    return [torch.load(folder / str(rank)) for rank in range(2)]


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.single])
def test_processes_agree_and_train_as_one_on_the_joined_batch(name, processes):
    ours, theirs = (each[name] for each in processes)
    assert_same(ours["weights"], theirs["weights"])
    assert torch.equal(ours["coefficients"], theirs["coefficients"])
    if TABLE[name].parallel is None:
        return
    joined = trained(name, slice(0, ROWS), distribute=False)
    torch.testing.assert_close(ours["coefficients"], joined["coefficients"], **CLOSE)
    for key, expected in joined["weights"].items():
        torch.testing.assert_close(ours["weights"][key], expected, **CLOSE)
