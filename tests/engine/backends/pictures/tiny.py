"""Bases of each family in thousands of parameters instead of billions, random and made at once."""

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import save_file

from marionext.codec import encode
from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.files import write_json

WIDTH = 32
"""Channels of the text encoders."""
WIDTH_2 = 48
"""Of SDXL's second, by which a checkpoint in one file tells them apart."""
SIDE = 64
"""Pixels that they are for: latents of 32, an autoencoder of factor 2."""


def _letters() -> list[str]:
    """Return the characters that stand for the 256 bytes in CLIP's vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return [*map(chr, shown), *(chr(256 + place) for place in range(len(others)))]


def tokenizer() -> transformers.CLIPTokenizer:
    """Make a tokenizer of CLIP's kind that knows bytes and one word."""
    merges = [("r", "e"), ("re", "d</w>")]
    words = [*_letters(), *(f"{letter}</w>" for letter in _letters())]
    words += ["".join(merge) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def text_encoder(words: transformers.CLIPTokenizer, *, projected: bool, width: int = WIDTH) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        max_position_embeddings=77,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        hidden_act="gelu" if projected else "quick_gelu",
    )
    name = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return getattr(transformers, name)(config).eval()


def autoencoder(channels: int = 4, **more: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=channels,
        norm_num_groups=8,
        layers_per_block=1,
        sample_size=SIDE,
        **more,
    )


def scheduler() -> Any:
    return diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )


def make_sd15(folder: Path, seed: int = 0, *, width: int = WIDTH) -> Path:
    torch.manual_seed(seed)
    words = tokenizer()
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=SIDE // 2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    diffusers.StableDiffusionPipeline(
        unet=unet,
        vae=autoencoder(),
        text_encoder=text_encoder(words, projected=False, width=width),
        tokenizer=words,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def make_sdxl(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    words = tokenizer()
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=SIDE // 2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH + WIDTH_2,
        attention_head_dim=4,
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + WIDTH_2,
    )
    diffusers.StableDiffusionXLPipeline(
        unet=unet,
        vae=autoencoder(force_upcast=True),
        text_encoder=text_encoder(words, projected=False),
        text_encoder_2=text_encoder(words, projected=True, width=WIDTH_2),
        tokenizer=words,
        tokenizer_2=words,
        scheduler=scheduler(),
    ).save_pretrained(folder)
    return folder


def make_sd3(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    words = tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIDE // 2,
        patch_size=2,
        in_channels=4,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH + WIDTH_2,
        caption_projection_dim=32,
        pooled_projection_dim=WIDTH + WIDTH_2,
        out_channels=4,
        pos_embed_max_size=32,
    )
    diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        vae=autoencoder(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06),
        text_encoder=text_encoder(words, projected=True),
        text_encoder_2=text_encoder(words, projected=True, width=WIDTH_2),
        text_encoder_3=None,
        tokenizer=words,
        tokenizer_2=words,
        tokenizer_3=None,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)
    return folder


MAKERS = {"sd15": make_sd15, "sdxl": make_sdxl, "sd3": make_sd3}

CONTROLS: dict[str, tuple[ControlNeXtConfig, dict[str, Any]]] = {
    "sd15": (
        ControlNeXtConfig(
            stem_widths=(),
            block_widths=(16, 16, 16),
            block_groups=(1, 8, 8),
            out_channels=64,
            plain_middle=True,
            learned_scale=True,
        ),
        {"variant": "sd15", "kinds": ["pose", "mask"]},
    ),
    "sd15_training": (
        ControlNeXtConfig(
            stem_widths=(8, 8, 8), stem_padding=1, block_widths=(8, 16), out_channels=32
        ),
        {"variant": "sd15_training", "kinds": ["depth"], "palette": "controlnext"},
    ),
    "sdxl": (
        ControlNeXtConfig(
            stem_widths=(8, 8, 8), stem_padding=1, block_widths=(8, 16), out_channels=32
        ),
        {"variant": "sdxl", "kinds": ["canny", "pose"], "strength": 0.5},
    ),
    "sd3": (
        ControlNeXtConfig(
            stem_widths=(8, 8, 8), stem_padding=1, block_widths=(8, 16), out_channels=32
        ),
        {"variant": "sd3", "kinds": ["lowres", "pose"], "block": 1},
    ),
}


def make_control(folder: Path, name: str, *, seed: int = 1, unet: Any = None) -> Path:
    """Write a control network, and with a UNet changes of two of its weights."""
    config, settings = CONTROLS[name]
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    network = ControlNeXt(config)
    save_file(dict(network.state_dict()), folder / "controlnext.safetensors")
    write_json(folder / "config.json", encode(config))
    write_json(folder / "control.json", settings)
    if unet is not None:
        chosen = [key for key, _ in unet.named_parameters() if "attn2.to_out" in key]
        weights = dict(unet.named_parameters())
        changes = {key: torch.randn_like(weights[key]) / 10 for key in chosen}
        save_file(changes, folder / "unet.safetensors")
    return folder


def make_lora(path: Path, base: Path, *, network: str = "unet", seed: int = 2) -> Path:
    """Write a LoRA of a base's cross-attention, in diffusers' form."""
    kind = (
        diffusers.SD3Transformer2DModel
        if network == "transformer"
        else (diffusers.UNet2DConditionModel)
    )
    model = kind.from_pretrained(base / network)
    torch.manual_seed(seed)
    values = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(("to_q", "to_k", "to_v")):
            values[f"{network}.{name}.lora_A.weight"] = torch.randn(4, module.in_features) / 4
            values[f"{network}.{name}.lora_B.weight"] = torch.randn(module.out_features, 4) / 4
    save_file(values, path)
    return path


def make_checkpoint(path: Path, base: Path) -> Path:
    """Write a tiny SD 1.5 or XL as one file, under the names its first authors gave its parts."""
    unet = _renamed(
        _state(diffusers.UNet2DConditionModel, base / "unet"),
        {
            "time_embedding.linear_1": "time_embed.0",
            "time_embedding.linear_2": "time_embed.2",
            "add_embedding.linear_1": "label_emb.0.0",
            "add_embedding.linear_2": "label_emb.0.2",
            "conv_in": "input_blocks.0.0",
            "down_blocks.0.resnets.0": "input_blocks.1.0",
            "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
            "down_blocks.1.resnets.0": "input_blocks.3.0",
            "down_blocks.1.attentions.0": "input_blocks.3.1",
            "mid_block.resnets.0": "middle_block.0",
            "mid_block.attentions.0": "middle_block.1",
            "mid_block.resnets.1": "middle_block.2",
            "up_blocks.0.resnets.0": "output_blocks.0.0",
            "up_blocks.0.attentions.0": "output_blocks.0.1",
            "up_blocks.0.resnets.1": "output_blocks.1.0",
            "up_blocks.0.attentions.1": "output_blocks.1.1",
            "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
            "up_blocks.1.resnets.0": "output_blocks.2.0",
            "up_blocks.1.resnets.1": "output_blocks.3.0",
            "conv_norm_out": "out.0",
            "conv_out": "out.2",
        },
        {
            "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
            "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
        },
        skipped="transformer_blocks",
    )  # fmt: skip
    vae = _vae_of(base)
    values = {f"model.diffusion_model.{name}": value for name, value in unet.items()}
    values |= {f"first_stage_model.{name}": value for name, value in vae.items()}
    text = _state(transformers.CLIPTextModel, base / "text_encoder")
    prefix = "" if any(name.startswith("text_model.") for name in text) else "text_model."
    is_xl = (base / "text_encoder_2").is_dir()
    home = "conditioner.embedders.0" if is_xl else "cond_stage_model"
    values |= {f"{home}.transformer.{prefix}{name}": value for name, value in text.items()}
    if is_xl:
        values |= _open_clip(base / "text_encoder_2")
    save_file(values, path)
    return path


def _vae_of(base: Path) -> dict[str, torch.Tensor]:
    """Return an autoencoder's weights under the names of its first authors."""
    vae = _renamed(
        _state(diffusers.AutoencoderKL, base / "vae"),
        {
            "encoder.down_blocks.0.resnets.0": "encoder.down.0.block.0",
            "encoder.down_blocks.1.resnets.0": "encoder.down.1.block.0",
            "encoder.down_blocks.0.downsamplers.0": "encoder.down.0.downsample",
            "encoder.conv_norm_out": "encoder.norm_out",
            "decoder.conv_norm_out": "decoder.norm_out",
            **{f"decoder.up_blocks.{a}.resnets.{b}": f"decoder.up.{1 - a}.block.{b}"
               for a in (0, 1) for b in (0, 1)},
            "decoder.up_blocks.0.upsamplers.0": "decoder.up.1.upsample",
            **{f"{side}.mid_block.resnets.{n}": f"{side}.mid.block_{n + 1}"
               for side in ("encoder", "decoder") for n in (0, 1)},
            **{f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1"
               for side in ("encoder", "decoder")},
        },
        {
            "conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k",
            "to_v": "v", "to_out.0": "proj_out",
        },
    )  # fmt: skip
    for name, value in vae.items():
        if ".attn_1." in name and name.endswith("weight") and ".norm." not in name:
            vae[name] = value[..., None, None]
    return vae


def make_sd3_checkpoint(path: Path, base: Path) -> Path:
    """Write a tiny SD 3 as one file, under the names of its authors."""
    state = _state(diffusers.SD3Transformer2DModel, base / "transformer")
    ends = {
        "pos_embed.pos_embed": "pos_embed",
        "pos_embed.proj": "x_embedder.proj",
        "context_embedder": "context_embedder",
        "proj_out": "final_layer.linear",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        **{f"time_text_embed.timestep_embedder.linear_{n + 1}": f"t_embedder.mlp.{2 * n}"
           for n in (0, 1)},
        **{f"time_text_embed.text_embedder.linear_{n + 1}": f"y_embedder.mlp.{2 * n}"
           for n in (0, 1)},
    }  # fmt: skip
    parts = {
        "norm1.linear": "x_block.adaLN_modulation.1", "attn.to_out.0": "x_block.attn.proj",
        "norm1_context.linear": "context_block.adaLN_modulation.1",
        "attn.to_add_out": "context_block.attn.proj", "ff.net.0.proj": "x_block.mlp.fc1",
        "ff.net.2": "x_block.mlp.fc2", "ff_context.net.0.proj": "context_block.mlp.fc1",
        "ff_context.net.2": "context_block.mlp.fc2",
    }  # fmt: skip
    joined = {
        "x_block": ("to_q", "to_k", "to_v"),
        "context_block": ("add_q_proj", "add_k_proj", "add_v_proj"),
    }
    found = {}
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("transformer_b"))
    for name, value in state.items():
        start = next((each for each in ends if name == each or name.startswith(f"{each}.")), None)
        if start is not None:
            found[ends[start] + name[len(start) :]] = value
    for layer in range(layers):
        old, new = f"transformer_blocks.{layer}", f"joint_blocks.{layer}"
        for kind in ("weight", "bias"):
            for side, names in joined.items():
                qkv = torch.cat([state[f"{old}.attn.{each}.{kind}"] for each in names])
                found[f"{new}.{side}.attn.qkv.{kind}"] = qkv
            for part, other in parts.items():
                if f"{old}.{part}.{kind}" in state:
                    found[f"{new}.{other}.{kind}"] = state[f"{old}.{part}.{kind}"]
    # Scale and shift stand the other way round where they are the last.
    last = f"joint_blocks.{layers - 1}.context_block.adaLN_modulation.1"
    for name in ("final_layer.adaLN_modulation.1", last):
        for kind in ("weight", "bias"):
            found[f"{name}.{kind}"] = torch.cat(found[f"{name}.{kind}"].chunk(2)[::-1])
    values = {f"model.diffusion_model.{name}": value for name, value in found.items()}
    values |= {f"first_stage_model.{name}": value for name, value in _vae_of(base).items()}
    for folder, name in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g")):
        text = _state(transformers.CLIPTextModelWithProjection, base / folder)
        values |= {f"text_encoders.{name}.transformer.{key}": value for key, value in text.items()}
    save_file(values, path)
    return path


def _open_clip(folder: Path) -> dict[str, torch.Tensor]:
    """Return a text encoder's weights under OpenCLIP's names: three projections in one."""
    values = _state(transformers.CLIPTextModelWithProjection, folder)
    names = {
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
    }
    parts = {
        "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    }  # fmt: skip
    found = {new: values[old] for old, new in names.items()}
    found["text_projection"] = values["text_projection.weight"].T.contiguous()
    for layer in range(2):
        old, new = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            qkv = [values[f"{old}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            found[f"{new}.attn.in_proj_{kind}"] = torch.cat(qkv)
            for part, other in parts.items():
                found[f"{new}.{other}.{kind}"] = values[f"{old}.{part}.{kind}"]
    return {f"conditioner.embedders.1.model.{name}": value for name, value in found.items()}


def _state(kind: Any, folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: value.clone()
        for name, value in kind.from_pretrained(folder).state_dict().items()
        if not name.endswith("position_ids")
    }


def _renamed(
    values: dict[str, torch.Tensor],
    starts: dict[str, str],
    parts: dict[str, str],
    *,
    skipped: str = "\0",
) -> dict[str, torch.Tensor]:
    found = {}
    for name, value in values.items():
        new = name
        start = next((each for each in starts if name.startswith(f"{each}.")), None)
        if start is not None:
            rest = name[len(start) :]
            if skipped not in rest:
                for old, other in parts.items():
                    rest = rest.replace(f".{old}.", f".{other}.")
            new = starts[start] + rest
        found[new] = value
    return found
