"""Control pictures: from rigs, tracks and pictures, brought to size with a word about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.engine.conftest import Clips, dancing_track
from tests.engine.motion.test_gltf import Builder
from tests.engine.motion.test_surface import arm

from marionext.errors import CharacterError, ModelError, MotionError, SettingsError
from marionext.jobs import MotionSource, PictureControl
from marionext.pose.formats import write_track
from marionext.posemap import SmallDrawer
from marionext.protocol import Event, Log
from marionext.reporting import Reporter
from marionext.runs.control_pictures import ControlSource, fitted

SIZE = (96, 128)
Source = Callable[..., ControlSource]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def reporter(said: list[str]) -> Reporter:
    def listen(event: Event) -> None:
        if isinstance(event, Log):
            said.append(event.text)

    return Reporter("", listen, lambda: False)


@pytest.fixture
def source(reporter: Reporter) -> Source:
    def made(kind: Any, path: Path, *, view: dict[str, Any] | None = None, **more: Any) -> Any:
        control = PictureControl(
            kind=kind, source=MotionSource(path=str(path), **(view or {})), **more
        )
        return ControlSource(control, reporter)

    return made


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def box(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A dark box on bright ground, in colours."""
    picture = np.full((size[1], size[0], 3), (200, 210, 220), np.uint8)
    picture[size[1] // 4 : -size[1] // 4, size[0] // 4 : -size[0] // 4] = (90, 30, 40)
    return picture


@pytest.mark.parametrize("palette", ["controlnext", "openpose"])
def test_a_pose_is_drawn_in_the_colours_of_the_weights(
    source: Source, tmp_path: Path, palette: Any
) -> None:
    track = dancing_track(5).with_(cleaned=True)
    write_track(track, tmp_path / "wave.npz")
    drawn = source("pose", tmp_path / "wave.npz", frame=102).draw(SIZE, palette)
    expected = SmallDrawer(SIZE).draw(track.points[1], track.scores[1], SIZE)
    assert np.array_equal(drawn, expected if palette == "controlnext" else expected[..., ::-1])


def test_drawn_pose_maps_are_taken_as_they_are_and_recoloured(
    source: Source, tmp_path: Path, said: list[str]
) -> None:
    size = (384, 512)
    track = dancing_track(1)
    ours = SmallDrawer(size).draw(track.points[0] * 4, track.scores[0], size)
    path = save(tmp_path / "map.png", np.ascontiguousarray(ours[..., ::-1]))  # OpenPose's colours
    assert np.array_equal(source("pose", path).draw(size, "openpose"), ours[..., ::-1])
    assert np.array_equal(source("pose", path).draw(size, "controlnext"), ours)
    assert any("taken as a pose map already" in text for text in said)
    assert any("drawn in openpose's colours, turned into controlnext's" in text for text in said)
    kept = source("pose", path, view={"palette": "any"}).draw(size, "controlnext")
    assert np.array_equal(kept, ours[..., ::-1])


def test_the_pose_beside_a_picture_is_its_pose(source: Source, character_file: Path) -> None:
    control = source("pose", character_file)
    track = dancing_track(1)
    expected = SmallDrawer(SIZE).draw(track.points[0], track.scores[0], SIZE)
    assert np.array_equal(control.draw(SIZE, "controlnext"), expected)
    assert control.files == (character_file, character_file.with_suffix(".pose.npz"))


def test_edges_follow_both_thresholds(source: Source, tmp_path: Path, said: list[str]) -> None:
    path = save(tmp_path / "box.png", box())
    found = source("canny", path, low=50, high=150).draw(SIZE, "openpose")
    assert np.array_equal(found[..., 0], cv2.Canny(box(), 50, 150))
    assert set(np.unique(found)) == {0, 255}
    assert any("of the picture are edges" in text for text in said)
    faint = save(tmp_path / "faint.png", np.clip(box(), 100, 108))
    with pytest.raises(CharacterError, match="no edges are found between the thresholds 100 and"):
        source("canny", faint).draw(SIZE, "openpose")
    assert source("canny", faint, low=5, high=10).draw(SIZE, "openpose").any()
    # Edges that are drawn already stay what they are, unless it is said otherwise.
    drawn = save(tmp_path / "edges.png", found)
    assert np.array_equal(source("canny", drawn).draw(SIZE, "openpose"), found)
    assert not np.array_equal(source("canny", drawn, ready="no").draw(SIZE, "openpose"), found)


def test_masks_are_what_is_opaque_or_white(source: Source, tmp_path: Path, said: list[str]) -> None:
    mask = (box()[..., 0] == 90).astype(np.uint8) * 255
    layered = np.dstack([box(), mask])
    found = source("mask", save(tmp_path / "cut.png", layered)).draw(SIZE, "openpose")
    assert np.array_equal(found, np.repeat(mask[..., None], 3, axis=2))
    assert any("the figure is what is opaque" in text for text in said)
    ready = save(tmp_path / "mask.png", found)
    assert np.array_equal(source("mask", ready).draw(SIZE, "openpose"), found)


def test_depth_is_taken_where_a_picture_is_grey(source: Source, tmp_path: Path) -> None:
    grey = np.repeat(np.tile(np.arange(96, dtype=np.uint8) * 2, (128, 1))[..., None], 3, axis=2)
    found = source("depth", save(tmp_path / "depth.png", grey)).draw(SIZE, "openpose")
    assert np.array_equal(found, grey)
    with pytest.raises(CharacterError, match="depth has to be known, and this picture is none"):
        source("depth", save(tmp_path / "box.png", box())).draw(SIZE, "openpose")


def test_a_rigs_mesh_gives_depth_and_outline_where_its_pose_is(
    source: Source, tmp_path: Path
) -> None:
    builder = Builder()
    arm(builder)
    path = builder.glb(tmp_path / "arm.glb")
    view = {"clip": "bend", "rig": None}
    with pytest.raises(MotionError):
        # An arm is no figure: its bones have no roles, and no pose.
        source("pose", path, view=view).draw(SIZE, "openpose")
    write_track(dancing_track(2), tmp_path / "wave.npz")
    track = source("mask", tmp_path / "wave.npz")
    with pytest.raises(MotionError, match="has no surface"):
        track.draw(SIZE, "openpose")


@pytest.mark.media
def test_a_real_rigs_outline_lies_around_its_pose(source: Source) -> None:
    path = Path(__file__).parents[4] / "shared" / "rigs" / "mixamo_xbot.glb"
    if not path.exists():
        pytest.skip("the rigs are not here")
    size = (192, 320)
    pose = source("pose", path).draw(size, "openpose")
    mask = source("mask", path).draw(size, "openpose")
    depth = source("depth", path).draw(size, "openpose")
    drawn = pose.max(axis=2) > 60
    assert mask[drawn].mean() > 0.97 * 255
    assert np.array_equal(depth > 0, mask > 0)
    assert 0.05 < (mask > 0).mean() < 0.4


def test_low_resolution_is_enlarged_and_others_are_taken_as_they_are(
    source: Source, tmp_path: Path, said: list[str]
) -> None:
    small = save(tmp_path / "small.png", box((64, 96)))
    large = source("lowres", small).draw((128, 192), "openpose")
    assert large.shape == (192, 128, 3)
    assert abs(large.astype(int) - box((128, 192))).mean() < 4
    assert said == ["lowres control small.png: 64x96 brought to 128x192"]
    assert np.array_equal(source("other", small).draw((64, 96), "openpose"), box((64, 96)))


def test_what_is_cut_off_or_added_is_said(reporter: Reporter, said: list[str]) -> None:
    wide = np.zeros((100, 150, 3), np.uint8)
    wide[:, :5] = wide[:, -5:] = 255
    cut = fitted(wide, (100, 100), "cut", "it", reporter)
    assert not cut.any()
    assert said.pop() == (
        "it: 150x100 brought to 100x100; 33% of it are cut off at left and right "
        "(fit=whole keeps all)"
    )
    whole = fitted(wide, (100, 100), "whole", "it", reporter)
    assert whole[50, 0].min() > 200
    assert not whole[:16].any()
    assert said.pop() == "it: 150x100 brought to 100x100, all of it, on black"
    fitted(wide, (75, 50), "cut", "it", reporter)
    assert said.pop() == "it: 150x100 brought to 75x50"
    assert fitted(wide, (150, 100), "cut", "it", reporter) is wide
    assert not said
    with pytest.raises(CharacterError, match="expected a shape like 20x100, it is 150x100: 87%"):
        fitted(wide, (20, 100), "cut", "it", reporter)


def test_pictures_have_no_frames_and_small_ones_no_use(source: Source, tmp_path: Path) -> None:
    path = save(tmp_path / "box.png", box())
    control = source("canny", path, frame=3, view={"kind": "picture"})
    with pytest.raises(SettingsError, match="a picture has no frames, got @3"):
        control.draw(SIZE, "openpose")
    tiny = save(tmp_path / "tiny.png", box((20, 20)))
    with pytest.raises(CharacterError, match=r"the canny control tiny.png is at least 64 pixels"):
        source("canny", tiny).draw(SIZE, "openpose")


def test_a_frame_of_a_video_is_a_picture(source: Source, tmp_path: Path) -> None:
    pictures = [np.full((96, 64, 3), grey, np.uint8) for grey in (20, 20, 20)]
    pictures[1][30:60, 20:44] = 220
    video = Clips.write(tmp_path / "clip.mp4", pictures, options={"crf": "5"})
    found = source("canny", video, frame=2).draw((64, 96), "openpose")
    rows, columns = np.nonzero(found[..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx(
        (30, 60, 20, 44), abs=2
    )
    shown = source("other", video, frame=2)
    assert shown.shape == (64, 96)
    assert abs(shown.draw((64, 96), "openpose").astype(int) - pictures[1]).mean() < 4
    with pytest.raises(CharacterError, match="no edges are found"):
        source("canny", video, frame=1).draw((64, 96), "openpose")
    write_track(dancing_track(2), tmp_path / "wave.npz")
    with pytest.raises(MotionError, match=r"wave.npz shows nothing: expected a picture"):
        source("canny", tmp_path / "wave.npz").draw((64, 96), "openpose")


def test_networks_of_the_users_find_depth_and_figure(source: Source, tmp_path: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [8, 16],
        "num_attention_heads": [1, 2], "patch_sizes": [7, 3], "strides": [4, 2],
        "mlp_ratios": [1, 1],
    }  # fmt: skip
    config = transformers.GLPNConfig(decoder_hidden_size=8, **sizes)
    transformers.GLPNForDepthEstimation(config).save_pretrained(tmp_path / "depth")
    transformers.GLPNImageProcessor(size_divisor=32).save_pretrained(tmp_path / "depth")
    labels = {0: "wall", 1: "person"}
    seg = transformers.SegformerConfig(
        decoder_hidden_size=8, id2label=labels, label2id={v: k for k, v in labels.items()}, **sizes
    )
    network = transformers.SegformerForSemanticSegmentation(seg)
    network.decode_head.classifier.bias.data = torch.tensor([0.0, 5.0])
    network.save_pretrained(tmp_path / "figure")
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(
        tmp_path / "figure"
    )
    path = save(tmp_path / "box.png", box())
    depth = source("depth", path, estimator=str(tmp_path / "depth")).draw(SIZE, "openpose")
    assert depth.shape == (128, 96, 3)
    assert (depth.min(), depth.max()) == (0, 255)
    mask = source("mask", path, estimator=str(tmp_path / "figure")).draw(SIZE, "openpose")
    assert set(np.unique(mask)) <= {0, 255}
    assert mask.mean() > 128
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ModelError, match="transformers model for depth-estimation"):
            source("depth", path, estimator=str(folder)).draw(SIZE, "openpose")
