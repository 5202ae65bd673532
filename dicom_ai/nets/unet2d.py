"""A 2-D U-Net for radiographs: what each pixel shows of the vertebral column.

Ronneberger et al. 2015, as the semantic half of VertXNet (arXiv 2207.05476) uses one. The compact network folds pixels
two by two into channels before its first convolution and unfolds them after the last: a quarter of the work, and the
outlines stay as fine as the image.

    image (B, in, H, W) -> fold (B, 4 in, H/2, W/2) -> stage 0 -------------> decoder 0 -> head -> unfold (B, out, H, W)
                                                       stage 1 (H/4) -------> decoder 1 -> up
                                                       stage 2 (H/8) -- ...
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class UNet2dConfig:
    """The shape of a 2-D U-Net. channels: features of each stage. fold: pixels folded into channels along each axis."""

    channels: tuple[int, ...]
    in_channels: int = 2
    out_channels: int = 5
    fold: int = 1

    @property
    def divisor(self) -> int:
        """What both sides of an input must be divisible by."""
        return self.fold * 2 ** (len(self.channels) - 1)


CONFIGS: dict[str, UNet2dConfig] = {
    "compact": UNet2dConfig((24, 48, 72, 96, 128), fold=2),
    "paper": UNet2dConfig((32, 64, 128, 256, 512)),
}
"""compact: shipped. paper: five stages of 32 to 512 features (our reading; the paper's sizes are not public)."""


class ConvBlock2d(nn.Sequential):
    """Convolution, batch normalisation, ReLU; twice."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class UNet2d(nn.Module):
    """The network: (B, in, H, W) to logits (B, out, H, W); sides divisible by config.divisor."""

    def __init__(self, config: UNet2dConfig) -> None:
        super().__init__()
        self.config = config
        channels, folded = config.channels, config.fold**2
        widths = (config.in_channels * folded, *channels)
        self.fold = nn.PixelUnshuffle(config.fold)
        self.encoder = nn.ModuleList(ConvBlock2d(widths[k], widths[k + 1]) for k in range(len(channels)))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels[k + 1], channels[k], 2, 2) for k in range(len(channels) - 1)
        )
        self.decoder = nn.ModuleList(ConvBlock2d(2 * channels[k], channels[k]) for k in range(len(channels) - 1))
        self.head = nn.Conv2d(channels[0], config.out_channels * folded, 1)
        self.unfold = nn.PixelShuffle(config.fold)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of every pixel."""
        x = self.encoder[0](self.fold(image))
        skips = [x]
        for stage in self.encoder[1:]:
            x = stage(self.pool(x))  # (B, C_k, H / 2**k, W / 2**k)
            skips.append(x)
        for k in reversed(range(len(self.up))):
            x = self.decoder[k](torch.cat([self.up[k](x), skips[k]], dim=1))
        logits: Tensor = self.unfold(self.head(x))
        return logits
