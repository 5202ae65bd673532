"""Cross tri-attention and the fused 3-D network: the second stage of SSHSNet (arXiv 2203.12151).

The intra-slice features of the first stage (X2) and the features of the 3-D network (X3) attend to each other: across
positions from X2 to X3, across slices from X3 to X2, and across the channels of both. Every attention starts as the
identity: its weight gamma begins at 0. Slices are the last axis: (B, C, H, W, D).
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from dicom_ai.nets.deeplabv3plus import (
    COMPACT_2D,
    COMPACT_3D,
    PAPER_2D,
    PAPER_3D,
    DeepLabConfig,
    DeepLabV3Plus,
    enlarge,
)


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """deeplab: the 3-D network. features: channels of the stage-1 features. attend: False for the ablation."""

    deeplab: DeepLabConfig = field(default_factory=lambda: PAPER_3D)
    features: int = 2 * PAPER_2D.channels
    attend: bool = True


PAPER_FUSION = FusionConfig()
"""The second stage of the paper: 33.07 M parameters on patches of 192 x 192 x 12."""

COMPACT_FUSION = FusionConfig(deeplab=COMPACT_3D, features=COMPACT_2D.channels)
"""A small second stage that takes one compact branch."""


class PositionAttention(nn.Module):
    """From the 2-D features to the 3-D ones: every place looks at all places of the slice, slices folded together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv3d(channels, channels // 8, 1)
        self.key = nn.Conv3d(channels, channels // 8, 1)
        self.value = nn.Conv3d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x2: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
        """x2, x3: (B, C, H, W, D) -> x3 attended, same shape."""
        query = _fold(self.query(x2))  # (B, C/8 D, HW)
        key = _fold(self.key(x2))  # (B, C/8 D, HW)
        value = _fold(self.value(x2))  # (B, C D, HW)
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, HW, HW)
        return self.gamma * _unfold(value @ attention.transpose(1, 2), x3) + x3


class SliceAttention(nn.Module):
    """From the 3-D features to the 2-D ones: every slice looks at the slices it differs from most."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x2: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
        """x2, x3: (B, C, H, W, D) -> x2 attended, same shape."""
        slices = x3.permute(0, 4, 1, 2, 3).flatten(2)  # (B, D, CHW)
        attended = _differing(slices) @ slices  # (B, D, CHW)
        batch, channels, height, width, depth = x3.shape
        attended = attended.view(batch, depth, channels, height, width).permute(0, 2, 3, 4, 1)
        return self.gamma * attended + x2


class ChannelAttention(nn.Module):
    """Every channel looks at the channels it differs from most (the channel attention of DANet)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W, D) -> same shape."""
        channels = x.flatten(2)  # (B, C, HWD)
        return self.gamma * (_differing(channels) @ channels).view_as(x) + x


class CrossTriAttention(nn.Module):
    """Position, slice and channel attention between the features of the two stages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = PositionAttention(channels)
        self.slice = SliceAttention()
        self.channel = ChannelAttention()

    def forward(self, x2: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
        """x2, x3: (B, C, H, W, D) -> (B, 2 C, H, W, D)."""
        both = torch.cat([self.slice(x2, x3), self.position(x2, x3)], dim=1)
        return self.channel(both)


class SSHSNetStage2(nn.Module):
    """The 3-D DeepLabv3+ whose decoder features are fused with those of the first stage."""

    def __init__(self, config: FusionConfig = PAPER_FUSION) -> None:
        super().__init__()
        deeplab = config.deeplab
        channels = deeplab.channels
        self.config = config
        self.deeplab = DeepLabV3Plus(deeplab)
        self.deeplab.head = nn.Identity()
        self.reduce = _block(config.features, channels)
        self.attention = CrossTriAttention(channels) if config.attend else None
        self.fuse = _block(2 * channels, channels)
        self.head = nn.Conv3d(channels, deeplab.classes, 1)

    def forward(self, image: torch.Tensor, features: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes, H, W, D).

        image: (B, 1, H, W, D). features: (B, F, H/4, W/4, D), of the first stage, at the stride of the skip.
        scores: (B, classes, H, W, D), softmax of the first stage.
        """
        x3 = self.deeplab.features(torch.cat([image, scores], dim=1))  # (B, C, H/4, W/4, D)
        x2 = self.reduce(features)  # (B, C, H/4, W/4, D)
        both = self.attention(x2, x3) if self.attention else torch.cat([x2, x3], dim=1)  # (B, 2C, H/4, W/4, D)
        return enlarge(self.head(self.fuse(both)), self.config.deeplab.encoder.skip_stride)  # (B, classes, H, W, D)


def _block(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels, out, (3, 3, 1), padding=(1, 1, 0), bias=False), nn.BatchNorm3d(out), nn.ReLU()
    )


def _fold(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W, D) -> (B, C D, H W): slices go to the channels."""
    batch, channels, height, width, depth = x.shape
    return x.permute(0, 1, 4, 2, 3).reshape(batch, channels * depth, height * width)


def _unfold(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, C D, H W) -> the shape of `like`, (B, C, H, W, D)."""
    batch, channels, height, width, depth = like.shape
    return x.view(batch, channels, depth, height, width).permute(0, 1, 3, 4, 2)


def _differing(rows: torch.Tensor) -> torch.Tensor:
    """rows: (B, N, M) -> attention (B, N, N) that is large where two rows differ: softmax of (row maximum - energy)."""
    energy = rows @ rows.transpose(1, 2)
    return torch.softmax(energy.amax(dim=-1, keepdim=True) - energy, dim=-1)
