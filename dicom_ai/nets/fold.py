"""Batch normalisation folded into the convolution before it: the same function of an evaluated network, with less work.

Exporters do it too, and lose the names of the weights by it; a network folded first keeps them, so that one ONNX file
serves both runtimes.
"""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(net: nn.Module) -> nn.Module:
    """Return the network, changed in place, without the normalisations that directly follow a convolution."""
    net.eval()
    for part in net.modules():
        if isinstance(part, nn.Sequential):
            _fold(part)
    return net


def _fold(row: nn.Sequential) -> None:
    for place in range(len(row) - 1):
        conv, norm = row[place], row[place + 1]
        if isinstance(conv, (nn.Conv2d, nn.Conv3d)) and isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d)):
            with torch.no_grad():
                row[place] = fuse_conv_bn_eval(conv, norm)
            row[place + 1] = nn.Identity()
