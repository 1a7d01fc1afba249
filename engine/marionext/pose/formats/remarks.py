"""What was noticed in reading a file: each thing once, with how often and where first."""

from collections.abc import Callable

__all__ = ["Remarks"]


class Remarks:
    """Counts what is left out of a file, so that one word tells of a thousand frames."""

    def __init__(self) -> None:
        """Begin with nothing noticed."""
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str) -> None:
        """Take note of something.

        Args:
            what: the same words for the same thing.
            where: file, frame and person.
        """
        count, first = self._found.get(what, (0, where))
        self._found[what] = (count + 1, first)

    @property
    def texts(self) -> list[str]:
        """All of it, a sentence each."""
        return [
            f"{what} ({'once' if count == 1 else f'{count} times, first'} in {first})"
            for what, (count, first) in self._found.items()
        ]

    def tell(self, say: Callable[[str], None]) -> None:
        """Say all of it, a sentence each."""
        for text in self.texts:
            say(text)
