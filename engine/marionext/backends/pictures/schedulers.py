"""Any of diffusers' schedulers by its name, on the noise levels that a base was trained with."""

import difflib
from typing import Any

from marionext.errors import ModelError, SettingsError

__all__ = ["make_scheduler", "scheduler_names"]

_ENDS = ("Scheduler", "Discrete", "Multistep")
_FLOW = "FlowMatch"
_OTHER_NOISE = "EDM"
"""Diffusers takes them for compatible, but their noise levels are none that a base here has."""


def scheduler_names() -> dict[str, str]:
    """Return the classes of diffusers' schedulers by their short names: ``euler``, ``unipc``."""
    import diffusers  # noqa: PLC0415 - slow to load

    found: dict[str, str] = {}
    for name in dir(diffusers):
        # Flax's are for another library; a mixin is none.
        if name.endswith("Scheduler") and "Flax" not in name:
            found.setdefault(_short(name), name)
    return found


def _short(name: str) -> str:
    for end in _ENDS:
        name = name.removesuffix(end)
    return name.lower()


def make_scheduler(config: dict[str, Any], name: str | None) -> Any:
    """Return a new scheduler.

    Args:
        config: that of the base's own.
        name: of a class of diffusers, or its short form in any case; None: the base's own.

    Raises:
        SettingsError: there is none of this name, or it does not go with the base.
        ModelError: the base's own is not known.
    """
    import diffusers  # noqa: PLC0415

    own = config.get("_class_name", "")
    known = scheduler_names()
    if own not in known.values():
        raise ModelError(
            f"the base's scheduler {own!r} is none of diffusers {diffusers.__version__}"
        )
    wanted = own if name is None else known.get(_short(name.strip().replace("-", "")))
    if wanted is None:
        near = difflib.get_close_matches(_short(str(name)), known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise SettingsError(
            f"scheduler: diffusers has none called {name!r}",
            hint=f"{hint}There are: {', '.join(sorted(known))}.",
        )
    if wanted != own:
        _refuse_other(own, wanted)
    try:
        scheduler = getattr(diffusers, wanted).from_config(
            # Latents reach beyond -1 to 1, where some schedulers would cut them off as pixels.
            {key: value for key, value in config.items() if not key.startswith("_")}
            | {"clip_sample": False}
        )
    except (ImportError, TypeError, ValueError, NotImplementedError) as error:
        first = next(line for line in str(error).splitlines() if line.strip())
        raise SettingsError(f"scheduler: {wanted} cannot be used here: {first.strip()}") from None
    return scheduler


def _refuse_other(own: str, wanted: str) -> None:
    """Make sure that a scheduler goes with a base: noise is added or flows, and neither is both.

    Raises:
        SettingsError: it does not.
    """
    import diffusers  # noqa: PLC0415

    if _FLOW in own:
        fits = {name for name in scheduler_names().values() if _FLOW in name and "LCM" not in name}
    else:
        compatible = getattr(diffusers, own).from_config({}).compatibles
        fits = {each.__name__ for each in compatible if _OTHER_NOISE not in each.__name__}
    if wanted not in fits:
        raise SettingsError(
            f"scheduler: {wanted} does not go with a base that was trained with {own}",
            hint=f"These do: {', '.join(sorted(map(_short, fits)))}.",
        )
