"""Two processes with half of each batch come to what one comes to with the whole."""

import pytest
import torch
from torch import multiprocessing

from integrations import parallel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole():
    """One process, all rows."""
    balanced = parallel.wrapped()
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    out = parallel.train(balanced, balanced, optimiser, slice(None), lambda loss: loss.backward())
    return balanced, out


@pytest.mark.parametrize("work", [parallel.by_accelerate, parallel.by_fsdp, parallel.by_fsdp_apart])
def test_two_processes_train_as_one(work, whole, tmp_path):
    multiprocessing.spawn(work, (str(tmp_path), parallel.free_port()), nprocs=2)
    balanced, out = whole
    records = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    loss, looks = parallel.looked_at(balanced, slice(None))
    if work != parallel.by_fsdp_apart:  # whose batches are as long as one another
        joined = [torch.cat(parts) for parts in zip(*(r["looks"] for r in records), strict=True)]
        for found, expected in zip(joined[:1], looks[:1], strict=True):
            torch.testing.assert_close(found, expected)
    for record in records:
        assert record["loss"] == pytest.approx(loss)
        torch.testing.assert_close(record["coefficients"], out.coefficients)
        torch.testing.assert_close(record["running"], balanced.method.running_scores)
        expected = parallel.weights(balanced.model)
        assert record["weights"].keys() == expected.keys()
        for name, weight in record["weights"].items():
            torch.testing.assert_close(weight, expected[name])
    assert (out.coefficients - 1).abs().max() > 0.01  # or else nothing was modulated
