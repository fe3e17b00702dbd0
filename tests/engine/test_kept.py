"""What a step keeps of encoders' outputs."""

import torch

from counterpoise.core.absence import AbsentValues
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.setup import Facts
from counterpoise.engine.taps import Taps
from support.networks import Late, batch
from support.wrapping import wrap


def test_what_is_kept_of_an_output_is_in_a_container_of_its_own():
    model = Late(2)
    taps = Taps(model, model.names, model.encoders)
    tensor = torch.ones(7, 3)
    outputs = [tensor]
    shared = taps.share(0, outputs)
    assert shared is not outputs
    assert shared[0] is tensor
    assert taps.share(1, tensor) is tensor


def test_one_sample_fits_where_its_tensors_broadcast_to_those_of_the_batch():
    model = Late(2).double()
    inputs, _ = batch(2, 7)
    setup = wrap(model, "shared").runner.setup
    absent = AbsentValues(model.names)
    evaluator = Evaluator(setup, Facts(), model, Batch(model.names, inputs, {}, absent))
    evaluator.full()  # features of shape (7, 6)
    assert evaluator.fits(0, torch.ones(1, 6))
    assert evaluator.fits(0, torch.ones(7, 1))
    assert not evaluator.fits(0, torch.ones(2, 6))
    assert not evaluator.fits(0, torch.ones(6))
    assert not evaluator.fits(0, (torch.ones(1, 6), torch.ones(1, 6)))
