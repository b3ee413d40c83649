#!/usr/bin/env python3
"""read_stats.py NAME - the stats of a domain, with nothing but docs/stats.md and the standard library"""
import mmap, struct, sys

ROW = struct.Struct("<40s16s16s32s128sIIII")
HEAD = struct.Struct("<8sIIIIQQQQQQQQ48s")
TOTALS = 72  # offset of the totals word


def text(raw):
    return raw.split(b"\0")[0].decode(errors="replace")


class Stats:
    def __init__(self, name):
        with open(f"/dev/shm/millrace.{name}.stats", "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        (magic, rows, row_bytes, self.pages, self.values, table, self.first, self.page_bytes,
         self.offset, *_) = HEAD.unpack_from(self.map)
        if magic != b"MRSTATS2":
            sys.exit(f"the stats of '{name}' have another format")
        self.rows = [ROW.unpack_from(self.map, table + i * row_bytes) for i in range(rows)]

    def page(self, number):
        at = self.first + number * self.page_bytes + self.offset
        return struct.unpack_from(f"<{self.values}Q", self.map, at)

    def total(self):
        """What counts: a page of the dead and all living ones, until nobody died meanwhile."""
        while True:
            word = self.map[TOTALS:TOTALS + 8]
            number = int.from_bytes(word, "little")
            void, copy = number & 0xffff, number >> 16 & 1
            pages = [self.page(p) for p in range(self.pages - 2) if p + 1 != void]
            pages.append(self.page(self.pages - 2 + copy))
            if self.map[TOTALS:TOTALS + 8] == word:
                return [sum(column) for column in zip(*pages)]


def bucket_end(bucket, low, sub):
    shift, rest = bucket + 1 >> sub, bucket + 1 & (1 << sub) - 1
    return (rest if shift == 0 else (rest + (1 << sub)) << shift - 1) << low


def main():
    stats = Stats(sys.argv[1])
    values = stats.total()
    for name, kind, unit, label, _, first, count, low, sub in stats.rows:
        shown = text(name) + (f"{{{text(label)}}}" if text(label) else "")
        if text(kind) != "histogram":
            print(shown, values[first], text(unit))
            continue
        buckets = values[first + 1:first + count]
        print(shown, "samples", sum(buckets), "sum", values[first], text(unit))
        for i, here in enumerate(buckets):
            if here:
                print(f"  below {bucket_end(i, low, sub)}: {here}")


main()
