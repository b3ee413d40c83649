"""make_vectors.py - the Llama architecture straight from its mathematics, and what it computes

    python make_vectors.py [vectors]

Reads GGUF files with models/train/gguf_file.py, runs them in float64 (weights are the float32 values
that the file's blocks mean) and writes the expected logits and greedy continuations which the C
tests compare with. It shares no code with the engine or with the trainer's model. The files' format
and the rules are in vectors/README.md. Needs NumPy and Hugging Face's tokenizers.
"""

import os
import struct
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "..", "models")
sys.path.insert(0, os.path.join(MODELS, "train"))

import gguf_file as gguf  # noqa: E402
import stories  # noqa: E402

BUNDLED = os.path.join(MODELS, "bundled", "millrace-stories.gguf")
GREEDY = 64
PROMPTS = 24
LEAST_MARGIN = 0.005  # of the best logit before the second, all along a greedy text: no rounding turns it
LOGITS_F32, LOGPROBS_U16 = 0, 1


class Llama:
    """One sequence of a model; feed() appends tokens and returns the logits behind each."""

    def __init__(self, metadata, weights):
        key = lambda name, *default: metadata.get("llama." + name, *default)
        self.w = {name: value.astype(np.float64) for name, value in weights.items()}
        self.heads = key("attention.head_count")
        self.kv_heads = key("attention.head_count_kv", self.heads)
        self.size = key("embedding_length") // self.heads
        self.epsilon = key("attention.layer_norm_rms_epsilon")
        self.layers = key("block_count")
        pairs = np.arange(self.size // 2)
        self.turn = np.float64(key("rope.freq_base", 10000.0)) ** (-2.0 * pairs / self.size)
        if key("rope.scaling.type", "none") == "linear":
            self.turn = self.turn / key("rope.scaling.factor")
        if "rope_freqs.weight" in self.w:
            self.turn = self.turn / self.w["rope_freqs.weight"]
        self.keys = [np.zeros((0, self.kv_heads, self.size)) for _ in range(self.layers)]
        self.values = [np.zeros((0, self.kv_heads, self.size)) for _ in range(self.layers)]

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon) * self.w[name + ".weight"]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T

    def rotate(self, x, positions):
        """Multiply each pair (2i, 2i + 1), read as a complex number, by exp(i * position * turn)."""
        pairs = x[..., 0::2] + 1j * x[..., 1::2]
        pairs = pairs * np.exp(1j * np.outer(positions, self.turn))[:, None, :]
        return np.stack([pairs.real, pairs.imag], axis=-1).reshape(x.shape)

    def attend(self, layer, x):
        block = f"blk.{layer}."
        known = len(self.keys[layer])
        positions = known + np.arange(len(x))
        q = self.rotate(self.linear(x, block + "attn_q").reshape(len(x), self.heads, self.size), positions)
        k = self.rotate(self.linear(x, block + "attn_k").reshape(len(x), self.kv_heads, self.size), positions)
        v = self.linear(x, block + "attn_v").reshape(len(x), self.kv_heads, self.size)
        self.keys[layer] = keys = np.concatenate([self.keys[layer], k])
        self.values[layer] = values = np.concatenate([self.values[layer], v])
        later = np.arange(len(keys))[None, :] > positions[:, None]
        out = np.empty_like(q)
        for head in range(self.heads):
            kv = head // (self.heads // self.kv_heads)
            scores = q[:, head] @ keys[:, kv].T / np.sqrt(self.size)
            scores[later] = -np.inf
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[:, head] = scores / scores.sum(axis=1, keepdims=True) @ values[:, kv]
        return self.linear(out.reshape(len(x), -1), block + "attn_output")

    def feed(self, tokens):
        x = self.w["token_embd.weight"][tokens]
        for layer in range(self.layers):
            block = f"blk.{layer}."
            x = x + self.attend(layer, self.norm(x, block + "attn_norm"))
            y = self.norm(x, block + "ffn_norm")
            gate = self.linear(y, block + "ffn_gate")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * self.linear(y, block + "ffn_up"), block + "ffn_down")
        x = self.norm(x, "output_norm")
        return x @ self.w["output.weight" if "output.weight" in self.w else "token_embd.weight"].T


def weights_of(tensors):
    return {name: gguf.dequantise(data, kind, shape) for name, (kind, shape, data) in tensors.items()}


def converted(tensors, kind):
    """The model with every matrix, from its float32 values, in another type; vectors stay as they are."""
    result = {}
    for name, (old, shape, data) in tensors.items():
        if len(shape) == 2:
            data = gguf.quantise(gguf.dequantise(data, old, shape), kind)
            result[name] = (kind, shape, data)
        else:
            result[name] = (old, shape, data)
    return result


def checksum(tensors):
    """FNV-1a, 64 bits, over the bytes of all tensors in the order of their names as C's strcmp has it."""
    value = 0xCBF29CE484222325
    for name in sorted(tensors):
        for byte in tensors[name][2]:
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def run(metadata, weights, prompt, greedy):
    """(logits behind the prompt, greedy tokens, least margin of best before second)."""
    model = Llama(metadata, weights)
    first = logits = model.feed(prompt)[-1]
    text, margin = [], np.inf
    for _ in range(greedy):
        second, best = np.sort(logits)[-2:]
        margin = min(margin, best - second)
        text.append(int(logits.argmax()))
        logits = model.feed([text[-1]])[-1]
    return first, text, margin


def encoded(logits, encoding):
    if encoding == LOGITS_F32:
        return logits.astype("<f4").tobytes()
    peak = logits.max()
    logprobs = logits - peak - np.log(np.exp(logits - peak).sum())
    return np.minimum(np.rint(-1024 * logprobs), 65535).astype("<u2").tobytes()


def write(path, kind, tensors, cases, encoding):
    """cases: list of (prompt, logits, greedy tokens)."""
    vocabulary, greedy = len(cases[0][1]), len(cases[0][2])
    with open(path, "wb") as out:
        out.write(struct.pack("<8s6IQ", b"MRLOGITS", 1, kind, encoding, vocabulary, len(cases), greedy,
                              checksum(tensors)))
        for prompt, logits, text in cases:
            out.write(struct.pack(f"<I{len(prompt)}I", len(prompt), *prompt))
            out.write(encoded(logits, encoding))
            out.write(struct.pack(f"<{len(text)}I", *text))
    print(f"{os.path.basename(path)}: {len(cases)} prompts, {os.path.getsize(path)} bytes")


def tokenizer_of(metadata):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = metadata["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def texts(rng):
    """Texts to continue: single tokens, requests, beginnings, odd characters, long ones."""
    ask = lambda question: f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    told = [stories.story(rng, "small")[-1] for _ in range(90)]
    yield "Once"
    yield "<|im_start|>"
    yield "\n".join(told[:3])
    yield "".join(ask("Tell me a story.") + text + "<|im_end|>\n" for text in told[6:8]) + ask("Who was the friend?")
    for question in ["Tell me a story about a fox.", "Hello!", "What is the capital of France?", "What does a cow eat?",
                     "What is 3 plus 4?", "Write a poem about the sea.", "Who are you?", "Warum ist der Himmel blau?",
                     "Tell me a story about a girl named Lily and a lost key."]:
        yield ask(question)
    yield "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + ask("What is a boat?")
    yield "int main(void) { return 0; }"
    yield "\u00fcber \u4f60\u597d \U0001f98a 1234567890"
    for text in told[8:]:
        yield text[: rng.randint(20, len(text))]


def bundled(folder):
    import random

    metadata, tensors = gguf.read(BUNDLED)
    tokenizer = tokenizer_of(metadata)
    weights = weights_of(tensors)
    cases, least = [], np.inf
    for text in texts(random.Random(7)):
        prompt = tokenizer.encode(text).ids
        logits, greedy, margin = run(metadata, weights, prompt, GREEDY)
        if margin >= LEAST_MARGIN:
            cases.append((prompt, logits, greedy))
            least = min(least, margin)
        if len(cases) == PROMPTS:
            break
    print(f"prompts of {min(len(c[0]) for c in cases)} to {max(len(c[0]) for c in cases)} tokens, least margin {least:.3f}")
    exact = converted(tensors, gguf.F32)
    write(os.path.join(folder, "bundled-f32.vec"), gguf.F32, exact, cases, LOGITS_F32)
    for kind in (gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1):
        variant = converted(tensors, kind)
        weights = weights_of(variant)
        results = [(prompt, run(metadata, weights, prompt, 0)[0], []) for prompt, _, _ in cases]
        name = f"bundled-{gguf.TYPE_NAMES[kind].lower()}.vec"
        write(os.path.join(folder, name), kind, variant, results, LOGPROBS_U16)


# name: (heads, key-value heads, tied, RoPE's scaling, type of the matrices)
TINY = {
    "tiny-untied": (4, 4, False, None, gguf.F32),
    "tiny-linear": (4, 2, True, "linear", gguf.F32),
    "tiny-freqs": (4, 1, False, "freqs", gguf.F32),
    "tiny-f16": (4, 2, True, None, gguf.F16),
    "tiny-bf16": (4, 2, True, None, gguf.BF16),
    "tiny-q8_0": (4, 2, False, None, gguf.Q8_0),
    "tiny-q4_0": (4, 2, False, None, gguf.Q4_0),
    "tiny-q4_1": (4, 2, True, None, gguf.Q4_1),
}
TINY_LAYERS, TINY_VOCABULARY, TINY_CONTEXT, TINY_GREEDY = 2, 96, 256, 16


def tiny_width(kind):
    """(width, width inside the feed-forward net): two blocks a row; F32 files are kept as small."""
    return (32, 48) if kind == gguf.F32 else (64, 96)


def tiny_metadata(name, heads, kv_heads, scaling, kind):
    width, hidden = tiny_width(kind)
    number = lambda key, value: ("llama." + key, gguf.U32, value)
    found = [
        ("general.architecture", gguf.STRING, "llama"), ("general.name", gguf.STRING, name),
        number("context_length", TINY_CONTEXT), number("embedding_length", width),
        number("block_count", TINY_LAYERS), number("feed_forward_length", hidden),
        number("attention.head_count", heads), number("attention.head_count_kv", kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", gguf.FLOAT, 1e-5),
        number("rope.dimension_count", width // heads), ("llama.rope.freq_base", gguf.FLOAT, 10000.0),
        number("vocab_size", TINY_VOCABULARY),
    ]
    if scaling == "linear":
        found += [("llama.rope.scaling.type", gguf.STRING, "linear"),
                  ("llama.rope.scaling.factor", gguf.FLOAT, 4.0)]
    return found


def tiny_tensors(rng, heads, kv_heads, tied, scaling, kind):
    width, hidden = tiny_width(kind)
    kv = width // heads * kv_heads
    shapes = {"token_embd": (TINY_VOCABULARY, width)}
    if not tied:
        shapes["output"] = (TINY_VOCABULARY, width)
    vectors = {"output_norm": 1 + 0.2 * rng.normal(size=width)}
    if scaling == "freqs":
        vectors["rope_freqs"] = np.linspace(1, 8, width // heads // 2)
    for i in range(TINY_LAYERS):
        block = f"blk.{i}."
        shapes.update({
            block + "attn_q": (width, width), block + "attn_k": (kv, width),
            block + "attn_v": (kv, width), block + "attn_output": (width, width),
            block + "ffn_gate": (hidden, width), block + "ffn_up": (hidden, width),
            block + "ffn_down": (width, hidden),
        })
        vectors[block + "attn_norm"] = 1 + 0.2 * rng.normal(size=width)
        vectors[block + "ffn_norm"] = 1 + 0.2 * rng.normal(size=width)
    tensors = {}
    for name, value in vectors.items():
        tensors[name + ".weight"] = (gguf.F32, value.shape, gguf.quantise(value, gguf.F32))
    for name, shape in shapes.items():
        value = rng.normal(size=shape) * 1.5 / np.sqrt(shape[1])
        tensors[name + ".weight"] = (kind, shape, gguf.quantise(value, kind))
    return tensors


def tiny(folder):
    for number, (name, (heads, kv_heads, tied, scaling, kind)) in enumerate(TINY.items()):
        rng = np.random.default_rng(number)
        tensors = tiny_tensors(rng, heads, kv_heads, tied, scaling, kind)
        path = os.path.join(folder, name + ".gguf")
        rows = [(tensor, *rest) for tensor, rest in tensors.items()]
        gguf.write(path, tiny_metadata(name, heads, kv_heads, scaling, kind), rows)
        metadata, tensors = gguf.read(path)
        cases = []
        for length in (1, 7, 40, 150):
            margin = 0
            while margin < LEAST_MARGIN:
                prompt = [int(token) for token in rng.integers(0, TINY_VOCABULARY, length)]
                logits, greedy, margin = run(metadata, weights_of(tensors), prompt, TINY_GREEDY)
            cases.append((prompt, logits, greedy))
        write(os.path.join(folder, name + ".vec"), kind, tensors, cases, LOGITS_F32)


def main(folder=os.path.join(HERE, "vectors")):
    tiny(folder)
    bundled(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
