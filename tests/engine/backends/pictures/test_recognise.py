"""What files for pictures are is told by their headers, hashes and configurations."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from marionext import bundles, presets
from marionext.backends.pictures import control_files
from marionext.backends.pictures.control_files import find_control
from marionext.backends.pictures.families import FamilyName, buckets, nearest_bucket, rounded
from marionext.backends.pictures.recognise import base_family, lora_family, refuse_other_lora
from marionext.errors import ModelError
from marionext.jobs import MotionSource, PictureControl

DATA = Path(__file__).parents[3] / "parity" / "data" / "g_manifests"


def header(path: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    """Write a safetensors file's header; nothing here reads further."""
    entries = {
        name: {"dtype": "F16", "shape": list(shape), "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    text = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def checkpoint(context: int, channels: int = 4) -> dict[str, tuple[int, ...]]:
    first = "model.diffusion_model.input_blocks.0.0.weight"
    cross = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    return {first: (320, channels, 3, 3), cross: (640, context)}


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        (checkpoint(768), "sd15"),
        (checkpoint(2048), "sdxl"),
        ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)}, "sd3"),
    ],
)
def test_checkpoints_tell_their_family(
    tmp_path: Path, shapes: Mapping[str, Sequence[int]], family: str
) -> None:
    assert base_family(header(tmp_path / "a.safetensors", shapes)) == family


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (checkpoint(1024), "Stable Diffusion 2"),
        (checkpoint(1280), "the refiner of Stable Diffusion XL"),
        (checkpoint(768, channels=9), "9 channels, as for inpainting"),
        ({**checkpoint(1024), "model.diffusion_model.a.time_mixer.b": (1,)}, "Video Diffusion"),
        ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "a ControlNet"),
        ({"mid_convs.0.0.weight": (256, 256, 3, 3)}, "a control network"),
        ({"lora_unet_a.lora_down.weight": (4, 768)}, "a LoRA"),
        ({"mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1, 768)}, "UNet alone"),
        ({"double_blocks.0.img_attn.qkv.weight": (1, 1)}, "unknown .double_blocks"),
    ],
)
def test_checkpoints_of_other_architectures_are_named(
    tmp_path: Path, shapes: Mapping[str, Sequence[int]], words: str
) -> None:
    path = header(tmp_path / "a.safetensors", shapes)
    with pytest.raises(ModelError, match=rf"expected a base among .*, this is .*{words}"):
        base_family(path)


def test_a_file_that_was_cut_off_is_told_from_one_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    text = json.dumps({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 5)
    other = tmp_path / "b.SAFETENSORS"
    other.write_bytes(path.read_bytes() + b"\0" * 3)
    for look in (base_family, lora_family):
        with pytest.raises(ModelError, match=r"a.safetensors: cut off: expected \d+ bytes"):
            look(path)
        with pytest.raises(ModelError, match=r"holds safetensors, .*\n?.*Call it b.safetensors"):
            look(other)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 a pickle", b"\xff" * 40, b"\2" + b"\0" * 7 + b"[]"]
)
def test_files_that_are_none_are_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        base_family(path)
    with pytest.raises(ModelError, match="no such file"):
        base_family(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("part", "config", "family"),
    [
        ("unet", {"_class_name": "UNet2DConditionModel", "in_channels": 4}, "sd15"),
        ("unet", {"in_channels": 4, "addition_embed_type": "text_time"}, "sdxl"),
        ("transformer", {"_class_name": "SD3Transformer2DModel"}, "sd3"),
        ("transformer", {"_class_name": "FluxTransformer2DModel"}, "a Flux"),
        ("unet", {"_class_name": "UNetSpatioTemporalConditionModel"}, "a UNetSpatio"),
        ("unet", {"in_channels": 9}, "takes 9 channels and returns 4, as for inpainting"),
        ("unet", {"in_channels": 16, "out_channels": 16}, "sd15"),
    ],
)
def test_folders_tell_their_family(
    tmp_path: Path, part: str, config: dict[str, object], family: str
) -> None:
    (tmp_path / part).mkdir()
    (tmp_path / part / "config.json").write_text(json.dumps(config))
    if family in {"sd15", "sdxl", "sd3"}:
        assert base_family(tmp_path) == family
    else:
        with pytest.raises(ModelError, match=family):
            base_family(tmp_path)


KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
DIFFUSERS = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({KOHYA: (4, 768)}, "sd15"),
        ({DIFFUSERS: (4, 2048)}, "sdxl"),
        ({"transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (4, 1536)}, "sd3"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 768)}, None),
        ({DIFFUSERS: (4, 1024)}, "Stable Diffusion 2"),
        ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4, 64)}, "a .* Flux"),
        ({"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (4, 64)}, "a .* Flux"),
        ({"diffusion_model.blocks.0.cross_attn.k.lora_A.weight": (4, 64)}, "a .* Wan"),
    ],
)
def test_loras_tell_their_family(
    tmp_path: Path, shapes: Mapping[str, Sequence[int]], family: str | None
) -> None:
    path = header(tmp_path / "a.safetensors", shapes)
    found = lora_family(path)
    assert found is None if family is None else re.fullmatch(family, str(found))
    if family is not None and "a " in family:
        with pytest.raises(ModelError, match=f"this one is for {family}"):
            refuse_other_lora(path, "sdxl")
    if family == "sd15":
        refuse_other_lora(path, "sd15")
        with pytest.raises(
            ModelError, match=r"expected a LoRA for Stable Diffusion XL, this one is for .* 1.5"
        ):
            refuse_other_lora(path, "sdxl")
        # A small base of the family has text of its own width.
        with pytest.raises(ModelError, match=r"1.5 with text 160 wide, this one is for .* 1.5"):
            refuse_other_lora(path, "sd15", 160)
        small = header(tmp_path / "b.safetensors", {KOHYA: (4, 160)})
        refuse_other_lora(small, "sd15", 160)
        with pytest.raises(ModelError, match="this one is for one of text 160 wide"):
            refuse_other_lora(small, "sd15")
    with (
        pytest.raises(ModelError, match=r"expected a LoRA for .* 3, this one")
        if family not in {"sd3", None}
        else contextlib.nullcontext()
    ):
        refuse_other_lora(path, "sd3")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("hada_w1_a", "a LoHa"),
        ("lokr_w2", "a LoKr"),
        ("oft_blocks", "an OFT"),
        ("lora_mid.weight", "Tucker"),
        ("diff", "whole differences"),
    ],
)
def test_what_lies_beside_loras_in_files_is_named(tmp_path: Path, part: str, words: str) -> None:
    shapes = {KOHYA: (4, 768), f"lora_unet_conv_in.{part}": (4, 4)}
    with pytest.raises(ModelError, match=f"expected a LoRA, this holds .*{words}"):
        lora_family(header(tmp_path / "a.safetensors", shapes))


def test_what_is_no_lora_is_named(tmp_path: Path) -> None:
    path = header(tmp_path / "a.safetensors", checkpoint(768))
    with pytest.raises(ModelError, match="expected a LoRA, none of its 2 tensors"):
        lora_family(path)


def control(**fields: object) -> PictureControl:
    return PictureControl(kind="pose", source=MotionSource(path="a.bvh"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("manifest", "family", "variant"),
    [
        ("sd15_controlnext", "sd15", "sd15"),
        ("sd15_controlnext_training_repo", "sd15", "sd15_training"),
        ("sdxl_controlnext", "sdxl", "sdxl"),
        ("svd_controlnext_v2", "sd3", "sd3"),
    ],
)
def test_weights_of_unknown_origin_are_told_by_shapes_and_base(
    tmp_path: Path, manifest: str, family: FamilyName, variant: str
) -> None:
    shapes = json.loads((DATA / f"{manifest}.json").read_text())["shapes"]
    path = header(tmp_path / "controlnet.safetensors", shapes)
    found = find_control(control(weights=str(path)), family, None)
    assert (found.settings.variant, found.weights) == (variant, path)
    folder = find_control(control(weights=str(tmp_path)), family, None)
    assert (folder.settings.variant, folder.name) == (variant, tmp_path.name)


def test_a_known_hash_decides_what_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = json.loads((DATA / "sdxl_controlnext.json").read_text())["shapes"]
    path = header(tmp_path / "mine.safetensors", shapes)
    card = bundles.read_card("sdxl-canny")
    known = bundles.KnownFile("sdxl-canny", card.files[0], card.architecture)
    monkeypatch.setattr(control_files, "known_file", lambda _path: known)
    found = find_control(control(weights=str(path)), "sdxl", None)
    assert (found.name, found.settings.kinds) == ("sdxl-canny", ("canny",))
    # By its shapes alone it might be one for SD 1.5, in the training code's form.
    with pytest.raises(ModelError, match=r"for Stable Diffusion 1.5, this one is for .* XL"):
        find_control(control(weights=str(path)), "sd15", None)
    svd = bundles.KnownFile("svd", bundles.read_card("svd").files[-1], "svd")
    monkeypatch.setattr(control_files, "known_file", lambda _path: svd)
    with pytest.raises(ModelError, match=r"says that it is controlnet.bin of Stable Video"):
        find_control(control(weights=str(path)), "sdxl", None)


def test_cards_pin_the_published_hashes() -> None:
    hashes = {
        digest
        for name in presets.names("models")
        for file in bundles.read_card(name).files
        for digest in (file.sha256, *file.known)
        if digest
    }
    assert all(len(digest) == 64 and not digest.strip("0123456789abcdef") for digest in hashes)
    assert {digest[:8] for digest in hashes} >= {
        "b222038c", "d0bade33", "e73afec6", "6eeebed7", "e51c701b", "51dd47d9", "6d68e248",
        "1009f0bc", "2a60c6e9", "2716ffab",
    }  # fmt: skip


def test_controls_that_are_not_here_say_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"pose control and Stable Diffusion 1.5") as caught:
        find_control(control(), "sd15", None)
    assert "models pull sd15-pose" in str(caught.value.hint)
    with pytest.raises(ModelError, match="no control network is known for pose control") as caught:
        find_control(control(), "sdxl", None)
    assert "weights=FOLDER" in str(caught.value.hint)
    with pytest.raises(ModelError, match="no control network is called 'nothing'"):
        find_control(control(weights="nothing"), "sdxl", None)
    with pytest.raises(ModelError, match="expected a control network, this one is for videos"):
        find_control(control(weights="doll"), "sdxl", None)
    empty = header(tmp_path / "a.safetensors", {"some.weight": (1,)})
    with pytest.raises(ModelError, match="none of its 1 tensors is called mid_convs"):
        find_control(control(weights=str(empty)), "sdxl", None)


@pytest.mark.parametrize("side", [64, 128, 256, 512, 768, 1024])
def test_buckets_have_about_the_pixels_of_the_square(side: int) -> None:
    found = buckets(side)
    assert (side, side) in found
    for width, height in found:
        assert width % 8 == height % 8 == 0
        assert 0.8 * side**2 <= width * height <= side**2
        assert (height, width) in found


def test_the_bucket_of_the_nearest_shape_is_taken() -> None:
    assert nearest_bucket(1024, (1, 1)) == (1024, 1024)
    assert nearest_bucket(1024, (2, 3)) == (768, 1152)
    assert nearest_bucket(1024, (16, 9)) == (1344, 768)
    assert nearest_bucket(512, (9, 16)) == (384, 640)
    assert nearest_bucket(512, (1, 100)) == (384, 640)
    assert rounded((511, 3), 8) == (512, 16)
