#!/usr/bin/env python3
"""Makes the seeds of gguf_fuzz: tiny files with something of everything a GGUF file can have.

    make_gguf_seeds.py gguf
"""
import os
import struct
import sys

U32, I32, F32, BOOL, STRING, ARRAY, U64, F64 = 4, 5, 6, 7, 8, 9, 10, 12
FORMS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q",
         11: "<q", F64: "<d"}
CHATML = ("{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
          "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
          "m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}")
LLAMA3 = ("{{ bos_token }}<|start_header_id|>{{ m.content | trim }} \"Cutting Knowledge Date: May\n\""
          "date_string = \"1 May\"")
ZEPHYR = "{{ '<|user|>\n' + message['content'] + eos_token }}"


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    if kind == STRING:
        return string(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack(FORMS[kind], content)


def gguf(pairs, tensors=(), data=0, version=3):
    out = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(pairs))
    for key, kind, content in pairs:
        out += string(key) + struct.pack("<I", kind) + value(kind, content)
    for name, dims, kind, offset in tensors:
        out += string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
    return out + bytes(-len(out) % 32 if data else 0) + bytes(data)


def vocabulary(pre, template, merges=("t h", "th e", "Ġ the", "1 2", "l l", "ll o")):
    letters = [chr(c) for c in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))]
    tokens = ["<|im_start|>", "<|im_end|>", "<tool>"] + letters + [m.replace(" ", "") for m in merges]
    types = [3, 3, 4] + [1] * (len(tokens) - 3)
    return [("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, pre),
            ("tokenizer.ggml.bos_token_id", U32, 0), ("tokenizer.ggml.eos_token_id", U32, 1),
            ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.ggml.add_space_prefix", BOOL, True),
            ("tokenizer.ggml.merges", ARRAY, (STRING, list(merges))),
            ("tokenizer.chat_template", STRING, template),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens))]


def sentencepiece(words=("▁it", "ll", "llo", "He", "12", "'s")):
    tokens = (["<unk>", "<s>", "<|im_end|>", "\n\n"] + [f"<0x{byte:02X}>" for byte in range(256)] +
              list(words) + [chr(c) for c in range(0x21, 0x7F)] + ["▁", "é"])
    types = [2, 3, 3, 4] + [6] * 256 + [1] * (len(tokens) - 260)
    scores = [0.0] * 260 + [-float(i) for i in range(len(tokens) - 260)]
    return [("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.unknown_token_id", U32, 0), ("tokenizer.ggml.bos_token_id", U32, 1),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.scores", ARRAY, (F32, scores)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types))]


EVERY_TYPE = [(f"v{kind}", kind, 1) for kind in FORMS] + [
    ("s", STRING, "text"), ("general.alignment", U32, 64),
    *((f"a{kind}", ARRAY, (kind, [1, 0, 1])) for kind in FORMS),
    ("as", ARRAY, (STRING, ["a", "", "c"]))]

SEEDS = {
    "empty": gguf([]),
    "types-v2": gguf(EVERY_TYPE, version=2),
    "types": gguf(EVERY_TYPE, [("w", (32, 2), 8, 0), ("n", (4,), 0, 128)], 144),
    "tensors": gguf([], [(f"t{k}", (256, 1, 1, 1), k, 0) for k in (0, 1, 2, 3, 8, 12, 30, 77)], 1024),
    "smollm": gguf(vocabulary("smollm", CHATML)),
    "llama-bpe": gguf(vocabulary("llama-bpe", LLAMA3)),
    "gpt-2": gguf(vocabulary("gpt-2", ZEPHYR)),
    "sentencepiece": gguf(sentencepiece()),
    "default": gguf(vocabulary("default", "{{ messages }}")),
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, seed in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as file:
            file.write(seed)
