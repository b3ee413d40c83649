"""teacher.py - let SmolLM2-135M-Instruct answer simple questions

SmolLM2 (Apache-2.0) is asked some two thousand simple questions, each after one example that shows
the tone, and its answer is cut after its second sentence: what it says first is mostly right and
plainly put, what comes later often neither. Answers that repeat themselves, use odd characters or
don't end are dropped.

    python teacher.py ../fetched/SmolLM2-135M-Instruct-Q4_1.gguf data/answers.jsonl

Writes one JSON line {"question", "answer"} an answer. CTranslate2 runs the model in 8 bits.
"""

import json
import os
import random
import re
import sys
import tempfile

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import gguf_file as gguf

ANIMALS = """dog cat cow horse sheep goat pig hen duck goose fox wolf bear rabbit mouse rat squirrel deer
owl eagle crow robin sparrow parrot penguin frog toad snake turtle lizard fish shark whale dolphin seal
crab octopus snail worm ant bee butterfly spider fly lion tiger elephant giraffe monkey zebra camel
kangaroo koala panda hedgehog bat swan donkey lamb puppy kitten""".split()
THINGS = """chair table bed lamp door window house roof wall floor kitchen garden gate fence bridge road
street car bus train boat ship plane bicycle wheel cart book pen pencil paper letter map picture clock
watch bell key lock box bag basket bottle cup plate bowl spoon fork knife pot pan oven stove fridge
broom brush soap towel mirror comb needle button shirt coat hat shoe sock scarf glove umbrella blanket
pillow candle match rope ladder hammer nail saw shovel bucket ball doll kite drum flute guitar piano
radio phone computer camera coin money ring flag tent telescope magnet balloon""".split()
FOODS = """bread butter cheese milk egg apple pear plum cherry orange lemon banana grape strawberry carrot
potato tomato onion bean pea corn rice soup salad cake pie cookie honey jam sugar salt tea coffee juice
water pancake sandwich pizza noodles chocolate""".split()
NATURE = """sun moon star sky cloud rain snow wind storm rainbow thunder ice fire smoke river lake sea ocean
beach island mountain hill valley forest field desert cave stone sand mud grass tree leaf flower seed
root rose spring summer autumn winter morning night shadow wave waterfall""".split()
PEOPLE = """farmer baker teacher doctor nurse driver pilot sailor fisherman cook painter singer writer builder
carpenter gardener shopkeeper policeman fireman king queen friend neighbour grandmother grandfather
mother father brother sister baby child librarian scientist musician dancer postman tailor
shepherd""".split()
PLACES = """school library shop market farm park zoo hospital museum station harbour bakery village city
castle church theatre playground kitchen barn mill lighthouse airport factory office hotel""".split()
FEELINGS = "happy sad angry afraid tired hungry thirsty lonely proud brave kind shy curious bored cold".split()
DEEDS = """sleep eat drink read write sing dance laugh cry run swim walk play work cook draw share help listen
learn wait smile dream rest travel""".split()

FORMS = [
    (ANIMALS, ["What is {a}?", "What does {a} eat?", "Where does {a} live?", "What can {a} do?",
               "What does {a} look like?", "Tell me about {the}s.", "Why do people like {the}s?"]),
    (THINGS, ["What is {a}?", "What do you use {a} for?", "What does {a} look like?",
              "Where can I find {a}?", "Tell me about {a}."]),
    (FOODS, ["What is {the}?", "What does {the} taste like?", "Where does {the} come from?",
             "Tell me about {the}.", "How do people eat {the}?"]),
    (NATURE, ["What is {the}?", "Tell me about {the}.", "Why do we like {the}?", "What can you see in {the}?"]),
    (PEOPLE, ["What does {a} do?", "Who is {a}?", "Why is {a} important?", "Tell me about {a}."]),
    (PLACES, ["What is {a}?", "What can you do at {a}?", "Who works at {a}?", "Tell me about {a}."]),
    (FEELINGS, ["What does it mean to be {the}?", "What can I do when I am {the}?",
                "Why do people feel {the}?", "What makes a person {the}?"]),
    (DEEDS, ["Why do people {the}?", "When do people {the}?", "How do I learn to {the} well?",
             "Is it good to {the}?"]),
]

EXAMPLE = (
    "What is a chair?",
    "A chair is a thing that you sit on. It has a seat, a back and four legs.",
)


def questions(rng):
    found = []
    for nouns, forms in FORMS:
        for noun in nouns:
            article = "an" if noun[0] in "aeiou" else "a"
            for form in forms:
                found.append(form.format(a=f"{article} {noun}", the=noun))
    rng.shuffle(found)
    return found


def tokenizer_of(metadata):
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    return tokenizer


def convert(metadata, tensors, folder):
    """Write the model in CTranslate2's format, query and key rows back in their half-split order."""
    key = lambda name: metadata["llama." + name]
    heads, kv_heads = key("attention.head_count"), key("attention.head_count_kv")

    def weight(name):
        kind, shape, data = tensors[name]
        return gguf.dequantise(data, kind, shape)

    def half_split(w, count):
        return np.ascontiguousarray(w.reshape(count, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape))

    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        key("block_count"), heads, activation=common_spec.Activation.SWISH, pre_norm=True, ffn_glu=True,
        rms_norm=True, rotary_dim=0, rotary_interleave=False, rotary_base=key("rope.freq_base"),
        num_heads_kv=kv_heads, quant_type=common_spec.Quantization.CT2,
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = decoder.projection.weight = weight("token_embd.weight")
    decoder.layer_norm.gamma = weight("output_norm.weight")
    for i, layer in enumerate(decoder.layer):
        block = f"blk.{i}."
        attention, ffn = layer.self_attention, layer.ffn
        attention.layer_norm.gamma = weight(block + "attn_norm.weight")
        attention.linear[0].weight = np.concatenate([
            half_split(weight(block + "attn_q.weight"), heads),
            half_split(weight(block + "attn_k.weight"), kv_heads),
            weight(block + "attn_v.weight"),
        ])
        attention.linear[1].weight = weight(block + "attn_output.weight")
        ffn.layer_norm.gamma = weight(block + "ffn_norm.weight")
        ffn.linear_0.weight = weight(block + "ffn_gate.weight")
        ffn.linear_0_noact.weight = weight(block + "ffn_up.weight")
        ffn.linear_1.weight = weight(block + "ffn_down.weight")
    spec.register_vocabulary(metadata["tokenizer.ggml.tokens"])
    spec.config.bos_token, spec.config.eos_token = "<|im_start|>", "<|im_end|>"
    spec.config.unk_token = "<|endoftext|>"
    spec.config.layer_norm_epsilon = key("attention.layer_norm_rms_epsilon")
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(folder)


def turn(question, answer):
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}"


def prompt(question):
    return turn(EXAMPLE[0], EXAMPLE[1] + "<|im_end|>\n") + turn(question, "")


def keep(text):
    """The first two sentences of an answer, or None if they are not worth keeping."""
    text = text.split("\n")[0].replace("\u2019", "'").strip()
    sentences = re.findall(r"[^.!?]+[.!?]", text)[:2]
    if not sentences:
        return None
    text = "".join(sentences).strip()
    words = re.findall(r"[a-z']+", text.lower())
    if not 5 <= len(words) <= 45 or not re.fullmatch(r"[A-Za-z0-9 ,.'!?-]+", text):
        return None
    pairs = list(zip(words, words[1:]))
    if len(set(pairs)) < 0.85 * len(pairs) or max(map(len, words)) > 14:
        return None
    return text


def main(model_path, out_path):
    metadata, tensors = gguf.read(model_path)
    tokenizer = tokenizer_of(metadata)
    asked = questions(random.Random(1))
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.join(folder, "teacher")
        os.mkdir(folder)
        convert(metadata, tensors, folder)
        teacher = ctranslate2.Generator(folder, device="cpu", compute_type="int8", intra_threads=1)
        ctranslate2.set_random_seed(1)
        with open(out_path, "w") as out:
            for start in range(0, len(asked), 32):
                batch = asked[start : start + 32]
                results = teacher.generate_batch(
                    [tokenizer.encode(prompt(question)).tokens for question in batch],
                    max_length=48, sampling_topk=10, sampling_temperature=0.4, include_prompt_in_result=False,
                )
                for question, result in zip(batch, results):
                    answer = keep(tokenizer.decode(result.sequences_ids[0]))
                    if answer:
                        out.write(json.dumps({"question": question, "answer": answer}) + "\n")
                out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
