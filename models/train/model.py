"""model.py - the Llama architecture in JAX, as it is trained here

RoPE turns neighbouring pairs of a head's elements (2i, 2i + 1). That is the layout which GGUF wants
for query and key weights of the architecture `llama` (a converter from Hugging Face has to permute
them into it), so export.py writes the weights as they are. Weights have rows outermost: an output
element a row, as in GGUF. The output matrix is the token embedding.
"""

import jax
import jax.numpy as jnp
import numpy as np

GEOMETRY = {
    "vocabulary": 2048, "context": 1024, "width": 128, "layers": 6, "heads": 4, "kv_heads": 2,
    "hidden": 384, "epsilon": 1e-5, "rope_base": 10000.0,
}


def init(seed, g):
    rng = np.random.default_rng(seed)
    width, hidden, kv = g["width"], g["hidden"], g["width"] // g["heads"] * g["kv_heads"]

    def matrix(rows, columns, scale=1.0):
        return jnp.asarray(rng.normal(0, scale / np.sqrt(columns), (rows, columns)), jnp.float32)

    back = 1 / np.sqrt(2 * g["layers"])
    params = {"token_embd": jnp.asarray(rng.normal(0, 0.02, (g["vocabulary"], width)), jnp.float32),
              "output_norm": jnp.ones(width)}
    for i in range(g["layers"]):
        params[f"blk.{i}"] = {
            "attn_norm": jnp.ones(width), "ffn_norm": jnp.ones(width),
            "attn_q": matrix(width, width), "attn_k": matrix(kv, width), "attn_v": matrix(kv, width),
            "attn_output": matrix(width, width, back), "ffn_gate": matrix(hidden, width),
            "ffn_up": matrix(hidden, width), "ffn_down": matrix(width, hidden, back),
        }
    return params


def rms_norm(x, weight, epsilon):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rope(x, base):
    """x: [batch, position, head, element]."""
    pairs = x.shape[-1] // 2
    angle = jnp.arange(x.shape[1])[:, None] * base ** (-jnp.arange(pairs) / pairs)
    cos, sin = jnp.cos(angle)[None, :, None, :], jnp.sin(angle)[None, :, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def attend(arrays):
    """One key-value head of one row; small enough to stay in the cache, so it is done anew backwards."""
    q, k, v, mask = arrays
    group, length, size = q.shape
    scores = (q.reshape(-1, size) @ k.T).reshape(group, length, length) / np.sqrt(size)
    weights = jax.nn.softmax(jnp.where(mask, scores, -1e30), axis=-1)
    return (weights.reshape(-1, length) @ v).reshape(q.shape)


def attention(w, x, mask, g):
    batch, length, width = x.shape
    size, kv_heads = width // g["heads"], g["kv_heads"]
    group = g["heads"] // kv_heads

    def by_head(y, heads):
        return y.transpose(0, 2, 1, 3).reshape(batch * kv_heads, heads // kv_heads, length, size)

    q = rope((x @ w["attn_q"].T).reshape(batch, length, g["heads"], size), g["rope_base"])
    k = rope((x @ w["attn_k"].T).reshape(batch, length, kv_heads, size), g["rope_base"])
    v = (x @ w["attn_v"].T).reshape(batch, length, kv_heads, size)
    mixed = jax.lax.map(jax.checkpoint(attend), (
        by_head(q, g["heads"]), by_head(k, kv_heads)[:, 0], by_head(v, kv_heads)[:, 0],
        jnp.repeat(mask, kv_heads, axis=0),
    ))
    mixed = mixed.reshape(batch, kv_heads * group, length, size).transpose(0, 2, 1, 3)
    return mixed.reshape(batch, length, width) @ w["attn_output"].T


def logits(params, tokens, mask, g):
    """tokens: [batch, position]; mask: [batch, query, key], true where a query may look."""
    x = params["token_embd"][tokens]
    for i in range(g["layers"]):
        w = params[f"blk.{i}"]
        x = x + attention(w, rms_norm(x, w["attn_norm"], g["epsilon"]), mask, g)
        y = rms_norm(x, w["ffn_norm"], g["epsilon"])
        x = x + (jax.nn.silu(y @ w["ffn_gate"].T) * (y @ w["ffn_up"].T)) @ w["ffn_down"].T
    return rms_norm(x, params["output_norm"], g["epsilon"]) @ params["token_embd"].T


def loss(params, tokens, segments, g):
    """Mean cross-entropy of the next token; a document sees itself alone."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    inside, following = segments[:, :-1], segments[:, 1:]
    length = inputs.shape[1]
    mask = jnp.tril(jnp.ones((length, length), bool))[None] & (inside[:, :, None] == inside[:, None, :])
    scores = logits(params, inputs, mask, g)
    chosen = jnp.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(scores, axis=-1) - chosen
    counts = (inside == following) & (inside > 0)
    return jnp.sum(losses * counts) / jnp.maximum(jnp.sum(counts), 1)
