"""The weights inside an ONNX file, read without the onnx package: only the initializers of the protobuf are parsed.

Field numbers are those of onnx.proto3: ModelProto.graph 7, GraphProto.initializer 5, TensorProto.dims 1, data_type 2,
float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9, double_data 10, data_location 14.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dicom_ai.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _DATA_LOCATION = 1, 2, 8, 9, 14

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("?"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
}
"""TensorProto.DataType -> how raw_data is laid out (always little endian)."""

_TYPED_FIELDS: dict[int, np.dtype[Any]] = {4: np.dtype("<f4"), 10: np.dtype("<f8")}


def initializers(path: Path) -> dict[str, np.ndarray]:
    """Return the named weights of an ONNX file; raises ModelError where it is not one, or keeps them elsewhere."""
    try:
        graph = next(value for number, value in _fields(memoryview(path.read_bytes())) if number == _GRAPH)
        return dict(_tensor(tensor) for number, tensor in _fields(_view(graph)) if number == _INITIALIZER)
    except (StopIteration, IndexError, ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not an ONNX file whose weights can be read: {error}") from error


def _tensor(tensor: memoryview | int) -> tuple[str, np.ndarray]:
    dims: list[int] = []
    parts: dict[int, list[memoryview | int]] = {}
    for number, value in _fields(_view(tensor)):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        else:
            parts.setdefault(number, []).append(value)
    name = bytes(_view(parts[_NAME][0])).decode("utf-8") if _NAME in parts else ""
    if parts.get(_DATA_LOCATION) == [1]:
        raise ValueError(f"tensor {name!r} lies in another file")
    return name, _values(parts, name).reshape(dims)


def _values(parts: dict[int, list[memoryview | int]], name: str) -> np.ndarray:
    kind = parts[_DATA_TYPE][0] if _DATA_TYPE in parts else 0
    dtype = DTYPES.get(kind) if isinstance(kind, int) else None
    if _RAW_DATA in parts and dtype is not None:
        return np.frombuffer(_view(parts[_RAW_DATA][0]), dtype)
    for number, typed in _TYPED_FIELDS.items():
        if number in parts:
            return np.concatenate([np.frombuffer(_view(part), typed) for part in parts[number]])
    integers = [number for part in parts.get(7, []) + parts.get(5, []) for number in _integers(part)]
    if kind not in (6, 7) and integers:
        raise ValueError(f"tensor {name!r} has data type {kind}, which is not read here")
    return np.array(integers, np.int64)


def _integers(part: memoryview | int) -> list[int]:
    unsigned = [part] if isinstance(part, int) else _varints(part)
    return [value - (1 << 64) if value >> 63 else value for value in unsigned]


def _view(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _varints(data: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(value)
    return values


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield (field number, value) of a protobuf message: an int for numbers, a view for everything with a length."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("it ends too early")
        yield number, data[position : position + length]
        position += length
