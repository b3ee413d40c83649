"""The stats of a domain, living or dead, as anybody may read them (docs/stats.md)."""
from __future__ import annotations

import ctypes as c
from typing import Any, Union

from ._library import StatsHead, StatsRow, lib

HISTOGRAM = 3  # enum mr_stats_kind


class Histogram:
    """Values as they were recorded, in buckets."""

    def __init__(self, row: Any, values: Any) -> None:
        self._row = StatsRow.from_buffer_copy(row)
        self._values = values
        self.sum = int(values[row.first])
        self.samples = int(lib.stats_samples(self._row, values))

    def quantile(self, part: float) -> float:
        """The value below which the part `part` lies, at most an eighth off."""
        return float(lib.stats_quantile(self._row, self._values, part))

    def __repr__(self) -> str:
        return f"<millrace.Histogram of {self.samples}>"


class Stats:
    """Opened by the domain's name; no member, and no cost to those that are."""

    def __init__(self, domain: str) -> None:
        pointer = c.c_void_p()
        self._pointer = None
        lib.check(lib.stats_open(pointer, domain.encode()))
        self._pointer = pointer.value
        self._head = StatsHead(size=c.sizeof(StatsHead))
        lib.stats_get_head(self._pointer, self._head)

    def _open(self) -> int:
        if self._pointer is None:
            raise ValueError("these stats are closed")
        return self._pointer

    @property
    def alive(self) -> bool:
        return bool(lib.stats_alive(self._open()))

    def read(self) -> dict[str, Union[int, Histogram]]:
        """Totals over all processes, dead ones too. Names that come several times have a label."""
        values = (c.c_uint64 * self._head.values)()
        lib.stats_read_total(self._open(), values)
        found: dict[str, Union[int, Histogram]] = {}
        for i in range(self._head.rows):
            row = lib.stats_get_row(self._open(), i).contents
            name, label = row.name.decode(), row.label.decode()
            key = f"{name}{{{label}}}" if label else name
            found[key] = Histogram(row, values) if row.kind == HISTOGRAM else int(values[row.first])
        return found

    def close(self) -> None:
        if self._pointer is not None:
            lib.stats_close(self._pointer)
            self._pointer = None

    def __enter__(self) -> Stats:
        return self

    def __exit__(self, *nothing: object) -> None:
        self.close()
