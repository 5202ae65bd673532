"""SE-ResNeXt encoders, 2-D and 3-D (Xie, arXiv 1611.05431; Hu, arXiv 1709.01507), as SSHSNet uses them.

The 2-D one is se_resnext50_32x4d. The 3-D one (SSHSNet's own) never down-samples through slices: its kernels are
3 x 3 x 1 but for the last layer, 3 x 3 x 3, which keeps its resolution. Slices are the last axis: (B, C, H, W, D).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What an encoder is made of.

    dims: 2 or 3. blocks: bottlenecks per layer. planes: width of each layer; it gives 4 x planes channels.
    groups: groups of the 3 x 3 convolution, 2 x planes channels wide. stem_pool: whether a max pooling follows the
    stem, so that the first layer lies at stride 4, else 2. reduction: of squeeze and excitation.
    """

    dims: int = 2
    in_channels: int = 3
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    groups: int = 32
    stem_channels: int = 64
    stem_pool: bool = True
    reduction: int = 16

    @property
    def skip_stride(self) -> int:
        """In-plane stride of the first layer, whose features the decoder takes as its skip connection."""
        return 4 if self.stem_pool else 2

    @property
    def skip_channels(self) -> int:
        """Channels of the first layer."""
        return 4 * self.planes[0]

    @property
    def out_channels(self) -> int:
        """Channels of the last layer."""
        return 4 * self.planes[3]


def conv(dims: int) -> type[Any]:
    """Return the convolution of 2 or 3 dimensions."""
    return nn.Conv2d if dims == 2 else nn.Conv3d


def norm(dims: int, channels: int) -> nn.Module:
    """Return the batch normalisation of 2 or 3 dimensions."""
    return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm3d(channels)


def in_plane(dims: int, value: int, through: int = 1) -> tuple[int, ...]:
    """Return a kernel, stride or padding: `value` in the plane and, in 3-D, `through` across slices."""
    return (value, value) if dims == 2 else (value, value, through)


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole map holds: global mean, two 1 x 1 convolutions, sigmoid."""

    def __init__(self, dims: int, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.squeeze = conv(dims)(channels, hidden, 1)
        self.excite = conv(dims)(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W[, D]) -> same shape."""
        mean = x.mean(dim=tuple(range(2, x.dim())), keepdim=True)  # (B, C, 1, 1[, 1])
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))


class Bottleneck(nn.Module):
    """1 x 1 to twice the planes, grouped 3 x 3, 1 x 1 to four times the planes, squeeze and excitation, residual."""

    def __init__(self, config: EncoderConfig, channels: int, planes: int, *, stride: int, last: bool) -> None:
        """stride: in-plane. last: the last layer: dilated in 2-D (output stride), through slices in 3-D."""
        super().__init__()
        dims, width, out = config.dims, 2 * planes, 4 * planes
        dilation = 2 if last and dims == 2 else 1
        through = 3 if last and dims == 3 else 1
        self.reduce = nn.Sequential(conv(dims)(channels, width, 1, bias=False), norm(dims, width), nn.ReLU())
        self.grouped = nn.Sequential(
            conv(dims)(
                width,
                width,
                in_plane(dims, 3, through),
                stride=in_plane(dims, stride),
                padding=in_plane(dims, dilation, through // 2),
                dilation=dilation,
                groups=config.groups,
                bias=False,
            ),
            norm(dims, width),
            nn.ReLU(),
        )
        self.expand = nn.Sequential(conv(dims)(width, out, 1, bias=False), norm(dims, out))
        self.attend = SqueezeExcitation(dims, out, config.reduction)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                conv(dims)(channels, out, 1, stride=in_plane(dims, stride), bias=False), norm(dims, out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, channels, H, W[, D]) -> (B, 4 planes, H / stride, W / stride[, D])."""
        y = self.attend(self.expand(self.grouped(self.reduce(x))))
        return torch.relu(y + self.shortcut(x))


class SEResNeXt(nn.Module):
    """The encoder: the features the decoder needs, after the first and after the last layer."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        dims, stem = config.dims, config.stem_channels
        self.stem = nn.Sequential(
            conv(dims)(
                config.in_channels,
                stem,
                in_plane(dims, 7),
                stride=in_plane(dims, 2),
                padding=in_plane(dims, 3, 0),
                bias=False,
            ),
            norm(dims, stem),
            nn.ReLU(),
        )
        pool = nn.MaxPool2d if dims == 2 else nn.MaxPool3d
        self.pool: nn.Module = nn.Identity()
        if config.stem_pool:
            self.pool = pool(in_plane(dims, 3), stride=in_plane(dims, 2), padding=in_plane(dims, 1, 0))
        channels, layers = stem, []
        for place, (blocks, planes) in enumerate(zip(config.blocks, config.planes, strict=True)):
            last = place == 3
            stride = 1 if place in (0, 3) else 2  # the last layer keeps the resolution: output stride 4 x the skip's
            rows = [
                Bottleneck(
                    config, channels if row == 0 else 4 * planes, planes, stride=stride if row == 0 else 1, last=last
                )
                for row in range(blocks)
            ]
            layers.append(nn.Sequential(*rows))
            channels = 4 * planes
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (B, C, H, W[, D]) -> skip (B, 4 p1, H/4, W/4[, D]), deep (B, 4 p4, H/16, W/16[, D]).

        Without stem_pool both lie at half that stride.
        """
        skip = self.layer1(self.pool(self.stem(x)))  # (B, 4 p1, H/4, W/4)
        x = self.layer2(skip)  # (B, 4 p2, H/8, W/8)
        x = self.layer3(x)  # (B, 4 p3, H/16, W/16)
        return skip, self.layer4(x)  # (B, 4 p4, H/16, W/16)
