"""The two networks of SSHSNet: the paper's sizes, the shapes after each part, and attention that begins as identity."""

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from dicom_ai.nets.deeplabv3plus import COMPACT_2D, PAPER_2D, PAPER_3D, DeepLabV3Plus  # noqa: E402
from dicom_ai.nets.tri_attention import (  # noqa: E402
    COMPACT_FUSION,
    PAPER_FUSION,
    ChannelAttention,
    CrossTriAttention,
    PositionAttention,
    SliceAttention,
    SSHSNetStage2,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def millions(net):
    return sum(parameter.numel() for parameter in net.parameters()) / 1e6


def test_a_branch_of_the_paper_has_28_69_million_parameters():
    assert millions(DeepLabV3Plus(PAPER_2D)) == pytest.approx(28.69, abs=0.005)


def test_the_3d_network_of_the_paper_has_33_07_million_parameters():
    net = SSHSNetStage2(PAPER_FUSION)

    assert millions(net) == pytest.approx(33.07, abs=0.005)
    assert millions(net.deeplab.encoder) == pytest.approx(27.34, abs=0.01)
    assert millions(net.deeplab.decoder) == pytest.approx(3.28, abs=0.01)
    assert millions(net.attention) == pytest.approx(0.082, abs=0.001)


def test_the_3d_encoder_of_the_paper_never_shrinks_through_slices():
    with torch.device("meta"):
        encoder = DeepLabV3Plus(PAPER_3D).encoder
        skip, deep = encoder(torch.empty(1, 21, 192, 192, 12))

    assert tuple(skip.shape) == (1, 256, 48, 48, 12)
    assert tuple(deep.shape) == (1, 2048, 12, 12, 12)


def test_the_paper_gives_features_at_a_quarter_and_logits_at_full_size():
    with torch.device("meta"):
        net = DeepLabV3Plus(PAPER_2D)
        features = net.features(torch.empty(2, 3, 256, 512))
        logits = net.logits(features)

    assert tuple(features.shape) == (2, 256, 64, 128)
    assert tuple(logits.shape) == (2, 20, 256, 512)


def test_the_second_stage_of_the_paper_takes_both_branches_and_their_scores():
    with torch.device("meta"):
        logits = SSHSNetStage2(PAPER_FUSION).eval()(
            torch.empty(1, 1, 192, 192, 12), torch.empty(1, 512, 48, 48, 12), torch.empty(1, 20, 192, 192, 12)
        )

    assert tuple(logits.shape) == (1, 20, 192, 192, 12)


def test_the_compact_networks_are_below_a_million_parameters_each():
    assert millions(DeepLabV3Plus(COMPACT_2D)) < 1
    assert millions(SSHSNetStage2(COMPACT_FUSION)) < 1


def test_the_compact_branch_trains():
    net = DeepLabV3Plus(COMPACT_2D).train()
    image = torch.randn(2, 3, 64, 64)
    truth = torch.randint(0, 6, (2, 64, 64))
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(net(image), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < losses[0]


def stage2_inputs(batch=1, size=32, slices=4):
    image = torch.randn(batch, 1, size, size, slices)
    features = torch.randn(batch, COMPACT_2D.channels, size // 2, size // 2, slices)
    return image, features, torch.softmax(torch.randn(batch, 6, size, size, slices), 1)


def test_one_training_step_reaches_every_part_of_the_compact_second_stage():
    net = SSHSNetStage2(COMPACT_FUSION).train()
    for parameter in (net.attention.position.gamma, net.attention.slice.gamma, net.attention.channel.gamma):
        torch.nn.init.constant_(parameter, 0.1)

    logits = net(*stage2_inputs(batch=2))
    logits.square().mean().backward()

    assert tuple(logits.shape) == (2, 6, 32, 32, 4)
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_attention_begins_as_the_identity():
    x2, x3 = torch.randn(1, 16, 6, 5, 3), torch.randn(1, 16, 6, 5, 3)

    assert torch.equal(PositionAttention(16)(x2, x3), x3)
    assert torch.equal(SliceAttention()(x2, x3), x2)
    assert torch.equal(ChannelAttention()(x3), x3)
    assert torch.equal(CrossTriAttention(16)(x2, x3), torch.cat([x2, x3], dim=1))


def test_position_attention_with_equal_keys_adds_the_mean_over_the_places():
    attention = PositionAttention(16)
    torch.nn.init.zeros_(attention.key.weight)
    torch.nn.init.zeros_(attention.key.bias)
    torch.nn.init.ones_(attention.gamma)
    x2, x3 = torch.randn(1, 16, 4, 4, 3), torch.zeros(1, 16, 4, 4, 3)

    mean = attention.value(x2).mean(dim=(2, 3), keepdim=True)

    torch.testing.assert_close(attention(x2, x3), mean.expand_as(x3))


def test_slice_attention_of_equal_slices_adds_that_slice():
    attention = SliceAttention()
    torch.nn.init.ones_(attention.gamma)
    one = torch.randn(1, 4, 3, 3, 1)

    result = attention(torch.zeros(1, 4, 3, 3, 5), one.expand(-1, -1, -1, -1, 5))

    torch.testing.assert_close(result, one.expand(-1, -1, -1, -1, 5))


def exported(net, inputs):
    """Return (torch's output, ONNX Runtime's) of a network; the whole wrapper must be in eval mode."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    net.eval()
    buffer = io.BytesIO()
    names = [f"in{number}" for number in range(len(inputs))]
    torch.onnx.export(net, inputs, buffer, input_names=names, output_names=["logits"], opset_version=18, dynamo=False)
    session = runtime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    (there,) = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
    with torch.no_grad():
        here = net(*inputs).numpy()
    return here, there


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_compact_branch_means_the_same_in_onnx():
    here, there = exported(DeepLabV3Plus(COMPACT_2D), (torch.randn(2, 3, 96, 64),))

    assert np.abs(here - there).max() < 1e-4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_compact_second_stage_means_the_same_in_onnx():
    net = SSHSNetStage2(COMPACT_FUSION)
    torch.nn.init.constant_(net.attention.position.gamma, 0.5)

    here, there = exported(net, stage2_inputs())

    assert np.abs(here - there).max() < 1e-4


def paper_branch():
    return DeepLabV3Plus(PAPER_2D), (torch.randn(2, 3, 32, 32),), (2, 20, 32, 32)


def paper_stage2():
    inputs = torch.randn(2, 1, 32, 32, 2), torch.randn(2, 512, 8, 8, 2), torch.softmax(torch.randn(2, 20, 32, 32, 2), 1)
    return SSHSNetStage2(PAPER_FUSION), inputs, (2, 20, 32, 32, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("build", [paper_branch, paper_stage2])
def test_the_networks_of_the_paper_make_a_training_step_and_mean_the_same_in_onnx(build):
    net, inputs, shape = build()
    truth = torch.zeros(shape[0], *shape[2:], dtype=torch.long)

    logits = net.train()(*inputs)
    torch.nn.functional.cross_entropy(logits, truth).backward()
    here, there = exported(net, inputs)

    assert tuple(logits.shape) == here.shape == shape
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert np.abs(here - there).max() < 1e-4
