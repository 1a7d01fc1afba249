"""Where the networks are, and what is done when the device has too little memory for them.

The rungs of the ladder (`marionext.backends.svd.budget.RUNGS`) trade speed for memory and show the
same picture. The first is chosen from what is free; when the device still runs out, the run goes on
one rung down, and says so.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from marionext.diffusion.ladder import GIB, RUNGS, Rung
from marionext.errors import DeviceError

__all__ = ["Placement", "choose_device", "choose_dtype", "is_out_of_memory", "reproducible"]

logger = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device to work on: CUDA before MPS before the processor.

    Args:
        wanted: ``auto``, ``cuda``, ``mps`` or ``cpu``.

    Raises:
        DeviceError: the wanted device is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if wanted not in present:
        raise DeviceError(f"device: expected auto, cuda, mps or cpu, got {wanted!r}")
    if not present[wanted]:
        raise DeviceError(
            f"device: {wanted} was asked for, but torch {torch.__version__} finds none",
            hint="Choose another device, or install a torch with support for it "
            "(`marionext doctor` tells more).",
        )
    return torch.device(wanted)


def choose_dtype(
    device: torch.device, wanted: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
) -> torch.dtype:
    """Return the number format: half precision on a GPU, single on the processor."""
    if wanted == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    return DTYPES[wanted]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, whichever allocator says so."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text


@contextmanager
def reproducible(*, exact: bool = False) -> Iterator[None]:
    """Have the same input give the same bytes in every run on one machine.

    Args:
        exact: also keep CUDA from rounding float32 products to TF32.
    """
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=not exact
    ):
        yield


class Placement:
    """Device, number format and rung of a bundle's networks."""

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self._say = say or logger.info
        self._rung = 0
        self._working: list[Any] = []
        self._visiting: list[Any] = []
        self._streamed: list[Any] = []

    @property
    def rung(self) -> Rung:
        """The present rung."""
        return RUNGS[self._rung]

    @property
    def _lowest(self) -> int:
        """Index of the last rung: layers stream to CUDA alone, others share the host's memory."""
        return len(RUNGS) - (1 if self.device.type == "cuda" else 2)

    @property
    def number_bytes(self) -> int:
        """Bytes of a number."""
        return self.dtype.itemsize

    def settle(self, needs: Mapping[str, int]) -> None:
        """Go down to the first rung that fits what is free; never up.

        On a device that does not tell what is free, the rung stays.

        Args:
            needs: peak bytes of the work on each rung, by the rung's name.
        """
        free = self._free()
        if free is None:
            return
        free += sum(_bytes(network) for network in self._visiting)
        index = next(
            (index for index in range(self._lowest) if needs[RUNGS[index].name] <= free),
            self._lowest,
        )
        if index > self._rung:
            self._take(index)
            self._say(
                f"{free / GIB:.1f} GiB are free on {self.device}, {needs[RUNGS[0].name] / GIB:.1f} "
                f"would hold everything: {self.rung.summary}."
            )

    def surviving(
        self, work: Callable[[], Outcome], advice: Callable[[int], str | None]
    ) -> Outcome:
        """Do a piece of work, again on a lower rung as often as memory runs out.

        Args:
            work: may be done more than once.
            advice: what would fit into that many bytes, for the error; None: nothing is known.

        Raises:
            DeviceError: memory ran out on the last rung, or the device itself failed.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    if "CUDA error" not in str(error):
                        raise
                    raise DeviceError(
                        f"{self.device} failed: {str(error).splitlines()[0]}",
                        hint="Start again; if it comes back, update the driver or take the "
                        "processor (device cpu).",
                    ) from error
                trouble = str(error)
            self.step_down(trouble, advice)

    def step_down(self, trouble: str, advice: Callable[[int], str | None]) -> None:
        """Go one rung down after memory ran out.

        Call it when the exception is gone: its traceback would hold on to the memory.

        Args:
            trouble: what the allocator said.
            advice: as in `surviving`.

        Raises:
            DeviceError: this was the last rung; its hint says what would fit.
        """
        if self._rung >= self._lowest:
            free = self._free()
            fits = None if free is None else advice(free)
            raise DeviceError(
                f"{self.device} ran out of memory although {self.rung.summary}: {trouble}",
                hint=fits or "Make the picture, the window or the decode chunk smaller.",
            )
        self._take(self._rung + 1)
        self._say(f"{self.device} ran out of memory. Going on more slowly: {self.rung.summary}.")

    @contextmanager
    def at_work(self, *networks: Any) -> Iterator[tuple[Any, ...]]:
        """Have networks on the device for a while, the others away from it if memory is short."""
        self._working = list(networks)
        if not self.rung.resident:
            self._send_home([item for item in self._visiting if item not in networks])
        for network in networks:
            self._bring(network)
        try:
            yield networks
        finally:
            self._working = []

    def _take(self, index: int) -> None:
        self._rung = index
        gc.collect()
        self._send_home([item for item in self._visiting if item not in self._working])
        for network in self._working:
            self._bring(network)
        _empty_cache(self.device)

    def _bring(self, network: Any) -> None:
        if self.rung.chunked and hasattr(network, "enable_forward_chunking"):
            network.enable_forward_chunking(chunk_size=1, dim=0)
        if self.rung.streamed and hasattr(network, "enable_group_offload"):
            if network not in self._streamed:
                network.to("cpu")
                network.enable_group_offload(
                    onload_device=self.device,
                    offload_type="leaf_level",
                    use_stream=self.device.type == "cuda",
                )
                self._streamed.append(network)
                self._visiting = [item for item in self._visiting if item is not network]
            return
        network.to(self.device)
        if network not in self._visiting:
            self._visiting.append(network)

    def _send_home(self, networks: list[Any]) -> None:
        if self.device.type == "cpu":
            return
        for network in networks:
            network.to("cpu")
        self._visiting = [item for item in self._visiting if item not in networks]
        _empty_cache(self.device)

    def _free(self) -> int | None:
        if self.device.type == "cuda":
            free, _total = torch.cuda.mem_get_info(self.device)
            cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(
                self.device
            )
            return int(free + cached)
        if self.device.type == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
        return None


def _bytes(network: nn.Module) -> int:
    return sum(item.numel() * item.element_size() for item in network.parameters())


def _empty_cache(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
