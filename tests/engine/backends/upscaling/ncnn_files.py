"""Networks in ncnn's form, made at once."""

import struct
from pathlib import Path

import numpy as np

HALF = 0x01306B47


class Writer:
    """Writes a network layer by layer."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.lines = ["Input in 0 1 data"]
        self.numbers = b""

    def convolution(self, name, source, target, inputs, outputs, more="", *, half=True, scale=0.1):
        weights = self.rng.normal(0, scale, (outputs, inputs, 3, 3)).astype(np.float32)
        bias = self.rng.normal(0, scale, outputs).astype(np.float32)
        self.lines.append(
            f"Convolution {name} 1 1 {source} {target} 0={outputs} 1=3 4=1 5=1 6={weights.size}"
            + more
        )
        stored = weights.astype(np.float16) if half else weights
        self.numbers += struct.pack("<I", HALF if half else 0) + stored.tobytes()
        self.numbers += b"\0" * (-len(stored.tobytes()) % 4) + bias.tobytes()
        return stored.astype(np.float32), bias

    def slopes(self, name, source, target, count):
        slopes = self.rng.uniform(0, 0.5, count).astype(np.float32)
        self.lines.append(f"PReLU {name} 1 1 {source} {target} 0={count}")
        self.numbers += slopes.tobytes()
        return slopes

    def line(self, text):
        self.lines.append(text)

    def write(self, param: Path) -> Path:
        param.write_text("\n".join(["7767517", f"{len(self.lines)} 99", *self.lines]) + "\n")
        param.with_suffix(".bin").write_bytes(self.numbers)
        return param


def make_network(param: Path, *, depth=3, channels=8, seed=0) -> Path:
    """Write one of the build of Real-ESRGAN's small networks, twice as large, of random numbers."""
    made = Writer(seed)
    made.line("Split split 1 2 data data_0 data_1")
    name, count = "data_1", 3
    for place in range(depth):
        made.convolution(f"c{place}", name, f"x{place}", count, channels)
        made.slopes(f"p{place}", f"x{place}", f"y{place}", channels)
        name, count = f"y{place}", channels
    made.convolution("last", name, "z", count, 12)
    made.line("PixelShuffle shuffle 1 1 z shuffled 0=2")
    made.line("Interp resize 1 1 data_0 larger 0=1 1=2.0e+00 2=2.0e+00")
    made.line("BinaryOp add 2 1 shuffled larger output")
    return made.write(param)
