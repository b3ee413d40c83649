"""gguf_file.py - read and write GGUF files with NumPy

What training, export and the reference vectors need of the format of ggml-org/ggml, docs/gguf.md:
version 3, little-endian, tensors of the types F32, F16, BF16, Q4_0, Q4_1 and Q8_0. A file is read
whole; it is trusted (models/gguf.c is the reader that is not).

Invariants:
  1. dequantise(quantise(x, T), T) is what every reader of the file computes, in float32.
  2. The rounding rules are stated in tests/llama/vectors/README.md; a checksum there pins them.
"""

import struct

import numpy as np

F32, F16, Q4_0, Q4_1, Q8_0, BF16 = 0, 1, 2, 3, 8, 30
TYPE_NAMES = {F32: "F32", F16: "F16", Q4_0: "Q4_0", Q4_1: "Q4_1", Q8_0: "Q8_0", BF16: "BF16"}

# type: (elements a block, bytes a block)
BLOCKS = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20), Q8_0: (32, 34)}

ALIGNMENT = 32

U32, I32, FLOAT, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Reader:
    """Takes values of the format off a byte string, in order."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def scalar(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        length = self.scalar("Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string().decode("utf-8", "surrogateescape")
        if kind == ARRAY:
            element = self.scalar("I")
            return [self.value(element) for _ in range(self.scalar("Q"))]
        return self.scalar(_SCALARS[kind])


def read(path):
    """Return (metadata, tensors): tensors are name -> (type, shape, bytes), rows outermost."""
    with open(path, "rb") as file:
        r = Reader(file.read())
    magic, version = r.scalar("I"), r.scalar("I")
    if magic != 0x46554747 or version not in (2, 3):
        raise ValueError(f"'{path}' is no GGUF file of version 2 or 3")
    tensor_count, key_count = r.scalar("Q"), r.scalar("Q")
    metadata = {}
    for _ in range(key_count):
        key = r.value(STRING)
        metadata[key] = r.value(r.scalar("I"))
    described = []
    for _ in range(tensor_count):
        name = r.value(STRING)
        dims = [r.scalar("Q") for _ in range(r.scalar("I"))]
        described.append((name, tuple(reversed(dims)), r.scalar("I"), r.scalar("Q")))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    start = -(-r.at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in described:
        size = row_bytes(kind, int(np.prod(shape)))
        tensors[name] = (kind, shape, r.data[start + offset : start + offset + size])
    return metadata, tensors


def row_bytes(kind, elements):
    per_block, block_bytes = BLOCKS[kind]
    return elements // per_block * block_bytes


def _string(text):
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    return struct.pack("<" + _SCALARS[kind], value)


def write(path, metadata, tensors):
    """Write a version 3 file.

    metadata: list of (key, kind, value); for an array, kind is (ARRAY, element kind).
    tensors: list of (name, type, shape, bytes), rows outermost as NumPy has them.
    """
    out = bytearray(struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        out += _string(key)
        if isinstance(kind, tuple):
            out += struct.pack("<IIQ", ARRAY, kind[1], len(value))
            out += b"".join(_value(kind[1], element) for element in value)
        else:
            out += struct.pack("<I", kind) + _value(kind, value)
    offset = 0
    for name, kind, shape, data in tensors:
        assert len(data) == row_bytes(kind, int(np.prod(shape))), name
        out += _string(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        out += struct.pack("<IQ", kind, offset)
        offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
    out += bytes(-len(out) % ALIGNMENT)
    for _, _, _, data in tensors:
        out += data + bytes(-len(data) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(out)


def _nibbles(codes):
    """Element i of a block lies in the low half of byte i, element i + 16 in the high half."""
    return (codes[:, :16] | (codes[:, 16:] << 4)).astype(np.uint8)


def _unnibble(data):
    return np.concatenate([data & 15, data >> 4], axis=1).astype(np.float32)


def _inverse(d):
    with np.errstate(divide="ignore"):
        return np.where(d == 0, np.float32(0), np.float32(1) / d).astype(np.float32)


def _pack(*columns):
    return np.concatenate([np.ascontiguousarray(c).view(np.uint8) for c in columns], axis=1).tobytes()


def _quantise_q8_0(blocks):
    d = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    scaled = blocks * _inverse(d)
    whole = np.trunc(scaled)
    codes = whole + np.copysign(np.abs(scaled - whole) >= 0.5, scaled)
    return _pack(d.astype(np.float16), codes.astype(np.int8))


def _quantise_q4_0(blocks):
    at = np.abs(blocks).argmax(axis=1)[:, None]
    d = np.take_along_axis(blocks, at, axis=1) / np.float32(-8)
    codes = np.minimum(15, (blocks * _inverse(d) + np.float32(8.5)).astype(np.int8))
    return _pack(d.astype(np.float16), _nibbles(codes.astype(np.uint8)))


def _quantise_q4_1(blocks):
    low = blocks.min(axis=1, keepdims=True)
    d = (blocks.max(axis=1, keepdims=True) - low) / np.float32(15)
    codes = np.minimum(15, ((blocks - low) * _inverse(d) + np.float32(0.5)).astype(np.int8))
    return _pack(d.astype(np.float16), low.astype(np.float16), _nibbles(codes.astype(np.uint8)))


def _quantise_bf16(x):
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


def quantise(x, kind):
    """The bytes of x, a float32 array, in the given type; rows are whole blocks."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if kind == F32:
        return x.tobytes()
    if kind == F16:
        return x.astype(np.float16).tobytes()
    if kind == BF16:
        return _quantise_bf16(x)
    blocks = x.reshape(-1, BLOCKS[kind][0])
    return {Q8_0: _quantise_q8_0, Q4_0: _quantise_q4_0, Q4_1: _quantise_q4_1}[kind](blocks)


def dequantise(data, kind, shape):
    """The float32 array that the bytes of a tensor mean."""
    if kind == F32:
        return np.frombuffer(data, np.float32).reshape(shape).copy()
    if kind == F16:
        return np.frombuffer(data, np.float16).astype(np.float32).reshape(shape)
    if kind == BF16:
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(shape)
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCKS[kind][1])
    d = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
    if kind == Q8_0:
        values = d * blocks[:, 2:].view(np.int8)
    elif kind == Q4_0:
        values = d * (_unnibble(blocks[:, 2:]) - 8)
    elif kind == Q4_1:
        low = np.ascontiguousarray(blocks[:, 2:4]).view(np.float16).astype(np.float32)
        values = d * _unnibble(blocks[:, 4:]) + low
    else:
        raise ValueError(f"tensor type {kind} is not read here")
    return values.astype(np.float32).reshape(shape)
