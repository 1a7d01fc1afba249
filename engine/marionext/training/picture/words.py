"""Teach the text encoder which words of a caption belong together, before anything is drawn.

A caption is phrases between commas. What a picture needs of "a figure, red shirt, blue shoes" is
that it is the shirt that is red; from pictures alone a text encoder that begins at random is slow
to find that out: while its states say nothing, the UNet does not listen, and nobody is told. So the
last token of each phrase first learns to tell all words of its phrase, from captions alone: a
minute of one core, against thousands of steps of pictures.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel

from marionext.training.figures.clips import figure_of
from marionext.training.picture.captions import WORDS, caption
from marionext.training.tokenizer import make_tokenizer

__all__ = ["phrases_of", "teach_phrases"]

LOOKS = 2000
"""Figures whose captions are read, each time other ones."""
BATCH = 64
RATE = 2e-3


def phrases_of(tokens: Tensor, comma: int, end: int) -> tuple[Tensor, Tensor]:
    """Return where phrases end, and the words of each.

    Args:
        tokens: (n, length) of captions; what follows the first ``end`` is filling.
        comma: token between phrases.
        end: token behind a text.

    Returns:
        (n, length) whether a token is the last of its phrase, and (n, length, length) whether
        the second token belongs to the phrase of the first.
    """
    behind = (tokens == end).cumsum(1) > 0
    apart = (tokens == comma) | behind
    # The text's own first token belongs to no phrase.
    word = ~apart
    word[:, 0] = False
    last = word & F.pad(apart[:, 1:], (0, 1), value=True)
    number = (tokens == comma).cumsum(1)
    together = (number[:, :, None] == number[:, None, :]) & word[:, None, :]
    return last, together


def teach_phrases(encoder: CLIPTextModel, seed: int, steps: int) -> float:
    """Train the text encoder, in place; return the last loss.

    Args:
        encoder: untrained, of the vocabulary of `captions.WORDS`.
        seed: of the figures and captions.
        steps: of 64 captions.
    """
    tokenizer = make_tokenizer(WORDS)
    comma, end = (
        int(tokenizer.convert_tokens_to_ids(each)) for each in (",</w>", tokenizer.eos_token)
    )
    rng = np.random.default_rng([seed, 7])
    first = (seed + 1) << 32
    looks = [figure_of(first + number).look for number in range(LOOKS)]
    config = encoder.config
    torch.manual_seed(seed)
    tell = nn.Linear(config.hidden_size, config.vocab_size)
    values = [*encoder.parameters(), *tell.parameters()]
    optimiser = torch.optim.AdamW(values, RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(steps, 2))
    loss = torch.zeros(())
    for _ in range(steps):
        texts = [caption(looks[index], rng) for index in rng.integers(LOOKS, size=BATCH)]
        tokens: Tensor = tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        last, together = phrases_of(tokens, comma, end)
        said = F.one_hot(tokens, config.vocab_size).float()
        wanted = (together.float() @ said).clamp(max=1)[last]
        found = tell(encoder(tokens).last_hidden_state[last])
        loss = F.binary_cross_entropy_with_logits(found, wanted, reduction="none").sum(1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(values, 1.0)
        optimiser.step()
        schedule.step()
    return float(loss.detach())
