"""Pictures of tiny random bases: steered where they should be, and the base the same afterwards."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engine.backends.pictures import tiny
from torch import Tensor

from marionext.backends.pictures.bases import find_base
from marionext.backends.pictures.control_files import find_control
from marionext.backends.pictures.families import FamilyName
from marionext.backends.pictures.loading import load_base, load_control
from marionext.backends.pictures.making import Control, PictureMaker, Wish, open_maker
from marionext.backends.pictures.previewing import CleanGuess, ColourMap
from marionext.backends.pictures.recognise import base_family
from marionext.backends.pictures.schedulers import make_scheduler
from marionext.diffusion.image_variants import steered
from marionext.errors import DeviceError, JobCancelled, ModelError, SettingsError
from marionext.jobs import EngineSettings, LoraFile, MotionSource, PictureControl
from marionext.training.picture.captions import WORDS
from marionext.training.picture.export import export_pipeline
from marionext.training.picture.networks import PictureNetworks, PictureSizes
from marionext.training.tokenizer import make_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SIZE = (32, 48)
Bases = Callable[[str], Path]
FAMILIES: tuple[FamilyName, ...] = ("sd15", "sdxl", "sd3")


@pytest.fixture(scope="session")
def makers(tiny_base: Bases) -> Callable[[FamilyName], PictureMaker]:
    made: dict[str, PictureMaker] = {}

    def maker(family: FamilyName) -> PictureMaker:
        if family not in made:
            engine = EngineSettings(device="cpu")
            made[family] = open_maker(tiny_base(family), family, engine, Path(), print)
        return made[family]

    return maker


@pytest.fixture(scope="session")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("controls")

    def made(name: str) -> Path:
        folder = root / name
        return folder if folder.exists() else tiny.make_control(folder, name)

    return made


def wish(**changes: Any) -> Wish:
    usual = Wish(prompt="red", negative="", size=SIZE, steps=3, guidance=3.0, scheduler=None)
    return replace(usual, **changes)


def stripes(seed: int = 0) -> np.ndarray:
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[:, :: 2 + seed] = 255
    return picture


def control(folder: Path, family: FamilyName, **changes: Any) -> Control:
    asked = PictureControl(kind="pose", source=MotionSource(path="a.bvh"), weights=str(folder))
    usual = Control(
        files=find_control(asked, family, None),
        picture=stripes(),
        strength=1.0,
        start=0.0,
        stop=1.0,
    )
    return replace(usual, **changes)


def make(maker: PictureMaker, asked: Wish, *seeds: int) -> list[np.ndarray]:
    told: list[tuple[int, int]] = []
    pictures = maker.make(
        asked,
        seeds or (1,),
        on_step=lambda done, total: told.append((done, total)),
        on_decode=lambda _done, _total: None,
    )
    found = list(pictures)
    assert told
    assert told[-1][0] == told[-1][1]
    return found


def all_bits(maker: PictureMaker) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": value.clone()
        for part, network in maker.pipeline.components.items()
        if isinstance(network, torch.nn.Module)
        for name, value in network.state_dict().items()
    }


def assert_untouched(maker: PictureMaker, before: dict[str, Tensor]) -> None:
    after = all_bits(maker)
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    for module in maker.network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.parametrize("family", FAMILIES)
def test_a_control_steers_and_leaves_the_base_as_it_was(
    makers: Callable[[FamilyName], PictureMaker],
    controls: Callable[[str], Path],
    family: FamilyName,
) -> None:
    maker, folder = makers(family), controls(family)
    before = all_bits(maker)
    plain = make(maker, wish())[0]
    assert plain.shape == (SIZE[1], SIZE[0], 3)
    one = make(maker, wish(controls=(control(folder, family),)))[0]
    other = make(maker, wish(controls=(control(folder, family, picture=stripes(3)),)))[0]
    assert not np.array_equal(one, plain)
    assert not np.array_equal(one, other)
    none = make(maker, wish(controls=(control(folder, family, strength=0.0),)))[0]
    assert np.array_equal(none, plain)
    assert np.array_equal(make(maker, wish())[0], plain)
    assert_untouched(maker, before)


@torch.no_grad()
def test_the_pipeline_steers_as_steps_by_hand_do(
    makers: Callable[[FamilyName], PictureMaker], controls: Callable[[str], Path]
) -> None:
    maker, folder = makers("sd15"), controls("sd15")
    asked = wish(controls=(control(folder, "sd15", strength=0.7),))
    made = make(maker, asked, 5)[0]
    pipe = maker.pipeline
    network = load_control(asked.controls[0].files, torch.float32, Path())
    picture = torch.from_numpy(stripes()).permute(2, 0, 1)[None].float() / 255
    yes, no = pipe.encode_prompt("red", "cpu", 1, True, "")
    scheduler = make_scheduler(
        {"_class_name": "EulerDiscreteScheduler", **pipe.scheduler.config}, None
    )
    scheduler.set_timesteps(3)
    shape = (1, 4, SIZE[1] // 2, SIZE[0] // 2)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    latents = latents * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        both = scheduler.scale_model_input(torch.cat([latents] * 2), time)
        scale = 0.7 * network.network.scale
        with steered(maker.network, network.variant, network.network(picture, time), scale):
            out = maker.network(both, time, torch.cat([no, yes])).sample
        uncond, cond = out.chunk(2)
        latents = scheduler.step(uncond + 3.0 * (cond - uncond), time, latents).prev_sample
    decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    expected = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(expected - made).max() <= 1


def test_two_controls_and_their_changes_work_together(
    makers: Callable[[FamilyName], PictureMaker], controls: Callable[[str], Path], tmp_path: Path
) -> None:
    maker = makers("sd15")
    before = all_bits(maker)
    pose = tiny.make_control(tmp_path / "pose", "sd15", unet=maker.network)
    depth = control(controls("sd15_training"), "sd15", picture=stripes(1))
    alone = make(maker, wish(controls=(control(pose, "sd15"),)))[0]
    both = make(maker, wish(controls=(control(pose, "sd15"), depth)))[0]
    turned = make(maker, wish(controls=(depth, control(pose, "sd15"))))[0]
    files = control(pose, "sd15").files
    unchanged = control(pose, "sd15", files=replace(files, changes=None))
    plain = make(maker, wish(controls=(unchanged,)))[0]
    assert not np.array_equal(alone, both)
    assert not np.array_equal(alone, plain)
    assert np.abs(both.astype(int) - turned.astype(int)).max() <= 1
    assert_untouched(maker, before)


@pytest.mark.parametrize("scheduler", ["euler", "heun"])
def test_a_control_steers_in_its_part_of_the_steps_alone(
    makers: Callable[[FamilyName], PictureMaker],
    controls: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str,
) -> None:
    maker = makers("sdxl")
    asked = control(controls("sdxl"), "sdxl", start=0.5, stop=1.0)
    module = maker._network_of(asked.files).network
    times: list[float] = []
    forward = module.forward
    monkeypatch.setattr(
        module, "forward", lambda picture, time: times.append(float(time)) or forward(picture, time)
    )
    make(maker, wish(controls=(asked,), steps=4, scheduler=scheduler))
    late = list(times)
    times.clear()
    make(maker, wish(controls=(replace(asked, start=0.0),), steps=4, scheduler=scheduler))
    assert late == times[len(times) - len(late) :]
    assert len(late) == len(times) // 2
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("family", "network"), [("sd15", "unet"), ("sdxl", "unet"), ("sd3", "transformer")]
)
def test_loras_are_taken_off_without_a_trace(
    makers: Callable[[FamilyName], PictureMaker],
    controls: Callable[[str], Path],
    tiny_base: Bases,
    tmp_path: Path,
    family: FamilyName,
    network: str,
) -> None:
    maker = makers(family)
    paths = [
        tiny.make_lora(
            tmp_path / f"{seed}.safetensors", tiny_base(family), network=network, seed=seed
        )
        for seed in (2, 3)
    ]
    before, plain = all_bits(maker), make(maker, wish())[0]

    def with_weights(*weights: float) -> np.ndarray:
        loras = tuple(
            LoraFile(path=str(path), weight=weight)
            for path, weight in zip(paths, weights, strict=False)
        )
        steer = (control(controls(family), family, strength=0.2),)
        return make(maker, wish(loras=loras, controls=steer))[0]

    pictures = [
        with_weights(0.0),
        with_weights(1.0),
        with_weights(1.0, 0.5),
        with_weights(1.0, 1.0),
    ]
    for one, other in pairwise(pictures):
        assert not np.array_equal(one, other)
    assert np.array_equal(with_weights(0.0), with_weights())
    assert_untouched(maker, before)
    assert np.array_equal(make(maker, wish())[0], plain)


def test_a_lora_of_kohyas_form_is_the_same(
    makers: Callable[[FamilyName], PictureMaker], tiny_base: Bases, tmp_path: Path
) -> None:
    path = tiny.make_lora(tmp_path / "one.safetensors", tiny_base("sd15"))
    renamed = {}
    for name, value in load_file(path).items():
        module, _, part = name.removeprefix("unet.").rpartition(".lora_")
        other = f"lora_unet_{module.replace('.', '_')}"
        renamed[f"{other}.lora_{'down' if part[0] == 'A' else 'up'}.weight"] = value
        renamed[f"{other}.alpha"] = torch.tensor(4.0)
    save_file(renamed, tmp_path / "other.safetensors")
    plain, one, other_one = (
        make(makers("sd15"), wish(loras=loras))[0]
        for loras in (
            (),
            (LoraFile(path=str(path)),),
            (LoraFile(path=str(tmp_path / "other.safetensors")),),
        )
    )
    assert np.array_equal(one, other_one)
    assert not np.array_equal(one, plain)


@pytest.mark.parametrize(
    ("family", "network", "prefix"),
    [("sd15", "unet", "base_model.model."), ("sd15", "unet", ""), ("sd3", "transformer", "")],
)
def test_a_lora_that_peft_itself_saved_is_the_same(
    makers: Callable[[FamilyName], PictureMaker],
    tiny_base: Bases,
    tmp_path: Path,
    family: FamilyName,
    network: str,
    prefix: str,
) -> None:
    path = tiny.make_lora(tmp_path / "one.safetensors", tiny_base(family), network=network)
    other = tmp_path / "adapter" / f"{family}{prefix}.safetensors"
    other.parent.mkdir()
    values = load_file(path)
    save_file({prefix + name.removeprefix(f"{network}."): v for name, v in values.items()}, other)
    maker, said = makers(family), list[str]()
    maker.say = said.append
    one, same = (make(maker, wish(loras=(LoraFile(path=str(each)),)))[0] for each in (path, other))
    assert np.array_equal(one, same)
    assert "no adapter_config.json" in said[0]
    # Its rank is 4.
    (other.parent / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 2}')
    half = make(maker, wish(loras=(LoraFile(path=str(path), weight=0.5),)))[0]
    assert (
        np.abs(make(maker, wish(loras=(LoraFile(path=str(other)),)))[0].astype(int) - half).max()
        <= 1
    )


def test_what_is_left_out_of_a_lora_is_said_once(
    tiny_base: Bases, makers: Callable[..., PictureMaker], tmp_path: Path
) -> None:
    path = tiny.make_lora(tmp_path / "one.safetensors", tiny_base("sd15"))
    values = load_file(path)
    layer = "unet.up_blocks.9.attentions.0.transformer_blocks.0.attn1.to_q"
    values |= {
        f"{layer}.lora_A.weight": torch.ones(4, 32),
        f"{layer}.lora_B.weight": torch.ones(32, 4),
        f"{layer}.dora_scale": torch.ones(1, 32),
    }
    save_file(values, path)
    maker, said = makers("sd15"), list[str]()
    maker.say = said.append
    asked = wish(loras=(LoraFile(path=str(path)),))
    maker.check(asked)
    for _ in range(2):
        make(maker, asked)
    assert [
        bool(re.search(words, text))
        for words, text in zip(
            (r"one.safetensors: 1 of its \d+ layers left out", "is a DoRA"), said, strict=True
        )
    ] == [True, True]
    save_file({name: value * torch.nan for name, value in values.items()}, path)
    with pytest.raises(ModelError, match=r"one.safetensors: damaged"):
        make(maker, asked)


def test_a_lora_that_changes_nothing_here_is_refused(
    makers: Callable[[FamilyName], PictureMaker], tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    name = "lora_unet_down_blocks_9_attentions_9_transformer_blocks_0_attn1_to_k"
    save_file(
        {
            f"{name}.lora_down.weight": torch.zeros(4, 32),
            f"{name}.lora_up.weight": torch.zeros(32, 4),
            f"{name}.alpha": torch.tensor(4.0),
        },
        path,
    )
    before = all_bits(makers("sd15"))
    with pytest.raises(ModelError, match=r"other.safetensors: (this|nothing in this) LoRA"):
        make(makers("sd15"), wish(loras=(LoraFile(path=str(path)),)))
    assert_untouched(makers("sd15"), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_the_same_picture_alone_and_among_others(
    makers: Callable[[FamilyName], PictureMaker], family: FamilyName
) -> None:
    maker = makers(family)
    together = make(maker, wish(steps=2), 7, 8, 9)
    alone = make(maker, wish(steps=2), 8)[0]
    assert np.abs(together[1].astype(int) - alone.astype(int)).max() <= 1
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draft_stays_where_little_may_change(
    makers: Callable[[FamilyName], PictureMaker],
    controls: Callable[[str], Path],
    family: FamilyName,
) -> None:
    maker = makers(family)
    bright = np.full((SIZE[1], SIZE[0], 3), 250, np.uint8)
    steer = (control(controls(family), family),)

    def difference(change: float) -> float:
        """Return how much the draft shows: how far apart the pictures of two drafts are."""
        pictures = [
            make(maker, wish(steps=10, draft=draft, change=change, controls=steer))[0]
            for draft in (bright, stripes())
        ]
        assert pictures[0].shape == bright.shape
        return float(np.abs(pictures[0].astype(int) - pictures[1]).mean())

    assert difference(0.1) > 2 * difference(1.0)


@pytest.mark.parametrize(
    "name", ["ddim", "DPMSolverMultistepScheduler", "UniPC", "pndm", "euler-ancestral"]
)
def test_schedulers_are_taken_by_name(
    makers: Callable[[FamilyName], PictureMaker], name: str
) -> None:
    assert make(makers("sd15"), wish(scheduler=name, steps=4))[0].std() > 0


@pytest.mark.parametrize(
    ("family", "name", "words"),
    [
        ("sd15", "eular", "diffusers has none called 'eular'"),
        ("sd15", "flowmatcheuler", "does not go with a base that was trained with Euler"),
        ("sd3", "ddim", "does not go with a base that was trained with FlowMatch"),
    ],
)
def test_schedulers_that_cannot_be_used_are_named(
    makers: Callable[[FamilyName], PictureMaker], family: FamilyName, name: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        makers(family).check(wish(scheduler=name))
    assert name != "eular" or "Did you mean 'euler'?" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_latents_are_not_cut_off_as_pixels_would_be(
    makers: Callable[..., PictureMaker], name: str
) -> None:
    maker = makers("sd15")
    asked = wish(scheduler=name)
    maker.check(asked)
    make(maker, asked)
    scheduler = maker.pipeline.scheduler
    far = 3 * torch.ones(1, 4, 4, 4)
    last = scheduler.timesteps[-1]
    # What is predicted without any noise is what is there.
    found = scheduler.step(torch.zeros_like(far), last, far).pred_original_sample
    assert found.min() > 2.5


def test_a_size_that_a_transformer_has_no_place_for_is_refused(
    makers: Callable[..., PictureMaker],
) -> None:
    makers("sd3").check(wish(size=(128, 64)))
    with pytest.raises(SettingsError, match=r"expected at most 128 pixels a side, .* got 132x64"):
        makers("sd3").check(wish(size=(132, 64)))


def test_too_few_steps_for_a_scheduler_are_refused(
    makers: Callable[[FamilyName], PictureMaker],
) -> None:
    with pytest.raises(SettingsError, match="PNDMScheduler cannot do 2 steps"):
        makers("sd15").check(wish(scheduler="pndm", steps=2))


@pytest.mark.parametrize(
    ("own", "name"),
    [
        *(("EulerDiscreteScheduler", name) for name in (
            "euler", "ddim", "ddpm", "pndm", "heun", "dpmsolver", "unipc"
        )),
        ("FlowMatchEulerDiscreteScheduler", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction"])
def test_what_is_shown_meanwhile_is_what_the_network_means(
    own: str, name: str | None, predicted: str
) -> None:
    config = {"_class_name": own, "beta_start": 0.00085, "beta_end": 0.012}
    config |= {"beta_schedule": "scaled_linear", "prediction_type": predicted}
    scheduler = make_scheduler(config, name)
    scheduler.set_timesteps(6)
    guess = CleanGuess(scheduler)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = scheduler.timesteps[2]
    if "FlowMatch" in own:
        sample, output = scheduler.scale_noise(clean, time[None], noise), noise - clean
    else:
        sample, output = scheduler.add_noise(clean, noise, time[None]), noise
        if predicted == "v_prediction":
            kept = scheduler.alphas_cumprod[int(time)]
            output = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    scheduler.step(output, time, sample)
    assert guess.latents is not None
    assert torch.allclose(guess.latents, clean, atol=2e-2)


def test_colours_of_latents_are_learned_from_the_autoencoder() -> None:
    mixed = torch.tensor([[0.5, -1.0, 0.2], [0.1, 0.4, 1.0], [-0.7, 0.3, 0.3], [0.2, 0.2, -0.5]])

    def encode(picture: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(picture, 4)
        return torch.einsum("lc,bchw->blhw", mixed, small) + 0.3

    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 24, 16)
    shown = ColourMap(encode, 4).picture(encode(red)[0])
    assert shown.shape[0] / shown.shape[1] == 1.5
    assert np.abs(shown.astype(int) - (255, 0, 0)).max() <= 1


def test_numbers_that_are_none_are_no_picture(makers: Callable[[FamilyName], PictureMaker]) -> None:
    maker = makers("sd15")
    weight = maker.pipeline.vae.decoder.conv_out.bias
    kept = weight.data
    weight.data = torch.full_like(kept, float("nan"))
    try:
        with pytest.raises(ModelError, match="came out empty: numbers grew beyond what float32"):
            make(maker, wish())
    finally:
        weight.data = kept


def test_an_autoencoder_that_overflows_is_run_in_single_precision(
    tiny_base: Bases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_base(tiny_base("sdxl"), "sdxl", torch.float16)
    maker = PictureMaker(pipeline, "sdxl", torch.device("cpu"), torch.float16, Path(), print)
    seen: list[torch.dtype] = []
    decode = pipeline.vae.decode

    def watched(latents: Tensor, **options: Any) -> Any:
        seen.append(latents.dtype)
        return decode(latents, **options)

    monkeypatch.setattr(pipeline.vae, "decode", watched)
    before = all_bits(maker)
    maker._decode(torch.zeros(1, 4, 8, 8, dtype=torch.float16))
    assert seen == [torch.float32]
    assert_untouched(maker, before)


def test_words_that_are_not_seen_are_told(makers: Callable[[FamilyName], PictureMaker]) -> None:
    maker = makers("sd15")
    assert maker.cut_off("red") == ""
    assert "end" in maker.cut_off("red " * 75 + "end")


@pytest.fixture
def copied(tiny_base: Bases, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base("sd15"), tmp_path / "copy"))


def spoil(path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    values = load_file(path)
    change(values)
    save_file(values, path)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("unet/diffusion_pytorch_model", lambda v: v.pop("conv_in.weight"), "conv_in.weight"),
        (
            "vae/diffusion_pytorch_model",
            lambda v: v.update(more=torch.zeros(1)),
            "unexpected: more",
        ),
        (
            "unet/diffusion_pytorch_model",
            lambda v: v.update({"conv_in.weight": torch.zeros(2)}),
            "conv_in.weight|shape",
        ),
        ("text_encoder/model", lambda v: v.pop(next(iter(v))), "missing"),
    ],
)
def test_weights_that_are_not_the_networks_are_named(
    copied: Path, part: str, change: Callable[[dict[str, Tensor]], None], words: str
) -> None:
    spoil(copied / f"{part}.safetensors", change)
    with pytest.raises(ModelError) as caught:
        load_base(copied, "sd15", torch.float32)
    assert any(word in caught.value.message for word in words.split("|"))
    assert part.partition("/")[0] in caught.value.message


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("tokenizer", "tokenizer: missing"),
        ("scheduler", "scheduler_config.json: missing"),
        ("vae", "config.json: missing"),
    ],
)
def test_parts_that_are_missing_are_named(copied: Path, part: str, words: str) -> None:
    shutil.rmtree(copied / part)
    with pytest.raises(ModelError, match=words):
        load_base(copied, "sd15", torch.float32)


@pytest.mark.parametrize(
    ("part", "key", "name", "words"),
    [
        ("text_encoder/config.json", "architectures", ["BertModel"], "of 'BertModel'"),
        ("scheduler/scheduler_config.json", "_class_name", "DiffusionPipeline", "no scheduler"),
        ("scheduler/scheduler_config.json", "_class_name", 7, "is no scheduler"),
    ],
)
def test_configurations_name_nothing_else_of_a_library(
    copied: Path, part: str, key: str, name: object, words: str
) -> None:
    path = copied / part
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: name}))
    with pytest.raises(ModelError, match=words):
        load_base(copied, "sd15", torch.float32)


def test_another_autoencoder_has_to_fit(tiny_base: Bases, tmp_path: Path) -> None:
    torch.manual_seed(9)
    tiny.autoencoder().save_pretrained(tmp_path / "fits")
    tiny.autoencoder(8).save_pretrained(tmp_path / "wide")
    base = tiny_base("sd15")
    taken = load_base(base, "sd15", torch.float32, vae=tmp_path / "fits")
    own = load_base(base, "sd15", torch.float32)
    assert not torch.equal(taken.vae.decoder.conv_in.weight, own.vae.decoder.conv_in.weight)
    with pytest.raises(ModelError, match="takes 4 channels, the autoencoder has 8"):
        load_base(base, "sd15", torch.float32, vae=tmp_path / "wide")


def test_weights_may_be_in_half_precision_or_pickled(copied: Path) -> None:
    whole = load_base(copied, "sd15", torch.float32)
    unet, text = copied / "unet", copied / "text_encoder"
    values = load_file(unet / "diffusion_pytorch_model.safetensors")
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    halves = {name: value.half() for name, value in values.items()}
    save_file(halves, unet / "diffusion_pytorch_model.fp16.safetensors")
    torch.save(load_file(text / "model.safetensors"), text / "pytorch_model.bin")
    (text / "model.safetensors").unlink()
    found = load_base(copied, "sd15", torch.float32)
    assert found.unet.dtype == torch.float32
    assert torch.equal(found.unet.conv_in.weight, whole.unet.conv_in.weight.half().float())
    expected = whole.text_encoder.state_dict()
    for name, value in found.text_encoder.state_dict().items():
        assert torch.equal(value, expected[name])
    (unet / "diffusion_pytorch_model.fp16.safetensors").unlink()
    with pytest.raises(ModelError, match="unet cannot be loaded"):
        load_base(copied, "sd15", torch.float32)


def test_a_stop_in_the_middle_leaves_the_base_as_it_was(
    makers: Callable[[FamilyName], PictureMaker], tmp_path: Path
) -> None:
    maker = makers("sd15")
    before = all_bits(maker)
    folder = tiny.make_control(tmp_path / "pose", "sd15", unet=maker.network)

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise JobCancelled("stop")

    pictures = maker.make(
        wish(controls=(control(folder, "sd15"),)), [1], on_step=stop, on_decode=lambda *_: None
    )
    with pytest.raises(JobCancelled):
        list(pictures)
    assert_untouched(maker, before)


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base with the text width of the real one, and the same as one file."""
    root = tmp_path_factory.mktemp("one_file")
    base = tiny.make_sd15(root / "base", width=768)
    return base, tiny.make_checkpoint(root / "all.safetensors", base)


def test_a_base_in_one_file_is_the_base_in_its_folder(one_file: tuple[Path, Path]) -> None:
    base, path = one_file
    whole = load_base(base, "sd15", torch.float32)
    single = load_base(path, "sd15", torch.float32, config=base)
    for name in ("unet", "vae", "text_encoder"):
        found, expected = (getattr(each, name).state_dict() for each in (single, whole))
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, found[key]) for key, value in expected.items())
    assert isinstance(single, diffusers.StableDiffusionPipeline)


def test_sdxl_in_one_file_is_the_same_too(tiny_base: Bases, tmp_path: Path) -> None:
    base = tiny_base("sdxl")
    path = tiny.make_checkpoint(tmp_path / "xl.safetensors", base)
    whole, single = (
        load_base(each, "sdxl", torch.float32, config=config)
        for each, config in ((base, None), (path, base))
    )
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        found, expected = (getattr(each, name).state_dict() for each in (single, whole))
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_sd3_in_one_file_is_the_same_too(tiny_base: Bases, tmp_path: Path) -> None:
    base = tiny_base("sd3")
    path = tiny.make_sd3_checkpoint(tmp_path / "sd3.safetensors", base)
    assert base_family(path) == "sd3"
    whole, single = (
        load_base(each, "sd3", torch.float32, config=config)
        for each, config in ((base, None), (path, base))
    )
    for name in ("transformer", "vae", "text_encoder_2"):
        found, expected = (getattr(each, name).state_dict() for each in (single, whole))
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_a_base_in_one_file_needs_tokenizers_and_all_tensors(
    one_file: tuple[Path, Path], tmp_path: Path
) -> None:
    base, path = one_file
    with pytest.raises(ModelError, match="configurations and tokenizers are needed"):
        load_base(path, "sd15", torch.float32)
    values = load_file(path)
    values.pop("model.diffusion_model.out.2.weight")
    values.pop("first_stage_model.decoder.conv_in.weight")
    save_file(values, tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match=r"missing|cannot be loaded"):
        load_base(tmp_path / "cut.safetensors", "sd15", torch.float32, config=base)


def test_what_a_file_lacks_is_taken_from_the_folder_beside_it(
    one_file: tuple[Path, Path], tmp_path: Path
) -> None:
    base, path = one_file
    short = tmp_path / "short.safetensors"
    values = load_file(path)
    lacking = ("first_stage_model.", "cond_stage_model.")
    save_file({k: v for k, v in values.items() if not k.startswith(lacking)}, short)
    found = find_base(str(short), config=str(base))
    assert [note.partition(":")[0] for note in found.notes] == [
        "short.safetensors has no text_encoder",
        "short.safetensors has no vae",
    ]
    weights = [name for name in found.hashes() if name.endswith("safetensors")]
    assert len(weights) == 2, "what is taken counts"
    single = load_base(short, "sd15", torch.float32, config=base)
    whole = load_base(base, "sd15", torch.float32)
    for name in ("vae", "text_encoder"):
        one, other = (getattr(each, name).state_dict() for each in (single, whole))
        assert all(torch.equal(value, one[key]) for key, value in other.items())
    bare = tmp_path / "bare"
    shutil.copytree(base, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ModelError, match=r"has no text_encoder, and .* has no weights of one"):
        load_base(short, "sd15", torch.float32, config=bare)
    shutil.copytree(base / "text_encoder", bare / "text_encoder", dirs_exist_ok=True)
    with pytest.raises(ModelError, match=r"has no vae, and .* has no weights of one[^-]*--vae"):
        load_base(short, "sd15", torch.float32, config=bare)
    assert load_base(short, "sd15", torch.float32, config=bare, vae=base / "vae").vae is not None


def test_a_file_that_predicts_velocity_is_taken_as_such(
    one_file: tuple[Path, Path], tmp_path: Path
) -> None:
    base, path = one_file
    values = load_file(path)
    said = {name: torch.zeros(0) for name in ("v_pred", "ztsnr")}
    save_file({**values, **said}, tmp_path / "v.safetensors")
    assert "v_pred" in find_base(str(tmp_path / "v.safetensors"), config=str(base)).notes[0]
    found = load_base(tmp_path / "v.safetensors", "sd15", torch.float32, config=base).scheduler
    assert (found.config.prediction_type, found.config.rescale_betas_zero_snr) == (
        "v_prediction",
        True,
    )
    usual = load_base(path, "sd15", torch.float32, config=base).scheduler
    assert usual.config.prediction_type == "epsilon"


def test_an_autoencoder_may_be_named_by_its_base_and_is_looked_at(
    one_file: tuple[Path, Path], tiny_base: Bases, tmp_path: Path
) -> None:
    base, path = one_file
    other = tiny_base("sdxl")
    assert find_base(str(path), config=str(base), vae=str(other)).vae == other / "vae"
    lora = tiny.make_lora(tmp_path / "lora.safetensors", base)
    with pytest.raises(ModelError, match=r"lora.safetensors: expected an autoencoder"):
        load_base(path, "sd15", torch.float32, config=base, vae=lora)


def test_configurations_of_another_family_are_refused(
    one_file: tuple[Path, Path], tiny_base: Bases
) -> None:
    with pytest.raises(SettingsError, match=r"of Stable Diffusion 1.5, .* is of Stable .* XL"):
        find_base(str(one_file[1]), config=str(tiny_base("sdxl")))


def test_what_the_trainer_writes_is_a_base_with_a_control_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = PictureSizes(
        latent_channels=8, unet=(32, 64), heads=(2, 2), stem=(8, 8, 8), blocks=(8, 16),
        text_width=32, text_layers=1,
    )  # fmt: skip
    networks = PictureNetworks(sizes, len(make_tokenizer(WORDS)))
    export_pipeline(tmp_path, tiny.autoencoder(8), networks, {"seed": 0})
    assert base_family(tmp_path) == "sd15"
    asked = PictureControl(kind="pose", source=MotionSource(path="a.bvh"))
    files = find_control(asked, "sd15", tmp_path)
    assert (files.settings.variant, files.settings.palette) == ("sd15_training", "controlnext")
    maker = open_maker(tmp_path, "sd15", EngineSettings(device="cpu"), Path(), print)
    assert maker.own_size == (64, 96)
    steer = Control(files=files, picture=stripes(), strength=1.0, start=0.0, stop=1.0)
    plain, steered_one = (
        make(maker, wish(steps=2, controls=controls))[0] for controls in ((), (steer,))
    )
    assert not np.array_equal(plain, steered_one)


@pytest.mark.parametrize(
    ("family", "number"),
    [("sd15", torch.float16), ("sdxl", torch.float16), ("sd3", torch.bfloat16)],
)
def test_numbers_may_be_of_half_precision(
    makers: Callable[[FamilyName], PictureMaker],
    tiny_base: Bases,
    controls: Callable[[str], Path],
    family: FamilyName,
    number: torch.dtype,
) -> None:
    pipeline = load_base(tiny_base(family), family, number)
    maker = PictureMaker(pipeline, family, torch.device("cpu"), number, Path(), print)
    before = all_bits(maker)
    steer = (control(controls(family), family),)
    picture = make(maker, wish(steps=2, controls=steer))[0]
    assert picture.std() > 0
    exact = make(makers(family), wish(steps=2, controls=steer))[0]
    assert np.abs(picture.astype(int) - exact).mean() < 6
    assert_untouched(maker, before)


def test_memory_that_runs_out_is_said_with_what_helps(
    makers: Callable[[FamilyName], PictureMaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = makers("sd15")
    before = all_bits(maker)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory: tried to allocate 9 GiB")

    monkeypatch.setattr(maker.network, "forward", full)
    with pytest.raises(DeviceError, match=r"cpu ran out of memory: .* 9 GiB") as caught:
        make(maker, wish())
    assert "--size" in str(caught.value.hint)
    monkeypatch.undo()
    assert_untouched(maker, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_the_same_picture_on_a_card_and_when_its_memory_is_short(
    makers: Callable[[FamilyName], PictureMaker],
    tiny_base: Bases,
    controls: Callable[[str], Path],
    family: FamilyName,
) -> None:
    steer = (control(controls(family), family),)
    exact = make(makers(family), wish(controls=steer))[0]
    engine = EngineSettings(device="cuda", dtype="float32")
    maker = open_maker(tiny_base(family), family, engine, Path(), print)
    assert np.abs(make(maker, wish(controls=steer))[0].astype(int) - exact).mean() < 2
    denoise, calls = maker._denoise, []

    def short(*arguments: Any) -> Tensor:
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return denoise(*arguments)

    maker._denoise = short  # type: ignore[method-assign]
    assert np.abs(make(maker, wish(controls=steer))[0].astype(int) - exact).mean() < 2
    assert len(calls) == 2
