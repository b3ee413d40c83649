#!/usr/bin/env python3
"""Trains two small SentencePiece vocabularies, and tells what SentencePiece makes of many lines with them.

    python3 -m venv venv && venv/bin/pip install sentencepiece==0.2.0 protobuf==5.29.5 tokenizers==0.21.1
    venv/bin/python make_spm_vectors.py ../data/ .

Both are of the kind "bpe", by score, with tokens for all bytes. Trained on lines of make_vectors.py:

    spm-words.gguf     as Gemma's: no blank is put in front, runs of blanks and line feeds are tokens
                       that users defined, no other token goes across words
    spm-phrases.gguf   as Llama 2's: a blank is put in front; and tokens go across words

The vectors, spm-words.bin and spm-phrases.bin, have the format of vectors.bin, with one list a line.
Control tokens are never recognised. The GGUF files have what llama.cpp's converter writes of such a model.
"""
import io
import os
import struct
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_vectors import Lines, varint  # noqa: E402
from make_vocabulary import ARRAY, BOOL, I32, STRING, string, value  # noqa: E402

U32, F32 = 4, 6
DEFINED = ["\n" * n for n in range(1, 6)] + ["\u2581" * n for n in range(2, 9)] + ["\t\t", "<table>", "</table>"]
KINDS = {
    "spm-words": dict(add_dummy_prefix=False, user_defined_symbols=DEFINED, split_digits=True),
    "spm-phrases": dict(add_dummy_prefix=True, split_by_whitespace=False),
}


def train(options):
    lines = Lines(7)
    text = [make().replace("\n", " ") for make in (lines.prose, lines.prose, lines.sentence, lines.code)
            for _ in range(1500)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, model_type="bpe", vocab_size=1500, num_threads=1,
        character_coverage=0.98, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, max_sentence_length=1 << 20, minloglevel=2,
        control_symbols=["<start_of_turn>", "<end_of_turn>"], **options)
    return model.getvalue()


def pairs_of(model, options):
    parts = sentencepiece_model_pb2.ModelProto()
    parts.ParseFromString(model)
    names = [p.piece.replace("\u2581", " ") if p.type == p.USER_DEFINED else p.piece for p in parts.pieces]
    return {
        "general.architecture": (STRING, b"llama"),
        "tokenizer.ggml.model": (STRING, b"llama"),
        "tokenizer.ggml.pre": (STRING, b"default"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, [name.encode() for name in names])),
        "tokenizer.ggml.scores": (ARRAY, (F32, [p.score for p in parts.pieces])),
        "tokenizer.ggml.token_type": (ARRAY, (I32, [p.type for p in parts.pieces])),
        "tokenizer.ggml.bos_token_id": (U32, parts.trainer_spec.bos_id),
        "tokenizer.ggml.eos_token_id": (U32, parts.trainer_spec.eos_id),
        "tokenizer.ggml.unknown_token_id": (U32, parts.trainer_spec.unk_id),
        "tokenizer.ggml.add_bos_token": (BOOL, True),
        "tokenizer.ggml.add_space_prefix": (BOOL, options["add_dummy_prefix"]),
    }


def write_model(path, pairs):
    with open(path, "wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs)))
        for key, (kind, content) in pairs.items():
            file.write(string(key.encode()) + struct.pack("<I", kind) + value(kind, content))


def write_vectors(path, model):
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    lines = [data for data, own in Lines(3).all(["<end_of_turn>"]) if not own]
    lines = lines[:256] + lines[256::3]
    with open(path, "wb") as file:
        file.write(b"MRTV1\n" + varint(len(lines)))
        for data in lines:
            ids = reference.encode(data.decode("utf-8", "replace"))
            file.write(varint(0) + varint(len(data)) + data + varint(len(ids) + 1) + b"".join(map(varint, ids)))


def main(models, vectors):
    for name, options in KINDS.items():
        model = train(options)
        write_model(os.path.join(models, name + ".gguf"), pairs_of(model, options))
        write_vectors(os.path.join(vectors, name + ".bin"), model)


if __name__ == "__main__":
    main(*sys.argv[1:])
