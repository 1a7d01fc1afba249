import pytest
import torch
from torch import nn

from marionext.diffusion.ladder import GIB
from marionext.diffusion.memory import Placement, is_out_of_memory
from marionext.errors import DeviceError

NEEDS = {"resident": 20 * GIB, "lean": 7 * GIB, "chunked": 5 * GIB, "streamed": 2 * GIB}
"""Peak bytes of a render on each rung."""


def what_fits(free: int) -> str:
    return f"A smaller picture fits into {free / GIB:.0f} GiB."


@pytest.mark.parametrize(
    ("free", "rung"),
    [(40, "resident"), (7.9, "lean"), (5.9, "chunked"), (3, "chunked")],
)
def test_the_rung_is_chosen_from_what_is_free(
    monkeypatch: pytest.MonkeyPatch, free: float, rung: str
) -> None:
    said: list[str] = []
    placement = Placement(torch.device("cpu"), torch.float16, say=said.append)
    monkeypatch.setattr(placement, "_free", lambda: int(free * GIB))
    placement.settle(NEEDS)
    # The last rung, streaming, is for CUDA alone.
    assert placement.rung.name == rung
    assert len(said) == (0 if rung == "resident" else 1)
    placement.settle(dict.fromkeys(NEEDS, 1))
    assert placement.rung.name == rung  # never up: other work may hold the memory


def test_the_ladder_ends_in_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    placement = Placement(torch.device("cpu"), torch.float16, say=said.append)
    monkeypatch.setattr(placement, "_free", lambda: 2 * GIB)
    for name in ("lean", "chunked"):  # layers only stream to a CUDA device
        placement.step_down("tried to allocate 2 GiB", what_fits)
        assert placement.rung.name == name
    with pytest.raises(DeviceError) as caught:
        placement.step_down("tried to allocate 2 GiB", what_fits)
    assert "tried to allocate" in caught.value.message
    assert "fits" in (caught.value.hint or "")
    assert len(said) == 2


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_every_allocators_words_are_known(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) is memory


def test_networks_at_work_are_on_the_device_and_leave_it_when_memory_is_short() -> None:
    # "meta" stands for a device of its own: what is brought there can be told from what is not.
    placement = Placement(torch.device("meta"), torch.float32)
    first, second = nn.Linear(2, 2), nn.Linear(3, 3)

    def place(network: nn.Module) -> str:
        return next(network.parameters()).device.type

    with placement.at_work(first) as (working,):
        assert working is first
        assert (place(first), place(second)) == ("meta", "cpu")
