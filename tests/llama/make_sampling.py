#!/usr/bin/env python3
"""make_sampling.py - writes sampling.txt, vectors of docs/sampling.md

A second implementation of that page, in plain Python: a float's operation in C is one in double
here that is then rounded to a float, which gives the same bits for +, -, * and /.

    tests/llama/make_sampling.py > tests/llama/sampling.txt
"""
import math
import struct

INF = math.inf
MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
ONE = 1 << 40


def f32(x):
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(INF, x)


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def draw(seed, choice, index):
    words = philox((index & 0xFFFFFFFF, index >> 32, choice, 0), (seed & 0xFFFFFFFF, seed >> 32))
    return words[1] << 32 | words[0]


SERIES = [f32(1 / 5040), f32(1 / 720), f32(1 / 120), f32(1 / 24), f32(1 / 6), 0.5, 1.0, 1.0]


def exp(x):
    if x < -87:
        return 0.0
    t = min(max(x, -87.0), 88.0)
    shift = 1.5 * 2**23
    n = f32(f32(f32(t * float.fromhex("0x1.715476p0")) + shift) - shift)
    r = f32(t - f32(n * float.fromhex("0x1.62e4p-1")))
    r = f32(r - f32(n * float.fromhex("0x1.7f7d1cp-20")))
    p = SERIES[0]
    for c in SERIES[1:]:
        p = f32(f32(p * r) + c)
    return math.ldexp(p, int(n))


def log(x):
    m, n = math.frexp(x)
    if m < float.fromhex("0x1.6a09e667f3bcdp-1"):
        m, n = m * 2, n - 1
    s = (m - 1) / (m + 1)
    total = 1 / 21
    for odd in (19, 17, 15, 13, 11, 9, 7, 5, 3, 1):
        total = total * (s * s) + 1 / odd
    high, low = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
    return n * high + (n * low + 2 * s * total)


def clean(z):
    if math.isnan(z) or z == -INF:
        return -INF
    return min(z, MAX) + 0.0


def adjusted(case):
    z = list(case["logits"])
    inside = lambda ids: [t for t in ids if 0 <= t < len(z)]
    prompt, generated = inside(case["prompt"]), inside(case["generated"])
    for token, bias in case["bias"]:
        if 0 <= token < len(z):
            z[token] = f32(z[token] + bias)
    r = case["repetition_penalty"]
    if r != 1:
        for token in set(prompt + generated):
            z[token] = f32(z[token] / r if z[token] > 0 else z[token] * r)
    f, p = case["frequency_penalty"], case["presence_penalty"]
    if f or p:
        for token in set(generated):
            z[token] = f32((z[token] - generated.count(token) * f) - p)
    if len(case["generated"]) < case["min_new_tokens"]:
        for token in inside(case["ending"]):
            z[token] = -INF
    return [clean(value) for value in z]


def weights(z, temperature):
    most = max(z)
    t = f32(temperature)
    return [int(exp(f32(f32(value - most) / t)) * ONE) for value in z]


def ranked(z):
    return sorted(range(len(z)), key=lambda token: (-z[token], token))


def choose(case):
    z = adjusted(case)
    if max(z) == -INF:
        return None
    rank = ranked(z)
    if case["top_k"] == 1 or not case["temperature"] >= 1e-5:
        return rank[0]
    w = weights(z, case["temperature"])
    if 0 < case["top_k"] < len(z):
        rank = rank[: case["top_k"]]
    if case["min_p"] > 0:
        rank = [token for token in rank if w[token] >= math.ceil(case["min_p"] * ONE)]
    if case["top_p"] < 1:
        enough = max(1, math.ceil(case["top_p"] * float(sum(w[token] for token in rank))))
        few, total = [], 0
        while total < enough:
            few.append(rank[len(few)])
            total += w[few[-1]]
        rank = few
    point = draw(case["seed"], case["choice"], len(case["generated"])) * sum(w[t] for t in rank) >> 64
    for token in sorted(rank):
        if point < w[token]:
            return token
        point -= w[token]


def logprobs(case, count):
    z = [clean(value) for value in case["logits"]]
    most, log_sum = max(z), log(float(sum(weights(z, 1))) / ONE)
    return [(t, max(z[t] - most - log_sum, -9999.0)) for t in ranked(z)[:count]]


DEFAULTS = dict(
    temperature=1.0, top_k=-1, top_p=1.0, min_p=0.0, frequency_penalty=0.0, presence_penalty=0.0,
    repetition_penalty=1.0, min_new_tokens=0, seed=0, choice=0, prompt=[], generated=[], bias=[],
    ending=[], philox=None, logits=None, top=0)
NUMBERS = ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty",
           "repetition_penalty")


def write(name, **given):
    case = {**DEFAULTS, **given}
    if case["philox"]:
        seed, count = case["philox"]
        case["logits"] = [((draw(seed, 0, i) & 0xFFFF) - 32768) / 4096 for i in range(count)]
    print(f"case {name}")
    if case["philox"]:
        print("philox", *case["philox"])
    else:
        print("logits", *(value.hex() for value in case["logits"]))
    for key in NUMBERS:
        if case[key] != DEFAULTS[key]:
            print(key, float(case[key]).hex())
    for key in ("top_k", "min_new_tokens", "seed", "choice"):
        if case[key] != DEFAULTS[key]:
            print(key, case[key])
    for key in ("prompt", "generated", "ending"):
        if case[key]:
            print(key, *case[key])
    for token, bias in case["bias"]:
        print("bias", token, bias.hex())
    for token, value in logprobs(case, case["top"]) if case["top"] else []:
        print("logprob", token, value.hex())
    chosen = choose(case)
    print("chosen", "none" if chosen is None else chosen)


def write_all():
    print("# Vectors of docs/sampling.md, written by make_sampling.py. A case is some lines of")
    print("# parameters (what isn't named is off), then log-probabilities in rank, then the token.")
    few = [1.0, 3.0, -2.0, 3.0, 0.5, 2.5, -0.0, 2.0]
    write("greedy_takes_the_lowest_of_equals", logits=few, temperature=0.0)
    write("top_k_1_is_greedy", logits=few, top_k=1, seed=5)
    write("a_tiny_temperature_is_greedy", logits=few, temperature=9e-6, seed=6)
    write("minus_zero_and_zero_tie", logits=[-1.0, -0.0, 0.0], temperature=0.0, top=3)
    write("nan_is_never_chosen", logits=[math.nan, 1.0, math.nan], temperature=0.0, top=3)
    write("infinity_is_the_largest", logits=[1.0, INF, 2.0], top=3, seed=3)
    write("all_nan_leaves_nothing", logits=[math.nan, -INF])
    write("one_token", logits=[0.25], seed=9, top=1)
    write("bias_adds_up_and_passes_unknown_ids", logits=few, temperature=0.0,
          bias=[(2, 3.0), (2, 2.5), (900, 50.0), (-1, 50.0)])
    write("bias_of_minus_100_bans", logits=few, temperature=0.0, bias=[(1, -100.0), (3, -100.0)])
    write("repetition_divides_what_is_positive", logits=few, temperature=0.0, prompt=[1, 1],
          generated=[3, 3, 3], repetition_penalty=1.5)
    write("repetition_multiplies_what_is_negative", logits=[-1.0, -1.2, -3.0], temperature=0.0,
          prompt=[0], repetition_penalty=1.3)
    write("frequency_counts_the_answer_only", logits=few, temperature=0.0, prompt=[3, 3],
          generated=[1, 5, 1], frequency_penalty=0.3)
    write("presence_counts_once", logits=few, temperature=0.0, generated=[1, 1, 3],
          presence_penalty=0.6)
    write("negative_penalties_reward", logits=few, temperature=0.0, generated=[7, 7, 7],
          frequency_penalty=-0.5)
    write("all_penalties_and_a_bias", logits=few, temperature=0.8, seed=4, prompt=[0, 1, 2],
          generated=[1, 3, 3, 900, -999], repetition_penalty=1.1, frequency_penalty=0.25,
          presence_penalty=0.125, bias=[(4, 1.25)])
    write("no_end_before_the_minimum", logits=few, temperature=0.0, ending=[1, 3],
          min_new_tokens=3, generated=[0, 0])
    write("an_end_at_the_minimum", logits=few, temperature=0.0, ending=[1, 3], min_new_tokens=2,
          generated=[0, 0])
    write("nothing_but_ends_leaves_nothing", logits=[1.0, 2.0], ending=[0, 1], min_new_tokens=1)
    for index in range(6):
        write(f"plain_draw_{index}", logits=few, seed=42, generated=[0] * index, top=2)
    write("another_choice", logits=few, seed=42, choice=1)
    write("a_long_seed", logits=few, seed=0xFEDCBA9876543210, choice=7, generated=[1, 2])
    for index in range(4):
        write(f"top_k_{index}", logits=few, top_k=3, seed=index, temperature=2.0)
        write(f"top_p_{index}", logits=few, top_p=0.7, seed=index, temperature=1.5)
        write(f"min_p_{index}", logits=few, min_p=0.4, seed=index)
        write(f"all_three_{index}", logits=few, top_k=5, top_p=0.8, min_p=0.1, seed=index)
    write("top_p_0_keeps_one", logits=few, top_p=0.0, seed=8)
    write("top_p_cuts_between_equals", logits=[1.0] * 10, top_p=0.3, seed=1)
    write("min_p_1_keeps_the_largest", logits=few, min_p=1.0, seed=11)
    write("top_k_beyond_the_vocabulary", logits=few, top_k=100, seed=12)
    write("a_high_temperature", logits=few, temperature=100.0, seed=13)
    for index, count in enumerate((17, 256, 257, 4999, 49152)):
        large = dict(philox=(index, count), seed=1000 + index)
        write(f"large_{count}_plain", **large, top=min(count, 20))
        write(f"large_{count}_hot", **large, temperature=30.0)
        write(f"large_{count}_top_k_50", **large, top_k=50)
        write(f"large_{count}_top_k_300", **large, top_k=300, temperature=4.0)
        write(f"large_{count}_top_p", **large, top_p=0.9)
        write(f"large_{count}_top_p_hot", **large, top_p=0.95, temperature=10.0)
        write(f"large_{count}_min_p_hot", **large, min_p=0.3, temperature=5.0, top_p=0.99)


if __name__ == "__main__":
    write_all()
