"""A graphics card for each worker of this machine: found without torch, held by a lock.

The lock is one of the system's (`marionext.output.FolderLock`): it ends with the worker, however
that ends, and counts for every queue of this user.
"""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marionext.errors import DeviceError, OutputError
from marionext.output import FolderLock
from marionext.presets import home

__all__ = ["CHOSEN", "Gpu", "HeldGpu", "claim_gpu", "list_gpus"]

CHOSEN = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told its cards; who sets it has chosen."""

_FOLDER = "gpus"
_SECONDS_TO_LIST = 30
_CARD = re.compile(r"GPU (\d+): (.+?) \(UUID: (GPU-[0-9A-Za-z-]+)\)")
_PART = re.compile(r"\s+MIG (.+?)\s+Device\s+(\d+): \(UUID: (MIG-[0-9A-Za-z/-]+)\)")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card, or a part of one that is divided (MIG)."""

    name: str
    """For people: ``GPU 0, NVIDIA H100``."""
    uuid: str
    """As CUDA knows it, whatever the order of the cards is."""


@dataclass(frozen=True, slots=True)
class HeldGpu:
    """A card that is this process's until it ends or `release` is called."""

    gpu: Gpu
    lock: FolderLock

    def release(self) -> None:
        """Let another worker have it."""
        self.lock.release()


def list_gpus(command: Sequence[str] = ("nvidia-smi", "-L")) -> tuple[Gpu, ...]:
    """Return the graphics cards that the driver lists; none where there is no driver."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS_TO_LIST, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
    found: list[Gpu] = []
    divided: set[str] = set()
    card = ("", "")
    for line in done.stdout.splitlines():
        if match := _CARD.match(line):
            card = (f"GPU {match[1]}, {match[2]}", match[3])
            found.append(Gpu(*card))
        elif match := _PART.match(line):
            divided.add(card[1])
            found.append(Gpu(f"{card[0]}, MIG {match[1]} {match[2]}", match[3]))
    return tuple(gpu for gpu in found if gpu.uuid not in divided)


def claim_gpu(find: Callable[[], Sequence[Gpu]] = list_gpus) -> HeldGpu | None:
    """Take a card that no other worker of this user has, and have CUDA see no other one.

    To be called before torch is loaded. Nothing is done where the user has chosen already
    (``CUDA_VISIBLE_DEVICES``).

    Args:
        find: returns the cards of this machine.

    Returns:
        The card; None where there is none, or the user has chosen.

    Raises:
        DeviceError: each has a worker already.
    """
    if CHOSEN in os.environ:
        return None
    gpus = find()
    for gpu in gpus:
        try:
            lock = FolderLock(home() / _FOLDER / gpu.uuid.replace("/", "-"))
        except OutputError as error:
            if error.__cause__ is None:
                continue  # another worker has it
            raise
        os.environ[CHOSEN] = gpu.uuid
        return HeldGpu(gpu, lock)
    if not gpus:
        return None
    cards = "the GPU of this machine has" if len(gpus) == 1 else f"all {len(gpus)} GPUs have"
    raise DeviceError(
        f"expected a GPU that no other worker has, {cards} one already",
        hint=f"Say --device cpu for a worker without one, or {CHOSEN}=0 to share the first.",
    )
