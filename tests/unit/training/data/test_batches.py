"""Batches come in order, and are the same from one process or two."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.training.data.batches import batches


def prepare():
    return lambda number: (np.full(3, number, np.float32),)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order(workers):
    found = [int(array[0]) for (array,) in batches(prepare, range(3, 12), workers=workers)]

    assert found == list(range(3, 12))


def test_a_training_that_stops_early_stops_its_workers():
    made = batches(prepare, range(1000), workers=1)

    next(made)
    made.close()

    with pytest.raises(StopIteration):
        next(made)
