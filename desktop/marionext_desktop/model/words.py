"""The window's words in the language that was chosen.

English is what stands in the code; other languages are tables from the English. What a table lacks
is shown in English; a test tells what that is.
"""

import locale
from typing import Literal

__all__ = ["LANGUAGES", "Language", "language", "say", "say_name", "system_language", "use"]

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "zh": "中文"}
"""Languages there are, each by its own name."""

_state: dict[str, Language] = {"language": "en"}


def use(chosen: Language) -> None:
    """Say everything in a language from now on; a window that is open keeps its words."""
    _state["language"] = chosen


def language() -> Language:
    """Return the language that is spoken."""
    return _state["language"]


def system_language() -> Language:
    """Return the language of the system, English if there is no table for it."""
    spoken = (locale.getlocale()[0] or "").lower()
    return "zh" if spoken.startswith(("zh", "chinese")) else "en"


def say(words: str, /, **values: object) -> str:
    """Return words in the language that is spoken.

    Args:
        words: in English; ``{name}`` stands for a value.
        values: what stands in it.
    """
    if _state["language"] == "zh":
        from marionext_desktop.model.chinese import CHINESE  # noqa: PLC0415 - most never need it

        words = CHINESE.get(words, words)
    return words.format(**values) if values else words


def say_name(name: str) -> str:
    """Return a name in the language that is spoken; a number at its end stays: ``Face 12``."""
    words = name.rstrip("0123456789").rstrip()
    return say(words) + name[len(words) :]
