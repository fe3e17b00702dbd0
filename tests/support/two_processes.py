"""Two processes that work together, without importing PyTorch anew in each."""

import multiprocessing

from torch.multiprocessing import start_processes

PRELOADED = ["torch._dynamo", "torch.nn.parallel", "counterpoise"]


def run_in_two(work, *arguments):
    """Run ``work(rank, *arguments)`` for ranks 0 and 1 at once; raise what either raises.

    Both are forked from one server, a process that has imported what takes seconds and done nothing
    else, so that they have no state of the tests. It serves all tests of a session.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    start_processes(work, arguments, nprocs=2, join=True, start_method="forkserver")
