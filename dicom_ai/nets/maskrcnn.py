"""Mask R-CNN (He et al. 2017) with a feature pyramid, in plain torch: vertebrae as single things, each with its mask.

The instance half of VertXNet (arXiv 2207.05476). The module tree has torchvision's names, so that weights of its
maskrcnn_resnet50_fpn load; the compact network looks through the encoder of our U-Net and may start from its weights.

    image -> body -> pyramid P2 ... P6 -> RPN: objectness and box of each anchor -> proposals (not in the network)
                          \\-> RoIAlign 7 x 7   -> box head  -> class, box per class
                           \\-> RoIAlign 14 x 14 -> mask head -> mask 28 x 28 per class

Three parts without control flow (DenseHead, BoxHead, MaskHead) are what is exported; what chooses among boxes stays
outside: training/vertxnet_detector.py and inference/maskrcnn.py.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dicom_ai.nets.maskrcnn_ops import anchors, moved
from dicom_ai.nets.unet2d import CONFIGS as UNETS
from dicom_ai.nets.unet2d import ConvBlock2d

CLASSES = ("background", "vertebra", "C2", "S1")
"""What a box may show; C2 and S1 are the reference vertebrae from which levels are counted."""

BOX_BINS, MASK_BINS = 7, 14
"""Bins along each side of what RoIAlign gives to the box head and to the mask head."""

MASK_SIZE = 28
"""Rows and columns of a mask."""


@dataclass(frozen=True, slots=True)
class MaskRCNNConfig:
    """The shape of a Mask R-CNN. body: "unet" or "resnet50". pyramid: features of each level. hidden: of the box head.

    anchor_sizes: pixels, of P2 to P6. ratios: height per width.
    """

    body: str
    in_channels: int = 2
    classes: int = len(CLASSES)
    pyramid: int = 64
    hidden: int = 256
    anchor_sizes: tuple[int, ...] = (16, 28, 48, 80, 128)
    ratios: tuple[float, ...] = (0.5, 0.75, 1.0)


CONFIGS: dict[str, MaskRCNNConfig] = {
    "compact": MaskRCNNConfig("unet"),
    "paper": MaskRCNNConfig(
        "resnet50", pyramid=256, hidden=1024, anchor_sizes=(32, 64, 128, 256, 512), ratios=(0.5, 1.0, 2.0)
    ),
}
"""compact: small enough to be shipped. paper: torchvision's maskrcnn_resnet50_fpn, which we take the paper's to be."""


class UNetBody(nn.Module):
    """The encoder of the compact U-Net without its finest stage: four maps at 1/4 ... 1/32 of the image."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        config = UNETS["compact"]
        widths = (in_channels * config.fold**2, *config.channels)
        self.fold = nn.PixelUnshuffle(config.fold)
        self.encoder = nn.ModuleList(ConvBlock2d(widths[k], widths[k + 1]) for k in range(len(config.channels)))
        self.pool = nn.MaxPool2d(2)
        self.channels = config.channels[1:]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps, the finest first."""
        x = self.encoder[0](self.fold(image))  # (B, C, H/2, W/2)
        maps = []
        for stage in self.encoder[1:]:
            x = stage(self.pool(x))
            maps.append(x)
        return maps


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions beside a shortcut; the features of the last are four times as many."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features at 1/stride of the size."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """He et al. 2015 without its classifier: four maps at 1/4 ... 1/32 of the image."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for stage, blocks in enumerate((3, 4, 6, 3)):
            width = 64 * 2**stage
            first = Bottleneck(inputs, width, stride=1 if stage == 0 else 2)
            inputs = 4 * width
            self.add_module(
                f"layer{stage + 1}", nn.Sequential(first, *(Bottleneck(inputs, width, 1) for _ in range(blocks - 1)))
            )
        self.channels = (256, 512, 1024, 2048)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps, the finest first."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        maps = []
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps


BODIES: dict[str, type[UNetBody] | type[ResNet50]] = {"unet": UNetBody, "resnet50": ResNet50}


class FeaturePyramid(nn.Module):
    """Lin et al. 2017: coarse maps are added to finer ones; P6 is P5 with every second pixel."""

    def __init__(self, inputs: tuple[int, ...], features: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(width, features, 1)) for width in inputs)
        self.layer_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(features, features, 3, padding=1)) for _ in inputs)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return P2 ... P6 of four maps."""
        last = self.inner_blocks[-1](maps[-1])
        levels = [self.layer_blocks[-1](last)]
        for k in reversed(range(len(maps) - 1)):
            lateral = self.inner_blocks[k](maps[k])
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            levels.insert(0, self.layer_blocks[k](last))
        return [*levels, F.max_pool2d(levels[-1], 1, 2, 0)]


class Backbone(nn.Module):
    """Body and pyramid."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.body = BODIES[config.body](config.in_channels)
        self.fpn = FeaturePyramid(self.body.channels, config.pyramid)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return P2 ... P6."""
        levels: list[Tensor] = self.fpn(self.body(image))
        return levels


class RPNHead(nn.Module):
    """Objectness and box of every anchor of every level."""

    def __init__(self, features: int, kinds: int) -> None:
        super().__init__()
        first = nn.Conv2d(features, features, 3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(first, nn.ReLU()))
        self.cls_logits = nn.Conv2d(features, kinds, 1)
        self.bbox_pred = nn.Conv2d(features, 4 * kinds, 1)
        for layer in (first, self.cls_logits, self.bbox_pred):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (B, anchors) and deltas (B, anchors, 4), in the order of maskrcnn_ops.anchors."""
        logits, deltas = [], []
        for level in levels:
            x = self.conv(level)
            logits.append(self.cls_logits(x).permute(0, 2, 3, 1).flatten(1))  # (B, H W kinds)
            deltas.append(self.bbox_pred(x).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)


class RPN(nn.Module):
    """The region proposal network; proposals are made of its answers outside."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.head = RPNHead(config.pyramid, len(config.ratios))


class TwoLayers(nn.Module):
    """Two full layers over what a box holds."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, hidden)."""
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class BoxPredictor(nn.Module):
    """Class and box of each class."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.cls_score, self.bbox_pred = nn.Linear(hidden, classes), nn.Linear(hidden, 4 * classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) and deltas (n, 4 classes)."""
        return self.cls_score(x), self.bbox_pred(x)


class RoIHeads(nn.Module):
    """What looks at single boxes."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        features = config.pyramid
        self.box_head = TwoLayers(features * BOX_BINS**2, config.hidden)
        self.box_predictor = BoxPredictor(config.hidden, config.classes)
        self.mask_head = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.ReLU()) for _ in range(4))
        )
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv5_mask=nn.ConvTranspose2d(features, features, 2, 2),
            relu=nn.ReLU(),
            mask_fcn_logits=nn.Conv2d(features, config.classes, 1),
        )
        self.mask_predictor = nn.Sequential(parts)

    def boxes(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and box deltas of pooled boxes (n, C, 7, 7)."""
        logits, deltas = self.box_predictor(self.box_head(pooled))
        return logits, deltas

    def masks(self, pooled: Tensor) -> Tensor:
        """Return mask logits (n, classes, 28, 28) of pooled boxes (n, C, 14, 14)."""
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits


class MaskRCNN(nn.Module):
    """The network. forward() gives what needs no choice among boxes; sides must be divisible by 32."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone, self.rpn, self.roi_heads = Backbone(config), RPN(config), RoIHeads(config)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return objectness (B, anchors), deltas (B, anchors, 4), and P2 ... P6 (B, C, H/4, W/4) ..."""
        levels = self.backbone(image)
        logits, deltas = self.rpn.head(levels)
        return logits, deltas, *levels


def anchors_of(config: MaskRCNNConfig, shape: tuple[int, int]) -> Tensor:
    """Return all anchors of an image of this shape (rows, columns), (anchors, 4)."""
    rows, columns = shape
    shapes = [(rows >> k, columns >> k) for k in range(2, 6)]
    shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    return anchors(shapes, shape, config.anchor_sizes, config.ratios)


class DenseHead(MaskRCNN):
    """The exported part that sees a whole image of one shape (rows, columns)."""

    anchors: Tensor

    def __init__(self, config: MaskRCNNConfig, shape: tuple[int, int]) -> None:
        super().__init__(config)
        del self.roi_heads
        self.register_buffer("anchors", anchors_of(config, shape), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return objectness (B, anchors) as probability, boxes (B, anchors, 4), and P2 ... P5."""
        logits, deltas, *levels = super().forward(image)
        boxes = torch.stack([moved(self.anchors, one[:, None], (1.0, 1.0, 1.0, 1.0))[:, 0] for one in deltas])
        return logits.sigmoid(), boxes, *levels[:-1]


class BoxHead(nn.Module):
    """The exported part that says what boxes show."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.roi_heads = RoIHeads(config)
        del self.roi_heads.mask_head, self.roi_heads.mask_predictor

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return class probabilities (n, classes) and deltas (n, 4 classes)."""
        logits, deltas = self.roi_heads.boxes(pooled)
        return logits.softmax(dim=1), deltas


class MaskHead(nn.Module):
    """The exported part that draws masks."""

    def __init__(self, config: MaskRCNNConfig) -> None:
        super().__init__()
        self.roi_heads = RoIHeads(config)
        del self.roi_heads.box_head, self.roi_heads.box_predictor

    def forward(self, pooled: Tensor) -> Tensor:
        """Return mask probabilities (n, classes, 28, 28)."""
        return self.roi_heads.masks(pooled).sigmoid()
