"""The losses at values that can be worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.training.losses import adaptive_wing, entropy_and_dice, paper_wing, soft_dice, wing_and_dice  # noqa: E402


def wing(prediction: float, target: float) -> float:
    return float(adaptive_wing(torch.tensor(prediction), torch.tensor(target)))


def test_the_wing_near_the_target_is_a_logarithm():
    # d = 0.2, y = 1, alpha - y = 1.1: 8 ln(1 + 0.2 ** 1.1)
    assert wing(0.8, 1.0) == pytest.approx(8 * math.log(1 + 0.2**1.1), rel=1e-5)


def test_the_wing_far_from_the_target_is_a_line():
    power = 2.1
    slope = 8 / (1 + 0.5**power) * power * 0.5 ** (power - 1)
    offset = 0.5 * slope - 8 * math.log(1 + 0.5**power)

    assert wing(0.9, 0.0) == pytest.approx(slope * 0.9 - offset, rel=1e-5)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_both_pieces_meet_at_theta(target):
    below, above = wing(target - 0.49999, target), wing(target - 0.50001, target)

    assert below == pytest.approx(above, abs=1e-3)


def test_a_perfect_soft_mask_costs_nothing():
    soft = torch.rand(2, 1, 4, 4, 4)

    assert soft_dice(soft, soft) == pytest.approx([0, 0], abs=1e-6)
    assert float(adaptive_wing(soft, soft).sum()) == pytest.approx(0, abs=1e-3)


def test_the_paper_halves_each_head_and_divides_by_their_number():
    target = torch.ones(1, 1, 4, 4, 4)
    full, half = torch.full((1, 1, 4, 4, 4), 0.8), torch.full((1, 1, 2, 2, 2), 0.8)
    voxel = wing(0.8, 1.0)

    assert float(paper_wing([full, half], target)) == pytest.approx((64 * voxel + 0.5 * 8 * voxel) / 2, rel=1e-4)


def test_calling_nothing_cord_costs_little_where_there_is_none():
    none = torch.zeros(1, 1, 8, 8, 8)
    logits = torch.full((1, 1, 8, 8, 8), -12.0)

    assert float(wing_and_dice([logits], none)) < 0.01
    assert float(wing_and_dice([logits], torch.ones_like(none))) > 3


def cheapest(cost, share: float) -> float:
    """The prediction that costs least where a share of equal-looking voxels is cord."""
    predictions = torch.linspace(0.01, 0.99, 99)
    costs = [share * cost(p, 1.0) + (1 - share) * cost(p, 0.0) for p in predictions.tolist()]
    return float(predictions[int(torch.tensor(costs).argmin())])


def test_where_nothing_can_be_told_entropy_predicts_the_share_and_the_wing_sharpens_it():
    def entropy(prediction: float, target: float) -> float:
        return -math.log(prediction if target else 1 - prediction)

    assert cheapest(entropy, 0.3) == pytest.approx(0.3, abs=0.02)
    assert cheapest(wing, 0.3) == pytest.approx(0.17, abs=0.02)
    assert cheapest(wing, 0.6) == pytest.approx(0.99, abs=0.02)


def test_entropy_and_dice_is_least_for_the_soft_target_itself():
    target = torch.rand(1, 1, 6, 6, 6).clamp(0.05, 0.95)
    right = torch.logit(target)

    assert entropy_and_dice([right], target) < entropy_and_dice([right + 0.3], target)
    assert entropy_and_dice([right], target) < entropy_and_dice([right - 0.3], target)
