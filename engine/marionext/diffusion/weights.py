"""Read weights into a network, and say exactly what is wrong with those of another one.

Only safetensors are loaded. The authors' pickled files are opened once, without executing anything
in them (``weights_only``), and kept as safetensors from then on.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from marionext.errors import ModelError, OutputError
from marionext.files import replacing

__all__ = ["DAMAGED", "as_safetensors", "fill", "find_weights"]

DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
"""What `torch.load` raises on damaged files, as some thousands of them showed."""

SHOWN = 4
"""How many names of each kind a message lists."""

IGNORED = (".embeddings.position_ids",)
"""Ends of names that older files hold and newer networks compute themselves."""


def find_weights(folder: Path, stems: Iterable[str], *, half: bool) -> Path:
    """Return the first weight file that is there.

    Args:
        folder: where to look.
        stems: names without suffix, the preferred one first.
        half: whether a half-precision variant is preferred.

    Raises:
        ModelError: there is none.
    """
    variants = (".fp16", "") if half else ("", ".fp16")
    tried = []
    for stem in stems:
        for suffix in (".safetensors", ".bin"):
            for variant in variants:
                path = folder / f"{stem}{variant}{suffix}"
                if path.is_file():
                    return path
                tried.append(path.name)
    raise ModelError(
        f"{folder}: no weights; looked for {', '.join(tried)}",
        hint="`marionext models check` tells what a bundle needs.",
    )


def fill(
    network: nn.Module, path: Path, dtype: torch.dtype, increments: Sequence[Path] = ()
) -> None:
    """Load a safetensors file into a network that was made on the meta device.

    Args:
        network: has no values yet.
        path: the file; it may hold any float format.
        dtype: format the values take on.
        increments: files of W - W_base for some of the tensors, added in float32, in order.

    Raises:
        ModelError: the file is damaged, or is not the weights of such a network; the message names
            what differs.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    values: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.endswith(IGNORED)]  # noqa: SIM118
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            check_same(path, expected, found)
            changes = _sum(increments, expected)
            for name in names:
                value = file.get_tensor(name)
                if name in changes:
                    value = value.float() + changes[name]
                # A copy even where the format stays: a tensor still mapped to the file lies at odd
                # addresses, which some kernels answer with another rounding, and would die with it.
                values[name] = value.to(dtype if value.is_floating_point() else None, copy=True)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a complete safetensors file: {error}",
            hint="Fetch the file again.",
        ) from None
    network.load_state_dict(values, assign=True)


def _sum(paths: Sequence[Path], expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Add up increments, each file of which names some of the network's weights, in float32."""
    changes: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                found = {
                    name: tuple(file.get_slice(name).get_shape())
                    for name in file.keys()  # noqa: SIM118 - the file is no mapping
                }
                # Increments of some weights only: those that are not there stay as they are.
                check_same(
                    path, {name: expected[name] for name in found if name in expected}, found
                )
                for name in found:
                    increment = file.get_tensor(name).to(torch.float32, copy=True)
                    changes[name] = changes[name] + increment if name in changes else increment
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path}: not a complete safetensors file: {error}",
                hint="Copy it again, or train again from the last checkpoint.",
            ) from None
    return changes


def check_same(
    path: Path,
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
) -> None:
    """Compare names and shapes.

    Raises:
        ModelError: they differ; the first few of each kind are named.
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    other = [
        f"{name} (expected {_shape(shape)}, found {_shape(found[name])})"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    parts = [
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", other),
        )
        if names
    ]
    if parts:
        raise ModelError(
            f"{path}: these are not the weights of this network; {'; '.join(parts)}",
            hint="The file belongs to another model or another version of it. "
            "See which files a bundle needs with `marionext models check`.",
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def as_safetensors(
    path: Path, expected: Mapping[str, tuple[int, ...]], *, spare: Path | None = None
) -> Path:
    """Return a safetensors file with the values of ``path``, converting a pickled file once.

    Args:
        path: ``.safetensors``, returned as it is, or a pickled dictionary of tensors.
        expected: names and shapes that the file must hold; nothing is written otherwise.
        spare: folder for the converted file when that of ``path`` cannot be written.

    Raises:
        ModelError: the file is damaged, holds more than tensors, other weights, or there is no
            place to write.
    """
    if path.suffix == ".safetensors":
        return path
    status = path.stat()
    mark = f"{path.name} {status.st_size} {status.st_mtime_ns}"
    places = [path.parent, *([spare] if spare else [])]
    for place in places:
        target = place / f"{path.stem}.converted.safetensors"
        if target.is_file() and _mark(target) == mark:
            return target
    values = _unpickle(path)
    check_same(path, expected, {name: tuple(value.shape) for name, value in values.items()})
    failures = []
    for place in places:
        target = place / f"{path.stem}.converted.safetensors"
        try:
            place.mkdir(parents=True, exist_ok=True)
            _write(target, values, mark, status.st_mode & 0o777)
        except (OSError, OutputError, SafetensorError) as error:
            failures.append(f"{place}: {error}")
        else:
            return target
    raise ModelError(
        f"{path}: the converted weights could not be written ({'; '.join(failures)})",
        hint="Free some disk space, or make one of the folders writable.",
    )


def _unpickle(path: Path) -> dict[str, Tensor]:
    try:
        # Only the newer form, a zip, can be mapped; the older one is read into memory.
        with warnings.catch_warnings():
            # torch warns of pickles it then refuses; the refusal is what the user needs.
            warnings.simplefilter("ignore")
            values = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except DAMAGED as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: not a file of weights, or damaged: {first}",
            hint="Fetch the file again, from the model's own page.",
        ) from None
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in values.items()
    ):
        raise ModelError(f"{path}: expected a dictionary of tensors, got something else")
    return {name: value for name, value in values.items() if not name.endswith(IGNORED)}


def _write(target: Path, values: dict[str, Tensor], mark: str, mode: int) -> None:
    """Write beside the target and rename, so that a half-written file never bears its name.

    Args:
        target: the file's place and name.
        values: what it holds.
        mark: tells which file it was made from.
        mode: its permissions; safetensors would leave it to its owner alone.
    """
    with replacing(target) as temporary:
        save_file(
            {key: value.clone().contiguous() for key, value in values.items()},
            temporary,
            metadata={"source": mark},
        )
        temporary.chmod(mode)


def _mark(path: Path) -> str | None:
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("source")
    except (SafetensorError, OSError):
        return None
