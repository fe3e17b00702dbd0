"""What stands in for an absent modality, tensor by tensor and pytree by pytree."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.core.absence import (
    Absence,
    AbsentValues,
    Constant,
    Keep,
    Learned,
    Noise,
    Zeros,
    data_mean,
)
from support.networks import Late, batch
from support.wrapping import LEVELS, wrap

NAMES = ("text", "image")
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_have_the_form_of_what_they_replace(dtype):
    x = torch.ones(3, 2, dtype=dtype)
    filled = Zeros()(x)
    assert filled.dtype == dtype
    assert filled.shape == x.shape
    assert not filled.any()


@pytest.mark.parametrize("value", [5, torch.tensor([5, 7]), torch.tensor([[5], [5], [7]])])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_constant_is_broadcast_to_every_sample_and_owns_its_memory(value, dtype):
    x = torch.zeros(11, 3, 2, dtype=dtype)
    filled = Constant(value)(x)
    assert filled.dtype == dtype
    for row in filled:
        assert torch.equal(row, torch.as_tensor(value).to(dtype).expand(3, 2))
    filled[0] = 1
    assert filled[1].ge(5).all()


def test_the_mean_of_the_data_is_over_all_rows_of_all_batches():
    data = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    found = data_mean(part for part in data.split(4))
    assert isinstance(found, Constant)
    assert found.value.dtype == torch.float32
    torch.testing.assert_close(found.value, data.mean(dim=0))


def test_noise_has_the_asked_mean_and_spread_and_is_drawn_from_the_global_seed():
    torch.manual_seed(0)
    drawn = Noise(std=2.0, mean=3.0)(torch.zeros(400, 50))
    assert drawn.mean().item() == pytest.approx(3, abs=0.05)
    assert drawn.std().item() == pytest.approx(2, abs=0.05)
    torch.manual_seed(0)
    assert torch.equal(Noise(std=2.0, mean=3.0)(torch.zeros(400, 50)), drawn)


@pytest.mark.parametrize("level", LEVELS)
def test_noise_is_drawn_once_a_step_for_all_coalitions(level):
    torch.manual_seed(0)
    balanced = wrap(Late(3, norm=False), level, absent=Noise())
    inputs, target = batch(3, 7, dtype=torch.float32)
    balanced(**inputs, target=target)
    seen, drawn = [], []
    balanced.model.eye.layers.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for step in range(2, 7):
        seen.clear()
        balanced(**inputs, target=target)
        if step in (2, 4):  # the engine looks at itself, which takes draws of its own
            continue
        absent = [x for x in seen if not torch.equal(x, inputs["eye"])]
        assert absent
        assert all(torch.equal(x, absent[0]) for x in absent)
        drawn.append(absent[0])
    assert not torch.equal(drawn[0], drawn[1])


def test_a_learned_value_starts_at_zero_and_is_a_parameter():
    learned = Learned((2,))
    assert torch.equal(learned(torch.ones(3, 2)), torch.zeros(3, 2))
    learned(torch.ones(3, 2)).sum().backward()
    assert learned.value.grad.tolist() == [3, 3]


def test_keep_leaves_a_tensor_as_it_is():
    x = torch.randn(3, 2)
    assert Keep()(x) is x


def test_one_absence_serves_all_tensors_of_a_nest_and_leaves_other_leaves_alone():
    absent = AbsentValues(NAMES, Constant(1))
    filled = absent(0, {"ids": torch.zeros(3, 2, dtype=torch.long), "lengths": [2, 2, 1]})
    assert filled["ids"].tolist() == [[1, 1]] * 3
    assert filled["lengths"] == [2, 2, 1]


def test_modalities_that_are_left_out_get_zeros():
    absent = AbsentValues(NAMES, {"image": Constant(2)})
    assert absent(0, torch.ones(3)).tolist() == [0, 0, 0]
    assert absent(1, torch.ones(3)).tolist() == [2, 2, 2]


def test_each_tensor_of_a_nest_may_have_its_own_absence():
    absent = AbsentValues(NAMES, {"text": (Constant(4), [Keep()])})
    filled = absent(0, (torch.ones(3), [torch.ones(3)]))
    assert filled[0].tolist() == [4, 4, 4]
    assert filled[1][0].tolist() == [1, 1, 1]
    assert absent.varies(0)
    assert not absent.varies(1)


class Shrinking(Absence):
    def forward(self, x):
        return x[:, :1]


def test_an_absence_without_forward_is_abstract():
    with pytest.raises(NotImplementedError):
        Absence()(torch.ones(2))


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ({"imgae": Zeros()}, r"`absent` should name modalities, which are text, image; found 'i.*"),
        ({"imgae": Zeros()}, r"Did you mean 'image'\?"),
    ],
)
def test_an_absence_for_no_modality_is_an_error(absent, message):
    with pytest.raises(ValueError, match=message):
        AbsentValues(NAMES, absent)


@pytest.mark.parametrize("absent", [{"text": 0.0}, {"text": {"ids": 1}}, 0.0, nn.Identity()])
def test_what_is_no_absence_is_an_error(absent):
    message = (
        r"`absent` for modality 'text' should be an Absence or a pytree of them; found .* Wrap"
    )
    with pytest.raises(TypeError, match=message):
        AbsentValues(NAMES, absent)


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (
            {"image": Constant(torch.zeros(4))},
            r"modality 'image': `absent` value of `Constant` should broadcast to one sample of "
            r"shape \(3,\); found \(4,\)\. Leave out the batch axis",
        ),
        (
            {"image": Learned((7, 3))},
            r"modality 'image': `absent` value of `Learned` should .* \(3,\); found \(7, 3\)",
        ),
        (
            {"image": Shrinking()},
            r"`absent` for modality 'image' should return the shape of its input, \(7, 3\); found "
            r"\(7, 1\) from Shrinking\. Broadcast",
        ),
        (
            {"image": [Zeros(), Zeros()]},
            r"(?s)`absent` for modality 'image' should have the form of .*; found .*\. "
            r"Give one absence, or one for each tensor in the same pytree",
        ),
    ],
)
def test_an_absent_value_of_the_wrong_form_is_an_error_that_names_the_modality(absent, message):
    with pytest.raises(ValueError, match=message):
        AbsentValues(NAMES, absent)(1, torch.ones(7, 3))


@pytest.mark.parametrize("level", LEVELS)
def test_a_wrong_form_is_said_before_the_first_step(level):
    balanced = wrap(Late(2), level, absent={"eye": Constant(torch.zeros(4))})
    inputs, target = batch(2, 7, dtype=torch.float32)
    message = r"modality 'eye': `absent` value of `Constant` should broadcast .*\(5,\)"
    for call in (balanced.validate, balanced):
        with pytest.raises(ValueError, match=message):
            call(**inputs, target=target)
    assert balanced.method.num_steps == 0


def test_the_mean_of_ids_is_an_error():
    with pytest.raises(TypeError, match=r"`batches` should be floating point; found torch\.int64"):
        data_mean([torch.tensor([[1, 2]])])


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, 3)]])
def test_the_mean_of_nothing_is_an_error(batches):
    with pytest.raises(ValueError, match=r"`batches` should hold at least one row; found none"):
        data_mean(batches)


def test_noise_of_negative_spread_is_an_error():
    with pytest.raises(ValueError, match=r"`std` should be finite, at least 0; found -1\.0"):
        cp.absence.Noise(std=-1.0)


@pytest.mark.parametrize(
    ("absence", "varies"),
    [
        (Zeros(), False),
        (Constant(1), False),
        (Learned((2,)), False),
        (Absence(), False),
        (Noise(), True),
        (Keep(), True),
    ],
)
def test_rows_vary_where_they_are_drawn_or_kept(absence, varies):
    assert absence.varies == varies
    assert AbsentValues(NAMES, {"image": absence}).varies(1) == varies


@pytest.mark.parametrize("value", [True, "1", [1.0], None, torch.ones(2, dtype=torch.complex64)])
def test_a_constant_that_is_no_number_is_an_error(value):
    with pytest.raises(
        TypeError, match=r"`value` should be a number or a real tensor; found .* Wr"
    ):
        Constant(value)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0.5, torch.int64), (-1, torch.uint8), (300, torch.uint8), (0.5, torch.bool), (2, torch.bool)],
)
def test_a_constant_that_ids_or_masks_cannot_hold_is_an_error(value, dtype):
    """It would become 0, 255, 44 and True, without a word."""
    with pytest.raises(ValueError, match=rf"`value` should be one that {dtype} can hold.*{value}"):
        Constant(value)(torch.ones(3, 2).to(dtype))
    assert Constant(1.0)(torch.zeros(3, 2).to(dtype)).eq(1).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor([1.0, -float("inf")])])
def test_a_constant_that_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match=r"`value` should be finite; found .*neutral"):
        Constant(value)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (torch.ones(3, 2), TypeError, "`batches` should be tensors; found a Tensor of"),
        (5, TypeError, "`batches` should be tensors; found 5"),
        ([torch.ones(3, 2), [1.0]], TypeError, "found .* among them. Pass the tensors of one"),
        ([torch.ones(3, 2), torch.ones(3, 5)], ValueError, "finite and of one sample shape; found"),
        ([torch.full((3, 2), float("nan"))], ValueError, "finite and of one sample shape; found"),
    ],
)
def test_data_without_a_mean_are_an_error(batches, error, message):
    with pytest.raises(error, match=message):
        data_mean(batches)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_mean_is_summed_in_double_precision_and_has_the_type_of_the_data(dtype):
    found = data_mean([torch.ones(2, 3, dtype=dtype)] * 600).value  # bfloat16 cannot count to 257
    assert found.dtype == dtype
    assert found.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((2, 0), ValueError, "`sample_shape` should be at least 1; found 0"),
        ((2, True), TypeError, "`sample_shape` should be the sizes of one sample; found True in"),
        (3, TypeError, "`sample_shape` should be the sizes of one sample; found 3"),
    ],
)
def test_a_shape_of_samples_is_a_list_of_sizes(shape, error, message):
    with pytest.raises(error, match=message):
        Learned(shape)
    assert Learned((1,)).value.shape == (1,)


@pytest.mark.parametrize("absence", [Noise(), Learned((2,))])
def test_ids_are_not_drawn_or_learned(absence):
    with pytest.raises(TypeError, match=r"should stand in for floating-point tensors; found torch"):
        absence(torch.ones(3, 2, dtype=torch.int64))


def test_a_value_that_fits_no_other_dimension_of_a_sample_is_an_error():
    x = torch.ones(7, 3, 2)
    for fitting in (torch.ones(2), torch.ones(3, 1), torch.ones(1, 2)):
        assert Constant(fitting)(x).shape == x.shape
    for other in (torch.ones(3), torch.ones(2, 2), torch.ones(7, 3, 2)):
        with pytest.raises(ValueError, match=r"should broadcast to one sample of shape \(3, 2\)"):
            Constant(other)(x)
