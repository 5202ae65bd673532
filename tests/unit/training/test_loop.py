"""A training of seconds: the loss falls, and a stopped training goes on where it was."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from dicom_ai.nets.unet import UNet3d, UNetConfig  # noqa: E402
from dicom_ai.training import curve, loop  # noqa: E402
from dicom_ai.training.losses import wing_and_dice  # noqa: E402

NET = UNetConfig((4, 8), ((2, 2, 2),), supervised=1)
CONFIG = loop.LoopConfig(steps=60, learning_rate=1e-2, warm_up=1, average=0.5, log_every=5, save_every=10, mixed=False)


def bright_tubes(numbers):
    """A bright tube is cord; its place depends on the number of the batch."""
    for number in numbers:
        target = torch.zeros(1, 1, 8, 16, 16)
        at = 4 + number % 6
        target[..., at : at + 4, 6:10] = 1
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(number))
        yield target * 2 + 0.1 * noise, target


def fresh(config=CONFIG):
    torch.manual_seed(0)
    return loop.start(UNet3d(NET), config)


def test_the_loss_falls_and_the_curve_is_drawn(tmp_path):
    loop.run(fresh(), bright_tubes, wing_and_dice, CONFIG, tmp_path)

    rows = (tmp_path / "curve.csv").read_text().splitlines()
    curve.draw(tmp_path / "curve.csv", tmp_path / "curve.svg", title="A training")

    assert rows[0] == "step,hours,loss"
    assert float(rows[-1].split(",")[2]) < 0.5 * float(rows[1].split(",")[2])
    assert "polyline" in (tmp_path / "curve.svg").read_text()


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = loop.run(fresh(), bright_tubes, wing_and_dice, CONFIG, tmp_path / "whole")

    def stops_at_10(numbers):
        return bright_tubes(range(numbers.start, 10))

    loop.run(fresh(), stops_at_10, wing_and_dice, CONFIG, tmp_path / "parts")
    second = loop.run(loop.resume(fresh(), tmp_path / "parts"), bright_tubes, wing_and_dice, CONFIG, tmp_path / "parts")

    assert second.step == whole.step == 60
    for name, value in whole.averaged.items():
        assert torch.allclose(second.averaged[name], value, atol=1e-5), name


def test_minutes_end_a_training(tmp_path):
    config = replace(CONFIG, steps=10_000, minutes=0.02)

    done = loop.run(fresh(config), bright_tubes, wing_and_dice, config, tmp_path)

    assert 0 < done.step < 10_000
