"""A plain 3-D U-Net with deep supervision, as nnU-Net builds it.

Isensee et al., nnU-Net, Nature Methods 2021 (PlainConvUNet of dynamic-network-architectures); as used for the cord by
Bedard et al., arXiv 2310.15402. Encoder stage k halves the grid where its stride says so; the decoder doubles it by a
transposed convolution, joins the encoder's features of that size, and convolves. Each stage has two convolutions.

    stage 0 (B, C0, D, H, W) ------------------------------> decoder 0 -> head 0 (B, out, D, H, W)
    stage 1 (B, C1, D/2, H/2, W/2) ---------------> decoder 1 -> head 1 (training only)
    stage 2 (B, C2, D/4, H/4, W/4) -- up ---------> ...
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

Stride = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """The shape of a U-Net.

    channels: features of each stage. strides: of each stage but the first, per axis (slice, row, column).
    supervised: how many decoder sizes below the full one get a head during training.
    """

    channels: tuple[int, ...]
    strides: tuple[Stride, ...]
    in_channels: int = 1
    out_channels: int = 1
    supervised: int = 2

    @property
    def deployed(self) -> "UNetConfig":
        """The same network without the heads that only training needs."""
        return replace(self, supervised=0)

    @property
    def divisor(self) -> tuple[int, int, int]:
        """The sizes that an input must be divisible by, per axis."""
        total = [1, 1, 1]
        for stride in self.strides:
            total = [t * s for t, s in zip(total, stride, strict=True)]
        return total[0], total[1], total[2]


_HALVE: Stride = (2, 2, 2)
CONFIGS: dict[str, UNetConfig] = {
    "compact": UNetConfig((16, 32, 48, 64, 80), (_HALVE,) * 4),
    "paper": UNetConfig((32, 64, 128, 256, 320, 320), (*(_HALVE,) * 4, (1, 2, 2)), supervised=4),
    "paper-384": UNetConfig((32, 64, 128, 256, 384, 384), (*(_HALVE,) * 4, (1, 2, 2)), supervised=4),
}
"""compact: shipped. paper: arXiv 2310.15402 up to its release 2.4; paper-384: from its release 2.5."""


class ConvBlock(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU; twice."""

    def __init__(self, inputs: int, outputs: int, stride: Stride = (1, 1, 1)) -> None:
        super().__init__(
            nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1),
            nn.InstanceNorm3d(outputs, eps=1e-5, affine=True),
            nn.LeakyReLU(0.01),
            nn.Conv3d(outputs, outputs, 3, padding=1),
            nn.InstanceNorm3d(outputs, eps=1e-5, affine=True),
            nn.LeakyReLU(0.01),
        )


class UNet3d(nn.Module):
    """The network. In training it returns the scores of all heads, the largest grid first; in eval only the first."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        first = ConvBlock(config.in_channels, channels[0])
        deeper = [ConvBlock(channels[k], channels[k + 1], stride) for k, stride in enumerate(config.strides)]
        self.encoder = nn.ModuleList([first, *deeper])
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(channels[k + 1], channels[k], config.strides[k], config.strides[k])
            for k in range(len(config.strides))
        )
        self.decoder = nn.ModuleList(ConvBlock(2 * channels[k], channels[k]) for k in range(len(config.strides)))
        self.heads = nn.ModuleList(nn.Conv3d(channels[k], config.out_channels, 1) for k in range(config.supervised + 1))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """image: (B, in, D, H, W), sizes divisible by config.divisor. Returns logits (B, out, D, H, W), or a list."""
        skips: list[Tensor] = []
        x = image
        for stage in self.encoder:
            x = stage(x)  # (B, C_k, D / stride, ...)
            skips.append(x)
        scores: list[Tensor] = []
        for k in reversed(range(len(self.up))):
            x = self.up[k](x)  # (B, C_k, the size of stage k)
            x = self.decoder[k](torch.cat([x, skips[k]], dim=1))
            if k == 0 or (self.training and k < len(self.heads)):
                scores.append(self.heads[k](x))
        return scores[::-1] if self.training else scores[-1]


def parameter_count(net: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in net.parameters())
