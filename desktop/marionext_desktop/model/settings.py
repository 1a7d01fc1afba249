"""What the user chose about the window: kept beside the caches, never in a project."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from marionext.codec import decode, encode
from marionext.errors import EngineError, SettingsError
from marionext.files import read_json, write_json
from marionext_desktop.model.places import home
from marionext_desktop.model.shortcuts import KeySet

__all__ = ["MOST_RECENT", "UserSettings", "read_settings", "with_recent", "write_settings"]

logger = logging.getLogger(__name__)

MOST_RECENT = 12
"""Projects that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings:
    """The user's choices."""

    theme: Literal["system", "dark", "light"] = "system"
    language: Literal["system", "en", "zh"] = "system"
    key_set: KeySet = "editor"
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys that were changed, by the names of commands."""
    recent: tuple[str, ...] = ()
    """Paths of projects, the one opened last first."""
    keep_rendering: bool = True
    """Whether the queue goes on when the window is closed."""
    started: bool = False
    """Whether the window was open before: the first time it shows the sample project and hints."""
    proxy: bool = True
    """Whether proxies of videos are made."""
    window: str = ""
    """Size and place of the window, in Qt's own form."""
    panels: str = ""
    """Sizes of the panels, as numbers."""


def _file() -> Path:
    return home() / "settings.json"


def read_settings(path: Path | None = None) -> UserSettings:
    """Return the user's choices; what cannot be read is as it is at the beginning.

    Args:
        path: of the file; None: the user's own.
    """
    try:
        content = read_json(path or _file())
    except (OSError, ValueError, EngineError):
        return UserSettings()
    if not isinstance(content, dict):
        return UserSettings()
    # One choice that is no more must not cost all the others.
    known = encode(UserSettings())
    settings = UserSettings()
    for name, value in content.items():
        if name in known:
            try:
                one = decode(UserSettings, {name: value})
            except SettingsError:
                logger.info("%s of the settings is left out", name)
                continue
            settings = replace(settings, **{name: getattr(one, name)})
    return settings


def write_settings(settings: UserSettings, path: Path | None = None) -> None:
    """Keep the user's choices; a disk that is full costs them, and nothing else.

    Args:
        settings: the choices.
        path: of the file; None: the user's own.
    """
    try:
        write_json(path or _file(), encode(settings))
    except (OSError, EngineError) as error:
        logger.warning("the settings cannot be kept: %s", error)


def with_recent(settings: UserSettings, project: Path) -> UserSettings:
    """Return the settings with a project as the one that was opened last."""
    others = [path for path in settings.recent if path != str(project)]
    return replace(settings, recent=(str(project), *others)[:MOST_RECENT])
