"""A bundle built on another: what it takes from its base, and what it adds to it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from marionext import bundles
from marionext.backends.svd import load_models, read_shape
from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import INCREMENTS
from marionext.errors import ModelError
from marionext.files import sha256_of

NAME = "conv_in.bias"


@pytest.fixture
def base(bundle: Path) -> Path:
    """The tiny bundle, whose files are known."""
    return bundle


def built_on(folder: Path, base: Path, changes: dict[str, torch.Tensor] | None = None) -> Path:
    """Make a bundle of a control network and increments."""
    shutil.copytree(base / "controlnext", folder / "controlnext")
    (folder / "unet").mkdir()
    if changes is not None:
        save_file(changes, folder / INCREMENTS)
    weights = {
        name: digest
        for name, digest in bundles.fingerprint(bundles.find(str(base))).items()
        if name.startswith("unet/diff")
    }
    bundles.write_record(folder, "svd", {}, base={"model": base.as_posix(), "files": weights})
    return folder


def bias_of(folder: Path) -> torch.Tensor:
    bias: torch.Tensor = NetworkFiles(folder, torch.float32).unet().state_dict()[NAME]
    return bias


def test_increments_are_added_and_the_rest_is_the_base_s(tmp_path: Path, base: Path) -> None:
    change = torch.linspace(-1, 1, 32)
    folder = built_on(tmp_path / "tuned", base, {NAME: change.half()})
    assert torch.equal(bias_of(folder), bias_of(base) + change.half().float())
    tuned, plain = (load_models(path, device="cpu") for path in (folder, base))
    for name in ("vae", "image_encoder", "controlnext"):
        mine, theirs = (getattr(models, name).state_dict() for models in (tuned, plain))
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())
    assert tuned.scheduler == plain.scheduler
    assert read_shape(folder) == read_shape(base)


def test_increments_are_added_before_rounding(tmp_path: Path, base: Path) -> None:
    change = torch.full((32,), 1e-4)
    folder = built_on(tmp_path / "tuned", base, {NAME: change})
    wanted = (bias_of(base) + change).half()
    found = NetworkFiles(folder, torch.float16).unet().state_dict()[NAME]
    assert torch.equal(found, wanted)


def test_increments_of_increments_add_up(tmp_path: Path, base: Path) -> None:
    first = built_on(tmp_path / "first", base, {NAME: torch.ones(32)})
    second = built_on(tmp_path / "second", first, {NAME: torch.full((32,), 0.5)})
    assert bundles.layers(second) == (second, first, base)
    assert torch.equal(bias_of(second), bias_of(base) + 1.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conv_in.bais": torch.zeros(32)}, "1 unexpected: conv_in.bais"),
        ({NAME: torch.zeros(31)}, r"conv_in.bias \(expected 32, found 31\)"),
    ],
)
def test_increments_of_another_network_are_refused(
    tmp_path: Path, base: Path, changes: dict[str, torch.Tensor], words: str
) -> None:
    folder = built_on(tmp_path / "tuned", base, changes)
    with pytest.raises(ModelError, match=words):
        NetworkFiles(folder, torch.float32).unet()


def test_damaged_increments_are_found_before_and_while_loading(tmp_path: Path, base: Path) -> None:
    folder = built_on(tmp_path / "tuned", base, {NAME: torch.zeros(32)})
    path = folder / INCREMENTS
    record = bundles.FileRecord(size=path.stat().st_size, sha256=sha256_of(path))
    bundles.write_record(
        folder, "svd", {INCREMENTS: record}, base={"model": base.as_posix(), "files": {}}
    )
    assert not [problem for problem in bundles.check(bundles.find(str(folder))) if problem.fatal]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="not complete"):
        bundles.require(str(folder))
    with pytest.raises(ModelError, match="increments"):
        NetworkFiles(folder, torch.float32).unet()


def test_another_base_than_the_increments_were_made_for_is_refused(
    tmp_path: Path, base: Path
) -> None:
    folder = built_on(tmp_path / "tuned", base, {NAME: torch.zeros(32)})
    bundles.require(str(folder))
    unet = NetworkFiles(base, torch.float32).unet()
    unet.conv_in.bias.data += 1
    save_file(unet.state_dict(), base / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelError, match="not the one it was trained on"):
        bundles.require(str(folder))


def test_a_base_that_is_gone_is_an_error_that_says_how_to_name_it(
    tmp_path: Path, base: Path
) -> None:
    folder = built_on(tmp_path / "tuned", base, {NAME: torch.zeros(32)})
    moved = base.rename(base.with_name("moved"))
    with pytest.raises(ModelError, match="neither known nor a folder") as raised:
        bundles.require(str(folder))
    assert "marionext.toml" in (raised.value.hint or "")
    (folder / "marionext.toml").write_text(f'base = "{moved.as_posix()}"')
    bundles.require(str(folder))


def test_what_is_damaged_in_the_base_is_told(tmp_path: Path, base: Path) -> None:
    folder = built_on(tmp_path / "tuned", base, {NAME: torch.zeros(32)})
    (base / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="missing"):
        bundles.require(str(folder))


def test_bundles_built_on_each_other_are_refused(tmp_path: Path, base: Path) -> None:
    first = built_on(tmp_path / "first", base)
    second = built_on(tmp_path / "second", first)
    (first / "marionext.toml").write_text(f'base = "{second.as_posix()}"')
    with pytest.raises(ModelError, match="built on itself"):
        bundles.layers(first)


def test_the_fingerprint_tells_one_training_from_another(tmp_path: Path, base: Path) -> None:
    one = built_on(tmp_path / "one", base, {NAME: torch.zeros(32)})
    two = built_on(tmp_path / "two", base, {NAME: torch.ones(32)})
    prints = [bundles.fingerprint(bundles.find(str(folder))) for folder in (one, two)]
    assert prints[0] != prints[1]
    assert prints[0].keys() == prints[1].keys()
    assert INCREMENTS in prints[0]
    assert "vae/config.json" in prints[0]
