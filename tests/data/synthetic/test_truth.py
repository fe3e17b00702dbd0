"""The enumerated truth against closed forms, axioms, a slow twin and sampled data."""

import math
import re
from itertools import combinations, permutations, product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from counterpoise.core.coalitions import coalitions
from counterpoise.data import Synthetic
from counterpoise.data.synthetic.symbols import SymbolModel
from counterpoise.data.synthetic.truth import enumerate_truth

MOST_CELLS = 50_000  # keeps an example to some milliseconds


PROBABILITY = st.floats(0, 1)


@st.composite
def models(draw, noise=PROBABILITY, max_modalities=4):
    num_modalities = draw(st.integers(2, max_modalities))
    num_classes = draw(st.integers(2, 5))
    assume(num_classes * (1 + 2 * num_classes) ** num_modalities <= MOST_CELLS)
    weights = draw(
        st.lists(st.integers(0, 7), min_size=num_modalities + 3, max_size=num_modalities + 3)
    )
    assume(sum(weights) > 0)
    *unique, redundancy, synergy, _ = (weight / sum(weights) for weight in weights)
    misled = draw(st.lists(noise, min_size=num_modalities, max_size=num_modalities))
    return SymbolModel(tuple(unique), redundancy, synergy, num_classes, tuple(misled))


def truth_of(model):
    return enumerate_truth(model.joint(), names(model.num_modalities))


def names(num_modalities):
    return tuple("abcdefgh"[:num_modalities])


def close(actual, expected, tolerance=1e-12):
    return torch.allclose(actual, torch.as_tensor(expected, dtype=torch.float64), 0, tolerance)


@given(models())
def test_value_is_zero_for_none_monotone_and_bounded(model):
    truth = truth_of(model)
    assert truth.value() == 0
    assert math.isclose(truth.label_information, math.log(model.num_classes), abs_tol=1e-12)
    members = coalitions(model.num_modalities)
    value = dict(zip(members, truth.information.tolist(), strict=True)) | {(): 0.0}
    for coalition in members:
        for m in coalition:
            smaller = tuple(j for j in coalition if j != m)
            assert value[smaller] <= value[coalition] + 1e-12
    assert max(value.values()) <= truth.label_information + 1e-12


@given(models())
def test_contributions_sum_to_what_all_know_and_are_nowhere_negative(model):
    truth = truth_of(model)
    assert close(truth.contributions.sum(), truth.value(*truth.modalities))
    assert (truth.contributions >= -1e-12).all()


@given(models(noise=st.just(0.0)))
def test_without_noise_value_and_contribution_are_the_documented_formulae(model):
    truth, unit, M = truth_of(model), math.log(model.num_classes), model.num_modalities
    for coalition, value in zip(coalitions(M), truth.information, strict=True):
        shares = sum(model.unique[m] for m in coalition) + model.redundancy
        shares += model.synergy if len(coalition) == M else 0
        assert close(value, unit * shares)
    together = (model.redundancy + model.synergy) / M
    assert close(truth.contributions, [unit * (u + together) for u in model.unique])


@given(models(max_modalities=3), st.data())
def test_permuting_modalities_permutes_contributions(model, data):
    order = data.draw(st.permutations(range(model.num_modalities)))
    permuted = SymbolModel(
        tuple(model.unique[m] for m in order),
        model.redundancy,
        model.synergy,
        model.num_classes,
        tuple(model.noise[m] for m in order),
    )
    expected = truth_of(model).contributions[list(order)]
    assert close(truth_of(permuted).contributions, expected)


@given(models(max_modalities=3))
@settings(max_examples=30)
def test_contributions_are_means_over_orderings(model):
    truth, M = truth_of(model), model.num_modalities
    gains = torch.zeros(M, dtype=torch.float64)
    for order in permutations(range(M)):
        for position, m in enumerate(order):
            before = [truth.modalities[j] for j in order[:position]]
            gains[m] += truth.value(*before, truth.modalities[m]) - truth.value(*before)
    assert close(truth.contributions, gains / math.factorial(M))


@pytest.mark.parametrize("num_modalities", [2, 3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_pure_redundancy_is_shared_equally(num_modalities, noise):
    M = num_modalities
    truth = truth_of(SymbolModel((0.0,) * M, 1.0, 0.0, 3, (noise,) * M))
    assert close(truth.contributions, [truth.value(*names(M)) / M] * M)
    if noise == 0:
        assert close(truth.information, [math.log(3)] * len(truth.information))
    else:  # several noisy witnesses know more than one
        assert truth.value(*names(M)) > truth.value("a") + 0.01


@pytest.mark.parametrize("num_modalities", [2, 3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_pure_synergy_is_shared_equally_and_nothing_but_the_whole_knows(num_modalities, noise):
    M = num_modalities
    truth = truth_of(SymbolModel((0.0,) * M, 0.0, 0.75, 3, (noise,) * M))
    assert close(truth.information[:-1], [0.0] * (len(truth.information) - 1))
    assert close(truth.accuracy[:-1], [1 / 3] * (len(truth.information) - 1))
    whole = 0.75 * (1 - noise) ** M * math.log(3)  # one false share hides the sum
    assert close(truth.contributions, [whole / M] * M)


def test_an_uninformative_modality_contributes_nothing():
    truth = truth_of(SymbolModel((0.5, 0.3), 0.2, 0.0, 5, (0.1, 1.0)))
    assert close(truth.contributions, [truth.value("a"), 0.0])


@given(models(noise=st.just(0.0)), st.floats(0.01, 1))
@settings(max_examples=30)
def test_noise_never_adds_information(model, noise):
    noisy = SymbolModel(
        model.unique,
        model.redundancy,
        model.synergy,
        model.num_classes,
        (noise,) * model.num_modalities,
    )
    assert (truth_of(noisy).information <= truth_of(model).information + 1e-12).all()


def test_noise_alone_is_the_symmetric_channel():
    # One modality that always shows the class, misled with probability e: the closed form of
    # the K-ary symmetric channel with error e (K - 1) / K, log K - h(error) - error log(K - 1).
    K, noise = 5, 0.3
    error = noise * (K - 1) / K
    entropy = -error * math.log(error) - (1 - error) * math.log(1 - error)
    expected = math.log(K) - entropy - error * math.log(K - 1)
    truth = truth_of(SymbolModel((1.0, 0.0), 0.0, 0.0, K, (noise, 0.0)))
    assert close(truth.contributions, [expected, 0.0])
    assert close(truth.accuracy, [1 - error, 1 / K, 1 - error])


def test_accuracy_is_what_the_kinds_allow():
    # Seen: right. Not seen: a guess among K.
    model = SymbolModel((0.4, 0.1), 0.2, 0.1, 5, (0.0, 0.0))
    seen = torch.tensor([0.6, 0.3, 0.8], dtype=torch.float64)
    assert close(truth_of(model).accuracy, seen + (1 - seen) / 5)


def slow_joint(model):
    """The documented story, told cell by cell."""
    K, M = model.num_classes, model.num_modalities
    num_symbols = 1 + 2 * K
    table = torch.zeros(K, *[num_symbols] * M, dtype=torch.float64)
    rest = 1 - sum(model.unique) - model.redundancy - model.synergy
    for y in range(K):
        shown = [(share, [m]) for m, share in enumerate(model.unique)]
        shown += [(model.redundancy, range(M)), (rest, ())]
        stories = [
            (share / K, tuple(1 + y if m in members else 0 for m in range(M)))
            for share, members in shown
        ]
        stories += [
            (model.synergy / K**M, tuple(1 + K + a for a in addends))
            for addends in product(range(K), repeat=M)
            if sum(addends) % K == y
        ]
        for probability, symbols in stories:
            for misled in product([False, True], repeat=M):
                options, weight = [], probability
                for m in range(M):
                    weight *= model.noise[m] / K if misled[m] else 1 - model.noise[m]
                    options.append(range(1, 1 + K) if misled[m] else [symbols[m]])
                for seen in product(*options):
                    table[(y, *seen)] += weight
    return table


@given(models(max_modalities=3))
@settings(max_examples=15)
def test_the_enumeration_is_the_story_told_cell_by_cell(model):
    assume(model.num_classes <= 3)
    joint = model.joint()
    assert close(joint.sum(), 1.0)
    slow = slow_joint(model)
    for axis in range(1, 1 + model.num_modalities):  # without synergy shares have no symbols
        slow = slow.narrow(axis, 0, joint.shape[axis])
    assert close(joint, slow)


@pytest.mark.parametrize(
    "model",
    [
        SymbolModel((0.4, 0.1), 0.2, 0.2, 3, (0.0, 0.0)),
        SymbolModel((0.3, 0.2), 0.3, 0.2, 3, (0.15, 0.3)),
        SymbolModel((0.2, 0.0, 0.1), 0.2, 0.4, 2, (0.0, 0.2, 0.1)),
    ],
    ids=["clean", "noisy", "three modalities"],
)
def test_the_plug_in_estimate_from_samples_agrees(model):
    num_samples = 200_000
    symbols, target = model.sample(num_samples, seed=5, purpose="estimate")
    truth, M, K = truth_of(model), model.num_modalities, model.num_classes
    for coalition, value in zip(coalitions(M), truth.information, strict=True):
        seen, cell = symbols[:, list(coalition)].unique(dim=0, return_inverse=True)
        counts = torch.bincount(cell * K + target, minlength=len(seen) * K)
        table = counts.reshape(-1, K).double() / num_samples
        known = sum(torch.special.entr(table.sum(dim=d)).sum() for d in (0, 1))
        known -= torch.special.entr(table).sum()
        # Miller and Madow: the estimate is too high by (cells - rows - columns + 1) / 2N.
        bias = ((counts > 0).sum() - len(seen) - K + 1) / (2 * num_samples)
        assert float(known - bias) == pytest.approx(float(value), abs=0.006)


def test_value_takes_names_in_any_order_and_refuses_others():
    truth = Synthetic(unique=(0.3, 0.2, 0.1), modalities=("text", "audio", "video")).truth()
    pair = coalitions(3).index((0, 2))
    assert truth.value("video", "text") == float(truth.information[pair])
    with pytest.raises(ValueError, match=r"found 'vidio'\. Did you mean 'video'\?"):
        truth.value("vidio")


def test_every_pair_of_modalities_is_a_coalition_of_its_own():
    truth = Synthetic(unique=(0.3, 0.2, 0.1), redundancy=0.0, synergy=0.0).truth()
    for pair in combinations(range(3), 2):
        expected = sum((0.3, 0.2, 0.1)[m] for m in pair) * math.log(5)
        assert truth.value(*(f"m{m + 1}" for m in pair)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unique": (0.5,), "noise": (0.0,)}, "`unique` should have a share for each of at least"),
        ({"unique": (0.5, 1.5)}, "`unique` should be finite, at least 0 and at most 1; found 1.5."),
        ({"redundancy": -0.1}, "`redundancy` should be finite, at least 0 and at most 1; found"),
        ({"synergy": math.nan}, "`synergy` should be finite, at least 0 and at most 1; found nan"),
        ({"synergy": 0.9}, "should sum to at most 1, since they are shares of the samples; found"),
        ({"num_classes": 1}, "`num_classes` should be at least 2; found 1."),
        ({"noise": (0.1,)}, "`noise` should have one number for each of 2 modalities; found 1."),
        ({"noise": (0.1, 1.1)}, "`noise` should be finite, at least 0 and at most 1; found 1.1."),
    ],
)
def test_what_is_no_distribution_is_refused(changes, message):
    good = {"unique": (0.3, 0.2), "redundancy": 0.2, "synergy": 0.1, "num_classes": 3}
    with pytest.raises(ValueError, match=re.escape(message)):
        SymbolModel(**{**good, "noise": (0.0, 0.0), **changes})


def test_a_table_too_large_to_enumerate_is_refused():
    model = SymbolModel((0.1,) * 8, 0.1, 0.1, 10, (0.0,) * 8)
    with pytest.raises(ValueError, match=re.escape("found 10 x 21^8. Use fewer classes")):
        model.joint()
