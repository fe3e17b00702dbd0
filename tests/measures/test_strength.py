"""Competition strength: golden values, bounds, invariances, degenerate concepts, bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.measures import competition_strength, varying_directions
from counterpoise.measures.rows import rows

GOLDEN = Path(__file__).parent / "golden" / "competition.npz"
FIT, TEST = slice(0, 211), slice(211, 211 + 157)
NUM_FUSED = 13

seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from((1, 2, 3, 7, 11))


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def samples(seed, size, *, noise=0.7):
    """Fused features, and a concept that is partly their linear map; samples for both splits."""
    generator = np.random.default_rng(seed)
    fused = generator.normal(size=(TEST.stop, NUM_FUSED))
    carried = fused @ generator.normal(size=(NUM_FUSED, size)) / np.sqrt(NUM_FUSED)
    return fused, carried + noise * generator.normal(size=carried.shape)


def strength(fused, concept, ridge=120.0):
    return competition_strength(fused[FIT], concept[FIT], fused[TEST], concept[TEST], ridge)


def oracle(fused, concept, ridge):
    """The formula, letter by letter, with the normal equations and NumPy's pseudo-inverse."""
    fused_mean, concept_mean = fused[FIT].mean(axis=0), concept[FIT].mean(axis=0)
    x, y = fused[FIT] - fused_mean, concept[FIT] - concept_mean
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
    error = (fused[TEST] - fused_mean) @ weights + concept_mean - concept[TEST]
    b = len(error) * np.atleast_2d(np.cov(concept[TEST], rowvar=False))
    return (
        np.trace(error @ np.linalg.pinv(b, rcond=1e-12, hermitian=True) @ error.T)
        / concept.shape[1]
    )


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["audio", "image"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_golden_values_of_the_published_computation(modality, kind):
    with np.load(GOLDEN) as golden:
        values = {name: golden[name] for name in golden}
    found = competition_strength(
        kind(values["fused_fit"]),
        kind(values[f"concept_fit/{modality}"]),
        kind(values["fused_test"]),
        kind(values[f"concept_test/{modality}"]),
        ridge=float(values["ridge"]),
    )
    assert isinstance(found, float)
    assert found == pytest.approx(float(values[f"strength/{modality}"]), abs=1e-6)


@given(seed=seeds, size=sizes, ridge=st.sampled_from((0.3, 120.0, 1e5)))
def test_agrees_with_the_formula_computed_naively(seed, size, ridge):
    fused, concept = samples(seed, size)
    assert strength(fused, concept, ridge) == pytest.approx(oracle(fused, concept, ridge), rel=1e-9)


@given(seed=seeds, size=sizes)
def test_a_rank_deficient_concept_agrees_with_the_formula_too(seed, size):
    fused, concept = samples(seed, size)
    concept = np.hstack([concept, concept @ draw(seed + 1, size, 5), np.full_like(concept, 3.1)])
    assert strength(fused, concept) == pytest.approx(oracle(fused, concept, 120.0), rel=1e-6)


def test_a_hand_worked_example():
    """Fit: fused -1, 1 with concept -1, 1; ridge 2 halves the slope, 2 / (2 + 2), to 1/2.

    Test: fused 0, 2 gives 0 and 1 for the concepts 0 and 2, so E = (0, -1); cov = 2, B = 4,
    d = (0 + 1 / 4) / 1.
    """
    found = competition_strength([[-1], [1]], [[-1], [1]], [[0], [2]], [[0], [2]], ridge=2.0)
    assert found == pytest.approx(0.25, abs=1e-12)


# -- bounds and invariances ----------------------------------------------------------------------


@given(seed=seeds, size=sizes)
def test_a_linear_map_of_the_fused_feature_is_carried_as_ridge_goes_to_zero(seed, size):
    fused, concept = samples(seed, size, noise=0.0)
    falling = [strength(fused, concept + 5.0, ridge) for ridge in (120.0, 1.0, 1e-3, 0.0)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 1e-20


@given(seed=seeds, size=sizes)
def test_independent_features_have_strength_about_one(seed, size):
    found = strength(samples(seed, 1)[0], draw(seed + 1, TEST.stop, size))
    # Fitting noise costs about F / N_fit; the spread is that of a mean of N D squares.
    assert found == pytest.approx(1 + NUM_FUSED / 211, abs=0.35 / np.sqrt(size) + 0.05)


@given(seed=seeds, size=sizes)
def test_as_ridge_grows_the_mean_is_all_that_is_told(seed, size):
    fused, concept = samples(seed, size)
    away = concept[FIT].mean(axis=0) - concept[TEST].mean(axis=0)
    covariance = np.atleast_2d(np.cov(concept[TEST], rowvar=False))
    expected = 156 / 157 + away @ np.linalg.solve(covariance, away) / size
    assert strength(fused, concept, 1e15) == pytest.approx(expected, rel=1e-9)


@given(seed=seeds, size=sizes, scale=st.sampled_from((1e-6, 1.0, 1e6)))
def test_invariant_to_affine_maps_of_the_concept_that_can_be_inverted(seed, size, scale):
    fused, concept = samples(seed, size)
    mapped = concept @ (draw(seed + 1, size, size) + 3 * np.eye(size)) * scale + 17.0 * scale
    condition = np.linalg.cond(mapped - mapped.mean(axis=0))
    expected = strength(fused, concept)
    assert strength(fused, mapped) == pytest.approx(expected, rel=1e-12 * condition**2)


@given(seed=seeds, size=sizes)
def test_invariant_to_rotations_and_shifts_of_the_fused_feature(seed, size):
    fused, concept = samples(seed, size)
    rotation = np.linalg.qr(draw(seed + 1, NUM_FUSED, NUM_FUSED)).Q
    expected = strength(fused, concept)
    assert strength(fused @ rotation - 29.0, concept) == pytest.approx(expected, rel=1e-9)


@given(seed=seeds, size=sizes)
def test_never_negative_and_invariant_to_the_order_of_samples(seed, size):
    fused, concept = samples(seed, size)
    order = np.random.default_rng(seed).permutation(157) + 211
    shuffled = competition_strength(fused[FIT], concept[FIT], fused[order], concept[order])
    assert shuffled == pytest.approx(strength(fused, concept), rel=1e-9)
    assert shuffled >= 0


# -- degenerate concepts -------------------------------------------------------------------------


@given(seed=seeds, size=sizes, dtype=st.sampled_from((np.float32, np.float64)))
def test_a_repeated_or_constant_dimension_lowers_the_strength_by_its_share_of_dimensions(
    seed, size, dtype
):
    fused, concept = samples(seed, size)
    concept = concept.astype(dtype)
    wider = np.hstack([concept, 2 * concept, np.full((len(concept), 1), 0.1, dtype)])
    expected = strength(fused, concept) * size / (2 * size + 1)
    assert strength(fused, wider) == pytest.approx(expected, rel=1e-5)


@given(seed=seeds, rank=sizes, dtype=st.sampled_from((np.float32, np.float64)))
def test_directions_that_vary_are_counted(seed, rank, dtype):
    concept = (draw(seed, 157, rank) @ draw(seed + 1, rank, 13) + 3.0).astype(dtype)
    wider = np.hstack([concept, np.zeros((157, 2), dtype)])
    assert varying_directions(wider) == varying_directions(torch.from_numpy(wider)) == rank
    assert varying_directions(wider[:5]) == min(rank, 4)
    assert varying_directions(np.zeros((0, 3))) == varying_directions(np.ones((1, 3))) == 0


@pytest.mark.parametrize("value", [0.0, 0.1, -7e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_concept_has_nothing_to_lose(value, dtype):
    fused = samples(0, 1)[0]
    concept = np.full((len(fused), 5), value, dtype)
    assert strength(fused, concept) == 0.0
    concept[FIT] = draw(1, 211, 5)  # varies where the probe is fitted only
    assert strength(fused, concept) == 0.0


@given(
    seed=seeds,
    counts=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    size=sizes,
    ridge=st.sampled_from((0.0, 120.0)),
)
def test_defined_for_fewer_samples_than_dimensions(seed, counts, size, ridge):
    fit, test = counts
    fused, concept = draw(seed, fit + test, NUM_FUSED), draw(seed + 1, fit + test, size)
    found = competition_strength(fused[:fit], concept[:fit], fused[fit:], concept[fit:], ridge)
    assert np.isfinite(found)
    assert found >= 0


def test_half_precision_and_gradients_are_taken_as_they_are():
    fused, concept = (torch.from_numpy(each) for each in samples(0, 3))
    expected = strength(fused, concept)
    half = strength(fused.bfloat16().requires_grad_(), concept.bfloat16())
    assert half == pytest.approx(expected, abs=0.01)


# -- bad input -----------------------------------------------------------------------------------


def test_unequal_counts_of_samples_are_an_error():
    fused, concept = samples(0, 3)
    with pytest.raises(ValueError, match=r"`fused_fit` and `concept_fit` .* found 211 and 210\."):
        competition_strength(fused[FIT], concept[:210], fused[TEST], concept[TEST])
    with pytest.raises(ValueError, match=r"`fused_test` and `concept_test` .* found 5 and 157\."):
        competition_strength(fused[FIT], concept[FIT], fused[:5], concept[TEST])


@pytest.mark.parametrize(
    "which", ["fused_fit", "concept_fit", "fused_test", "concept_test"], ids=str
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(which, value):
    fused, concept = samples(0, 3)
    given = {
        "fused_fit": fused[FIT],
        "concept_fit": concept[FIT],
        "fused_test": fused[TEST],
        "concept_test": concept[TEST],
    }
    given[which][7, 2] = value
    with pytest.raises(ValueError, match=f"`{which}` should be finite; found {value} in sample 7"):
        competition_strength(**given)


@pytest.mark.parametrize("count", [0, 1])
def test_a_split_too_small_is_an_error(count):
    fused, concept = samples(0, 3)
    with pytest.raises(ValueError, match=f"`fused_fit` .* at least 2 samples.* found {count}. Use"):
        competition_strength(fused[:count], concept[:count], fused[TEST], concept[TEST])
    with pytest.raises(ValueError, match=f"`fused_test` .* at least 2 samples.* found {count}"):
        competition_strength(fused[FIT], concept[FIT], fused[:count], concept[:count])


def test_features_that_are_no_rows_are_an_error():
    fused, concept = samples(0, 3)
    with pytest.raises(ValueError, match=r"`concept_fit` should have shape \(N, D\).*\(211,\)"):
        competition_strength(fused[FIT], concept[FIT, 0], fused[TEST], concept[TEST, 0])


def test_dimensions_that_differ_between_splits_are_an_error():
    fused, concept = samples(0, 3)
    with pytest.raises(ValueError, match=r"`fused_fit` and `fused_test` .* found 13 and 12"):
        competition_strength(fused[FIT], concept[FIT], fused[TEST, :12], concept[TEST])
    with pytest.raises(ValueError, match=r"`concept_fit` and `concept_test` .* found 2 and 3"):
        competition_strength(fused[FIT], concept[FIT, :2], fused[TEST], concept[TEST])


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_out_of_range_is_an_error(ridge):
    with pytest.raises(ValueError, match=f"`ridge` should be finite, at least 0; found {ridge}"):
        strength(*samples(0, 3), ridge)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_complex_features_are_an_error(kind):
    for wrong in (kind([[1j, 2.0]]), "abc", [["x"]]):
        with pytest.raises(TypeError, match="`features` should be real numbers of shape"):
            rows("features", wrong)
    assert rows("features", kind([[1, 2]])).tolist() == [[1.0, 2.0]]
