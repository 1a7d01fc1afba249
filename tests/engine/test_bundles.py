"""Which models there are, where they live, and whether their files are whole."""

import json
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext import bundles, presets
from marionext.backends.pictures.control_files import ControlSettings
from marionext.backends.pictures.families import FAMILIES
from marionext.codec import decode
from marionext.errors import ModelError
from marionext.settings import SETTINGS, default_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write_safetensors(path: Path, size: int = 100) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))


def make_bundle(folder: Path, *, skip: tuple[str, ...] = ()) -> Path:
    """Write small files of the right kind for everything that ``svd`` has."""
    for file in bundles.read_card("svd").files:
        if file.path in skip:
            continue
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text("{}", encoding="utf-8")
        elif path.suffix == ".safetensors":
            write_safetensors(path)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", b"weights")
    return folder


def texts(bundle: bundles.ModelBundle) -> list[str]:
    return [str(problem) for problem in bundles.check(bundle)]


@pytest.mark.parametrize("name", presets.names("models"))
def test_every_card_can_be_read_and_its_settings_hold(name: str) -> None:
    card = bundles.read_card(name)
    assert card.licence
    assert card.description
    if card.kind == "video":
        assert decode(SETTINGS[card.architecture], card.settings) == default_settings(name)
    elif card.kind == "control":
        assert decode(ControlSettings, card.settings).variant == card.architecture
    elif card.kind == "upscaler":
        assert card.architecture in {"ncnn", "sd3"}
    else:
        assert card.architecture in FAMILIES
    names = [name for file in card.files for name in file.names]
    assert len(names) == len(set(names))
    for file in card.files:
        # Shipped, fetched, or part of a package: of the three, one.
        assert card.built_in + bool(file.repository) + bool(card.package) == 1


def test_the_video_model_renders_as_the_reference_does() -> None:
    settings = default_settings("svd")
    assert (settings.width, settings.height, settings.steps) == (576, 1024, 25)
    assert (settings.window, settings.overlap, settings.decode_chunk) == (24, 6, 2)
    assert settings.guidance_min == settings.guidance_max == 3


def test_a_fetched_model_lives_in_the_users_folder(home: Path) -> None:
    assert bundles.find("svd").folder == home / "models" / "svd"


def test_the_built_in_model_lives_among_the_presets() -> None:
    assert bundles.find("puppet").folder == presets.folder("puppet")


def test_a_folder_counts_as_a_bundle_of_its_name(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "my-svd")
    bundle = bundles.require(str(folder))
    assert (bundle.name, bundle.folder) == ("my-svd", folder)
    assert texts(bundle) == []


def test_a_folder_beside_the_fetched_models_is_found_by_its_name(home: Path) -> None:
    folder = make_bundle(home / "models" / "mine")
    assert bundles.find("mine").folder == folder
    assert "mine" in [bundle.name for bundle in bundles.list_bundles()]


def test_a_folders_record_may_name_another_card(tmp_path: Path) -> None:
    bundles.write_record(tmp_path, "puppet", {})
    assert bundles.find(str(tmp_path)).card == bundles.read_card("puppet")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ModelError, match="'pupet'") as caught:
        bundles.find("pupet")
    assert caught.value.hint == "Did you mean 'puppet'?"
    assert caught.value.exit_status == 4


def test_a_model_that_is_not_here_says_how_to_fetch_it(home: Path) -> None:
    with pytest.raises(ModelError, match="not on this machine") as caught:
        bundles.require("svd")
    assert "marionext models pull svd" in (caught.value.hint or "")


def test_every_missing_file_is_named_with_what_may_stand_for_it(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, skip=("unet.bin", "vae/config.json"))
    found = texts(bundles.find(str(folder)))
    assert len(found) == 2
    assert found[0] == "vae/config.json is missing"
    assert found[1].startswith("unet.bin (or unet.safetensors")
    with pytest.raises(ModelError, match=r"and 1 more"):
        bundles.require(str(folder))


@pytest.mark.parametrize("name", ["unet.safetensors", "unet/diffusion_pytorch_model.safetensors"])
def test_another_format_of_a_file_serves_as_well(tmp_path: Path, name: str) -> None:
    folder = make_bundle(tmp_path, skip=("unet.bin",))
    write_safetensors(folder / name)
    assert texts(bundles.find(str(folder))) == []


def test_damaged_files_are_found_without_hashes(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (folder / "unet.bin").write_bytes(b"<html>not found</html>")
    (folder / "vae" / "config.json").write_text("{", encoding="utf-8")
    (folder / "controlnet.bin").write_bytes(b"")
    problems = {problem.path: problem for problem in bundles.check(bundles.find(str(folder)))}
    assert "its header says" in problems["vae/diffusion_pytorch_model.safetensors"].text
    assert "neither" in problems["unet.bin"].text
    assert "JSON" in problems["vae/config.json"].text
    assert "empty" in problems["controlnet.bin"].text
    assert all(problem.fatal for problem in problems.values())


@given(content=st.binary(max_size=200))
def test_any_bytes_can_be_looked_at(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "vae").mkdir()
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (folder / "vae" / name).write_bytes(content)
    (folder / "unet.bin").write_bytes(content)
    (folder / "bundle.json").write_bytes(content)
    assert bundles.check(bundles.find(str(folder)))


def recorded(folder: Path) -> bundles.ModelBundle:
    bundles.record_files(make_bundle(folder), "svd")
    return bundles.find(str(folder))


def test_a_bundle_that_is_not_complete_is_not_recorded(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, skip=("vae/config.json",))
    with pytest.raises(ModelError, match=r"vae/config\.json is missing"):
        bundles.record_files(folder, "svd")
    assert not (folder / bundles.RECORD_NAME).exists()


@pytest.mark.parametrize("name", ["figurine", "puppet", "upscaler"])
def test_the_built_in_models_are_whole(name: str) -> None:
    bundle = bundles.find(name)
    assert texts(bundle) == []
    assert bundles.read_record(bundle.folder), "record_files() was not called after training"


def test_changed_weights_are_found_by_their_hash_only(tmp_path: Path) -> None:
    bundle = recorded(tmp_path)
    assert texts(bundle) == []
    weights = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert bundles.check(bundle, hashes=False) == []
    assert [problem.what for problem in bundles.check(bundle)] == ["changed"]


def test_hashing_tells_how_far_it_is(tmp_path: Path) -> None:
    bundle = recorded(tmp_path)
    steps: list[tuple[int, int]] = []
    bundles.check(bundle, on_bytes=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)


def test_weights_of_something_else_are_pointed_out_but_do_no_harm(tmp_path: Path) -> None:
    bundle = recorded(tmp_path)
    write_safetensors(tmp_path / "other.safetensors")
    write_safetensors(tmp_path / f"unet{bundles.CONVERTED}")
    (problem,) = bundles.check(bundle)
    assert (problem.path, problem.what, problem.fatal) == ("other.safetensors", "unknown", False)
    assert bundles.require(str(tmp_path)) == bundle
