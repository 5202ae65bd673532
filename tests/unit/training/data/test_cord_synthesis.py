"""Samples: reproducible, soft, and with targets that keep the volume of the cord they show."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.training.data.cases import Case, read_pack, write_pack  # noqa: E402
from dicom_ai.training.data.cord_synthesis import Bank, SynthesisConfig, make_sample  # noqa: E402
from dicom_ai.training.data.scan import normalised  # noqa: E402

SMALL = SynthesisConfig(patch=(16, 32, 32))


def tube_case(name="formula_00", radius=5.0):
    rows, columns = np.meshgrid(np.arange(60) - 29.5, np.arange(60) - 29.5, indexing="ij")
    share = np.clip(radius - np.hypot(rows, columns) + 0.5, 0, 1)
    canal = np.clip(radius + 3 - np.hypot(rows, columns) + 0.5, 0, 1)
    arrays = {
        "cord": np.rint(np.broadcast_to(share, (40, 60, 60)) * 255).astype(np.uint8),
        "canal": np.rint(np.broadcast_to(canal, (40, 60, 60)) * 255).astype(np.uint8),
        "tissue": np.full((40, 60, 60), 3, np.uint8),
    }
    return Case(name, name, "labels", 1.0, "made here", arrays)


def test_a_sample_is_decided_by_seed_and_number():
    bank = Bank.of([tube_case()])

    first, again = (make_sample(bank, SMALL, seed=1, number=5) for _ in range(2))
    other = make_sample(bank, SMALL, seed=1, number=6)

    assert torch.equal(first.image, again.image)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.image, other.image)


def test_samples_are_finite_normalised_and_soft():
    bank = Bank.of([tube_case()])

    samples = [make_sample(bank, SMALL, seed=2, number=number) for number in range(12)]

    assert all(sample.image.shape == (1, 16, 32, 32) for sample in samples)
    assert all(torch.isfinite(sample.image).all() for sample in samples)
    assert all(float(sample.target.min()) >= 0 and float(sample.target.max()) < 1 + 1e-5 for sample in samples)
    assert any(((sample.target > 0.05) & (sample.target < 0.95)).any() for sample in samples)
    assert all(abs(float(sample.image.mean())) < 0.2 for sample in samples)


def test_no_cord_in_the_case_means_no_cord_in_the_target():
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 40), dtype=np.uint8)
    bank = Bank.of([Case("lumbar", "lumbar", "image", 1.0, "made here", {"image": image})])
    only = SynthesisConfig(patch=(16, 32, 32), weights=(("no_cord", 1.0),))

    sample = make_sample(bank, only, seed=0, number=0)

    assert float(sample.target.sum()) == 0
    assert float(sample.image.std()) > 0.1


def test_outside_of_the_field_of_view_is_zero():
    image, inside = torch.rand(8, 8, 8) + 3, torch.zeros(8, 8, 8)
    inside[2:6] = 1

    result = normalised(image, inside)

    assert float(result[:2].abs().max()) == 0
    assert float(result[2:6].mean()) == pytest.approx(0, abs=1e-5)
    assert float(result[2:6].std()) == pytest.approx(1, abs=1e-3)


def test_cases_come_back_from_a_pack_with_their_digests(tmp_path):
    case = tube_case()

    write_pack(tmp_path / "pack.npz", [case], about={"seed": 1})
    (found,) = read_pack(tmp_path / "pack.npz")

    assert found.digest == case.digest
    assert (found.arrays["cord"] == case.arrays["cord"]).all()
    assert found.person == "formula_00"


def test_a_changed_voxel_changes_the_digest():
    one, two = tube_case(), tube_case()
    two.arrays["cord"][0, 0, 0] += 1

    assert one.digest != two.digest
