"""The clock of the window: which frame is shown now, and what is heard.

Sound drives it. What is shown is reckoned from the samples that were handed to the sound card, in
whole numbers, so picture and sound never drift; between two of the card's questions the system's
own clock goes on, never backwards and never past what was handed over. A computer without a sound
card plays in silence by the same rules, and one without the library by its own clock.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from math import floor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from marionext_desktop.model.document import Document
from marionext_desktop.model.project import Project
from marionext_desktop.model.sound import SAMPLE_RATE, Pcm, mix

__all__ = ["SPEEDS", "NoSound", "Output", "Player", "SoundCard"]

logger = logging.getLogger(__name__)

SPEEDS = (1, 2, 4, 8)
"""Of the shuttle: each press of L (or J) is one faster."""
_TICK_MS = 4
_BUFFER_MS = 40

Fill = Callable[[int, int], NDArray[np.float32]]
"""Gives (count, 2) samples from one that was counted since the start."""


class Output(Protocol):
    """Something that takes samples at their pace."""

    silent: bool
    """Whether nothing can be heard of it."""

    def start(self, fill: Fill) -> None:
        """Begin to take samples; the count begins with 0."""

    def stop(self) -> None:
        """Take no more."""

    def taken(self) -> float:
        """Return how many samples have been heard since the start; never falls."""

    def close(self) -> None:
        """Give the device back."""


class SoundCard:
    """The computer's sound card by miniaudio; its stand-in without one."""

    def __init__(self) -> None:
        """Open the card.

        Raises:
            OSError: the library is missing, or not even its stand-in can be opened.
        """
        try:
            import miniaudio  # noqa: PLC0415 - optional
        except ImportError as error:
            raise OSError(f"no sound library: {error}") from None
        self._lock = threading.Lock()
        self._fill: Fill | None = None
        self._given = self._block = 0
        self._at = 0.0
        self._last = 0.0
        settings = {
            "output_format": miniaudio.SampleFormat.FLOAT32,
            "nchannels": 2,
            "sample_rate": SAMPLE_RATE,
            "buffersize_msec": _BUFFER_MS,
        }
        silence = {"backends": [miniaudio.Backend.NULL]}
        try:
            # Where there is no card, ALSA would complain at length about that.
            there = {} if _may_have_a_card() else silence
            self._device = miniaudio.PlaybackDevice(**settings, **there)
        except miniaudio.MiniaudioError:
            try:
                self._device = miniaudio.PlaybackDevice(**settings, **silence)
            except miniaudio.MiniaudioError as error:
                raise OSError(f"no sound: {error}") from None
        self.silent = str(self._device.backend).casefold() == "null"
        """Whether it is the stand-in of a computer without a sound card."""
        self._stream = self._samples()
        next(self._stream)
        self._device.start(self._stream)

    def _samples(self) -> "Generator[bytes, int, None]":
        """Hand samples over, on the card's own thread."""
        wanted = yield b""
        while True:
            with self._lock:
                fill, at = self._fill, self._given
            block: NDArray[np.float32] | None = None
            if fill is not None:
                try:
                    block = fill(at, wanted)
                except Exception:
                    logger.exception("sound could not be mixed")
            with self._lock:
                if fill is not None and fill is self._fill:
                    self._given, self._block = at + wanted, wanted
                    self._at = time.monotonic()
            if block is None:
                wanted = yield bytes(wanted * 8)
            else:
                wanted = yield block.astype(np.float32).tobytes()

    def start(self, fill: Fill) -> None:
        """Begin to take samples."""
        with self._lock:
            self._given = self._block = 0
            self._last, self._at = 0.0, time.monotonic()
            self._fill = fill

    def stop(self) -> None:
        """Take no more; the card stays open and is given silence."""
        with self._lock:
            self._fill = None

    def taken(self) -> float:
        """Return how many samples have been heard."""
        with self._lock:
            going_on = (time.monotonic() - self._at) * SAMPLE_RATE
            now = min(float(self._given), self._given - self._block + going_on)
            self._last = max(self._last, now)
            return self._last

    def close(self) -> None:
        """Give the card back; its thread has ended when this returns."""
        self.stop()
        with contextlib.suppress(Exception):
            self._device.close()


def _may_have_a_card() -> bool:
    """Tell whether it is worth looking for a sound card: on Linux, a card or a sound server."""
    if not sys.platform.startswith("linux"):
        return True
    if os.environ.get("PULSE_SERVER"):
        return True
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if any((runtime / name).exists() for name in ("pulse/native", "pipewire-0")):
        return True
    try:
        return "[" in Path("/proc/asound/cards").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


class NoSound:
    """The system's own clock, for a computer that cannot even be silent."""

    silent = True

    def __init__(self) -> None:
        """Stand still."""
        self._started: float | None = None

    def start(self, fill: Fill) -> None:
        """Begin to count."""
        del fill
        self._started = time.monotonic()

    def stop(self) -> None:
        """Stand still."""
        self._started = None

    def taken(self) -> float:
        """Return how many samples would have been heard."""
        return 0.0 if self._started is None else (time.monotonic() - self._started) * SAMPLE_RATE

    def close(self) -> None:
        """Nothing is held."""


class Player(QObject):
    """The playhead."""

    frame_changed = Signal(int)
    """The frame that is shown now."""
    playing_changed = Signal(bool)
    speed_changed = Signal(int)
    """Of the shuttle: 1 is normal, negative backwards, 0 stands."""
    dropped_changed = Signal(int)
    """How many frames were passed over since playing began."""

    def __init__(
        self,
        document: Document,
        *,
        sounds: Callable[[], Mapping[str, Pcm]] | None = None,
        output: Output | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Stand on the first frame.

        Args:
            document: what is played.
            sounds: gives decoded sound by source; None: it is silent.
            output: None: the sound card is opened when something is played first.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._document = document
        self._sounds = sounds or dict
        self._output = output
        self._frame = 0
        self._speed = 0
        self._start_frame = 0
        self._shown = 0
        self._dropped = 0
        self.loop = False
        """Whether the range between the marks is played again and again."""
        self.muted = False
        self._timer = QTimer(self, timerType=Qt.TimerType.PreciseTimer, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        document.changed.connect(self._follow)

    # ------------------------------------------------------------------------------------ place

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return self._frame

    @property
    def last(self) -> int:
        """The last frame that there is."""
        return max(0, self._document.project.length - 1)

    def go_to(self, frame: int) -> None:
        """Show a frame; playing goes on from there."""
        frame = min(max(frame, 0), self.last)
        if self._speed:
            self._begin(frame, self._speed)
        self._show(frame)

    def step(self, frames: int) -> None:
        """Stop, and go on by some frames."""
        self.stop()
        self.go_to(self._frame + frames)

    # ----------------------------------------------------------------------------------- playing

    @property
    def playing(self) -> bool:
        """Whether it is played, either way."""
        return self._speed != 0

    @property
    def speed(self) -> int:
        """Of the shuttle."""
        return self._speed

    @property
    def dropped(self) -> int:
        """Frames that were passed over since playing began."""
        return self._dropped

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard: there is no sound card."""
        return self._output is None or self._output.silent

    def toggle(self) -> None:
        """Play, or stop."""
        if self._speed:
            self.stop()
        else:
            self.play()

    def play(self, speed: int = 1) -> None:
        """Play from the playhead on, from the start again where it stands at the end."""
        if not self._document.project.length:
            return
        self._open_output()
        low, high = self._bounds()
        frame = self._frame
        if (speed > 0 and frame >= high) or frame < low or frame > high:
            frame = low if speed > 0 else high
        if speed < 0 and frame <= low:
            frame = high
        was = self._speed
        self._dropped = 0
        self.dropped_changed.emit(0)
        self._begin(frame, speed)
        self._show(frame)
        if not was:
            self.playing_changed.emit(True)

    def stop(self) -> None:
        """Stand on the frame that is shown."""
        if not self._speed:
            return
        self._speed = 0
        self._timer.stop()
        if self._output is not None:
            self._output.stop()
        self.speed_changed.emit(0)
        self.playing_changed.emit(False)

    def shuttle(self, direction: int) -> None:
        """Play faster that way: each press of L (1) or J (-1); against the way, slower.

        Args:
            direction: 1 forwards, -1 backwards.
        """
        now = self._speed
        if now * direction <= 0:
            # Against the way it runs it is first slowed down, then it stands.
            slower = abs(now) // 2
            new = direction if not now else (slower if now > 0 else -slower)
        else:
            new = direction * min(abs(now) * 2, SPEEDS[-1])
        if new:
            self.play(new)
        else:
            self.stop()

    def close(self) -> None:
        """Stop, and give the sound card back."""
        self.stop()
        if self._output is not None:
            self._output.close()

    # ------------------------------------------------------------------------------------ inside

    def _open_output(self) -> None:
        if self._output is not None:
            return
        try:
            self._output = SoundCard()
        except OSError as error:
            logger.info("playing in silence: %s", error)
            self._output = NoSound()

    def _bounds(self) -> tuple[int, int]:
        """Return the first and the last frame that are played."""
        project = self._document.project
        span = project.span if self.loop else None
        if span is None:
            return 0, max(0, project.length - 1)
        return span.start, span.stop - 1

    def _begin(self, frame: int, speed: int) -> None:
        if speed != self._speed:
            self._speed = speed
            self.speed_changed.emit(speed)
        self._start_frame, self._shown = frame, frame
        assert self._output is not None
        self._output.start(self._filler(frame, speed))
        self._timer.start()

    def _filler(self, frame: int, speed: int) -> Fill:
        """Return what is heard when playing begins with a frame; called on the card's thread."""
        project, player = self._document.project, self
        start = floor(frame * SAMPLE_RATE / project.rate.fraction)

        def fill(at: int, count: int) -> NDArray[np.float32]:
            if player.muted or abs(speed) > 2:
                return np.zeros((count, 2), np.float32)
            # The document may be changed while it is played.
            now: Project = player._document.project
            if speed == 1:
                return mix(now, player._sounds(), start + at, count)
            first = start + at * speed
            low = min(first, first + count * speed) - 2
            part = mix(now, player._sounds(), low, count * abs(speed) + 4)
            places = first - low + np.arange(count) * speed
            return np.asarray(part[np.clip(places, 0, len(part) - 1)])

        return fill

    def _tick(self) -> None:
        if not self._speed or self._output is None:
            return
        project = self._document.project
        samples = int(self._output.taken())
        passed = floor(samples * project.rate.fraction / SAMPLE_RATE)
        frame = self._start_frame + passed * self._speed
        low, high = self._bounds()
        if (self._speed > 0 and frame > high) or (self._speed < 0 and frame < low):
            if self.loop and self._speed > 0:
                self._begin(low, self._speed)
                self._show(low)
            else:
                self._show(high if self._speed > 0 else low)
                self.stop()
            return
        if frame == self._frame:
            return
        skipped = (abs(frame - self._shown) // abs(self._speed)) - 1
        self._shown = frame
        if skipped > 0:
            self._dropped += skipped
            self.dropped_changed.emit(self._dropped)
        self._show(frame)

    def _show(self, frame: int) -> None:
        if frame != self._frame:
            self._frame = frame
            self.frame_changed.emit(frame)

    def _follow(self, old: Project, new: Project) -> None:
        if old.rate != new.rate and self._speed:
            self._begin(self._frame, self._speed)
        if self._frame > self.last:
            self._show(self.last)
