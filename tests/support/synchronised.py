"""Batch-norm over two processes without a GPU; in a module that children can import.

PyTorch's SyncBatchNorm and its passing of messages are its own; what stands in is the arithmetic
of one process, for which PyTorch has kernels on GPUs alone.
"""

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import counterpoise as cp
from support.networks import MaxOut
from support.processes import ROWS, train
from support.wrapping import wrap


def network():
    """A network with batch-norm before and behind the fusion, the same in every process."""
    torch.manual_seed(5)
    return MaxOut(3).double()


def trained(balanced, module, parts, lr):
    """Return what each step came to, and the running statistics at the end."""
    record = train(balanced, module, parts, lr=lr)
    return {**record, "buffers": dict(balanced.model.named_buffers())}


def work(rank, folder, level, cuts, lr):
    """One process of two: at each step the first has the rows before the cut."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    model = nn.SyncBatchNorm.convert_sync_batchnorm(network())
    balanced = wrap(model, level, cp.AGM(alpha=1.7), statistics="batch")
    parts = [slice(0, cut) if rank == 0 else slice(cut, ROWS) for cut in cuts]
    _run_on_the_cpu()
    torch.save(
        trained(balanced, DistributedDataParallel(balanced), parts, lr), f"{folder}/{rank}.pt"
    )
    distributed.barrier()  # nobody leaves while the other is still talking
    distributed.destroy_process_group()


def _run_on_the_cpu():
    DistributedDataParallel._passing_sync_batchnorm_handle = lambda *given: None  # which refuses
    torch._C._get_privateuse1_backend_name = lambda: "cpu"  # whose tensors are taken then
    torch.batch_norm_stats = _stats
    torch.batch_norm_gather_stats_with_counts = _gather
    torch.batch_norm_elemt = _normalise
    torch.batch_norm_backward_reduce = _reduce
    torch.batch_norm_backward_elemt = _gradient


def _axes(x):
    return [axis for axis in range(x.dim()) if axis != 1]


def _channels(values, x):
    return values.view(-1, *[1] * (x.dim() - 2))


def _stats(x, eps):
    variance, mean = torch.var_mean(x, _axes(x), correction=0)
    return mean, (variance + eps).rsqrt()


def _gather(x, means, inverses, running_mean, running_var, momentum, eps, counts):
    total, weights = counts.sum(), counts.unsqueeze(1)
    mean = (weights * means).sum(0) / total
    squares = inverses.pow(-2) - eps + (means - mean).square()
    variance = (weights * squares).sum(0) / total
    running_mean.lerp_(mean, momentum)
    running_var.lerp_(variance * total / (total - 1), momentum)
    return mean, (variance + eps).rsqrt()


def _normalise(x, weight, bias, mean, inverse, eps):
    scaled = (x - _channels(mean, x)) * _channels(inverse * weight, x)
    return scaled + _channels(bias, x)


def _reduce(gradient, x, mean, inverse, weight, *needed):
    with_x = (gradient * (x - _channels(mean, x))).sum(_axes(x))
    total = gradient.sum(_axes(x))
    return total, with_x, with_x * inverse, total


def _gradient(gradient, x, mean, inverse, weight, sum_dy, sum_dy_xmu, counts):
    total = counts.sum()
    slope = _channels(sum_dy_xmu * inverse.square() / total, x) * (x - _channels(mean, x))
    centred = gradient - _channels(sum_dy / total, x) - slope
    return centred * _channels(inverse * weight, x)
