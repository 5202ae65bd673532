"""A small torch network with the layers of a U-Net, and its export."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class SmallNet(nn.Module):
    """(B, 1, D, H, W) -> (B, 2, D, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 4, 3, padding=1)
        self.norm = nn.InstanceNorm3d(4, affine=True)
        self.down = nn.Conv3d(4, 6, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose3d(6, 2, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.leaky_relu(self.norm(self.first(x)))
        return self.up(torch.relu(self.down(x)))


def small_net(seed: int = 0) -> SmallNet:
    """A net with seeded weights, also of its normalisation."""
    torch.manual_seed(seed)
    net = SmallNet()
    with torch.no_grad():
        net.norm.weight.uniform_(0.5, 2)
    return net.eval()


def export(net: nn.Module, path: Path, *, size: int = 16) -> Path:
    """Write the net as runtime.py asks for it."""
    example: Any = (torch.zeros(1, 1, size, size, size),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch 2.13 calls what torch 2.13 deprecates
        torch.onnx.export(net, example, path, dynamo=True, external_data=False, verbose=False)
    return path


def halved(path: Path) -> Path:
    """Rewrite the file with half precision weights under their names, each cast to float32 where it is used."""
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [f"{name}_single"], to=TensorProto.FLOAT))
        for node in model.graph.node:
            for index, value in enumerate(node.input):
                if value == name:
                    node.input[index] = f"{name}_single"
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    return path
