"""The sample project: the bundled dance and the bundled character."""

from marionext import presets

__all__ = ["sample_files"]


def sample_files() -> list[str]:
    """Return the paths of the files that the sample project is made of."""
    return [
        str(presets.folder("motions") / "dance.bvh"),
        str(presets.folder("characters") / "hero.png"),
    ]
