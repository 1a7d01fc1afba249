import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from tests.desktop.media import number_of, write_video

from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext_desktop.model import pictures as pictures_module
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.pictures import PictureCache, PictureKey, Pictures
from marionext_desktop.model.project import Source
from marionext_desktop.model.proxies import (
    PIECE_FRAMES,
    Proxies,
    make_piece,
    piece_file,
    proxy_folder,
)

SIZE = (320, 240)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("media") / "clip.mp4", 600)


@pytest.fixture
def source(video: Path) -> Source:
    found = look_at(str(video)).source
    assert found is not None
    assert (found.frames, str(found.rate), found.size) == (600, "30", SIZE)
    return found


def shown(pictures: Pictures, source: Source, frame: int, qtbot: QtBot) -> int:
    if not pictures.want([(source, frame)]):
        qtbot.waitUntil(lambda: pictures.get(source, frame) is not None, timeout=20_000)
    picture = pictures.get(source, frame)
    assert picture is not None
    return number_of(picture[..., :3], SIZE)


def test_any_frame_is_the_one_that_was_asked_for(source: Source, qtbot: QtBot) -> None:
    pictures = Pictures()
    for frame in (0, 599, 3, 4, 5, 300, 251, 249, 598, 1):
        assert shown(pictures, source, frame, qtbot) == frame
    pictures.close()


def test_frames_of_a_proxy_are_the_same(source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    proxies = Proxies(root=tmp_path)
    with qtbot.waitSignals([proxies.made] * 3, timeout=60_000):
        proxies.look_at(source, 300)
    assert proxies.cached(source) == (FrameRange(0, 600),)
    assert proxies.pieces(source) == {0, 1, 2}
    pictures = Pictures(proxies)
    order = list(range(0, 600, 7))
    random.Random(1).shuffle(order)
    slowest = 0.0
    for frame in order:
        started = time.perf_counter()
        assert shown(pictures, source, frame, qtbot) == frame
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1.0
    pictures.close()
    proxies.close()


def test_pieces_near_the_playhead_come_first(source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    proxies = Proxies(root=tmp_path)
    made: list[int] = []
    proxies.made.connect(lambda _source, piece: made.append(piece))
    proxies.look_at(source, 250)
    qtbot.waitUntil(lambda: len(made) == 3, timeout=60_000)
    assert made == [1, 2, 0]
    proxies.close()
    again = Proxies(root=tmp_path)  # another window finds them
    assert again.has(source, 599)
    again.close()


def test_a_damaged_piece_is_passed_over(source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    file = piece_file(proxy_folder(source, tmp_path), 0)
    assert make_piece(source.path, 0, str(file)) == PIECE_FRAMES
    file.write_bytes(b"no video")
    proxies = Proxies(root=tmp_path)
    proxies.pause(True)
    pictures = Pictures(proxies)
    assert shown(pictures, source, 17, qtbot) == 17
    assert not proxies.has(source, 17)
    pictures.close()
    proxies.close()


def test_the_newest_request_wins(source: Source, qtbot: QtBot) -> None:
    pictures = Pictures()
    ready: list[PictureKey] = []
    pictures.ready.connect(ready.append)
    for frame in range(0, 590, 10):
        pictures.want([(source, frame)])
    assert shown(pictures, source, 595, qtbot) == 595
    qtbot.wait(100)
    assert ready[-1] == PictureKey(source.path, 595)
    assert len(ready) < 15
    pictures.close()


def test_an_idle_loader_reads_ahead(source: Source, qtbot: QtBot) -> None:
    pictures = Pictures()
    pictures.want([(source, 10)], ahead=[(source, frame) for frame in range(11, 20)])
    qtbot.waitUntil(lambda: pictures.get(source, 19) is not None, timeout=20_000)
    assert pictures.want([(source, 15)])
    pictures.close()


def test_what_cannot_be_read_is_told_once(source: Source, tmp_path: Path, qtbot: QtBot) -> None:
    from dataclasses import replace

    pictures = Pictures()
    gone = replace(source, path=str(tmp_path / "gone.mp4"))
    with qtbot.waitSignal(pictures.failed, timeout=10_000) as told:
        pictures.want([(gone, 3)])
    assert isinstance(told.args[1], EngineError)
    assert pictures.problem(PictureKey(gone.path, 3)) is told.args[1]
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    key = pictures.key_of_file(tmp_path / "a.png")
    with qtbot.waitSignal(pictures.ready):
        pictures.want(files=[key])
    picture = pictures.get_file(key)
    assert picture is not None
    assert picture[0, 0].tolist() == [0, 0, 255, 255]
    pictures.close()


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = PictureCache(limit=10 * 64)
    keys = [PictureKey("v", frame) for frame in range(20)]
    for key in keys:
        cache.put(key, np.zeros((4, 4, 4), np.uint8))
        cache.get(keys[0])
    assert cache.size <= 640
    assert cache.get(keys[0]) is not None
    assert cache.get(keys[1]) is None
    assert len(cache) == 10
    cache.put(keys[0], np.zeros((4, 4, 4), np.uint8))
    assert cache.size == 640


def test_a_decoder_that_is_not_used_is_let_go_and_opened_again(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "_REST_SECONDS", 0.05)
    source = look_at(str(write_video(tmp_path / "a.mp4", 30))).source
    assert source is not None
    pictures = Pictures()
    try:
        for frame in (20, 11):
            pictures.want([(source, frame)])
            qtbot.waitUntil(lambda frame=frame: pictures.get(source, frame) is not None)
            shown = pictures.get(source, frame)
            assert shown is not None
            assert number_of(shown[..., :3], (320, 240)) == frame
            qtbot.waitUntil(lambda: not pictures._reader.decoding)
    finally:
        pictures.close()
