"""Views on shared memory that don't outlive what they look at.

A View is asked by index, or turned into a NumPy array by `numpy.asarray(view)`, which copies
nothing. When its context is let go of, the view is released, and whatever is asked of it raises
ReleasedError. An array that was made of it can't be taken back from its holder: so a context of
which such arrays live is not let go of, and ViewError says so.

How it is known that arrays live: all of them, and arrays and memoryviews derived from them, hold a
reference to the Block that they were made of.
"""
from __future__ import annotations

import ctypes
import weakref
from typing import Any, Iterator, Optional, Union

from ._library import Array, lib

# NumPy's name of a type: its letter in a buffer; bfloat16 has none, and is shown as its bits
LETTERS = {"bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B",
           "uint16": "H", "uint32": "I", "uint64": "Q", "float16": "e", "bfloat16": "H",
           "float32": "f", "float64": "d"}


class ReleasedError(ValueError):
    """The context was let go of: what was seen of it is another's now."""


class ViewError(BufferError):
    """Arrays made of a context's views live: delete or copy them first."""


def _block(address: int, size: int) -> Any:
    """An object that exports `size` bytes at `address`, and can be watched."""
    return (ctypes.c_char * size).from_address(address)


class View:
    """An array in shared memory. `address`, `shape`, `dtype` (NumPy's name of it)."""

    def __init__(self, address: int, dtype: str, shape: tuple[int, ...],
                 strides: Optional[tuple[int, ...]] = None, writeable: bool = False) -> None:
        self.address = address
        self.dtype = dtype
        self.shape = shape
        self._size = lib_dtype_size(dtype)
        self._strides = strides
        self._writeable = writeable
        self._blocks: list[weakref.ref[Any]] = []
        self._released = False

    def _extent(self) -> int:
        if 0 in self.shape:
            return 0
        if self._strides is None:
            size = self._size
            for length in self.shape:
                size *= length
            return size
        return self._size + sum(s * (n - 1) for s, n in zip(self._strides, self.shape))

    def _open(self) -> Any:
        if self._released:
            raise ReleasedError("the context of this view was let go of; copy what you need first")
        block = _block(self.address, self._extent())
        self._blocks = [old for old in self._blocks if old() is not None]
        self._blocks.append(weakref.ref(block))
        return block

    def memory(self) -> memoryview:
        """A memoryview; nothing is copied. For arrays in C order."""
        letter = LETTERS.get(self.dtype)
        if letter is None or self._strides is not None:
            raise TypeError(f"an array of '{self.dtype}' with gaps or of complex numbers needs "
                            "numpy.asarray()")
        flat: Any = memoryview(self._open()).cast("B")
        if 0 not in self.shape:
            flat = flat.cast(letter, self.shape) if self.shape else flat.cast(letter)
        memory: memoryview = flat if self._writeable else flat.toreadonly()
        return memory

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> Any:
        import numpy

        kind = "uint16" if self.dtype == "bfloat16" else self.dtype
        array: Any = numpy.ndarray(self.shape, kind, self._open(), strides=self._strides)
        array.flags.writeable = self._writeable
        if dtype is not None and numpy.dtype(dtype) != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def numpy(self) -> Any:
        """A NumPy array on the shared memory; nothing is copied."""
        return self.__array__()

    def __len__(self) -> int:
        if self._released:
            self._open()
        return self.shape[0] if self.shape else 0

    def __getitem__(self, index: Union[int, slice]) -> Any:
        if isinstance(index, slice):
            return self.memory()[index].tolist()
        return self.memory()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """A copy, as Python's own numbers."""
        return [] if 0 in self.shape else list(self.memory().tolist())

    def __repr__(self) -> str:
        state = " released" if self._released else ""
        return f"<millrace.View {self.dtype}{list(self.shape)}{state}>"

    def is_looked_at(self) -> bool:
        """Whether arrays made of it live."""
        return any(block() is not None for block in self._blocks)

    def release(self) -> None:
        """From now on it raises."""
        self._released = True


def lib_dtype_size(name: str) -> int:
    number = lib.dtype_from_name(name.encode())
    array = Array(dtype=number, rank=0)
    return int(lib.check(lib.array_bytes(array)))


def view_of(array: Array, writeable: bool = False) -> View:
    """Of what the library describes."""
    name = lib.dtype_name(array.dtype).decode()
    shape = tuple(array.shape[:array.rank])
    strides: Optional[tuple[int, ...]] = tuple(array.strides[:array.rank])
    step = lib_dtype_size(name)
    dense = []
    for length in reversed(shape):
        dense.append(step)
        step *= length
    if strides == tuple(reversed(dense)):
        strides = None
    return View(array.data or 0, name, shape, strides, writeable)
