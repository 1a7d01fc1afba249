"""Encode clips once: latents, embeddings and poses in a file each, from which windows are cut.

The autoencoder and the image encoder are not trained, so what they make of a clip is the same in
every step. After this the two are needed no more, which leaves the device to the UNet.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from marionext.backends.svd.conditioning import clip_pixels
from marionext.errors import ModelError, MotionError
from marionext.files import write_bytes
from marionext.frames import FrameRate
from marionext.output import encode_png
from marionext.pose.skeleton import SEEN_SCORE
from marionext.posemap import SmallDrawer
from marionext.training.finetune.recordings import Recording

__all__ = ["EncodedClip", "Encoders", "encode_clip", "open_encoded"]

NOISE_AUGMENTATION = 0.02
"""Deviation of the noise on the character's picture, which runs from -1 to 1, as SVD wants it."""

CHUNK_PIXELS = 1 << 20
"""Pixels of pictures that are encoded together; the encoder's activations are many times that."""

LEAST_SEEN = 0.5
"""Part of a window's frames in which the person has to be seen."""


class Encoders:
    """The autoencoder and the image encoder.

    Args:
        vae: an `AutoencoderKLTemporalDecoder` in float32.
        image_encoder: a `CLIPVisionModelWithProjection`.
        device: where they work.
    """

    def __init__(self, vae: Any, image_encoder: Any, device: torch.device) -> None:
        """Bring the two to the device."""
        self._vae = vae.requires_grad_(False).eval().to(device)
        self._image_encoder = image_encoder.requires_grad_(False).eval().to(device)
        self._device = device

    @torch.no_grad()
    def latents(self, pictures: NDArray[np.uint8], noise: Tensor | None = None) -> Tensor:
        """Encode (n, h, w, 3), with noise of their own shape (n, 3, h, w); not scaled."""
        pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        pixels = pixels / 127.5 - 1
        if noise is not None:
            pixels = pixels + NOISE_AUGMENTATION * noise
        encoded: Tensor = self._vae.encode(pixels.to(self._device)).latent_dist.mode()
        return encoded.float().cpu()

    @torch.no_grad()
    def embedding(self, picture: NDArray[np.uint8]) -> Tensor:
        """Return what the image encoder makes of a picture (h, w, 3): (channels,)."""
        pixels = clip_pixels(picture, int(self._image_encoder.config.image_size))
        found: Tensor = self._image_encoder(pixels.to(self._device)).image_embeds
        return found[0].float().cpu()


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip in a file; only what is needed is read."""

    path: Path
    name: str
    first: int
    rate: FrameRate
    count: int
    """Pictures, at the video's own rate."""
    starts: tuple[int, ...]
    """Indices at which a window may begin."""
    references: tuple[int, ...]
    """Picture that each of the references is."""
    size: tuple[int, int]
    ready_made: bool
    """Whether the control pictures lie in the folder beside the file."""

    def window(self, start: int, frames: int, stride: int) -> range:
        """Return the indices of a window's pictures."""
        return range(start, start + frames * stride, stride)

    def latents(self, indices: range) -> Tensor:
        """Return the pictures' latents: (n, c, h, w), not scaled."""
        return self._part("latents", indices.start, indices.stop)[:: indices.step]

    def reference(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a reference's clean and noisy latents (c, h, w) and its embedding (channels,)."""
        index = self.references[number]
        clean = self._part("latents", index, index + 1)[0]
        noisy, embedding = (
            self._part(name, number, number + 1)[0] for name in ("noisy", "embeddings")
        )
        return clean, noisy, embedding

    def poses(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return points (people, 134, 2) and scores (people, 134) of a picture."""
        parts = (self._part(name, index, index + 1)[0].numpy() for name in ("points", "scores"))
        points, scores = parts
        return points, scores

    def control(self, index: int, drawer: SmallDrawer) -> NDArray[np.uint8]:
        """Draw or read the control picture of an index: (height, width, 3)."""
        if not self.ready_made:
            points, scores = self.poses(index)
            return drawer.draw(points, scores, self.size)
        path = _control_folder(self.path) / f"{index:06}.png"
        content = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
        if picture is None:
            raise ModelError(
                f"{path}: damaged", hint="Delete the folder 'encoded' and start again."
            )
        return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)

    def _part(self, name: str, start: int, stop: int) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            part: Tensor = file.get_slice(name)[start:stop]
            return part.clone()


def encode_clip(
    recording: Recording,
    encoders: Encoders,
    path: Path,
    *,
    span: int,
    stride: int,
    on_progress: Callable[[int, int], None],
) -> EncodedClip:
    """Encode a clip to a file.

    Args:
        recording: the clip.
        encoders: the networks.
        path: of the file; it appears whole or not at all.
        span: dance frames of a window.
        stride: pictures between them.
        on_progress: told how many pictures of how many are encoded.

    Raises:
        MotionError: the clip holds no window that could be learned from.
        OutputError: the file cannot be written.
    """
    starts = _starts(recording, span, stride)
    if recording.control is not None:
        for index in range(recording.count):
            picture = encode_png(recording.control(index))
            write_bytes(_control_folder(path) / f"{index:06}.png", picture)
    latents: list[Tensor] = []
    kept: dict[int, NDArray[np.uint8]] = {}
    pictures = recording.pictures()
    done = 0
    width, height = recording.size
    length = max(1, CHUNK_PIXELS // (width * height))
    while chunk := list(islice(pictures, length)):
        latents.append(encoders.latents(np.stack(chunk)))
        kept |= {
            index: picture
            for index, picture in enumerate(chunk, start=done)
            if index in recording.references
        }
        done += len(chunk)
        on_progress(done, recording.count)
    if done != recording.count:
        raise MotionError(f"expected {recording.count} frames, {done} could be decoded")
    references = [kept[index] for index in recording.references]
    # The same noise whenever the clip is encoded again.
    generator = torch.Generator().manual_seed(int(path.stem[:8], 16))
    noise = torch.randn(len(references), 3, height, width, generator=generator)
    tensors = {
        "latents": torch.cat(latents),
        "noisy": torch.cat(
            [
                encoders.latents(picture[None], noise[index : index + 1])
                for index, picture in enumerate(references)
            ]
        ),
        "embeddings": torch.stack([encoders.embedding(picture) for picture in references]),
        "points": torch.from_numpy(np.ascontiguousarray(recording.points)),
        "scores": torch.from_numpy(np.ascontiguousarray(recording.scores)),
    }
    facts = {
        "name": recording.name,
        "first": recording.first,
        "rate": str(recording.rate),
        "count": recording.count,
        "starts": list(starts),
        "references": list(recording.references),
        "size": [width, height],
        "ready_made": recording.control is not None,
    }
    packed = {name: value.contiguous() for name, value in tensors.items()}
    write_bytes(path, save(packed, {"clip": json.dumps(facts)}))
    return open_encoded(path)


def open_encoded(path: Path) -> EncodedClip:
    """Open what `encode_clip` wrote.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["clip"])
        return EncodedClip(
            path=path,
            name=facts["name"],
            first=facts["first"],
            rate=FrameRate.parse(facts["rate"]),
            count=facts["count"],
            starts=tuple(facts["starts"]),
            references=tuple(facts["references"]),
            size=(facts["size"][0], facts["size"][1]),
            ready_made=facts["ready_made"],
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ModelError(
            f"{path}: not an encoded clip: {error}", hint="Delete the file; it is made again."
        ) from None


def _control_folder(path: Path) -> Path:
    return path.with_suffix(".control")


def _starts(recording: Recording, span: int, stride: int) -> tuple[int, ...]:
    """Return where windows may begin: where they fit in and the person is mostly seen."""
    reach = (span - 1) * stride + 1
    last = recording.count - reach
    if last < recording.dance:
        raise MotionError(
            f"expected at least {reach + recording.dance} frames for a window, "
            f"got {recording.count}"
        )
    places = range(recording.dance, last + 1)
    if recording.control is not None:
        return tuple(places)
    seen = np.any(recording.scores[:, :, :18] > SEEN_SCORE, axis=(1, 2)).astype(np.float32)
    starts = tuple(
        start for start in places if seen[start : start + reach : stride].mean() >= LEAST_SEEN
    )
    if not starts:
        raise MotionError(f"the person is not seen over {span} frames anywhere")
    return starts
