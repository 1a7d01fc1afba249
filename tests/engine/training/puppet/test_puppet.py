import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marionext import presets
from marionext.errors import ModelError
from marionext.training.checkpoints import load_checkpoint, save_checkpoint
from marionext.training.initial import PatchEncoder, read_components
from marionext.training.prefetching import drawn_ahead
from marionext.training.puppet import vae as vae_module
from marionext.training.puppet import video as video_module
from marionext.training.puppet.batches import Batch
from marionext.training.puppet.control import train_control
from marionext.training.puppet.export import begin_with_bundle
from marionext.training.puppet.networks import PuppetNetworks, PuppetSizes
from marionext.training.puppet.vae import (
    Components,
    VaeSettings,
    build_vae,
    components_of_figures,
    load_vae,
    train_vae,
)
from marionext.training.puppet.video import FINISHED, StepClips, VideoSettings, train_video
from marionext.training.speedups import speed_up

TINY_VAE = VaeSettings(steps=2, batch=2, crop=32, size=(64, 96), large_size=(96, 128))
TINY = VideoSettings(
    sizes=PuppetSizes(unet=(32, 32), heads=(2, 2), stem=(4, 4, 8), blocks=(8, 8), clip_width=32),
    size=(64, 64),
    large_size=(96, 96),
    frames=8,
    clips=1,
)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "VALIDATION_CLIPS", 2)


@pytest.fixture(scope="module")
def components() -> Components:
    """The components that encoders of tiny trainings project on."""
    return components_of_figures(TINY_VAE)


def trained(folder: Path, steps: int, *, resume: bool = False) -> dict[str, object]:
    path = train_video(TINY, folder, steps=steps, anneal=0, resume=resume, evaluate_every=2)
    return load_checkpoint(path, torch.load(path, weights_only=True)["config"])


def test_a_resumed_training_takes_the_same_steps(tmp_path: Path) -> None:
    through = trained(tmp_path / "through", 4)
    trained(tmp_path / "stopped", 2)
    resumed = trained(tmp_path / "stopped", 4, resume=True)
    for kind in ("networks", "average"):
        for name, value in through[kind].items():
            assert torch.equal(value, resumed[kind][name]), name
    rows = (tmp_path / "stopped" / "video.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "2", "4"]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, 2)
    before = (tmp_path / "video.pt").read_bytes()
    monkeypatch.setattr(
        video_module, "_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True)
    )
    with pytest.raises(ModelError, match="step 2 is nan"):
        trained(tmp_path, 4, resume=True)
    assert (tmp_path / "video.pt").read_bytes() == before


def test_clips_made_by_another_process_are_the_same(components: Components) -> None:
    make = StepClips(PatchEncoder(*components), TINY)
    for step, batch in drawn_ahead(make, 0, 3):
        for name in Batch.__slots__:
            assert torch.equal(getattr(batch, name), getattr(make(step), name)), name
        assert batch.maps.any(dim=(2, 3, 4)).all()


def test_each_frame_may_be_shown_the_warp_of_the_reference(components: Components) -> None:
    settings = replace(TINY, size=(128, 192), warped=True)
    make = StepClips(PatchEncoder(*components), settings)
    batch = make(3)
    assert batch.references.shape == batch.latents.shape
    warped, unmoved = (
        (shown - batch.latents)[:, 1:].square().mean()
        for shown in (batch.references, batch.latents[:, :1])
    )
    assert warped < 0.5 * unmoved
    for name in Batch.__slots__:
        again = getattr(pickle.loads(pickle.dumps(make))(3), name)
        assert torch.equal(getattr(batch, name), again), name


def test_a_training_begins_with_a_finished_bundle(tmp_path: Path) -> None:
    begin_with_bundle(presets.folder("puppet"), tmp_path)
    weights = torch.load(tmp_path / FINISHED, weights_only=True)
    left = PuppetNetworks(PuppetSizes()).load_state_dict(weights, strict=False)
    assert {name.partition(".")[0] for name in left.missing_keys} == {"parts", "origin"}
    assert not left.unexpected_keys
    # The same with small networks, trained on from there.
    torch.manual_seed(7)
    finished = PuppetNetworks(TINY.sizes).state_dict()
    save_checkpoint(tmp_path / FINISHED, finished)
    state = trained(tmp_path, 2)
    # Components are made once, and those of the bundle's autoencoder were there.
    name = "unet.up_blocks.0.resnets.0.spatial_res_block.conv1.weight"
    assert torch.allclose(state["networks"][name], finished[name], atol=1e-3)


def test_the_autoencoder_resumes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(TINY_VAE, steps=4)
    train_vae(settings, tmp_path / "through", resume=False, evaluate_every=2)
    with monkeypatch.context() as patch:
        # Stopped right after the checkpoint of step 2.
        patch.setattr(vae_module, "save_checkpoint", stopping_at(2))
        with pytest.raises(KeyboardInterrupt):
            train_vae(settings, tmp_path / "stopped", resume=False, evaluate_every=2)
    train_vae(settings, tmp_path / "stopped", resume=True, evaluate_every=2)
    one, two = (load_vae(tmp_path / name).state_dict() for name in ("through", "stopped"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def stopping_at(step: int) -> Callable[[Path, dict[str, object]], None]:
    def save(path: Path, state: dict[str, object]) -> None:
        save_checkpoint(path, state)
        if state.get("step") == step:
            raise KeyboardInterrupt

    return save


def test_the_constructed_encoder_is_the_patch_encoder(components: Components) -> None:
    vae = build_vae(TINY_VAE, components)
    encode = PatchEncoder(*components)
    pictures = vae_module.held_out_pictures(TINY_VAE, 2)
    with torch.no_grad():
        network = vae.encode(pictures).latent_dist.mode()
    assert torch.allclose(network, encode(pictures), atol=1e-4)
    for read, given in zip(read_components(vae), components, strict=True):
        assert torch.allclose(read, given, rtol=1e-4, atol=1e-6)


def test_decoding_does_not_depend_on_the_chunk(components: Components) -> None:
    vae = build_vae(TINY_VAE, components)
    latents = torch.randn(2, TINY_VAE.channels, 8, 8)
    with torch.no_grad():
        together = vae.decode(latents, num_frames=2).sample
        apart = [vae.decode(part[None], num_frames=1).sample[0] for part in latents]
    assert torch.allclose(together, torch.stack(apart), atol=1e-5)


def test_faster_forms_give_the_same_results() -> None:
    torch.manual_seed(0)
    networks = PuppetNetworks(TINY.sizes).eval()
    width = TINY.sizes.latent_channels
    inputs = (
        torch.randn(1, 3, width, 8, 8),
        torch.tensor([1.5]),
        torch.randn(1, width, 8, 8),
        torch.randn(1, TINY.sizes.embedding),
        torch.rand(1, 3, 3, 64, 64),
        torch.ones(1),
    )
    with torch.no_grad():
        plain = networks(*inputs)
        speed_up(networks.unet)
        assert torch.allclose(networks(*inputs), plain, atol=1e-5)


def test_the_pose_changes_what_is_predicted_and_strength_0_does_not_hear_it() -> None:
    torch.manual_seed(0)
    networks = PuppetNetworks(TINY.sizes).eval()
    width = TINY.sizes.latent_channels

    def predict(maps: torch.Tensor, strength: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        noisy = torch.randn(1, 2, width, 8, 8, generator=generator)
        still = torch.zeros(1, width, 8, 8)
        embedding = torch.zeros(1, TINY.sizes.embedding)
        return networks(noisy, torch.ones(1), still, embedding, maps, torch.tensor([strength]))

    one, two = torch.rand(2, 1, 2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(predict(one, 1.0), predict(two, 1.0))
        assert torch.equal(predict(one, 0.0), predict(two, 0.0))


def test_the_control_network_is_taught_first(tmp_path: Path) -> None:
    path = train_control(TINY, tmp_path, steps=2, resume=False)
    taught = torch.load(path, weights_only=True)["controlnext"]
    state = trained(tmp_path, 2)
    name = "embedding.0.weight"
    # Trained on from what was taught, more slowly than the rest.
    assert torch.allclose(state["networks"]["controlnext." + name], taught[name], atol=1e-3)


def test_control_maps_have_no_constants() -> None:
    control = PuppetNetworks(TINY.sizes).controlnext
    biases = {name: value for name, value in control.named_parameters() if name.endswith("bias")}
    assert any("mid_convs" in name for name in biases)
    for name, value in biases.items():
        if not name.startswith("time_embedding"):
            assert not value.requires_grad
            assert not value.any()
