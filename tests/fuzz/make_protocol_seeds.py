#!/usr/bin/env python3
"""make_protocol_seeds.py - writes the seeds of segment, control and reply into their folders

A seed of segment is a list of changes {how 1, where 4, what 8}; one of control a list of messages
{how 1, length 2, bytes}; one of reply a choice and a note. The targets say what the bits mean.
"""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
ANYWHERE, HEADER, QUEUES, ENTRIES, SLOTS, ARENA = range(6)
WIDE, FLIP = 0x40, 0x80  # eight bytes; changed by exclusive or


def write(target, name, data):
    (HERE / target).mkdir(exist_ok=True)
    (HERE / target / name).write_bytes(data)


def change(how, where, what):
    return struct.pack("<BIQ", how, where, what)


def segments():
    far = b"".join(change(ENTRIES | WIDE, 8 * i, 1 << 62) for i in range(8))
    write("segment", "ring-far-ahead", far)
    write("segment", "header-slots", change(HEADER, 88, 1 << 20) + change(HEADER, 92, 9))
    write("segment", "queue-head", change(QUEUES | WIDE, 0, 1 << 40))
    write("segment", "slot-state", change(SLOTS | WIDE | FLIP, 0, 0xFF << 28))
    write("segment", "slot-news", change(SLOTS | FLIP, 264, 1) + change(SLOTS, 0, 77))
    write("segment", "arena-entry", change(ARENA | WIDE, 1024, (1 << 64) - 1))


def greeting(role, capacity):
    """What the target doesn't fill in: all but magic, sizes and layout."""
    head = struct.pack("<QIIQIIIIIIQ", 0, 0, 0, 0, role, 0, capacity, 0, 0, 0, 0)
    return head + b"generate".ljust(48, b"\0") + b"seed".ljust(128, b"\0") + bytes(96)


def order(verb, number, word):
    return bytes(16) + struct.pack("<II", verb, number) + word.ljust(520, b"\0") + bytes(32)


def message(how, data):
    return struct.pack("<BH", how, len(data)) + data


def controls():
    worker = message(4, greeting(3, 2))
    write("control", "join-and-leave", worker + message(0, b"G") + message(3, b""))
    write("control", "join-and-hang-up", worker + message(3, b""))
    write("control", "bad-role", message(4, greeting(9, 0)))
    write("control", "orders", message(12, order(1, 1, b"mr-worker-0")) +
          message(13, order(2, 3, b"")) + message(14, order(3, 2, b"id")))
    write("control", "order-without-end", message(12, bytes(16) + b"x" * 560))
    write("control", "noise", message(0, b"hello") + message(1, b"") + message(2, b"\xff" * 400))


def reply(version, stops, strings):
    head = struct.pack("<BBBBIIIQ", version, 1, 0, stops, 0, 0, 0, 7)
    return b"\0" + head + b"".join(struct.pack("<I", len(s)) + s for s in strings)


def replies():
    strings = [b"id", b"model", b"prompt", b"", b"", b""]
    write("reply", "chat", reply(2, 2, strings + [b"stop", b"end"]))
    write("reply", "cut-off", reply(2, 3, strings))
    write("reply", "too-long", reply(2, 0, strings[:5]) + struct.pack("<I", 0xFFFFFFFF))
    write("reply", "other-version", reply(1, 0, strings))
    note = {"model": "m.gguf", "model_name": "m", "input": "", "output": "o", "worker": "w",
            "workers": 1, "max_batch": 0, "threads": 1, "image_tokens": 64, "image_token": -1,
            "sample_rate": 24000, "stream": False, "plain_io": True}
    write("reply", "note", b"\1" + json.dumps(note, separators=(",", ":")).encode())


segments()
controls()
replies()
