"""Damaged and hostile project files: read, or refused in words, and never more than that."""

import json
import random
import time
from pathlib import Path

import pytest
from tests.desktop.model.test_document import start

from marionext.errors import OutputError
from marionext_desktop.model.files import DamagedProjectError, as_text, from_bytes

PROJECT = Path("/somewhere/a.marionext")


def content() -> bytes:
    return as_text(start(), beside=PROJECT.parent).encode()


@pytest.mark.parametrize("seed", range(4))
def test_damage_of_any_kind_is_said_in_words(seed: int) -> None:
    generator = random.Random(seed)
    whole = content()
    for _ in range(250):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            place = generator.randrange(len(damaged))
            match generator.randint(0, 3):
                case 0:
                    damaged[place] = generator.randrange(256)
                case 1:
                    del damaged[place : place + generator.randint(1, 40)]
                case 2:
                    damaged[place:place] = damaged[: generator.randint(1, 60)]
                case _:
                    damaged[place:place] = generator.choice(
                        [b"1e999", b"-1", b"null", b"[]", b"{}", b'"\\ud800"', b"9" * 50, b"true"]
                    )
        told = ""
        try:
            from_bytes(bytes(damaged), PROJECT)
        except OutputError as error:
            told = error.message
        assert not told or "a.marionext" in told


def changed(**changes: object) -> bytes:
    data = json.loads(content())
    return json.dumps(data | changes).encode()


def test_numbers_that_cannot_be_are_refused_at_once() -> None:
    clip = json.loads(content())["clips"][0]
    source = json.loads(content())["sources"][0]
    hostile = [
        changed(clips=[clip | {"count": 10**30}]),
        changed(clips=[clip | {"first": "1/" + "9" * 10_000}]),
        changed(clips=[clip | {"first": "9" * 61}]),
        changed(clips=[clip | {"speed": "1/1000000"}]),
        changed(clips=[clip | {"speed": "0"}]),
        changed(clips=[clip, clip]),
        changed(sources=[source | {"frames": 10**12}]),
        changed(sources=[source | {"path": "a\0b"}]),
        changed(size=[10**9, 10**9]),
        changed(rate="1e99"),
    ]
    started = time.monotonic()
    for each in hostile:
        with pytest.raises(DamagedProjectError):
            from_bytes(each, PROJECT)
    assert time.monotonic() - started < 5
