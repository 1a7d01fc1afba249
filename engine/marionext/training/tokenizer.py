"""A tokenizer of CLIP's kind that knows a few words.

Each word of a list is one token; what else is written is spelt in letters. The rules that join
letters to words are found as byte pair encoding finds them (Sennrich et al. 2016,
arXiv:1508.07909): the pair that occurs most often among the words is joined, until each is whole.
"""

import string
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from transformers import CLIPTokenizer

__all__ = ["LENGTH", "make_tokenizer"]

LENGTH = 48
"""Tokens of a prompt, its beginning and its end among them."""

_END = "</w>"
_LETTERS = string.digits + string.ascii_lowercase + string.punctuation
_MARKS = ("<|startoftext|>", "<|endoftext|>")


def make_tokenizer(words: Sequence[str]) -> CLIPTokenizer:
    """Make the tokenizer of a list of words, of printable ASCII."""
    merges = _merges(words)
    symbols = [*_LETTERS, *(letter + _END for letter in _LETTERS), *map("".join, merges), *_MARKS]
    vocabulary = {symbol: index for index, symbol in enumerate(dict.fromkeys(symbols))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def _merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs to join, in the order in which they are looked for."""
    spelt = [[*word[:-1], word[-1] + _END] for word in sorted(set(words))]
    merges = []
    while counts := Counter(pair for word in spelt for pair in pairwise(word)):
        # Of equally frequent pairs the first in the alphabet, so that it is always the same.
        pair = max(sorted(counts), key=counts.__getitem__)
        merges.append(pair)
        spelt = [_joined(word, pair) for word in spelt]
    return merges


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for symbol in word:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined
