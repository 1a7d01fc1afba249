"""Assemble MediaPipe's task files (.task) from the raw networks that its packages ship.

The Tasks interface of today wants a bundle per detector: a zip of networks, stored, each aligned
to four bytes, with metadata that tells how a picture is scaled to numbers. The packages of the
older interface hold the same networks without the bundles. What is missing is added here; no
weight is changed. Files come out byte for byte the same for the same version of flatbuffers.

The face network with attention has seven outputs (mesh, lips, eyes, irises); Tasks' graph
expects one of 478 points, so a concatenation and a gather are appended to it.
"""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as schema
from numpy.typing import NDArray

__all__ = ["bundle", "merge_face_outputs", "with_scaling"]

_METADATA = "TFLITE_METADATA"
_ALIGNMENT = 4
_PADDING_FIELD = 0xD935
"""Id of the zip extra field that Android's zipalign pads with; readers skip it."""

_MESH_POINTS = 468
_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_LEFT_EYE = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110),
    *(24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232),
    *(233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118),
    *(119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
_RIGHT_EYE = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255),
    *(339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449),
    *(450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295),
    *(372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417),
)
"""Which point of the mesh each point of a refined region replaces (MediaPipe's own graph)."""
_REFINED = (
    ("output_lips", _LIPS),
    ("output_left_eye", _LEFT_EYE),
    ("output_right_eye", _RIGHT_EYE),
)
_IRISES = (("output_left_iris", 468, 159), ("output_right_iris", 473, 386))
"""Name, first of the five points, and the mesh point whose depth the iris takes."""


def bundle(networks: Mapping[str, bytes]) -> bytes:
    """Pack networks into a task file.

    Args:
        networks: contents by the names that the Tasks graph looks for.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in networks.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            header = 30 + len(name.encode()) + 4
            padding = -(stream.tell() + header) % _ALIGNMENT
            info.extra = struct.pack("<HH", _PADDING_FIELD, padding) + bytes(padding)
            archive.writestr(info, content)
    return stream.getvalue()


def with_scaling(network: bytes, mean: float, deviation: float) -> bytes:
    """Add the metadata that tells how pixel values become the network's input.

    Args:
        network: a .tflite file; one that has metadata already is returned as it is.
        mean: subtracted from the pixel values 0 to 255.
        deviation: what they are divided by after that.
    """
    model = _load(network)
    if any(_text(entry.name) == _METADATA for entry in model.metadata or []):
        return network
    graph = model.subgraphs[0]
    content = _scaling_metadata(len(graph.inputs), len(graph.outputs), mean, deviation)
    entry = schema.MetadataT()
    entry.name = _METADATA
    entry.buffer = _append_buffer(model, content)
    model.metadata = [*(model.metadata or []), entry]
    return _dump(model)


def merge_face_outputs(network: bytes) -> bytes:
    """Turn the outputs of the face network with attention into 478 points and a flag.

    Lips and eyes replace their points of the mesh in x and y and keep the mesh's depth; the five
    points of each iris follow the mesh's 468.
    """
    model = _load(network)
    graph = model.subgraphs[0]
    by_name = {_text(graph.tensors[number].name): number for number in graph.outputs}
    flag = next(number for number in graph.outputs if _count(graph, number) == 1)
    mesh = next(number for number in graph.outputs if _count(graph, number) == 3 * _MESH_POINTS)
    names = [name for name, _ in _REFINED] + [name for name, _, _ in _IRISES]
    parts = [mesh, *(by_name[name] for name in names)]

    total = sum(_count(graph, number) for number in parts)
    joined = _append_tensor(model, "joined", [1, 1, 1, total])
    options = schema.ConcatenationOptionsT()
    options.axis = 3
    _append_operator(
        model, schema.BuiltinOperator.CONCATENATION, "ConcatenationOptions", options, parts, joined
    )
    order = _append_tensor(model, "order", [3 * (_MESH_POINTS + 10)], _face_order())
    merged = _append_tensor(model, "landmarks", [1, 1, 1, 3 * (_MESH_POINTS + 10)])
    gather = schema.GatherOptionsT()
    gather.axis = 3
    _append_operator(
        model, schema.BuiltinOperator.GATHER, "GatherOptions", gather, [joined, order], merged
    )
    graph.outputs = np.array([merged, flag], np.int32)
    model.metadata = [entry for entry in model.metadata or [] if _text(entry.name) != _METADATA]
    model.signatureDefs = None
    model.description = "MediaPipe face_landmark_with_attention (Apache-2.0), outputs merged"
    return with_scaling(_dump(model), 0.0, 255.0)


def _face_order() -> NDArray[np.int32]:
    """Return, for each of 478 x 3 numbers, its place in the concatenated outputs."""
    order = np.arange(3 * (_MESH_POINTS + 10), dtype=np.int32)
    place = 3 * _MESH_POINTS
    for _, points in _REFINED:
        for point in points:
            order[3 * point : 3 * point + 2] = place, place + 1
            place += 2
    for _, first, depth in _IRISES:
        for point in range(first, first + 5):
            order[3 * point : 3 * point + 3] = place, place + 1, 3 * depth + 2
            place += 2
    return order


def _scaling_metadata(inputs: int, outputs: int, mean: float, deviation: float) -> bytes:
    """Write metadata for networks with one RGB picture as input."""
    normalisation = metadata_schema.NormalizationOptionsT()
    normalisation.mean, normalisation.std = [mean], [deviation]
    process = metadata_schema.ProcessUnitT()
    process.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    process.options = normalisation
    image = metadata_schema.ImagePropertiesT()
    image.colorSpace = metadata_schema.ColorSpaceType.RGB
    content = metadata_schema.ContentT()
    content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    content.contentProperties = image
    picture = metadata_schema.TensorMetadataT()
    picture.name, picture.content, picture.processUnits = "image", content, [process]
    graph = metadata_schema.SubGraphMetadataT()
    graph.inputTensorMetadata = [picture] * inputs
    graph.outputTensorMetadata = []
    for number in range(outputs):
        tensor = metadata_schema.TensorMetadataT()
        tensor.name = f"out{number}"
        graph.outputTensorMetadata.append(tensor)
    model = metadata_schema.ModelMetadataT()
    model.name, model.subgraphMetadata = "assembled", [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _load(network: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(network, 0))


def _dump(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _text(name: str | bytes) -> str:
    """Return a name that flatbuffers gives as text or as bytes, depending on its version."""
    return name if isinstance(name, str) else name.decode()


def _count(graph: Any, number: int) -> int:
    """Return how many values a tensor holds."""
    return int(np.prod(graph.tensors[number].shape))


def _append_buffer(model: Any, content: bytes | None) -> int:
    buffer = schema.BufferT()
    buffer.data = None if content is None else np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _append_tensor(
    model: Any, name: str, shape: Sequence[int], values: NDArray[np.int32] | None = None
) -> int:
    """Append a float32 tensor, or an int32 constant when values are given."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, list(shape)
    tensor.type = schema.TensorType.FLOAT32 if values is None else schema.TensorType.INT32
    tensor.buffer = _append_buffer(model, None if values is None else values.tobytes())
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _append_operator(
    model: Any, kind: int, options_name: str, options: Any, inputs: Sequence[int], output: int
) -> None:
    operator = schema.OperatorT()
    operator.opcodeIndex = _operator_code(model, kind)
    operator.inputs = np.array(inputs, np.int32)
    operator.outputs = np.array([output], np.int32)
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_name)
    operator.builtinOptions = options
    model.subgraphs[0].operators.append(operator)


def _operator_code(model: Any, kind: int) -> int:
    """Return the index of an operator's code, appending the code where it is not yet used."""
    for index, code in enumerate(model.operatorCodes):
        # Old files know only the deprecated field, which ends at 127.
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
