"""Mend what the doll's warp leaves: ragged edges, seams, sides of the character never seen.

A small U-Net in pixels looks at the warp, at what is known of each of its pixels, at the empty
background and at the pose, and answers with three things. A *flow* says from where the drawn
figure is taken again: a limb that is only misplaced stays as sharp as the picture it was cut from.
A *colour* is what the network itself would paint. A *gate* chooses between the two, pixel by pixel,
so that nothing is painted, and blurred, that was right already. Away from the figure, where the
background was seen in the character's picture, nothing is touched at all; nor are heads: a face a
little out of place is still that face, and a mended one is nobody's.

Frames do not know each other: a frame made again, or after a crash, is the same to the byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from marionext.diffusion.weights import fill
from marionext.doll import PART_NAMES, Drawn
from marionext.posemap import SmallDrawer
from marionext.skeleton import SEEN_SCORE

__all__ = [
    "COLOURS",
    "DEPTHS",
    "WIDTHS",
    "Correction",
    "Refiner",
    "RefinerNetwork",
    "View",
    "apply",
    "bright",
    "channels_last",
    "load_network",
    "mendable",
    "moved",
    "nearby",
    "view_of",
]

PIXELS = 1.1 * 256 * 384
"""Pictures of up to this many pixels are seen as they are, larger ones at this size."""
STEP = 16
"""Sides that the network takes are multiples of this."""
WIDTHS = (24, 64, 112, 224)
"""Most of the work is done at a quarter of the size and below, in convolutions wide enough to be
quick on a processor."""
DEPTHS = ((0, 1), (1, 2), (2, 2), (3, 0))
EMBEDDED = 4
"""Channels that tell the parts apart."""
COLOURS = 11
"""Channels of `View.pixels`."""
FARTHEST = 12.0
"""How far the flow reaches, in pixels of the network's picture."""
GROWN, SOFTENED = 17, 9
"""Side of the square by which the surroundings of a figure are grown, and of that over which they
fade, in pixels of the network's picture: it is let be from 12 pixels on."""
HEAD = PART_NAMES.index("head")
HEADS_GROWN = 5
"""Side of the square by which heads are grown, and over which what is mended fades."""


@dataclass(frozen=True, slots=True)
class View:
    """What the network sees of some frames."""

    pixels: Tensor
    """(n, 11, h, w), 0 to 1: picture (3), coverage, validity, background (3), pose map (3)."""
    parts: Tensor
    """(n, h, w) int64: indices in `PART_NAMES`."""

    @property
    def picture(self) -> Tensor:
        """(n, 3, h, w)."""
        return self.pixels[:, :3]

    @property
    def coverage(self) -> Tensor:
        """(n, 1, h, w)."""
        return self.pixels[:, 3:4]

    @property
    def validity(self) -> Tensor:
        """(n, 1, h, w)."""
        return self.pixels[:, 4:5]

    @property
    def background(self) -> Tensor:
        """(n, 3, h, w)."""
        return self.pixels[:, 5:8]

    @property
    def pose_map(self) -> Tensor:
        """(n, 3, h, w)."""
        return self.pixels[:, 8:]


@dataclass(frozen=True, slots=True)
class Correction:
    """What the network would change."""

    flow: Tensor
    """(n, 2, h, w): from how far right and down the figure is taken, in pixels of this size."""
    gate: Tensor
    """(n, 1, h, w): 1 where the drawn figure is kept, 0 where ``colour`` takes its place."""
    colour: Tensor
    """(n, 3, h, w), about 0 to 1."""


class _Block(nn.Module):
    """Two convolutions beside a way straight through; quiet at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(F.relu(self.first(F.relu(features))))
        return features + changed


class RefinerNetwork(nn.Module):
    """A U-Net without normalisation: what it does does not depend on the picture's size.

    Args:
        widths: channels at a half, a quarter, an eighth and a sixteenth of the size.
        depths: blocks at each of these sizes, on the way down and on the way up.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = WIDTHS,
        depths: tuple[tuple[int, int], ...] = DEPTHS,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(PART_NAMES), EMBEDDED)
        self.stem = nn.Conv2d(COLOURS + EMBEDDED, widths[0], 4, stride=2, padding=1)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(one, two, 3, 2, 1) for one, two in pairs)
        self.up = nn.ModuleList(nn.Conv2d(two, one * 4, 1) for one, two in pairs)
        self.inward = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(depth)))
            for width, (depth, _) in zip(widths, depths, strict=True)
        )
        self.outward = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(depth)))
            for width, (_, depth) in zip(widths, depths, strict=True)
        )
        self.head = nn.Conv2d(widths[0], 4 * 4, 3, padding=1)
        self.flow = nn.Conv2d(widths[0], 2, 3, padding=1)
        with torch.no_grad():
            for last in (self.head, self.flow):
                last.weight.mul_(0.03)
                last.bias.zero_()  # type: ignore[union-attr]

    def forward(self, view: View) -> Correction:
        """Look at frames whose sides are multiples of 16."""
        pixels = view.pixels - 0.5
        seen = torch.cat([pixels, self.embed(view.parts).permute(0, 3, 1, 2)], dim=1)
        features = self.inward[0](self.stem(seen))
        kept = [features]
        for down, blocks in zip(self.down, list(self.inward)[1:], strict=True):
            features = blocks(down(features))
            kept.append(features)
        for level in range(len(self.up) - 1, -1, -1):
            features = kept[level] + F.pixel_shuffle(self.up[level](features), 2)
            features = self.outward[level](features)
        features = F.relu(features)
        head = F.pixel_shuffle(self.head(features), 2).float()
        flow = FARTHEST * torch.tanh(self.flow(features).float())
        flow = _enlarged(flow, view.pixels.shape[-2:])
        # What it paints begins as the warp without its details, and details are its own.
        soft = F.avg_pool2d(view.picture, 4)
        colour = _enlarged(soft, view.pixels.shape[-2:]) + head[:, 1:]
        return Correction(flow, torch.sigmoid(head[:, :1] + 2), colour)


def channels_last(network: RefinerNetwork) -> RefinerNetwork:
    """Order a network's weights in memory as processors' convolutions like them."""
    for value in network.parameters():
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)
    return network


def nearby(view: View) -> Tensor:
    """Return where frames may be changed: (n, 1, h, w), 1 around figures, exactly 0 far away.

    Figures are where the warp drew one, where its background was made up, and where the pose is.
    """
    ink = view.pose_map.amax(dim=1, keepdim=True)
    figure = (view.coverage > 0.01) | (view.validity < 0.99) | (ink > 0.05)
    # A square's largest value is that of its rows' largest: two thin passes are quicker.
    near = figure.float()
    for side in ((GROWN, 1), (1, GROWN)):
        near = F.max_pool2d(near, side, stride=1, padding=(side[0] // 2, side[1] // 2))
    for side in ((SOFTENED, 1), (1, SOFTENED)):
        near = F.avg_pool2d(
            near, side, stride=1, padding=(side[0] // 2, side[1] // 2), count_include_pad=False
        )
    return near


def mendable(view: View) -> Tensor:
    """Return where frames are mended: (n, 1, h, w), as `nearby`, but 0 on heads."""
    heads = (view.parts == HEAD).float()[:, None]
    heads = F.max_pool2d(heads, HEADS_GROWN, stride=1, padding=HEADS_GROWN // 2)
    soft = F.avg_pool2d(heads, HEADS_GROWN, 1, HEADS_GROWN // 2, count_include_pad=False)
    return nearby(view) * (1 - soft)


def apply(
    correction: Correction, near: Tensor, picture: Tensor, coverage: Tensor, background: Tensor
) -> Tensor:
    """Correct frames.

    Args:
        correction: at any size.
        near: (n, 1, h, w) of the correction's size, from `mendable`.
        picture: (n, 3, H, W), 0 to 1.
        coverage: (n, 1, H, W).
        background: (n, 3, H, W).

    Returns:
        (n, 3, H, W), about 0 to 1.
    """
    drawn = moved(correction.flow, picture, coverage, background)
    gate, colour, near = (
        _enlarged(part, picture.shape[-2:]) for part in (correction.gate, correction.colour, near)
    )
    mended = colour + gate * (drawn - colour)
    return picture + near * (mended - picture)


def moved(flow: Tensor, picture: Tensor, coverage: Tensor, background: Tensor) -> Tensor:
    """Return frames, (n, 3, H, W), with the figure taken from elsewhere.

    It is taken off its background before it is moved, and put on the same background.
    """
    height, width = size = picture.shape[-2:]
    low, narrow = flow.shape[-2:]
    flow = _enlarged(flow, size)
    # Places as `grid_sample` counts them: -1 and 1 are the picture's edges.
    right = (torch.arange(width, device=flow.device) * 2 + 1) / width - 1 + flow[:, 0] * 2 / narrow
    down = (torch.arange(height, device=flow.device) * 2 + 1)[:, None] / height - 1
    down = down + flow[:, 1] * 2 / low
    figure = torch.cat([picture - (1 - coverage) * background, coverage], dim=1)
    places = torch.stack([right, down], dim=-1)
    taken = F.grid_sample(figure, places, padding_mode="border", align_corners=False)
    return taken[:, :3] + (1 - taken[:, 3:]) * background


def _enlarged(part: Tensor, size: Sequence[int]) -> Tensor:
    if list(part.shape[-2:]) == list(size):
        return part
    return F.interpolate(part, size=tuple(size), mode="bilinear", align_corners=False)


def view_of(
    drawn: Drawn,
    pose_map: NDArray[np.uint8],
    background: NDArray[np.uint8],
    size: tuple[int, int],
) -> View:
    """Return what the network sees of one frame, brought to a size (width, height)."""
    pixels = np.concatenate(
        [
            _resized(drawn.picture, size).astype(np.float32) / 255,
            _resized(drawn.coverage, size)[..., None],
            _resized(drawn.validity, size)[..., None],
            _resized(background, size).astype(np.float32) / 255,
            _resized(pose_map, size).astype(np.float32) / 255,
        ],
        axis=-1,
    )
    # Numbers of parts have no mean.
    parts = cv2.resize(drawn.parts, size, interpolation=cv2.INTER_NEAREST)
    return View(
        torch.from_numpy(pixels).permute(2, 0, 1)[None], torch.from_numpy(parts)[None].long()
    )


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def bright(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the scores that the network's pose maps are drawn with: 1 where a point is seen.

    How sure a detector is of a point that it sees says nothing about the picture.
    """
    return (scores >= SEEN_SCORE).astype(np.float32)


def load_network(path: Path) -> RefinerNetwork:
    """Return a network with the weights of a safetensors file.

    Raises:
        ModelError: the file is missing or damaged, or holds other weights.
    """
    with torch.device("meta"):
        network = RefinerNetwork()
    fill(network, path, torch.float32)
    return network


class Refiner:
    """Mends frames of one size.

    Args:
        network: trained.
        size: width and height of the frames.
    """

    def __init__(self, network: RefinerNetwork, size: tuple[int, int]) -> None:
        """Plan the size at which the network looks at the frames."""
        self.network = channels_last(network.eval())
        self._size = size
        shrink = min(1.0, (PIXELS / (size[0] * size[1])) ** 0.5)
        self._seen = round(size[0] * shrink), round(size[1] * shrink)
        self._maps = SmallDrawer(self._seen)

    @classmethod
    def load(cls, path: Path, size: tuple[int, int]) -> "Refiner":
        """Make one with the weights of a file; see `load_network`."""
        return cls(load_network(path), size)

    @torch.no_grad()
    def refine(
        self,
        drawn: Drawn,
        points: NDArray[np.float32],
        scores: NDArray[np.float32],
        background: NDArray[np.uint8],
    ) -> NDArray[np.uint8]:
        """Mend one frame.

        Args:
            drawn: the frame, as the doll's warp made it.
            points: (people, 134, 2) pixels of the frame: the poses it was drawn in.
            scores: (people, 134).
            background: (h, w, 3): what the same drawer draws of nobody.

        Returns:
            (h, w, 3), those of ``drawn`` where nobody is near.
        """
        pose_map = self._maps.draw(points, bright(scores), self._size)
        whole = view_of(drawn, pose_map, background, self._size)
        view = view_of(drawn, pose_map, background, self._seen)
        height, width = view.pixels.shape[-2:]
        padding = (0, -width % STEP, 0, -height % STEP)
        correction = self.network(
            View(
                F.pad(view.pixels, padding, mode="replicate"),
                F.pad(view.parts[None].float(), padding, mode="replicate")[0].long(),
            )
        )
        part = np.s_[..., :height, :width]
        mended = apply(
            Correction(correction.flow[part], correction.gate[part], correction.colour[part]),
            mendable(view),
            whole.picture,
            whole.coverage,
            whole.background,
        )
        result = mended[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().to(torch.uint8)
        return result.numpy()
