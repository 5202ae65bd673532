"""DeepLabv3+ (Chen, arXiv 1802.02611) in 2-D and 3-D on an SE-ResNeXt encoder, the two networks of SSHSNet.

Reference: SSHSNet, arXiv 2203.12151. `PAPER_2D` and `PAPER_3D` are its configurations, `COMPACT_2D` is what ships.
Slices are the last axis of the 3-D network: (B, C, H, W, D); nothing is ever down-sampled through slices.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from dicom_ai.nets.seresnext import EncoderConfig, SEResNeXt, conv, in_plane, norm


@dataclass(frozen=True, slots=True)
class DeepLabConfig:
    """encoder: see there. classes: of the logits. channels: of the decoder. skip: channels kept of the first layer."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    classes: int = 20
    channels: int = 256
    skip: int = 48
    rates: tuple[int, int, int] = (12, 24, 36)
    dropout: float = 0.5


PAPER_2D = DeepLabConfig()
"""One 2-D branch of the paper: 28.69 M parameters, three neighbouring slices of 256 x 512 in, 20 classes out."""

PAPER_3D = DeepLabConfig(encoder=EncoderConfig(dims=3, in_channels=21))
"""The 3-D network of the paper, without the fusion: image and the 20 scores of the first stage in."""

COMPACT_2D = DeepLabConfig(
    encoder=EncoderConfig(
        blocks=(2, 2, 3, 2), planes=(12, 24, 48, 64), groups=8, stem_channels=24, stem_pool=False, reduction=8
    ),
    classes=6,
    channels=64,
    skip=24,
    rates=(4, 8, 12),
    dropout=0.1,
)
"""The small 2-D network that ships: features at stride 2, deepest map at stride 8."""

COMPACT_3D = DeepLabConfig(
    encoder=EncoderConfig(
        dims=3, in_channels=7, blocks=(1, 1, 2, 1), planes=(8, 16, 32, 48), groups=4, stem_channels=16,
        stem_pool=False, reduction=8,
    ),
    classes=6,
    channels=48,
    skip=16,
    rates=(2, 4, 6),
    dropout=0.1,
)  # fmt: skip
"""A small 3-D network for the second stage on one-millimetre patches."""


class Separable(nn.Sequential):
    """A depthwise 3 x 3 convolution and a 1 x 1 convolution, batch normalisation, ReLU."""

    def __init__(self, dims: int, channels: int, out: int, *, dilation: int = 1, through: bool = True) -> None:
        """through: whether the 3-D kernel also reaches across slices."""
        depth = 3 if through else 1
        kernel = in_plane(dims, 3, depth)
        reach = in_plane(dims, dilation, dilation if through else 1)
        padding = in_plane(dims, dilation, dilation * (depth // 2))
        super().__init__(
            conv(dims)(channels, channels, kernel, padding=padding, dilation=reach, groups=channels, bias=False),
            conv(dims)(channels, out, 1, bias=False),
            norm(dims, out),
            nn.ReLU(),
        )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: one 1 x 1, three separable atrous convolutions and the mean of the map."""

    def __init__(self, config: DeepLabConfig) -> None:
        super().__init__()
        dims, channels, out = config.encoder.dims, config.encoder.out_channels, config.channels
        self.point = nn.Sequential(conv(dims)(channels, out, 1, bias=False), norm(dims, out), nn.ReLU())
        self.atrous = nn.ModuleList(Separable(dims, channels, out, dilation=rate) for rate in config.rates)
        self.whole = nn.Sequential(conv(dims)(channels, out, 1, bias=False), norm(dims, out), nn.ReLU())
        self.project = nn.Sequential(
            conv(dims)(5 * out, out, 1, bias=False), norm(dims, out), nn.ReLU(), nn.Dropout(config.dropout)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, h, w[, D]) -> (B, channels, h, w[, D])."""
        mean = self.whole(x.mean(dim=tuple(range(2, x.dim())), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([self.point(x), *(atrous(x) for atrous in self.atrous), mean], dim=1))


class Decoder(nn.Module):
    """ASPP, four times up in the plane, joined with the reduced first layer, two separable convolutions."""

    def __init__(self, config: DeepLabConfig) -> None:
        super().__init__()
        dims, channels = config.encoder.dims, config.channels
        self.aspp = ASPP(config)
        self.smooth = Separable(dims, channels, channels)
        self.skip = nn.Sequential(
            conv(dims)(config.encoder.skip_channels, config.skip, 1, bias=False), norm(dims, config.skip), nn.ReLU()
        )
        self.join = Separable(dims, channels + config.skip, channels, through=False)

    def forward(self, skip: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
        """skip: (B, c1, H/4, W/4[, D]), deep: (B, c4, H/16, W/16[, D]) -> (B, channels, H/4, W/4[, D])."""
        x = self.smooth(self.aspp(deep))  # (B, channels, H/16, W/16)
        x = enlarge(x, 4)  # (B, channels, H/4, W/4)
        return self.join(torch.cat([x, self.skip(skip)], dim=1))  # (B, channels, H/4, W/4)


class DeepLabV3Plus(nn.Module):
    """Encoder, decoder and a 1 x 1 head; `features` gives what the next stage takes, `forward` the logits."""

    def __init__(self, config: DeepLabConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SEResNeXt(config.encoder)
        self.decoder = Decoder(config)
        self.head = conv(config.encoder.dims)(config.channels, config.classes, 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W[, D]), H and W multiples of 16 -> (B, channels, H/4, W/4[, D])."""
        return self.decoder(*self.encoder(x))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """features: as `features` gives them -> (B, classes, H, W[, D])."""
        return enlarge(self.head(features), self.config.encoder.skip_stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W[, D]), H and W multiples of 16 -> logits (B, classes, H, W[, D])."""
        return self.logits(self.features(x))


def enlarge(x: torch.Tensor, times: int) -> torch.Tensor:
    """Return the map enlarged in its plane, linearly with aligned corners, as the paper's code does."""
    if x.dim() == 4:
        return F.interpolate(x, scale_factor=float(times), mode="bilinear", align_corners=True)
    factor = (float(times), float(times), 1.0)
    return F.interpolate(x, scale_factor=factor, mode="trilinear", align_corners=True)


CONFIGS: dict[str, DeepLabConfig] = {"compact": COMPACT_2D, "paper": PAPER_2D}
"""Name -> configuration of a 2-D branch; the first is shipped."""
