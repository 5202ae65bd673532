"""Batch normalisation folded into the convolution before it: the same function of an evaluated network, with less work.

Exporters do it too, and lose the names of the weights by it; a network folded first keeps them, so that one ONNX file
serves both runtimes. To train on from such a file, `give_folded` sets the normalisations again.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
    for place, conv, norm in _pairs(row):
        with torch.no_grad():
            row[place] = fuse_conv_bn_eval(conv, norm)
        row[place + 1] = nn.Identity()


def _pairs(row: nn.Sequential) -> list[tuple[int, nn.Conv2d | nn.Conv3d, nn.BatchNorm2d | nn.BatchNorm3d]]:
    """Return (place of the convolution, convolution, normalisation) where one follows the other."""
    found = []
    for place in range(len(row) - 1):
        conv, norm = row[place], row[place + 1]
        if isinstance(conv, (nn.Conv2d, nn.Conv3d)) and isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d)):
            found.append((place, conv, norm))
    return found


@torch.no_grad()
def give_folded(net: nn.Module, weights: Mapping[str, torch.Tensor], images: torch.Tensor) -> None:
    """Give a network with normalisations the weights of a folded one: it computes the same, and can train on.

    Each normalisation gets the mean and the variance that the images have there, and undoes them again, so that the
    first step of training, which normalises by its own batch, starts near the same function. images: (B, C, H, W).
    """
    training = net.training
    net.eval()
    biases = dict(_folded_biases(net, weights))
    net.load_state_dict({name: weights.get(name, value) for name, value in net.state_dict().items()})
    hooks = [norm.register_forward_pre_hook(_undoing(bias)) for norm, bias in biases.items()]
    net(images)
    for hook in hooks:
        hook.remove()
    net.train(training)


def _folded_biases(net: nn.Module, weights: Mapping[str, torch.Tensor]) -> Iterator[tuple[nn.Module, torch.Tensor]]:
    """Yield each normalisation that was folded with the bias that took its place."""
    for name, part in net.named_modules():
        if isinstance(part, nn.Sequential):
            yield from ((norm, weights[f"{name}.{place}.bias"]) for place, _, norm in _pairs(part))


def _undoing(bias: torch.Tensor) -> Callable[[Any, tuple[torch.Tensor]], None]:
    """Return a hook that sets a normalisation to the statistics of its input, and to give the input plus a bias."""

    def hook(norm: Any, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].float()
        dims = (0, *range(2, x.dim()))
        mean, variance = x.mean(dim=dims), x.var(dim=dims, unbiased=False)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    return hook
