"""Batches made beside the training by worker processes; batch i is the same however many workers there are."""

from collections.abc import Callable, Iterator
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from queue import Full

import numpy as np
import torch

Arrays = tuple[np.ndarray, ...]
MakeBatch = Callable[[int], Arrays]
"""Batch number -> arrays."""

AHEAD = 4
"""Batches that a worker may be ahead of the training."""


def batches(
    prepare: Callable[[], MakeBatch], numbers: range, *, workers: int = 1
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the batches with these numbers, in order.

    prepare: called once in each worker, where it may read files; it must be picklable. workers: 0 makes them here.
    """
    if workers == 0:
        make = prepare()
        for number in numbers:
            yield tuple(torch.from_numpy(array) for array in make(number))
        return
    context = get_context("spawn")
    queues: list[Queue[Arrays]] = [context.Queue(AHEAD) for _ in range(workers)]
    processes = [
        context.Process(target=_work, args=(prepare, numbers[first::workers], queue), daemon=True)
        for first, queue in enumerate(queues)
    ]
    for process in processes:
        process.start()
    try:
        for turn, _ in enumerate(numbers):
            yield tuple(torch.from_numpy(array) for array in queues[turn % workers].get())
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _work(prepare: Callable[[], MakeBatch], numbers: range, queue: "Queue[Arrays]") -> None:
    torch.set_num_threads(1)
    make = prepare()
    for number in numbers:
        arrays = make(number)
        while not _offered(queue, arrays):
            if not _training_lives():
                queue.cancel_join_thread()
                return
    queue.close()
    queue.join_thread()


def _offered(queue: "Queue[Arrays]", arrays: Arrays) -> bool:
    try:
        queue.put(arrays, timeout=5)
    except Full:
        return False
    return True


def _training_lives() -> bool:
    """Tell whether the process that asked for the batches is still there; it may have been killed."""
    parent = parent_process()
    return parent is None or parent.is_alive()
