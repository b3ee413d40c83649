"""corpus.py - the training text: ChatML conversations and bare stories, and the vocabulary

A document is one conversation or one bare story. It ends in <|im_end|>, which is the model's
end-of-sequence token; a conversation is plain ChatML, so that the GGUF file's template gives
exactly what was trained on. The seed fixes every document.
"""

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import stories
import talks

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, IM_START, IM_END = range(3)
VOCABULARY = 2048

SYSTEM = ["You are a helpful assistant.", "You are a helpful AI assistant.", "You tell stories to children.",
          "Answer in short sentences.", "You are a friendly story teller."]


def chatml(turns, system=None):
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    for ask, tell in turns:
        text += f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n{tell}<|im_end|>\n"
    return text


def loosened(ask, rng):
    """Not everybody ends a request with a full stop or begins it with a capital."""
    if rng.random() < 0.15:
        ask = ask.rstrip(".?!")
    if rng.random() < 0.1:
        ask = ask[0].lower() + ask[1:]
    return ask


def documents(seed, taught, world):
    """Documents without end; taught is the list of SmolLM2's conversations, or empty; world one of stories.WORLDS."""
    rng = random.Random(seed)
    while True:
        kind = rng.random()
        if kind < 0.15:
            yield stories.story(rng, world)[-1] + "<|im_end|>"
            continue
        if kind < 0.6:
            turns = talks.told(rng, world)
        elif kind < 0.95 or not taught:
            turns = talks.short(rng)
        else:
            turns = rng.choice(taught)
        if rng.random() < 0.15:
            turns = turns + (talks.short(rng) if rng.random() < 0.5 else talks.told(rng, world))
        turns = [(loosened(ask, rng), tell) for ask, tell in turns]
        yield chatml(turns, rng.choice(SYSTEM) if rng.random() < 0.2 else None)


def train_tokenizer(texts):
    """Byte-level BPE with the pre-tokenizer that GGUF calls "smollm": digits alone, then GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ))
    return tokenizer
