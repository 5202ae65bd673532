"""What lies in the folder of models, looked at again and again by pages that must not wait for the disk."""

import os
from pathlib import Path

import pytest

from dicom_ai.inference import installed
from dicom_ai.inference.installed import look
from tests.unit.inference.models import model_folder, threshold_graph


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of an installed model."""
    return model_folder(tmp_path / "bright", threshold_graph(0.5)) / "weights.onnx"


def problems(weights: Path) -> tuple[str, ...]:
    return look(weights.parent.parent, "bright").problems


def test_weights_that_stay_as_they_are_are_read_once(weights: Path) -> None:
    before = installed._digest.cache_info()
    found = [problems(weights) for _ in range(3)]

    after = installed._digest.cache_info()
    assert found == [()] * 3
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


def test_weights_that_change_are_seen_at_the_next_look(weights: Path) -> None:
    before = problems(weights)
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")

    assert before == ()
    assert "SHA-256 is" in problems(weights)[0]


def test_other_weights_of_the_same_size_and_date_are_seen(weights: Path) -> None:
    problems(weights)
    dates = weights.stat()
    copy = weights.with_name("copy")
    copy.write_bytes(weights.read_bytes()[:-1] + b"!")
    os.utime(copy, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    copy.rename(weights)

    assert weights.stat().st_mtime_ns == dates.st_mtime_ns
    assert "SHA-256 is" in problems(weights)[0]


def test_weights_that_are_gone_are_seen(weights: Path) -> None:
    problems(weights)
    weights.unlink()

    assert "weights cannot be read" in problems(weights)[0]
