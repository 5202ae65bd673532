"""Writing trained weights as an ONNX file that both runtimes of dicom_ai.inference can read.

Weights of matrices and convolutions are stored as float16 and turned back to float32 when the file is opened; the
arithmetic stays float32. Initializers keep the names of the network's state_dict, so that torch can take them.
"""

import hashlib
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 18
_SMALL = 1024
"""Weights with fewer numbers than this stay float32: norms and biases."""


def write_onnx(
    net: nn.Module, weights: dict[str, Tensor], shape: tuple[int, ...], path: Path, *, any_count: bool = False
) -> str:
    """Write a network for inputs of one shape; return the file's SHA-256 in hex.

    weights: by name; what the network does not have, such as heads that only training needs, is left out.
    any_count: the first axis may have any length.
    """
    net = net.cpu().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    net.load_state_dict({name: weights[name].contiguous() for name in net.state_dict()})
    net.eval()
    program = torch.onnx.export(
        net,
        (torch.zeros(shape),),
        input_names=["image"],
        output_names=["logits"] if not any_count else None,
        dynamic_shapes=({0: torch.export.Dim("count")},) if any_count else None,
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    path.write_bytes(_halved(model).SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _strip(model: onnx.ModelProto) -> None:
    """Remove notes about where the graph was made: file paths have no place in a shipped file."""
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 initializers as float16 with a Cast in front of their users."""
    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        if values.size < _SMALL:
            continue
        initializer.CopyFrom(numpy_helper.from_array(values.astype("float16"), initializer.name))
        wide = f"{initializer.name}.float32"
        casts.append(helper.make_node("Cast", [initializer.name], [wide], to=TensorProto.FLOAT))
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == initializer.name:
                    node.input[place] = wide
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
