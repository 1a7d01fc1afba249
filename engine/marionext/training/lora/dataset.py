"""Prepare the pictures of a training: frame, encode, hold some out, report the unusable ones."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from marionext.character import read_character
from marionext.errors import CharacterError, JobError, SettingsError
from marionext.files import sha256_of, write_json
from marionext.training.holding_out import Skipped, Teller, set_apart
from marionext.training.keys import key_of
from marionext.training.lora.encoding import Words, write_latents, write_words
from marionext.training.lora.framing import WORTH_A_WORD, Frame, frame_of
from marionext.training.lora.picture_list import PictureEntry, find_pictures
from marionext.training.lora.settings import LoraSettings

__all__ = ["Dataset", "Encoder", "Picture", "prepare"]

FEWEST_TO_HOLD_OUT = 10

ENCODING = 1
"""Raised when pictures encoded earlier are no longer what would be made now."""
_FIRST = 4
"""Names that a message lists."""


class Encoder(Protocol):
    """The networks that encode, loaded when they are first needed."""

    @property
    def vae(self) -> Any:
        """The autoencoder, on its device."""

    def words(self, caption: str) -> Words:
        """Return what the text encoders make of a caption."""

    def cut_off(self, caption: str) -> str:
        """Return the end of a caption that they do not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that is learned from."""

    name: str
    latents: Path
    """File of its latents."""
    words: str
    frame: Frame
    repeats: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded pictures and captions."""

    learned: tuple[Picture, ...]
    held_out: tuple[Picture, ...]
    """To measure with; where there are too few pictures, some of those learned from."""
    skipped: tuple[Skipped, ...]
    words: dict[str, Path]
    """File of each caption's words, and of no words; empty where text encoders are trained."""

    @property
    def digest(self) -> str:
        """Identifies the pictures and their captions."""
        return key_of(
            *((each.latents.name, each.words) for each in (*self.learned, *self.held_out))
        )


def prepare(
    data: Path,
    settings: LoraSettings,
    folder: Path,
    size: tuple[int, int],
    step: int,
    encoder: Callable[[], Encoder],
    encoder_id: str,
    tell: Teller,
) -> Dataset:
    """Encode the pictures and captions that are not encoded yet.

    Args:
        data: folder of the pictures.
        settings: of the training.
        folder: of the training; what is encoded and the record ``data.json`` are kept in it.
        size: width and height that are wanted.
        step: what the base's sizes are multiples of.
        encoder: loads the networks; called when something has to be encoded.
        encoder_id: what tells these networks from others.
        tell: how far it is.

    Raises:
        CharacterError: there are no pictures, or none that can be used.
        SettingsError: none of them has a caption.
        OutputError: the folder cannot be written to.
    """
    entries = find_pictures(data)
    _look_at_captions(entries, settings, data, tell)
    learned: list[Picture] = []
    apart: list[Picture] = []
    skipped: list[Skipped] = []
    for number, entry in enumerate(entries):
        tell.progress("data", number, len(entries), entry.picture)
        try:
            picture = _encoded(data, entry, settings, folder, size, step, encoder, encoder_id, tell)
        except JobError as error:
            skipped.append(Skipped(name=entry.picture, reason=error.message))
            tell.log(f"{entry.picture} is left out: {error.message}", warning=True)
            continue
        (apart if entry.held_out else learned).append(picture)
    tell.progress("data", len(entries), len(entries))
    if not learned:
        raise _nothing_left(data, skipped, held_out=len(apart))
    _say_frames([*learned, *apart], tell)
    words = {}
    if not settings.text_encoder:
        words = _words([*learned, *apart], folder, encoder, encoder_id, tell)
    if not apart:
        learned, apart = set_apart(learned, tell, what="pictures", fewest=FEWEST_TO_HOLD_OUT)
    dataset = Dataset(tuple(learned), tuple(apart), tuple(skipped), words)
    _write_record(folder, data, dataset)
    return dataset


def _look_at_captions(
    entries: Sequence[PictureEntry], settings: LoraSettings, data: Path, tell: Teller
) -> None:
    silent = [entry.picture for entry in entries if not entry.words]
    if not silent or settings.caption:
        return
    if len(silent) == len(entries) and not settings.trigger:
        raise SettingsError(
            f"expected captions, none of the {len(entries)} pictures of {data} has one",
            hint="Write what is to be seen beside each picture (hero.png, hero.txt), or give "
            "all of them the same words with --caption.",
        )
    names = ", ".join(silent[:_FIRST]) + (" ..." if len(silent) > _FIRST else "")
    tell.log(
        f"{len(silent)} of {len(entries)} pictures have no caption and are learned from without "
        f"words (--caption gives them some): {names}",
        warning=True,
    )


def _encoded(
    data: Path,
    entry: PictureEntry,
    settings: LoraSettings,
    folder: Path,
    size: tuple[int, int],
    step: int,
    encoder: Callable[[], Encoder],
    encoder_id: str,
    tell: Teller,
) -> Picture:
    path = data / entry.picture
    if not path.is_file():
        raise CharacterError(f"there is no picture {path}")
    read = read_character(path, what="a picture to learn from")
    for note in read.notes:
        tell.log(f"{entry.picture}: {note}")
    frame = frame_of(
        (read.pixels.shape[1], read.pixels.shape[0]), size, step, buckets=settings.buckets
    )
    if frame.enlarged > WORTH_A_WORD:
        tell.log(
            f"{entry.picture} is enlarged {frame.enlarged:.2f} times to {_sized(frame.size)}",
            warning=True,
        )
    key = key_of(ENCODING, sha256_of(path), frame.size, settings.flip, encoder_id)
    latents = folder / "encoded" / f"{key}.safetensors"
    if not latents.is_file():
        write_latents(latents, frame.cut(read.pixels), encoder().vae, mirrored=settings.flip)
    words = ", ".join(filter(None, (settings.trigger, entry.words or settings.caption)))
    return Picture(
        name=entry.picture, latents=latents, words=words, frame=frame, repeats=entry.repeats
    )


def _words(
    pictures: Sequence[Picture],
    folder: Path,
    encoder: Callable[[], Encoder],
    encoder_id: str,
    tell: Teller,
) -> dict[str, Path]:
    """Encode each caption, and that there is none."""
    found = {}
    for caption in dict.fromkeys(["", *(picture.words for picture in pictures)]):
        path = folder / "encoded" / f"words-{key_of(ENCODING, caption, encoder_id)}.safetensors"
        if not path.is_file():
            if lost := encoder().cut_off(caption):
                tell.log(f"a caption is too long; left out: {lost!r}", warning=True)
            write_words(path, encoder().words(caption))
        found[caption] = path
    return found


def _say_frames(pictures: Sequence[Picture], tell: Teller) -> None:
    counts = Counter(picture.frame.size for picture in pictures)
    sizes = ", ".join(f"{count} at {_sized(size)}" for size, count in counts.most_common())
    worst = max(pictures, key=lambda picture: picture.frame.lost)
    lost = worst.frame.lost
    cut = f"; cut off is at most {lost:.0%} ({worst.name})" if lost > 0.005 else ""
    tell.log(f"{len(pictures)} pictures: {sizes}{cut}")


def _sized(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _nothing_left(data: Path, skipped: Sequence[Skipped], *, held_out: int) -> CharacterError:
    if not skipped:
        return CharacterError(
            f"{data}: all {held_out} pictures are held out; none is left to learn from"
        )
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return CharacterError(
        f"none of the pictures of {data} can be used: {skipped[0].name}: {skipped[0].reason}{more}"
    )


def _write_record(folder: Path, data: Path, dataset: Dataset) -> None:
    """Write down what is learned from, for people."""

    def told(picture: Picture) -> dict[str, object]:
        return {
            "name": picture.name,
            "words": picture.words,
            "repeats": picture.repeats,
            "original": _sized(picture.frame.original),
            "learned_at": _sized(picture.frame.size),
            "cut_off": round(max(0.0, picture.frame.lost), 3),
        }

    record = {
        "data": str(data),
        "learned": [told(picture) for picture in dataset.learned],
        "held_out": [told(picture) for picture in dataset.held_out],
        "skipped": [{"name": each.name, "reason": each.reason} for each in dataset.skipped],
    }
    write_json(folder / "data.json", record)
