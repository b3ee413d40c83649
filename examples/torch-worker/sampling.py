"""How a token is chosen from logits, as docs/sampling.md defines it, in NumPy.

Random numbers are counted, not drawn from a state: so an answer that was interrupted goes on with the
same ones.
"""
import math

import numpy as np

F = np.float32
ONE = 1 << 40  # the weight of the most probable token
MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox 4x32-10: four words of 32 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (q >> 32) ^ c1 ^ k0, q & MASK, (p >> 32) ^ c3 ^ k1, p & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def exp(x):
    """Each operation rounded to 32 bits, so that all machines agree."""
    magic = F(1.5 * 2**23)
    t = np.minimum(np.maximum(x, F(-87)), F(88))
    n = (t * F(float.fromhex("0x1.715476p0")) + magic) - magic
    r = (t - n * F(float.fromhex("0x1.62e4p-1"))) - n * F(float.fromhex("0x1.7f7d1cp-20"))
    sum = r * F(1 / 5040)
    for factor in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1):
        sum = (sum + F(factor)) * r
    return np.where(x < F(-87), F(0), np.ldexp(sum + F(1), n.astype(np.int32)))


def weights(z, temperature):
    scaled = exp((z - z.max()) / F(temperature))
    return np.floor(scaled.astype(np.float64) * ONE).astype(np.uint64)


def clean(z):
    z = np.where(np.isnan(z), F(-np.inf), z)
    return np.minimum(z, np.finfo(F).max) + F(0)


def adjust(logits, context):
    """Section 1: bias, penalties, the minimum."""
    sampling, z = context.sampling, logits.copy()
    ids = np.asarray(context.tokens)
    generated = ids[context.original_prompt_length:]
    for token, bias in context.logit_bias.items():
        if 0 <= token < z.size:
            z[token] += F(bias)
    if sampling.repetition_penalty != 1:
        seen = np.unique(ids[(ids >= 0) & (ids < z.size)])
        old = z[seen].astype(np.float64)
        z[seen] = np.where(old > 0, old / sampling.repetition_penalty,
                           old * sampling.repetition_penalty)
    if sampling.frequency_penalty or sampling.presence_penalty:
        seen, counts = np.unique(generated, return_counts=True)
        old = z[seen].astype(np.float64)
        z[seen] = (old - counts * sampling.frequency_penalty) - sampling.presence_penalty
    if context.ending_is_forbidden:
        z[[t for t in context.eos_token_ids if 0 <= t < z.size]] = -np.inf
    return clean(z)


def kept(z, w, sampling):
    """Section 4: the ids that may be drawn."""
    rank = np.lexsort((np.arange(z.size), -z))
    if 0 < sampling.top_k < z.size:
        rank = rank[:sampling.top_k]
    if sampling.min_p > 0:
        rank = rank[w[rank] >= math.ceil(sampling.min_p * ONE)]
    if sampling.top_p < 1:
        sums = np.cumsum(w[rank])
        wanted = max(1, math.ceil(sampling.top_p * int(sums[-1])))
        rank = rank[:int(np.searchsorted(sums, wanted)) + 1]
    return np.sort(rank)


def choose(logits, context):
    """The next token of a context; `logits` are 32-bit floats."""
    sampling, z = context.sampling, adjust(logits, context)
    if not np.isfinite(z.max()):
        raise ValueError("the model gave no logit that is a number")
    if sampling.top_k == 1 or not sampling.temperature >= 1e-5:
        return int(np.argmax(z))
    w = weights(z, sampling.temperature)
    ids = kept(z, w, sampling)
    sums = np.cumsum(w[ids])
    i = context.length - context.original_prompt_length
    low, high, *_ = philox((i & MASK, i >> 32, sampling.choice, 0),
                           (sampling.seed & MASK, sampling.seed >> 32))
    point = (high << 32 | low) * int(sums[-1]) >> 64
    return int(ids[np.searchsorted(sums, np.uint64(point), side="right")])


def logprobs(logits, token, count):
    """Section 6: of the chosen token, and the `count` most probable ones."""
    z = clean(logits)
    total = int(weights(z, 1).sum()) / ONE
    all = np.maximum(z.astype(np.float64) - float(z.max()) - math.log(total), -9999)
    rank = np.lexsort((np.arange(z.size), -z))[:count]
    return float(all[token]), [(int(t), float(all[t])) for t in rank]
