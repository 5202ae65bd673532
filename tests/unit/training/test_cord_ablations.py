"""Variants of the cord recipe: how they are scored where the truth is known, and that every one is trained."""

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.training import cord_ablations  # noqa: E402
from dicom_ai.training.cord_ablations import COLUMNS, VARIANTS, Trial, ablate, over_seeds, score_variant  # noqa: E402
from dicom_ai.training.data.cases import Case, write_pack  # noqa: E402

RADIUS_MM, AREA_MM2 = 5.0, 80.0


def tube(size=32):
    """A straight cord along the slices, of whole voxels."""
    across = torch.arange(size) - (size - 1) / 2
    disc = torch.hypot(across[:, None], across[None]) < RADIUS_MM
    assert float(disc.sum()) == AREA_MM2
    return disc.float().expand(size, size, size)


def scored(shares):
    """Return the scores of what answers these shares of a cord, one for each contrast of a neck."""
    answers = iter(torch.logit((tube() * share).clamp(1e-6, 1 - 1e-6))[None, None] for share in shares)
    return score_variant(lambda image: next(answers), [[(tube(), tube())] * len(shares)])


def test_a_network_that_answers_the_truth_has_no_error_and_no_spread_over_contrasts():
    scores = scored([1.0, 1.0, 1.0, 1.0])

    assert scores == pytest.approx(
        {"dice": 1.0, "csa_bias_percent": 0.0, "csa_error_percent": 0.0, "csa_spread_mm2": 0.0}, abs=0.01
    )


def test_an_area_too_small_in_one_contrast_is_error_and_spread():
    scores = scored([1.0, 0.8, 1.0, 1.0])

    assert scores["csa_bias_percent"] == pytest.approx(-5, abs=0.01)
    assert scores["csa_error_percent"] == pytest.approx(5, abs=0.01)
    # The standard deviation of four values of which one lies d apart is d / 2.
    assert scores["csa_spread_mm2"] == pytest.approx(0.2 * AREA_MM2 / 2, abs=0.01)


def test_the_table_holds_means_over_seeds_and_how_far_these_lie_apart():
    one = {"dice": 0.90, "csa_bias_percent": -4.0, "csa_error_percent": 5.0, "csa_spread_mm2": 1.0}
    two = {"dice": 0.94, "csa_bias_percent": 2.0, "csa_error_percent": 3.0, "csa_spread_mm2": 1.5}

    assert over_seeds([one, two]) == {
        "dice": 0.92,
        "csa_bias_percent": -1.0,
        "csa_error_percent": 4.0,
        "csa_spread_mm2": 1.25,
        "seeds_differ_dice": 0.04,
        "seeds_differ_error_percent": 2.0,
        "seeds_differ_spread_mm2": 0.5,
    }


def test_every_variant_is_trained_and_scored_and_they_differ(tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    made_here = cord_ablations.batches
    monkeypatch.setattr(cord_ablations, "batches", lambda prepare, numbers: made_here(prepare, numbers, workers=0))
    monkeypatch.setattr(cord_ablations, "PATCH", (16, 16, 16))
    monkeypatch.setattr(cord_ablations, "unseen_necks", lambda: [[(tube(16), tube(16))] * 2])
    soft = torch.nn.functional.avg_pool3d(tube(64)[None], 3, 1, 1)[0].mul(255).byte().numpy()
    arrays = {"tissue": (soft > 0).astype("uint8"), "cord": soft, "canal": soft}
    write_pack(tmp_path / "pack.npz", [Case("one", "formula_00", "labels", 1.0, "here", arrays)], about={})
    trial = Trial(tmp_path / "pack.npz", tmp_path, steps=2, threads=1, seeds=(0,))

    report = ablate(trial, say=lambda line: None)
    torch.set_num_threads(threads)

    assert report.columns == COLUMNS
    assert [row["variant"] for row in report.rows] == [variant.name for variant in VARIANTS]
    assert all(set(COLUMNS) == set(row) for row in report.rows)
    weights = [torch.load(path, weights_only=True)["net"]["heads.0.weight"] for path in tmp_path.glob("*-0/*.pt")]
    assert len(weights) == len(VARIANTS) == len({tuple(one.flatten().tolist()) for one in weights})
