"""Networks in ncnn's two files, run by torch: what Real-ESRGAN, Upscayl and their like publish.

``NAME.param`` lists the layers as text, ``NAME.bin`` holds their numbers one after another, mostly
of half precision. The few kinds of layers that picture networks consist of are a line of torch
each, so that they run on the processor and on every device that torch has, without Vulkan and
without another library. The layout is that of ncnn's own loader (ncnn, ``src/paramdict.cpp`` and
``src/modelbin.cpp``; ids of parameters: its ``docs/developer-guide/operators.md``).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from marionext.errors import ModelError
from marionext.files import read_bytes, read_text

__all__ = ["NcnnNetwork", "load_ncnn"]

_MAGIC = "7767517"
_HALF = 0x01306B47
"""Before weights of half precision; 0 stands before those of single precision."""
_LONGEST_TEXT = 4 << 20
_MOST_CHANNELS = 4096
_LARGEST_KERNEL = 31
_SMALL = 16
"""Side of the picture that a network's factor is told with."""
_RESIZES = {1: "nearest", 2: "bilinear", 3: "bicubic"}
_HINT = "Marionext reads networks of convolutions that make pictures larger, as Real-ESRGAN's."

Values = Mapping[int, Any]
"""Parameters of a layer by ncnn's numbers: whole or other numbers, or lists of them."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A line of the text."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Values

    def whole(self, number: int, usual: int = 0) -> int:
        """Return a parameter that is a whole number."""
        value = self.values.get(number, usual)
        if not isinstance(value, int):
            raise ModelError(f"layer {self.name}: {number}: expected a whole number, got {value!r}")
        return value


class _Numbers:
    """The file of numbers, read from its beginning."""

    def __init__(self, content: bytes, path: Path) -> None:
        self._content = content
        self._path = path
        self._at = 0

    def _take(self, count: int, kind: str) -> NDArray[Any]:
        size = count * np.dtype(kind).itemsize
        if count < 0 or self._at + size > len(self._content):
            raise ModelError(
                f"{self._path} is too short: expected {self._at + size:,} bytes or more, "
                f"got {len(self._content):,}",
                hint="Fetch it again; it belongs to the .param file of the same name.",
            )
        found = np.frombuffer(self._content, dtype=kind, count=count, offset=self._at)
        self._at += size + -size % 4
        return found

    def plain(self, count: int) -> Tensor:
        """Return numbers of single precision."""
        return torch.from_numpy(self._take(count, "<f4").astype(np.float32))

    def weights(self, count: int) -> Tensor:
        """Return weights, which are preceded by what they are stored as."""
        flag = int(self._take(1, "<u4")[0])
        if flag not in {0, _HALF}:
            raise ModelError(
                f"{self._path}: expected weights of single or half precision, got the mark "
                f"{flag:#010x}",
                hint="Quantised networks are not read; take one that is not.",
            )
        kind = "<f2" if flag == _HALF else "<f4"
        return torch.from_numpy(self._take(count, kind).astype(np.float32))

    def end(self) -> None:
        """Make sure that all of it was read."""
        if self._at != len(self._content):
            raise ModelError(
                f"{self._path}: expected {self._at:,} bytes, got {len(self._content):,}",
                hint="It belongs to another .param file.",
            )


def load_ncnn(param: Path) -> "NcnnNetwork":
    """Read a network.

    Args:
        param: the text; the numbers lie beside it under the same name, with ``.bin``.

    Raises:
        ModelError: a file is missing, cut off, or of a kind that is not run here.
    """
    weights = param.with_suffix(".bin")
    try:
        text = read_text(param, longest=_LONGEST_TEXT)
        content = read_bytes(weights)
    except OSError as error:
        raise ModelError(
            f"{error.filename or param} cannot be read: {error.strerror or error}",
            hint=f"A network in ncnn's form is two files: {param.name} and {weights.name}.",
        ) from None
    except ValueError as error:
        raise ModelError(f"{param}: not ncnn's text: {error}") from None
    try:
        network = NcnnNetwork(_layers(text), _Numbers(content, weights))
        network.factor = _factor(network)
    except ModelError as error:
        raise ModelError(f"{param}: {error.message}", hint=error.hint or _HINT) from None
    except (RuntimeError, KeyError) as error:
        said = str(error).splitlines()[0]
        raise ModelError(f"{param}: its layers do not go together: {said}", hint=_HINT) from None
    return network.eval().requires_grad_(False)


def _layers(text: str) -> list[_Layer]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != [_MAGIC]:
        raise ModelError(f"expected ncnn's text, which begins with {_MAGIC}")
    return [_layer(words) for words in lines[2:]]


def _layer(words: list[str]) -> _Layer:
    try:
        kind, name, taken, given = words[0], words[1], int(words[2]), int(words[3])
        values = dict(map(_value, words[4 + taken + given :]))
    except (IndexError, ValueError):
        raise ModelError(f"expected a layer, got {' '.join(words)[:80]!r}") from None
    outputs = tuple(words[4 + taken : 4 + taken + given])
    return _Layer(kind, name, tuple(words[4 : 4 + taken]), outputs, values)


def _value(word: str) -> tuple[int, Any]:
    """Read ``0=64``, ``1=2.0e+00``, or ``-23310=1,2.0e-01``: a list, headed by its length."""
    key, _, text = word.partition("=")
    number = int(key)
    if number > -23300:
        return number, _number(text)
    return -number - 23300, [_number(each) for each in text.split(",")[1:]]


def _number(text: str) -> float:
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


class NcnnNetwork(nn.Module):
    """Layers in the order of the text; each takes and leaves what it names.

    Args:
        layers: as they were read.
        numbers: of all layers, in their order.
    """

    factor: int = 1
    """How many times larger what it makes is."""

    def __init__(self, layers: list[_Layer], numbers: _Numbers) -> None:
        super().__init__()
        self._steps: list[tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = []
        entry = [layer for layer in layers if layer.kind == "Input"]
        if len(entry) != 1 or not layers[-1].outputs:
            raise ModelError("expected one picture in and one out")
        self._entry, self._exit = entry[0].outputs[0], layers[-1].outputs[0]
        self._weighted = nn.ModuleList()
        for layer in layers:
            if layer.kind == "Input":
                continue
            if layer.kind not in _MADE:
                raise ModelError(
                    f"layer {layer.name} is of the kind {layer.kind}, which is not run here"
                )
            made = _MADE[layer.kind](layer, numbers)
            if isinstance(made, nn.Module):
                self._weighted.append(made)
            self._steps.append((made, layer.inputs, layer.outputs))
        numbers.end()
        self._last_use = {
            name: place for place, (_, inputs, _) in enumerate(self._steps) for name in inputs
        }

    @property
    def reach(self) -> int:
        """Pixels of the picture that convolutions see beyond the pixel they make, at most.

        Of layers one after another; where they branch it is too large, which does no harm.
        """
        return sum(
            max(each.kernel_size) // 2
            for each in self._weighted.modules()
            if isinstance(each, nn.Conv2d)
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Return the larger picture.

        Args:
            picture: (1, 3, h, w) red, green, blue from 0 to 1.
        """
        held = {self._entry: picture}
        for place, (step, inputs, outputs) in enumerate(self._steps):
            made = step(*(held[name] for name in inputs))
            for name in inputs:  # activations are large: they go as soon as nobody needs them
                if self._last_use[name] == place:
                    held.pop(name, None)
            held |= dict.fromkeys(outputs, made)
        return held[self._exit]


def _factor(network: NcnnNetwork) -> int:
    """Return how many times larger a network makes pictures.

    Raises:
        ModelError: it is no network that makes pictures larger.
    """
    with torch.inference_mode():
        made: Tensor = network(torch.zeros(1, 3, _SMALL, _SMALL))
    factor = int(made.shape[-1]) // _SMALL
    if made.shape != (1, 3, factor * _SMALL, factor * _SMALL) or factor < 1:
        raise ModelError(
            f"expected a picture in 3 colours out of one of {_SMALL}x{_SMALL} pixels, got "
            f"{'x'.join(map(str, made.shape[1:]))}"
        )
    return factor


def _convolution(layer: _Layer, numbers: _Numbers) -> nn.Module:
    channels, width = layer.whole(0), layer.whole(1)
    height = layer.whole(11, width)
    total, padding = layer.whole(6), layer.whole(4)
    stride, dilation = layer.whole(3, 1), layer.whole(2, 1)
    area = width * height
    if not (0 < channels <= _MOST_CHANNELS and 0 < width <= _LARGEST_KERNEL
            and 0 < height <= _LARGEST_KERNEL and total > 0 and total % (channels * area) == 0
            and padding >= 0 and stride > 0 and dilation > 0):  # fmt: skip
        raise ModelError(f"layer {layer.name}: expected a convolution, its numbers make none")
    inputs = total // (channels * area)
    made = nn.Conv2d(
        inputs, channels, (height, width), stride=stride, dilation=dilation,
        padding=(layer.whole(14, padding), padding), bias=layer.whole(5) == 1,
    )  # fmt: skip
    made.weight = nn.Parameter(numbers.weights(total).reshape(made.weight.shape))
    if made.bias is not None:
        made.bias = nn.Parameter(numbers.plain(channels))
    return nn.Sequential(made, *_activation(layer))


def _activation(layer: _Layer) -> Iterator[nn.Module]:
    """Yield what ncnn has joined to a convolution, if anything."""
    kind, values = layer.whole(9), layer.values.get(10, [])
    if kind == 0:
        return
    if kind == 1:
        yield nn.ReLU()
    elif kind == 2 and values:
        yield nn.LeakyReLU(float(values[0]))
    elif kind == 4:
        yield nn.Sigmoid()
    else:
        raise ModelError(f"layer {layer.name}: its activation {kind} is not run here")


def _prelu(layer: _Layer, numbers: _Numbers) -> nn.Module:
    count = layer.whole(0)
    if not 0 < count <= _MOST_CHANNELS:
        raise ModelError(f"layer {layer.name}: expected slopes, got {count}")
    made = nn.PReLU(count)
    made.weight = nn.Parameter(numbers.plain(count))
    return made


def _relu(layer: _Layer, _numbers: _Numbers) -> nn.Module:
    return nn.LeakyReLU(float(layer.values.get(0, 0.0)))


def _shuffle(layer: _Layer, _numbers: _Numbers) -> nn.Module:
    if layer.whole(1) != 0:
        raise ModelError(f"layer {layer.name}: its order of pixels is not known here")
    return nn.PixelShuffle(layer.whole(0, 1))


def _resize(layer: _Layer, _numbers: _Numbers) -> Callable[[Tensor], Tensor]:
    kind = _RESIZES.get(layer.whole(0))
    scale = float(layer.values.get(1, 1.0)), float(layer.values.get(2, 1.0))
    if kind is None or layer.whole(6) != 0 or not all(0 < each <= 16 for each in scale):
        raise ModelError(f"layer {layer.name}: its way of resizing is not run here")

    def resize(values: Tensor) -> Tensor:
        size = [round(side * each) for side, each in zip(values.shape[-2:], scale, strict=True)]
        aligned = None if kind == "nearest" else False
        return F.interpolate(values, size=size, mode=kind, align_corners=aligned)

    return resize


def _join(layer: _Layer, _numbers: _Numbers) -> Callable[..., Tensor]:
    if layer.whole(0) != 0:
        raise ModelError(f"layer {layer.name}: joins along another axis than channels")
    return lambda *values: torch.cat(values, dim=1)


def _sum(layer: _Layer, _numbers: _Numbers) -> Callable[..., Tensor]:
    if layer.whole(0) != 1:
        raise ModelError(f"layer {layer.name}: expected a sum")
    factors = layer.values.get(1) or [1.0] * len(layer.inputs)
    if len(factors) != len(layer.inputs):
        raise ModelError(f"layer {layer.name}: expected a factor for each input")

    def weighted(*values: Tensor) -> Tensor:
        total: Tensor = values[0] * factors[0]
        for value, factor in zip(values[1:], factors[1:], strict=True):
            total = total + value * factor
        return total

    return weighted


_PAIRS: dict[int, Callable[..., Tensor]] = {0: torch.add, 1: torch.sub, 2: torch.mul}


def _pair(layer: _Layer, _numbers: _Numbers) -> Callable[..., Tensor]:
    work = _PAIRS.get(layer.whole(0))
    if work is None:
        raise ModelError(f"layer {layer.name}: its operation {layer.whole(0)} is not run here")
    if layer.whole(1) == 0:
        return work
    scalar = float(layer.values.get(2, 0.0))
    if not math.isfinite(scalar):
        raise ModelError(f"layer {layer.name}: expected a number, got {scalar}")
    return lambda values: work(values, scalar)


def _same(_layer: _Layer, _numbers: _Numbers) -> Callable[[Tensor], Tensor]:
    return lambda values: values


_MADE: dict[str, Callable[[_Layer, _Numbers], Callable[..., Any]]] = {
    "BinaryOp": _pair,
    "Concat": _join,
    "Convolution": _convolution,
    "Eltwise": _sum,
    "Interp": _resize,
    "Noop": _same,
    "PReLU": _prelu,
    "PixelShuffle": _shuffle,
    "ReLU": _relu,
    "Split": _same,
}
"""What makes a layer of each kind."""
