import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from marionext import presets
from marionext.backends.svd.loading import NetworkFiles
from marionext.codec import decode
from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.errors import ModelError
from marionext.training.checkpoints import load_checkpoint
from marionext.training.figures.clips import figure_of
from marionext.training.initial import PatchEncoder
from marionext.training.picture import commands
from marionext.training.picture import training as training_module
from marionext.training.picture.autoencoder import picture_autoencoder
from marionext.training.picture.captions import WORDS, caption, colour_name, describe
from marionext.training.picture.commands import main
from marionext.training.picture.networks import PictureSizes, begin_with_puppet
from marionext.training.picture.training import (
    PictureSchedule,
    PictureSettings,
    make_networks,
    train_picture,
)
from marionext.training.picture.words import phrases_of, teach_phrases
from marionext.training.prefetching import drawn_ahead
from marionext.training.puppet.export import export_bundle
from marionext.training.puppet.networks import PuppetNetworks, PuppetSizes
from marionext.training.puppet.vae import VaeSettings, build_vae
from marionext.training.tokenizer import LENGTH, make_tokenizer

WIDTHS = {"unet": (32, 32), "heads": (2, 2), "stem": (4, 4, 8), "blocks": (8, 8)}
TINY = PictureSettings(
    sizes=PictureSizes(**WIDTHS, text_width=32, text_layers=1),
    size=(64, 64),
    large_size=(96, 96),
    clips=2,
    word_steps=2,
    stock=2,
    kept=4,
)


@pytest.fixture(scope="module")
def puppet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A puppet of tiny networks, untrained."""
    folder = tmp_path_factory.mktemp("puppet")
    torch.manual_seed(0)
    vae = build_vae(VaeSettings(), (torch.eye(16, 192), torch.ones(16)))
    export_bundle(folder, vae, PuppetNetworks(PuppetSizes(**WIDTHS, clip_width=32)), {})
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, puppet: Path) -> Path:
    """The folder of a training of one step."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_module, "VALIDATION_CLIPS", 2)
        trained(folder, puppet, 1)
    return folder


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "VALIDATION_CLIPS", 2)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((222, 62, 52), "red"),
        ((38, 74, 150), "blue"),
        ((20, 60, 30), "dark green"),
        ((245, 245, 240), "white"),
        ((30, 22, 20), "black"),
        ((92, 58, 36), "brown"),
        ((250, 170, 180), "pink"),
        ((130, 130, 128), "grey"),
        ((248, 200, 64), "yellow"),
    ],
)
def test_colours_go_by_their_names(colour: tuple[int, int, int], name: str) -> None:
    assert colour_name(colour) == name


def test_captions_say_what_is_worn_in_words_that_are_one_token_each() -> None:
    tokenizer = make_tokenizer(WORDS)
    for seed in range(300):
        look = figure_of(seed).look
        text = caption(look, np.random.default_rng(seed))
        assert set(text.replace(",", " ,").split()) <= set(WORDS)
        assert set(text.split(", ")[1:]) <= set(describe(look))
        whole = f"a figure, {', '.join(describe(look))}"
        assert len(tokenizer(whole).input_ids) == len(whole.replace(",", " ,").split()) + 2 < LENGTH
    assert "dress" in WORDS
    assert tokenizer.tokenize("Mauve dress") == ["m", "a", "u", "v", "e</w>", "dress</w>"]


def test_the_autoencoder_is_the_puppets() -> None:
    video = NetworkFiles(presets.folder("puppet"), torch.float32).vae()
    latents = torch.randn(2, 16, 6, 4)
    with torch.no_grad():
        kept = picture_autoencoder(video).decode(latents).sample
        assert torch.allclose(kept, video.decode(latents, num_frames=1).sample, atol=1e-4)


def test_it_begins_as_the_puppet_and_hears_poses_from_the_first_step_on() -> None:
    settings = PictureSettings(word_steps=2)
    training = training_module._Training(settings, presets.folder("puppet"), torch.device("cpu"))
    training.begin()
    numbers = training.errors()
    assert numbers["right_500"] < 0.96 * numbers["pose_500"]
    assert numbers["right_500"] < 0.8
    # Small enough to be shipped: 25 MB in half precision.
    networks = (training.networks, training.vae)
    assert sum(value.numel() for each in networks for value in each.parameters()) < 12.5e6


def test_the_code_of_a_timestep_is_the_puppets_of_its_noise_level(puppet: Path) -> None:
    networks = make_networks(TINY)
    begin_with_puppet(networks, puppet)
    control = NetworkFiles(puppet, torch.float32).controlnext()
    shares = training_module.levels()
    at = torch.tensor([50, 400, 950])
    times = 0.25 * ((1 - shares) / shares).sqrt().log()
    with torch.no_grad():
        wanted = control.time_embedding(control.time_proj(times))
        found = networks.controlnext.time_embedding(networks.controlnext.time_proj(at.float()))
    assert (found - wanted[at]).square().mean() < 0.02 * wanted.var(dim=0).mean()


def test_the_text_encoder_learns_which_words_belong_together() -> None:
    networks = make_networks(TINY)
    first = teach_phrases(networks.text_encoder, 0, 1)
    assert teach_phrases(networks.text_encoder, 0, 60) < 0.5 * first


def test_a_phrase_ends_before_a_comma_and_at_the_end() -> None:
    tokenizer = make_tokenizer(WORDS)
    text = tokenizer(
        ["a dancer, dark red skirt"], padding="max_length", return_tensors="pt"
    ).input_ids
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    last, together = phrases_of(text, comma, tokenizer.eos_token_id)
    assert last[0].nonzero().flatten().tolist() == [2, 6]
    assert together[0, 6].nonzero().flatten().tolist() == [4, 5, 6]
    assert together[0, 2].nonzero().flatten().tolist() == [1, 2]


def trained(
    folder: Path, puppet: Path, steps: int, *, resume: bool = False
) -> dict[str, dict[str, torch.Tensor]]:
    schedule = PictureSchedule(steps, 0, large_every=2, evaluate_every=2)
    path = train_picture(TINY, folder, puppet, schedule, resume=resume)
    return load_checkpoint(path, torch.load(path, weights_only=True)["config"])


def test_a_resumed_training_takes_the_same_steps(tmp_path: Path, puppet: Path) -> None:
    through = trained(tmp_path / "through", puppet, 4)
    trained(tmp_path / "stopped", puppet, 2)
    resumed = trained(tmp_path / "stopped", puppet, 4, resume=True)
    for kind in ("networks", "average"):
        for name, value in through[kind].items():
            assert torch.equal(value, resumed[kind][name]), name
    rows = (tmp_path / "stopped" / "picture.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "2", "4"]


def test_what_was_trained_opens_as_a_stock_pipeline(
    tmp_path: Path, puppet: Path, work: Path
) -> None:
    bundle = tmp_path / "bundle"
    given = ["--out", str(work), "--puppet", str(puppet)]
    assert main(["picture-export", *given, "--bundle", str(bundle), "--note", "tiny"]) == 0
    record = json.loads((bundle / "training.json").read_text())
    assert (record["notes"], record["steps"], len(record["curve"])) == (["tiny"], 1, 1)
    assert str(tmp_path) not in "".join(path.read_text() for path in bundle.rglob("*.json"))
    pipeline = StableDiffusionPipeline.from_pretrained(bundle, variant="fp16", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("a dancer, red dress", num_inference_steps=1, width=64, height=64)
    assert made.images[0].size == (64, 64)
    assert len(pipeline.tokenizer("a red dress").input_ids) == 5
    config = json.loads((bundle / "controlnext" / "config.json").read_text())
    assert ControlNeXt(decode(ControlNeXtConfig, config)).config == TINY.sizes.control


def test_examples_are_drawn(
    tmp_path: Path, puppet: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "EXAMPLES", 1)
    picture = tmp_path / "examples.png"
    shown = ["picture-examples", "--puppet", str(puppet), "--picture", str(picture)]
    shown += ["--size", "64x64", "--steps", "2"]
    assert main([*shown, "--out", str(tmp_path)]) == ModelError("").exit_status
    assert main([*shown, "--out", str(work)]) == 0
    assert picture.is_file()


def test_pictures_made_by_another_process_are_the_same() -> None:
    encode = PatchEncoder(torch.eye(16, 192), torch.ones(16))
    make = training_module.StepPictures(encode, TINY, PictureSchedule(3, 0, large_every=2))
    for step, pictures in drawn_ahead(make, 1, 3):
        again = make(step)
        assert torch.equal(pictures.latents, again.latents)
        assert torch.equal(pictures.tokens, again.tokens)
        assert pictures.maps.any(dim=(1, 2, 3)).all()
