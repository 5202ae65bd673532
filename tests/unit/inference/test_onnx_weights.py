"""Weights are read from ONNX files without the onnx package."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicom_ai.errors import ModelError
from dicom_ai.inference.onnx_weights import initializers

from .models import threshold_graph

ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5,
    "halves": np.array([0.5, -2.0], np.float16),
    "doubles": np.array([[1e-300]], np.float64),
    "counts": np.array([-1, 2**40], np.int64),
    "small": np.array([-7, 7], np.int32),
    "bytes": np.array([0, 255], np.uint8),
    "flags": np.array([True, False]),
    "scalar": np.float32(3.25),
    "empty": np.zeros((0, 4), np.float32),
}


def test_raw_tensors_are_read_as_onnx_reads_them(tmp_path):
    model = threshold_graph(1.0)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in ARRAYS.items())
    onnx.save(model, tmp_path / "m.onnx")

    found = initializers(tmp_path / "m.onnx")

    assert set(found) == {"limit", "steepness", *ARRAYS}
    for name, value in ARRAYS.items():
        assert np.array_equal(found[name], value), name
        assert found[name].dtype == np.asarray(value).dtype


def test_typed_fields_are_read_too(tmp_path):
    model = threshold_graph(1.0)
    model.graph.initializer.extend(
        [
            helper.make_tensor("floats", TensorProto.FLOAT, (2, 2), [1.0, -2.0, 3.0, 4.5]),
            helper.make_tensor("doubles", TensorProto.DOUBLE, (1,), [0.1]),
            helper.make_tensor("counts", TensorProto.INT64, (3,), [-1, 0, 300]),
            helper.make_tensor("small", TensorProto.INT32, (2,), [-5, 5]),
        ]
    )
    onnx.save(model, tmp_path / "m.onnx")

    found = initializers(tmp_path / "m.onnx")

    assert found["floats"].tolist() == [[1.0, -2.0], [3.0, 4.5]]
    assert found["doubles"].tolist() == [0.1]
    assert found["counts"].tolist() == [-1, 0, 300]
    assert found["small"].tolist() == [-5, 5]


def test_weights_in_another_file_are_refused(tmp_path):
    model = threshold_graph(1.0)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(5000, np.float32), "big"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=1024)

    with pytest.raises(ModelError, match="tensor 'big' lies in another file"):
        initializers(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"not an ONNX file at all", b"\x3a\xff\x01", b"\x00" * 100])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)

    with pytest.raises(ModelError, match="not an ONNX file whose weights can be read"):
        initializers(tmp_path / "m.onnx")
