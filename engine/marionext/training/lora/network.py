"""A picture model as it learns: adapted networks that predict from noisy latents and words."""

from typing import Any

from torch import Tensor, nn

from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.training.lora.adapters import adapt
from marionext.training.lora.batches import Batch
from marionext.training.lora.encoding import encode_words
from marionext.training.lora.settings import LoraSettings

__all__ = ["AdaptedNetwork"]


class AdaptedNetwork(nn.Module):
    """The network that denoises, and the text encoders where they are trained.

    Args:
        pipeline: a base's, whose networks are adapted in place.
        family: of it.
        settings: of the training.
        gradient_checkpointing: whether activations are computed again instead of kept.
    """

    def __init__(
        self,
        pipeline: Any,
        family: FamilyName,
        settings: LoraSettings,
        *,
        gradient_checkpointing: bool,
    ) -> None:
        """Lay adapters over the networks.

        Raises:
            SettingsError: the settings find no layer.
        """
        super().__init__()
        self._pipeline, self._family = [pipeline], family  # in a list it is no part of this network
        self.parts = nn.ModuleDict()
        """The adapted networks by their names in the pipeline."""
        name = FAMILIES[family].network
        self.parts[name] = getattr(pipeline, name)
        self.taught = adapt(self.parts[name], settings, text=False)
        """What is trained of the network that denoises, by names."""
        self.taught_text: dict[str, nn.Parameter] = {}
        self.taught_text_encoders = _text_encoders(pipeline) if settings.text_encoder else []
        for encoder in self.taught_text_encoders:
            part: Any = getattr(pipeline, encoder)
            self.parts[encoder] = part
            adapted = adapt(part, settings, text=True)
            self.taught_text |= {f"{encoder}.{key}": value for key, value in adapted.items()}
        if gradient_checkpointing:
            getattr(pipeline, name).enable_gradient_checkpointing()
            for encoder in self.taught_text_encoders:
                getattr(pipeline, encoder).gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, batch: Batch, noisy: Tensor) -> Tensor:
        """Predict from noisy latents (n, c, h, w) what the base's scheduler says."""
        network: Any = self.parts[FAMILIES[self._family].network]
        words = batch.words
        if words is None:
            words = encode_words(self._pipeline[0], self._family, batch.captions, noisy.device)
        dtype = network.dtype
        noisy, tokens = noisy.to(dtype), words.tokens.to(dtype)
        if self._family == "sd3":
            prediction = network(
                hidden_states=noisy,
                timestep=batch.levels,
                encoder_hidden_states=tokens,
                pooled_projections=words.pooled.to(dtype),
                return_dict=False,
            )[0]
        else:
            more = {}
            if self._family == "sdxl":
                added = {"text_embeds": words.pooled.to(dtype), "time_ids": batch.conditions}
                more["added_cond_kwargs"] = added
            prediction = network(noisy, batch.levels, tokens, return_dict=False, **more)[0]
        found: Tensor = prediction.float()
        return found


def _text_encoders(pipeline: Any) -> list[str]:
    """Return the names of CLIP's text encoders; T5 stays as it is, as readers expect."""
    return [
        name
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module) and type(part).__name__.startswith("CLIPTextModel")
    ]
