"""train.py - train the bundled model

    python train.py --minutes 40 --out checkpoint.npz

Learns a vocabulary from the first documents, packs documents into rows, and trains with Muon
(Jordan et al., 2024: momentum, then the nearest orthogonal matrix by five Newton-Schulz steps) for
the matrices of the layers and Adam for the rest. The learning rate rises over a hundred steps and falls
linearly to zero; how far it has fallen follows the clock, so a run ends when its minutes are spent.
Prints the loss of training and of held-out documents (another seed of the grammar).
"""

import argparse
import itertools
import json
import os
import random
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tokenizers import Tokenizer

import corpus
import model
import stories
import talks

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS, LENGTH, POOL = 6, 320, 64
MATRIX_RATE, OTHER_RATE, WARM_STEPS = 0.02, 0.003, 20
VALID_SEED = 1_000_003


def rows(tokenizer, seed, taught, world):
    """Rows of LENGTH + 1 tokens and their documents' numbers, counted from 1; 0 is padding.

    Of the next POOL documents the longest that fits is taken, so that nearly all of a row is used
    and nearly all documents are whole.
    """
    source = (tokenizer.encode(document).ids[: LENGTH + 1] for document in corpus.documents(seed, taught, world))
    pool = list(itertools.islice(source, POOL))
    while True:
        tokens, segments, number = [], [], 1
        while fitting := [ids for ids in pool if len(ids) <= LENGTH + 1 - len(tokens)]:
            ids = max(fitting, key=len) if tokens else pool[0]
            pool.remove(ids)
            pool.append(next(source))
            tokens += ids
            segments += [number] * len(ids)
            number += 1
        fill = LENGTH + 1 - len(tokens)
        yield tokens + [corpus.END_OF_TEXT] * fill, segments + [0] * fill


def batches(tokenizer, seed, taught, world):
    source = rows(tokenizer, seed, taught, world)
    while True:
        chosen = [next(source) for _ in range(ROWS)]
        yield np.array([t for t, _ in chosen], np.int32), np.array([s for _, s in chosen], np.int32)


def orthogonal(m):
    """A matrix near the orthogonal one closest to m."""
    tall = m.shape[0] > m.shape[1]
    x = m.T if tall else m
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon():
    def init(params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(grads, momentum, params=None):
        momentum = jax.tree.map(lambda m, g: 0.95 * m + g, momentum, grads)
        ahead = jax.tree.map(lambda m, g: 0.95 * m + g, momentum, grads)
        step = jax.tree.map(lambda m: -orthogonal(m) * max(1, m.shape[0] / m.shape[1]) ** 0.5, ahead)
        return step, momentum

    return optax.GradientTransformation(init, update)


def optimiser(params):
    def label(path, value):
        return "matrix" if value.ndim == 2 and path[0].key != "token_embd" else "other"

    labels = jax.tree_util.tree_map_with_path(label, params)
    return optax.partition({
        "matrix": optax.chain(muon(), optax.add_decayed_weights(-0.05), optax.scale(MATRIX_RATE)),
        "other": optax.chain(optax.scale_by_adam(0.9, 0.98), optax.scale(-OTHER_RATE)),
    }, labels)


def save(path, params, tokenizer, figures):
    flat = {"/".join(key.key for key in keys): np.asarray(value)
            for keys, value in jax.tree_util.tree_flatten_with_path(params)[0]}
    np.savez(path, tokenizer=tokenizer.to_str(), figures=json.dumps(figures), **flat)


def restored(path):
    checkpoint, params = np.load(path), {}
    for key in checkpoint.files:
        if checkpoint[key].dtype == np.float32:
            *block, name = key.split("/")
            (params.setdefault(block[0], {}) if block else params)[name] = jnp.asarray(checkpoint[key])
    return params


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answers", default=os.path.join(HERE, "data", "answers.jsonl"))
    parser.add_argument("--world", choices=list(stories.WORLDS), default="small")
    parser.add_argument("--start", help="a checkpoint to go on from, with its vocabulary")
    parser.add_argument("--rate", type=float, default=1.0, help="of the usual learning rate")
    parser.add_argument("--out", default="checkpoint.npz")
    args = parser.parse_args()

    taught = talks.taught(args.answers)
    random.Random(args.seed).shuffle(taught)
    held, taught = taught[:20], taught[20:]
    if args.start:
        tokenizer = Tokenizer.from_str(str(np.load(args.start)["tokenizer"]))
    else:
        first = itertools.islice(corpus.documents(args.seed, taught, args.world), 10000)
        tokenizer = corpus.train_tokenizer(first)
    g = dict(model.GEOMETRY, vocabulary=tokenizer.get_vocab_size())
    params = restored(args.start) if args.start else model.init(args.seed, g)
    print("vocabulary", g["vocabulary"], "parameters", sum(p.size for p in jax.tree.leaves(params)),
          "taught", len(taught), flush=True)

    chain = optimiser(params)
    state = chain.init(params)

    @jax.jit
    def step(params, state, tokens, segments, rate):
        value, grads = jax.value_and_grad(model.loss)(params, tokens, segments, g)
        updates, state = chain.update(grads, state, params)
        return optax.apply_updates(params, jax.tree.map(lambda u: rate * u, updates)), state, value

    valid_loss = jax.jit(lambda params, tokens, segments: model.loss(params, tokens, segments, g))
    valid = list(itertools.islice(batches(tokenizer, VALID_SEED, held, args.world), 6))

    started, mean, seen, number = time.time(), None, 0, 0
    figures = {}
    for number, (tokens, segments) in enumerate(batches(tokenizer, args.seed + 1, taught, args.world), 1):
        spent = (time.time() - started) / (60 * args.minutes)
        if spent >= 1:
            break
        rate = args.rate * min(number / WARM_STEPS, 1 - spent)
        params, state, value = step(params, state, tokens, segments, rate)
        mean = float(value) if mean is None else 0.98 * mean + 0.02 * float(value)
        seen += int((segments > 0).sum())
        if number % 100 == 0:
            print(f"step {number} tokens {seen} minutes {(time.time() - started) / 60:.1f} loss {mean:.3f}", flush=True)
        if number % 100 == 0:
            save(args.out, params, tokenizer, figures)
    held_out = float(np.mean([valid_loss(params, *batch) for batch in valid]))
    figures = {"steps": number - 1, "tokens": seen, "minutes": args.minutes, "loss": round(mean, 4),
               "held_out_loss": round(held_out, 4), "held_out_perplexity": round(float(np.exp(held_out)), 3)}
    save(args.out, params, tokenizer, figures)
    print(figures)


if __name__ == "__main__":
    main()
