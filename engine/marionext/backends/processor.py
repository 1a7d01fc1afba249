"""The threads of the processor that a network computes with: bytes depend on how many they are."""

import contextlib
from collections.abc import Iterator

__all__ = ["computing_with", "threads"]


@contextlib.contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Compute with so many threads of the processor meanwhile; None: as many as usual."""
    import torch  # noqa: PLC0415 - slow to load

    usual = torch.get_num_threads()
    torch.set_num_threads(usual if threads is None else threads)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def threads() -> int:
    """Return how many threads a network computes with as usual."""
    import torch  # noqa: PLC0415 - slow to load

    return int(torch.get_num_threads())
