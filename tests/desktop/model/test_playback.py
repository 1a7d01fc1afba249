from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from marionext.frames import FrameRate
from marionext_desktop.model import editing
from marionext_desktop.model.document import Document
from marionext_desktop.model.playback import Fill, NoSound, Player, SoundCard
from marionext_desktop.model.project import Project, Source
from marionext_desktop.model.sound import SAMPLE_RATE


class Card:
    """A sound card whose samples go by when the test says so."""

    silent = False

    def __init__(self) -> None:
        self.fill: Fill | None = None
        self.samples = 0.0

    def start(self, fill: Fill) -> None:
        self.fill, self.samples = fill, 0.0

    def stop(self) -> None:
        self.fill = None

    def taken(self) -> float:
        return self.samples

    def close(self) -> None:
        self.fill = None


def document(frames: int = 90, rate: str = "30000/1001") -> Document:
    source = Source(
        id="s", path="/v.mp4", kind="video", name="v", frames=frames, size=(64, 64), sound=True,
        rate=FrameRate(Fraction(rate)),
    )  # fmt: skip
    project = editing.add_source(Project(), source)
    return Document(editing.append(project, editing.whole_clip(project, "s")))


@pytest.fixture
def card() -> Card:
    return Card()


@pytest.fixture
def player(card: Card, qtbot: QtBot) -> Player:
    del qtbot
    return Player(document(), output=card)


def go_on(player: Player, card: Card, samples: float) -> int:
    card.samples = samples
    player._tick()
    return player.frame


def test_the_frame_is_reckoned_from_the_samples_exactly(player: Player, card: Card) -> None:
    shown: list[int] = []
    player.frame_changed.connect(shown.append)
    player.play()
    for frame in range(1, 60):
        first = -(-frame * 1001 * SAMPLE_RATE // 30_000)  # the first sample of a frame
        assert go_on(player, card, first - 1) == frame - 1
        assert go_on(player, card, first) == frame
    assert shown == list(range(1, 60))
    assert player.dropped == 0


def test_frames_that_are_passed_over_are_counted(player: Player, card: Card) -> None:
    told: list[int] = []
    player.dropped_changed.connect(told.append)
    player.play()
    go_on(player, card, 1602)
    go_on(player, card, 1602 * 5)
    assert player.frame == 5
    assert player.dropped == 3
    assert told == [0, 3]
    player.stop()
    player.play()
    assert player.dropped == 0


def test_it_stops_at_the_end_and_begins_again(player: Player, card: Card) -> None:
    player.play()
    assert go_on(player, card, 10 * SAMPLE_RATE) == 89
    assert not player.playing
    player.toggle()
    assert (player.frame, player.playing) == (0, True)
    player.toggle()
    assert card.fill is None


def test_a_loop_goes_round_between_the_marks(player: Player, card: Card) -> None:
    doc = player._document
    doc.do("Mark", editing.set_mark_out(editing.set_mark_in(doc.project, 10), 19))
    player.loop = True
    player.play()
    assert player.frame == 10
    assert go_on(player, card, SAMPLE_RATE * 9.2 * 1001 / 30_000) == 19
    assert go_on(player, card, SAMPLE_RATE * 10.1 * 1001 / 30_000) == 10
    assert player.playing


def test_j_k_l(player: Player, card: Card) -> None:
    told: list[int] = []
    player.speed_changed.connect(told.append)
    player.go_to(40)
    for _ in range(5):
        player.shuttle(1)
    assert told == [1, 2, 4, 8]
    player.shuttle(-1)
    player.stop()
    player.shuttle(-1)
    assert told == [1, 2, 4, 8, 4, 0, -1]
    here = player.frame
    assert go_on(player, card, 1602 * 3) == here - 3
    player.shuttle(1)
    assert not player.playing


def test_the_playhead_stays_within_the_sequence(player: Player) -> None:
    player.go_to(1000)
    assert player.frame == 89
    player.step(5)
    assert player.frame == 89
    player.step(-200)
    assert player.frame == 0
    doc = player._document
    player.go_to(80)
    doc.do("Trim", editing.trim(doc.project, doc.project.clips[0].id, "end", -40))
    assert player.frame == 49


def test_what_is_heard_follows_the_document(qtbot: QtBot, card: Card) -> None:
    doc = document(rate="30")
    time = np.arange(4 * SAMPLE_RATE)
    ramp = (time // SAMPLE_RATE * 8000).astype(np.int16)
    player = Player(doc, output=card, sounds=lambda: {"s": np.stack([ramp, ramp], 1)})
    player.go_to(30)
    player.play()
    assert card.fill is not None
    assert card.fill(0, 100)[50, 0] == pytest.approx(8000 / 32768)
    assert card.fill(SAMPLE_RATE, 100)[50, 0] == pytest.approx(16000 / 32768)
    name = doc.project.clips[0].id
    doc.do("Quiet", editing.set_volume(doc.project, name, 0.5))
    assert card.fill(0, 100)[50, 0] == pytest.approx(4000 / 32768)
    player.muted = True
    assert not card.fill(0, 100).any()
    player.muted = False
    player.play(-1)
    heard = card.fill(0, SAMPLE_RATE // 2)
    assert heard[-1, 0] == pytest.approx(0, abs=1e-3)
    player.stop()


@pytest.mark.parametrize("kind", [SoundCard, NoSound])
def test_without_a_sound_card_it_plays_in_silence(kind: type, qtbot: QtBot) -> None:
    output = kind()
    player = Player(document(rate="30"), output=output)
    try:
        if kind is SoundCard and not output.silent:
            pytest.skip("this machine has a sound card")
        player.play()
        qtbot.waitUntil(lambda: player.frame >= 15, timeout=5000)
        player.stop()
        here = player.frame
        qtbot.wait(100)
        assert player.frame == here
    finally:
        player.close()


def test_playing_nothing_does_nothing(qtbot: QtBot, card: Card) -> None:
    player = Player(Document(replace(Project())), output=card)
    player.play()
    assert not player.playing
    assert card.fill is None
