"""What is to be made larger: one picture, a folder of them, the frames of a render, or a video."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from marionext.errors import EngineError, JobError, MotionError, SettingsError
from marionext.files import is_folder, sha256_of
from marionext.footage import FIRST_FRAME, is_animation, probe, read_frames
from marionext.footage.timing import nearest_frames
from marionext.frames import (
    FrameRange,
    FrameRate,
    format_frames,
    frame_name,
    parse_frames,
    shown_rate,
)
from marionext.jobs import UpscaleJob
from marionext.output import READABLE, Sound, Still, read_still, still_size
from marionext.record import RECORD, Record
from marionext.reporting import Reporter
from marionext.runs.picture_folder import PICTURES, PictureRecord
from marionext.sources import select_frames

__all__ = ["Film", "PictureSource", "open_source"]

_USUAL_RATE = FrameRate(Fraction(30))
_NUMBER = re.compile(r"-?\d+|.*?(\d+)")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Film:
    """How pictures follow each other in a video."""

    names: tuple[str, ...]
    """Of the picture of each frame."""
    rate: FrameRate
    sound: Sound | None


class PictureSource(ABC):
    """Pictures, each with the name that the larger one will have."""

    names: tuple[str, ...]
    """In their order: ``000123.png``."""
    numbers: dict[str, int]
    """What a host calls each picture by."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each picture, by its file's header."""

    @property
    @abstractmethod
    def hashes(self) -> dict[str, str]:
        """The sha256 of what each picture is read from."""

    @abstractmethod
    def read(self, names: Sequence[str], report: Reporter) -> Iterator[tuple[str, Still]]:
        """Read pictures in their order; those that cannot be shown are left out, and said.

        Raises:
            EngineError: one cannot be read.
            JobCancelled: the host wants the job to stop.
        """

    @abstractmethod
    def film(self, names: Sequence[str], report: Reporter) -> Film:
        """Return how pictures follow each other in a video.

        Args:
            names: of those that are there.
            report: told what is guessed or left out.

        Raises:
            JobError: they make none.
        """


def open_source(job: UpscaleJob, report: Reporter) -> PictureSource:
    """Look at what is to be made larger, whatever it is.

    Raises:
        JobError: there is nothing that could be, or not the frames that are asked for.
    """
    path = Path(job.source)
    if not path.exists():
        raise JobError(
            f"there is no {path}",
            hint="Give a picture, a folder of pictures, the folder of a render, or a video.",
        )
    if is_folder(path):
        if (path / RECORD).is_file():
            return _rendered(job, path, report)
        if (path / PictureRecord.NAME).is_file():
            path /= PICTURES
        return _Pictures(job, _pictures_in(path))
    if path.suffix.lower() in READABLE and not is_animation(path):
        if job.frames is not None:
            raise SettingsError(f"frames: {path.name} is one picture, got {job.frames}")
        return _Pictures(job, [path])
    return _Video(job, report)


def _pictures_in(folder: Path) -> list[Path]:
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise JobError(
            f"{folder}: expected pictures, there are none",
            hint="Give a picture, a folder of pictures, the folder of a render, or a video.",
        )
    return found


def _rendered(job: UpscaleJob, folder: Path, report: Reporter) -> "_Pictures":
    """Return the frames of a render that are shown."""
    record = Record.read(folder / RECORD)
    if not record.frames:
        raise JobError(f"the render in {folder} has no frames yet")
    if record.missing:
        report.log(
            f"the render in {folder} is not finished: {len(record.missing)} of its "
            f"{len(record.numbers)} frames are left out",
            warning=True,
        )
    videos = [folder / name for name in record.videos if not name.endswith(".gif")]
    there = [path for path in videos if path.is_file()]
    if videos and not there and job.videos and job.audio and job.sound is None:
        report.log(f"{videos[0].name} is gone: its sound is not taken over", warning=True)
    sound = next((path for path in there if _may_sound(path)), None)
    frames = [folder / "frames" / frame_name(number) for number in sorted(record.done)]
    return _Pictures(job, frames, rate=record.rate, sound=sound, first=record.numbers[0])


class _Pictures(PictureSource):
    """Picture files."""

    def __init__(
        self,
        job: UpscaleJob,
        files: list[Path],
        *,
        rate: FrameRate | None = None,
        sound: Path | None = None,
        first: int | None = None,
    ) -> None:
        """Choose the pictures.

        Args:
            job: that chooses.
            files: all that there are.
            rate: at which they follow each other; None: not known.
            sound: file with the sound that goes with them; None: none.
            first: number of the picture with which that sound begins.
        """
        self._job, self._rate, self._sound, self._first = job, rate, sound, first
        found = [_number_of(path) for path in files]
        self._numbered = len(files) > 1 and None not in found and len({*found}) == len(found)
        if self._numbered:
            files = [path for _, path in sorted(zip(found, files, strict=True))]
        places = {path: place for place, path in enumerate(files, start=1)}
        of = {path: _number_of(path) if self._numbered else places[path] for path in files}
        self._files: dict[str, Path] = {}
        self.numbers = {}
        for path in self._chosen(files, of):
            name = f"{path.stem}.png"
            if name in self._files:
                raise JobError(
                    f"expected pictures of different names, {self._files[name].name} and "
                    f"{path.name} would both become {name}"
                )
            self._files[name] = path
            self.numbers[name] = of[path] or places[path]
        self.names = tuple(self._files)

    def _chosen(self, files: list[Path], of: dict[Path, int | None]) -> list[Path]:
        if self._job.frames is None:
            return files
        if not self._numbered:
            raise SettingsError(
                "frames: expected pictures with a number each in their names, such as 000123.png",
                hint="Leave --frames out: all of them are made larger.",
            )
        wanted = parse_frames(self._job.frames)
        there = {number: path for path, number in of.items()}
        if missing := tuple(number for number in wanted if number not in there):
            known = format_frames(tuple(number for number in there if number is not None))
            raise SettingsError(f"frames: expected some of {known}, got {format_frames(missing)}")
        return [there[number] for number in wanted]

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """See `PictureSource`."""
        return tuple(still_size(path) for path in self._files.values())

    @property
    def hashes(self) -> dict[str, str]:
        """See `PictureSource`."""
        return {name: sha256_of(path) for name, path in self._files.items()}

    def read(self, names: Sequence[str], report: Reporter) -> Iterator[tuple[str, Still]]:
        """See `PictureSource`."""
        for name in names:
            report.check()
            yield name, read_still(self._files[name])

    def film(self, names: Sequence[str], report: Reporter) -> Film:
        """See `PictureSource`."""
        rate = self._job.rate or self._rate
        if rate is None:
            rate = _USUAL_RATE
            report.log(f"the video has {rate} frames/s, as nothing says another rate (--rate)")
        numbers = [self.numbers[name] for name in names]
        even = shown_rate(numbers, rate) if self._numbered else rate
        start = rate.seconds(numbers[0] - (numbers[0] if self._first is None else self._first))
        sound = _sound(self._job, self._sound, start, report, even=even is not None)
        return Film(tuple(names), even or rate, sound)


class _Video(PictureSource):
    """The frames of a video, each as often as it is in the file."""

    def __init__(self, job: UpscaleJob, report: Reporter) -> None:
        """Count the frames."""
        self._job, self._path = job, Path(job.source)
        self._info = probe(self._path, declared=job.rate)
        for note in self._info.notes:
            report.log(note)
        for warning in self._info.warnings:
            report.log(warning, warning=True)
        all_of_it = FrameRange(FIRST_FRAME, FIRST_FRAME + self._info.source_frames)
        self.numbers = {
            frame_name(number): number for number in select_frames(job.frames, all_of_it)
        }
        self.names = tuple(self.numbers)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """See `PictureSource`."""
        return (self._info.size,) * len(self.names)

    @property
    def hashes(self) -> dict[str, str]:
        """See `PictureSource`."""
        return dict.fromkeys(self.names, sha256_of(self._path))

    def read(self, names: Sequence[str], report: Reporter) -> Iterator[tuple[str, Still]]:
        """See `PictureSource`."""
        wanted = {self.numbers[name] - FIRST_FRAME: name for name in names}
        if not wanted:
            return
        span = range(min(wanted), max(wanted) + 1)
        frames = read_frames(
            self._path,
            only=span,
            cancelled=report.cancelled,
            say=lambda text: report.log(text, warning=True),
        )
        for frame in frames:
            if frame.index in wanted:
                yield wanted[frame.index], Still(frame.picture)

    def film(self, names: Sequence[str], report: Reporter) -> Film:
        """See `PictureSource`. Frames that could not be decoded are filled by those before."""
        info = self._info
        even: FrameRate | None = info.rate
        if self._job.frames is None:
            # On the grid where frames are not evenly spaced, as players and other jobs have it.
            shown = np.arange(info.frames)
            if info.variable_rate:
                shown = nearest_frames(info.times, info.timing)
        else:
            shown = np.array([*self.numbers.values()]) - FIRST_FRAME
            even = None if info.variable_rate else shown_rate([*shown.tolist()], info.rate)
        own = self._path if info.has_audio else None
        start = info.rate.seconds(int(shown[0]))
        sound = _sound(self._job, own, start, report, even=even is not None)
        there = np.array([self.numbers[name] - FIRST_FRAME for name in names])
        places = np.maximum(np.searchsorted(there, shown, side="right") - 1, 0)
        return Film(tuple(names[place] for place in places.tolist()), even or info.rate, sound)


def _may_sound(video: Path) -> bool:
    """Tell whether a video has sound, or cannot be read: who takes its sound then says why."""
    try:
        return probe(video).has_audio
    except EngineError:
        return True


def _number_of(path: Path) -> int | None:
    """Return the number in a name such as ``000123.png``, ``-00005.png`` or ``shot_012.png``."""
    found = _NUMBER.fullmatch(path.stem)
    if found is None:
        return None
    digits = found[1] or found[0]
    return int(digits) if len(digits) < 18 else None


def _sound(
    job: UpscaleJob, own: Path | None, start: Fraction, report: Reporter, *, even: bool
) -> Sound | None:
    """Return the sound of a video, if it is to have any."""
    path = own if job.sound is None else Path(job.sound)
    if not job.audio or path is None:
        return None
    if not path.is_file():
        raise MotionError(
            f"no such sound file: {path}", hint="Give a sound or video file, or --audio none."
        )
    if not even:
        report.log("the frames are not evenly spaced: the sound is left out", warning=True)
        return None
    return Sound(path, start)
