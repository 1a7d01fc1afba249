"""Names of a package that are imported when they are first used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load_name"]


def load_name(
    package: str, name: str, places: Mapping[str, tuple[str, ...]], known: dict[str, Any]
) -> Any:
    """Import a name from the module that holds it: what a package's ``__getattr__`` returns.

    Args:
        package: its name.
        name: what is asked for.
        places: the names that each of the package's modules gives.
        known: the package's ``globals()``; the name is kept there for the next time.

    Raises:
        AttributeError: none of the modules gives it.
    """
    home = next((module for module, names in places.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    known[name] = value = getattr(import_module(f"{package}.{home}"), name)
    return value
