"""The networks, where they are installed, and somebody whom they recognise."""

import numpy as np
import pytest
from PIL import Image

from marionext import presets
from marionext.capture.models import locate_models
from marionext.errors import ModelError


@pytest.fixture(scope="session")
def networks() -> None:
    """Skip where the detector's networks are not installed."""
    try:
        locate_models()
    except ModelError as error:
        pytest.skip(f"{error.message} ({error.hint})")


@pytest.fixture(scope="session")
def hero() -> np.ndarray:
    """The bundled character, in which the detector recognises a person."""
    path = presets.folder("characters") / "hero.png"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return np.asarray(Image.open(path).convert("RGB"))
