"""export.py - write a checkpoint of train.py as a GGUF file in Q8_0

    python export.py checkpoint.npz ../bundled/millrace-stories.gguf

Matrices become Q8_0 (the token embedding too, which is also the output matrix), norms stay F32.
Query and key rows are in the order of neighbouring pairs, as GGUF wants them for the architecture
`llama` and as model.py trains them: nothing is permuted here.
"""

import json
import sys

import numpy as np

import gguf_file as gguf
import model

NAME = "millrace-stories"
MOSTLY_Q8_0 = 7
NORMAL, CONTROL = 1, 3
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def general(parameters):
    text = lambda key, value: ("general." + key, gguf.STRING, value)
    return [
        text("architecture", "llama"), text("type", "model"), text("name", NAME),
        text("license", "apache-2.0"), text("size_label", f"{parameters / 1e6:.1f}M"),
        text("description", "a small model that tells short stories and answers simple questions"),
        ("general.languages", (gguf.ARRAY, gguf.STRING), ["en"]),
        ("general.file_type", gguf.U32, MOSTLY_Q8_0), ("general.quantization_version", gguf.U32, 2),
    ]


def architecture(g):
    number = lambda key, value: ("llama." + key, gguf.U32, value)
    return [
        number("context_length", g["context"]), number("embedding_length", g["width"]),
        number("block_count", g["layers"]), number("feed_forward_length", g["hidden"]),
        number("attention.head_count", g["heads"]), number("attention.head_count_kv", g["kv_heads"]),
        ("llama.attention.layer_norm_rms_epsilon", gguf.FLOAT, g["epsilon"]),
        number("rope.dimension_count", g["width"] // g["heads"]),
        ("llama.rope.freq_base", gguf.FLOAT, g["rope_base"]), number("vocab_size", g["vocabulary"]),
    ]


def tokenizer(trained):
    vocabulary = trained["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    special = {token["content"] for token in trained["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in trained["model"]["merges"]]
    key = lambda name: "tokenizer.ggml." + name
    return [
        (key("model"), gguf.STRING, "gpt2"), (key("pre"), gguf.STRING, "smollm"),
        (key("tokens"), (gguf.ARRAY, gguf.STRING), tokens),
        (key("token_type"), (gguf.ARRAY, gguf.I32), [CONTROL if t in special else NORMAL for t in tokens]),
        (key("merges"), (gguf.ARRAY, gguf.STRING), merges),
        (key("bos_token_id"), gguf.U32, vocabulary["<|im_start|>"]),
        (key("eos_token_id"), gguf.U32, vocabulary["<|im_end|>"]),
        (key("unknown_token_id"), gguf.U32, vocabulary["<|endoftext|>"]),
        (key("padding_token_id"), gguf.U32, vocabulary["<|endoftext|>"]),
        (key("add_bos_token"), gguf.BOOL, False), (key("add_space_prefix"), gguf.BOOL, False),
        ("tokenizer.chat_template", gguf.STRING, CHATML),
    ]


def tensors(checkpoint):
    """Tensors by GGUF's names: "blk.0/attn_q" of the checkpoint is "blk.0.attn_q.weight"."""
    found = []
    for key in checkpoint.files:
        value = checkpoint[key]
        if value.dtype != np.float32:
            continue
        kind = gguf.Q8_0 if value.ndim == 2 else gguf.F32
        found.append((key.replace("/", ".") + ".weight", kind, value.shape, gguf.quantise(value, kind)))
    return found


def main(checkpoint_path, out_path):
    checkpoint = np.load(checkpoint_path)
    trained = json.loads(str(checkpoint["tokenizer"]))
    g = dict(model.GEOMETRY, vocabulary=len(trained["model"]["vocab"]))
    weights = tensors(checkpoint)
    parameters = sum(int(np.prod(shape)) for _, _, shape, _ in weights)
    gguf.write(out_path, general(parameters) + architecture(g) + tokenizer(trained), weights)
    print(f"{out_path}: {parameters} parameters, trained with {checkpoint['figures']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
