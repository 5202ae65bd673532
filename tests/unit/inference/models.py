"""Tiny ONNX models and model folders for tests."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dicom_ai.domain.image import Radiograph, SourceFrame, SourceImage, Volume

MANIFEST = """
name = "{name}"
version = "1.0"
family = "segmentation"
description = "Everything brighter than a limit"
licence = "Apache-2.0"

[[data]]
name = "none"
licence = "CC0-1.0"

[input]
{input}

[[outputs]]
value = 1
kind = "other"
name = "Bright tissue"
code = ["85756007", "SCT", "Tissue"]

[[weights]]
file = "weights.onnx"
sha256 = "{sha256}"

[family_options]
{options}
"""

WHOLE_VOLUME = 'modalities = ["MR"]\nnormalisation = "none"'


def model_folder(folder: Path, graph: onnx.ModelProto, *, input_table: str = WHOLE_VOLUME, options: str = "") -> Path:
    """Write a model folder named after the last part of `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, folder / "weights.onnx")
    digest = hashlib.sha256((folder / "weights.onnx").read_bytes()).hexdigest()
    text = MANIFEST.format(name=folder.name, sha256=digest, input=input_table, options=options)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text("# A threshold\n", encoding="utf-8")
    return folder


def threshold_graph(limit: float, *, space: int = 3, steepness: float = 1.0) -> onnx.ModelProto:
    """Scores steepness * (x - limit), one channel: with a sigmoid, probability 0.5 at the limit."""
    nodes = [
        helper.make_node("Sub", ["image", "limit"], ["above"]),
        helper.make_node("Mul", ["above", "steepness"], ["scores"]),
    ]
    return graph(nodes, {"limit": np.float32(limit), "steepness": np.float32(steepness)}, space=space)


def two_class_graph(limit: float) -> onnx.ModelProto:
    """Scores (0, x - limit): with a softmax, class 1 wins above the limit."""
    nodes = [
        helper.make_node("Sub", ["image", "limit"], ["above"]),
        helper.make_node("Sub", ["image", "image"], ["background"]),
        helper.make_node("Concat", ["background", "above"], ["scores"], axis=1),
    ]
    return graph(nodes, {"limit": np.float32(limit)})


def label_graph(limit: float) -> onnx.ModelProto:
    """Labels, int64 (1, *space): 1 above the limit."""
    nodes = [
        helper.make_node("Greater", ["image", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["numbers", "axis"], ["scores"]),
    ]
    return graph(nodes, {"limit": np.float32(limit), "axis": np.array([1])}, output=TensorProto.INT64)


def graph(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray | np.floating],
    *,
    space: int = 3,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model from "image" (1, 1, *space) to "scores"."""
    sizes = [f"size{axis}" for axis in range(space)]
    shape, scores_shape = [1, 1, *sizes], [1, "classes", *sizes] if output == TensorProto.FLOAT else [1, *sizes]
    built = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", output, scores_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def source(image: Volume | Radiograph) -> SourceImage:
    """An image with made-up identity."""
    count = image.shape[0] if isinstance(image, Volume) else 1
    return SourceImage("1.2.3", "1.2.3.4", image, tuple(SourceFrame("1.2", f"1.2.3.4.{n}") for n in range(count)))


def bright_ball(
    shape: tuple[int, int, int] = (12, 20, 24), spacing_mm: tuple[float, float, float] = (3, 1, 1)
) -> Volume:
    """A ball of 6 mm radius and value 100 in a background of 0, slices feet to head."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, spacing_mm[2]], [0, spacing_mm[1], 0], [spacing_mm[0], 0, 0]])
    empty = Volume(np.zeros(shape, np.float32), affine, "1.9")
    points = empty.to_mm(np.moveaxis(np.indices(shape), 0, -1))
    centre = empty.to_mm((np.array(shape) - 1) / 2)
    inside = np.linalg.norm(points - centre, axis=-1) <= 6.0
    return empty.with_voxels(np.where(inside, 100, 0).astype(np.float32))
