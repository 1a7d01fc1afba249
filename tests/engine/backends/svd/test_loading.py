import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from marionext import bundles, presets
from marionext.backends.svd import denoise, load_models
from marionext.backends.svd.loading import NetworkFiles
from marionext.diffusion.memory import choose_device, choose_dtype
from marionext.errors import DeviceError, ModelError
from marionext.settings import SvdSettings


def test_a_loaded_bundle_renders_as_its_networks_do(
    bundle: Path,
    models: Any,
    picture: NDArray[np.uint8],
    pose_maps: Callable[[int], NDArray[np.uint8]],
    settings: SvdSettings,
) -> None:
    loaded = load_models(bundle, device="cpu")
    assert loaded.placement.dtype == torch.float32
    assert torch.equal(
        denoise(loaded, picture, pose_maps, 3, settings),
        denoise(models, picture, pose_maps, 3, settings),
    )


def as_authors_leave_it(bundle: Path) -> None:
    """Turn our layout into loose pickled files; the control network keeps its configuration."""
    torch.save(
        load_file(bundle / "controlnext" / "controlnext.safetensors"), bundle / "controlnet.bin"
    )
    (bundle / "controlnext" / "controlnext.safetensors").unlink()
    weights = bundle / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), bundle / "unet.bin")
    weights.unlink()


def test_pickled_files_are_converted_once(bundle: Path) -> None:
    as_authors_leave_it(bundle)
    first = load_models(bundle, device="cpu")
    kept = [bundle / "unet.converted.safetensors", bundle / "controlnet.converted.safetensors"]
    times = [path.stat().st_mtime_ns for path in kept]
    second = load_models(bundle, device="cpu")
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert torch.equal(first.unet.conv_in.weight, second.unet.conv_in.weight)
    assert not list(bundle.glob("*.part"))
    assert kept[0].stat().st_mode == (bundle / "unet.bin").stat().st_mode


def test_a_changed_pickled_file_is_converted_again(bundle: Path) -> None:
    as_authors_leave_it(bundle)
    load_models(bundle, device="cpu")
    values = torch.load(bundle / "controlnet.bin", weights_only=True)
    values["mid_convs.1.bias"] += 1
    torch.save(values, bundle / "controlnet.bin")
    again = load_models(bundle, device="cpu")
    assert torch.equal(again.controlnext.mid_convs[1].bias, values["mid_convs.1.bias"])


def test_a_folder_that_cannot_be_written_has_its_conversions_elsewhere(
    bundle: Path, tmp_path: Path
) -> None:
    as_authors_leave_it(bundle)
    # A folder of that name: permissions would not stop a superuser.
    (bundle / "unet.converted.safetensors" / "in the way").mkdir(parents=True)
    load_models(bundle, device="cpu", converted=tmp_path / "models")
    assert (tmp_path / "models" / "unet.converted.safetensors").is_file()
    with pytest.raises(ModelError, match="could not be written"):
        load_models(bundle, device="cpu")


def test_weights_of_another_model_are_named(bundle: Path) -> None:
    path = bundle / "unet" / "diffusion_pytorch_model.safetensors"
    values = load_file(path)
    values["conv_in.weight"] = torch.zeros(32, 4, 3, 3)
    del values["conv_out.bias"]
    values["some.other.layer"] = torch.zeros(2)
    save_file(values, path)
    with pytest.raises(ModelError) as caught:
        load_models(bundle, device="cpu")
    text = caught.value.message
    assert "1 missing: conv_out.bias" in text
    assert "1 unexpected: some.other.layer" in text
    assert "conv_in.weight (expected 32x8x3x3, found 32x4x3x3)" in text
    assert caught.value.hint


def test_another_models_pickled_file_is_refused_and_leaves_nothing(bundle: Path) -> None:
    as_authors_leave_it(bundle)
    torch.save({"weight": torch.zeros(2)}, bundle / "controlnet.bin")
    with pytest.raises(ModelError, match="missing"):
        load_models(bundle, device="cpu")
    assert not (bundle / "controlnet.converted.safetensors").exists()


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/should-not-exist-marionext"),))


@pytest.mark.parametrize("damage", ["code", "cut", "text", "empty", "list"])
def test_damaged_or_harmful_pickled_files_are_refused(bundle: Path, damage: str) -> None:
    as_authors_leave_it(bundle)
    path = bundle / "controlnet.bin"
    if damage == "code":
        path.write_bytes(pickle.dumps({"weight": Harmful()}))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "list":
        torch.save([torch.zeros(1)], path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"<html>Access to this model is restricted")
    with pytest.raises(ModelError, match=r"controlnet\.bin"):
        load_models(bundle, device="cpu")
    assert not Path("/tmp/should-not-exist-marionext").exists()


@pytest.mark.parametrize("kept", [0, 40, 5000])
def test_a_cut_safetensors_file_is_refused(bundle: Path, kept: int) -> None:
    path = bundle / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match="not a complete safetensors file"):
        load_models(bundle, device="cpu")


@pytest.mark.parametrize(
    "missing",
    [
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "image_encoder/model.safetensors",
        "scheduler/scheduler_config.json",
        "controlnext/controlnext.safetensors",
    ],
)
def test_a_missing_file_is_named(bundle: Path, missing: str) -> None:
    (bundle / missing).unlink()
    with pytest.raises(
        ModelError, match=Path(missing).parts[0] if "controlnext" not in missing else "no weights"
    ):
        load_models(bundle, device="cpu")


def test_half_precision_files_and_old_position_numbers_load(bundle: Path) -> None:
    path = bundle / "image_encoder" / "model.safetensors"
    values = {name: value.half() for name, value in load_file(path).items()}
    values["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(values, path.with_name("model.fp16.safetensors"))
    path.unlink()
    assert load_models(bundle, device="cpu").image_encoder.dtype == torch.float32


def test_a_misspelt_control_configuration_is_refused(bundle: Path) -> None:
    path = bundle / "controlnext" / "config.json"
    values = json.loads(path.read_text())
    values["stem_width"] = values.pop("stem_widths")
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="stem_width"):
        load_models(bundle, device="cpu")


def test_networks_that_do_not_fit_each_other_are_refused(bundle: Path) -> None:
    path = bundle / "image_encoder" / "config.json"
    values = json.loads(path.read_text())
    values["projection_dim"] = 24
    path.write_text(json.dumps(values))
    weights = bundle / "image_encoder" / "model.safetensors"
    tensors = load_file(weights)
    tensors["visual_projection.weight"] = torch.zeros(24, 16)
    save_file(tensors, weights)
    with pytest.raises(ModelError, match="image embedding has 24 channels"):
        load_models(bundle, device="cpu")


def test_devices_that_are_not_there_are_told() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype(torch.device("cpu")) == torch.float32
    assert choose_dtype(torch.device("cuda")) == torch.float16
    assert choose_dtype(torch.device("mps")) == torch.float16
    assert choose_dtype(torch.device("cpu"), "bfloat16") == torch.bfloat16
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda was asked for"):
            choose_device("cuda")
    with pytest.raises(DeviceError, match="expected auto"):
        choose_device("tpu")


def test_the_older_form_of_pickled_files_is_read_too(bundle: Path) -> None:
    as_authors_leave_it(bundle)
    path = bundle / "controlnet.bin"
    values = torch.load(path, weights_only=True)
    torch.save(values, path, _use_new_zipfile_serialization=False)
    load_models(bundle, device="cpu")
    assert (bundle / "controlnet.converted.safetensors").is_file()


def test_a_control_network_that_is_known_as_a_pictures_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Names and shapes of ControlNeXt's files for SVD v2 and SDXL are the same.
    card = bundles.read_card("sdxl-depth")
    known = bundles.KnownFile("sdxl-depth", card.files[0], card.architecture)
    monkeypatch.setattr("marionext.backends.svd.loading.known_file", lambda _path: known)
    files = NetworkFiles(presets.folder("puppet"), torch.float32)
    with pytest.raises(ModelError, match=r"its hash says that it is controlnet.* for SDXL: depth"):
        files.controlnext()
