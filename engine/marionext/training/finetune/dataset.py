"""Prepare the clips of a training: open, encode, hold some out, and report the unusable ones."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from marionext.errors import JobError, ModelError, MotionError
from marionext.files import sha256_of, write_json
from marionext.training.finetune.clip_list import ClipEntry, find_clips
from marionext.training.finetune.encoding import (
    EncodedClip,
    Encoders,
    encode_clip,
    open_encoded,
)
from marionext.training.finetune.recordings import Recording, drawn_figure, open_recording
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.holding_out import Skipped, Teller, set_apart
from marionext.training.keys import key_of

__all__ = ["FIGURES", "Dataset", "prepare"]

FIGURES = "figures"
"""In place of a folder: clips that Marionext draws."""

FEWEST_TO_HOLD_OUT = 4

ENCODING = 1
"""Raised when clips encoded earlier are no longer what would be made now."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded clips."""

    learned: tuple[EncodedClip, ...]
    held_out: tuple[EncodedClip, ...]
    """To measure with; where there are too few clips, some of those learned from."""
    skipped: tuple[Skipped, ...]

    @property
    def digest(self) -> str:
        """Identifies the set of clips."""
        return key_of(*(clip.path.name for clip in (*self.learned, *self.held_out)))


def prepare(
    data: str,
    settings: FinetuneSettings,
    folder: Path,
    encoders: Callable[[], Encoders],
    encoder_id: str,
    tell: Teller,
    *,
    figures: int,
) -> Dataset:
    """Encode the clips that are not encoded yet.

    Args:
        data: a folder of videos, or `FIGURES`.
        settings: of the training.
        folder: of the training; encoded clips and the record ``data.json`` are kept in it.
        encoders: loads the networks; called when the first clip needs them.
        encoder_id: what tells these encoders from others.
        tell: how far it is.
        figures: how many clips to draw where ``data`` is `FIGURES`.

    Raises:
        MotionError: there are no clips, or none that can be used.
        OutputError: the folder cannot be written to.
    """
    loaded: list[Encoders] = []

    def encode(recording: Recording, path: Path, say: Callable[[int, int], None]) -> EncodedClip:
        if not loaded:
            loaded.append(encoders())
        span = settings.window - 1
        return encode_clip(
            recording, loaded[0], path, span=span, stride=settings.stride, on_progress=say
        )

    learned: list[EncodedClip] = []
    apart: list[EncodedClip] = []
    skipped: list[Skipped] = []
    sources = list(_sources(data, settings, folder, figures))
    for number, source in enumerate(sources):
        tell.progress("data", number, len(sources), source.name)
        say = partial(_tell_part, tell, number, len(sources), source.name)
        try:
            recording = source.open(say)
            for note in recording.notes:
                tell.log(f"{source.name}: {note}")
            path = (
                folder / "encoded" / f"{_key(recording, source, settings, encoder_id)}.safetensors"
            )
            clip = _opened(path) or encode(recording, path, say)
        except (JobError, ModelError) as error:
            skipped.append(Skipped(name=source.name, reason=error.message))
            tell.log(f"{source.name} is left out: {error.message}", warning=True)
            continue
        (apart if source.held_out else learned).append(clip)
    tell.progress("data", len(sources), len(sources))
    if not learned:
        raise _nothing_left(data, skipped, held_out=len(apart))
    if not apart:
        learned, apart = set_apart(learned, tell, what="clips", fewest=FEWEST_TO_HOLD_OUT)
    dataset = Dataset(tuple(learned), tuple(apart), tuple(skipped))
    _write_record(folder, data, dataset)
    return dataset


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    identity: str
    """What tells its pictures from those of another; with the poses they make the key."""
    held_out: bool
    open: Callable[[Callable[[int, int], None]], Recording]


def _sources(
    data: str, settings: FinetuneSettings, folder: Path, figures: int
) -> Iterator[_Source]:
    if data == FIGURES:
        frames = 2 * (settings.window - 1) * settings.stride
        for number in range(figures):
            draw = partial(_draw, number, frames, settings.size)
            yield _Source(f"figure {number}", f"{FIGURES} {number} {frames}", False, draw)
        return
    home = Path(data)
    for entry in find_clips(home):
        read = partial(_read, home, entry, settings.size, folder / "poses")
        yield _Source(entry.video, str(entry), entry.held_out, read)


def _draw(
    number: int, frames: int, size: tuple[int, int], _say: Callable[[int, int], None]
) -> Recording:
    return drawn_figure(number, frames, size)


def _read(
    home: Path,
    entry: ClipEntry,
    size: tuple[int, int],
    spare: Path,
    say: Callable[[int, int], None],
) -> Recording:
    video = home / entry.video
    if not video.is_file():
        raise MotionError(f"there is no video {video}")
    return open_recording(home, entry, size, spare=spare, on_progress=say)


def _key(recording: Recording, source: _Source, settings: FinetuneSettings, encoder_id: str) -> str:
    digest = hashlib.sha256(recording.points.tobytes() + recording.scores.tobytes())
    if recording.source is not None:
        digest.update(sha256_of(recording.source).encode())
    else:
        for picture in recording.pictures():
            digest.update(picture.tobytes())
    return key_of(
        ENCODING,
        source.identity,
        digest.hexdigest(),
        settings.size,
        settings.window,
        settings.stride,
        encoder_id,
    )


def _opened(path: Path) -> EncodedClip | None:
    return open_encoded(path) if path.is_file() else None


def _tell_part(tell: Teller, number: int, total: int, name: str, done: int, of: int) -> None:
    tell.progress("data", number + (done / of if of else 0.0), total, name)


def _nothing_left(data: str, skipped: list[Skipped], *, held_out: int) -> MotionError:
    if not skipped:
        return MotionError(f"{data}: all {held_out} clips are held out; none is left to learn from")
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return MotionError(
        f"none of the clips of {data} can be used: {skipped[0].name}: {skipped[0].reason}{more}"
    )


def _write_record(folder: Path, data: str, dataset: Dataset) -> None:
    """Write down what is learned from, for people."""

    def told(clip: EncodedClip) -> dict[str, object]:
        return {"name": clip.name, "frames": clip.count, "windows": len(clip.starts)}

    record = {
        "data": data,
        "learned": [told(clip) for clip in dataset.learned],
        "held_out": [told(clip) for clip in dataset.held_out],
        "skipped": [{"name": clip.name, "reason": clip.reason} for clip in dataset.skipped],
    }
    write_json(folder / "data.json", record)
