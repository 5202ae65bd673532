"""Mask R-CNN: sizes by name, torchvision's names, and the parts that are exported."""

from dataclasses import replace

import pytest
import torch

from dicom_ai.inference.maskrcnn import BOX_BINS as BOX_BINS_IN_USE
from dicom_ai.inference.maskrcnn import KINDS
from dicom_ai.inference.maskrcnn import MASK_BINS as MASK_BINS_IN_USE
from dicom_ai.nets.maskrcnn import (
    BOX_BINS,
    CLASSES,
    CONFIGS,
    MASK_BINS,
    MASK_SIZE,
    BoxHead,
    DenseHead,
    MaskHead,
    MaskRCNN,
    anchors_of,
)
from dicom_ai.nets.unet2d import CONFIGS as UNETS
from dicom_ai.nets.unet2d import UNet2d

COMPACT = CONFIGS["compact"]

TORCHVISION_NAMES = {
    "backbone.body.conv1.weight": (64, 3, 7, 7),
    "backbone.body.layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "backbone.body.layer4.2.bn3.running_var": (2048,),
    "backbone.fpn.inner_blocks.3.0.weight": (256, 2048, 1, 1),
    "backbone.fpn.layer_blocks.0.0.bias": (256,),
    "rpn.head.conv.0.0.weight": (256, 256, 3, 3),
    "rpn.head.cls_logits.weight": (3, 256, 1, 1),
    "rpn.head.bbox_pred.bias": (12,),
    "roi_heads.box_head.fc6.weight": (1024, 12544),
    "roi_heads.box_predictor.cls_score.weight": (91, 1024),
    "roi_heads.box_predictor.bbox_pred.bias": (364,),
    "roi_heads.mask_head.3.0.weight": (256, 256, 3, 3),
    "roi_heads.mask_predictor.conv5_mask.weight": (256, 256, 2, 2),
    "roi_heads.mask_predictor.mask_fcn_logits.bias": (91,),
}
"""Some of maskrcnn_resnet50_fpn's state_dict with its 91 classes of COCO."""


def parameters(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.fixture(scope="module")
def compact() -> MaskRCNN:
    torch.manual_seed(0)
    return MaskRCNN(COMPACT).eval()


def test_the_compact_network_is_small_enough_to_be_shipped(compact):
    assert parameters(compact) == 1_766_759


def test_the_network_of_the_paper_has_the_size_and_names_of_torchvisions():
    with torch.device("meta"):
        ours = MaskRCNN(CONFIGS["paper"])
        theirs = MaskRCNN(replace(CONFIGS["paper"], in_channels=3, classes=91))

    norms = sum(m.weight.numel() + m.bias.numel() for m in theirs.modules() if isinstance(m, torch.nn.BatchNorm2d))
    # The documented number of maskrcnn_resnet50_fpn; its batch norms are frozen and not counted.
    assert parameters(theirs) - norms == 44_401_393
    assert parameters(ours) / 1e6 == pytest.approx(43.98, abs=0.01)
    state = theirs.state_dict()
    assert {name: tuple(state[name].shape) for name in TORCHVISION_NAMES} == TORCHVISION_NAMES


def test_every_anchor_has_an_objectness_and_a_box(compact):
    with torch.no_grad():
        objectness, deltas, *levels = compact(torch.zeros(1, 2, 64, 96))

    count = len(anchors_of(COMPACT, (64, 96)))
    assert objectness.shape == (1, count)
    assert deltas.shape == (1, count, 4)
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]


def test_the_body_takes_the_weights_of_the_unets_encoder(compact):
    unet = UNet2d(UNETS["compact"]).state_dict()
    body = compact.backbone.body.state_dict()

    assert {name: unet[name].shape for name in body} == {name: value.shape for name, value in body.items()}


def test_the_exported_parts_hold_all_weights_and_nothing_else(compact):
    parts = (DenseHead(COMPACT, (64, 96)), BoxHead(COMPACT), MaskHead(COMPACT))
    names = [name for part in parts for name in part.state_dict()]

    assert sorted(names) == sorted(compact.state_dict())


def test_heads_give_what_their_classes_need():
    with torch.no_grad():
        scores, deltas = BoxHead(COMPACT).eval()(torch.zeros(3, COMPACT.pyramid, BOX_BINS, BOX_BINS))
        masks = MaskHead(COMPACT).eval()(torch.zeros(3, COMPACT.pyramid, MASK_BINS, MASK_BINS))

    assert scores.sum(dim=1) == pytest.approx([1, 1, 1])
    assert deltas.shape == (3, 4 * len(CLASSES))
    assert masks.shape == (3, len(CLASSES), MASK_SIZE, MASK_SIZE)


def test_training_and_use_mean_the_same_classes_and_bins():
    assert KINDS == CLASSES
    assert (BOX_BINS_IN_USE, MASK_BINS_IN_USE) == (BOX_BINS, MASK_BINS)
