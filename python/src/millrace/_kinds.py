"""What a context has besides its text, by its kind: speech, a picture, images in the prompt.

Each is a face of the context that it belongs to: released with it, and its arrays are views of that
context, which lie in shared memory.
"""
from __future__ import annotations

import ctypes as c
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Sequence

from ._library import Array, Image as ImageFields, PixelOutput, Speech as SpeechTokens, lib
from ._view import View, view_of

if TYPE_CHECKING:
    from ._worker import Context

STATUSES = {"active": 0, "end_of_sequence": 1, "maximum_length": 2, "cancelled": 3}
STATUS_NAMES = {number: name for name, number in STATUSES.items()}


class Part:
    """Of a kind; `_call` gives the pointer that the library's calls of that kind take."""

    _kind: str

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _call(self) -> int:
        pointer = self._context._held()
        return int(getattr(lib, "context_" + self._kind)(pointer))

    def _read(self, name: str) -> Any:
        return getattr(lib, f"{self._kind}_{name}")(self._call)

    def _view(self, array: Array) -> Optional[View]:
        return self._context._keep(view_of(array)) if array.dtype else None


def _contiguous(values: Any, dtype: str) -> tuple[Array, Any]:
    """A description of a memoryview or array in C order, and what keeps it alive."""
    memory = memoryview(values)
    if not memory.c_contiguous:
        raise ValueError("the array has gaps; numpy.ascontiguousarray() makes one without")
    shape = memory.shape or ()
    array = Array(dtype=lib.dtype_from_name(dtype.encode()), rank=len(shape))
    array.shape[:len(shape)] = list(shape)
    lib.array_make_contiguous(array)
    flat = memory if 0 in shape else memory.cast("B")
    keep: Any = (c.c_char * memory.nbytes).from_buffer_copy(flat) if memory.nbytes else None
    array.data = c.addressof(keep) if keep is not None else 0
    return array, keep


class Speech(Part):
    """Speech tokens, and the state of the decoder that makes a sound of them (<millrace/tts.h>).

    The sound itself is the array "audio_buffer" of the context: see Context.prepare_array().
    """

    _kind = "tts"

    @property
    def tokens(self) -> View:
        """All of them, int32; ask again after an update."""
        found: SpeechTokens = self._read("speech_tokens")
        return self._context._keep(View(found.tokens or 0, "int32", (found.count,)))

    @property
    def capacity(self) -> int:
        """How many there can be."""
        return int(self._read("speech_capacity"))

    @property
    def block_counter(self) -> int:
        """How many blocks were added."""
        return int(self._read("block_counter"))

    def update(self, tokens: Sequence[int]) -> None:
        """Add a block of them: one commit."""
        block = (c.c_int64 * len(tokens))(*tokens)
        lib.check(lib.tts_update_speech_tokens(self._call, block, len(tokens)))

    def next(self, chunk_size: Optional[int] = None,
             buffer: Optional[int] = None) -> tuple[View, int]:
        """What the decoder works on next, and how many at its beginning were decoded before.

        At most `chunk_size` new tokens, and before them `buffer` that are decoded, if there are as
        many. Set `decoded_index` when they are decoded.
        """
        size = None if chunk_size is None else c.c_int64(chunk_size)
        before = None if buffer is None else c.c_int64(buffer)
        chunk, used = SpeechTokens(), c.c_int64()
        lib.check(lib.tts_next_speech_tokens(self._call, size, before, chunk, used))
        return self._context._keep(View(chunk.tokens or 0, "int32", (chunk.count,))), used.value

    @property
    def decoded_index(self) -> int:
        """How many tokens are decoded; assigning is one commit."""
        return int(self._read("decoded_index"))

    @decoded_index.setter
    def decoded_index(self, index: int) -> None:
        lib.check(lib.tts_set_decoded_index(self._call, index))

    @property
    def status(self) -> str:
        """Of the audio: 'active', or how it ended; assigning is one commit."""
        return STATUS_NAMES[self._read("audio_generation_status")]

    @status.setter
    def status(self, status: str) -> None:
        lib.tts_set_audio_generation_status(self._call, STATUSES[status])

    @property
    def prev_samples_beyond_offset(self) -> int:
        """The decoder's own; assigning is one commit."""
        return int(self._read("prev_samples_beyond_offset"))

    @prev_samples_beyond_offset.setter
    def prev_samples_beyond_offset(self, samples: int) -> None:
        lib.tts_set_prev_samples_beyond_offset(self._call, samples)

    @property
    def is_done(self) -> bool:
        """Whether the audio is; Context.text_is_done speaks of the text."""
        return bool(self._read("is_done"))

    @property
    def streaming(self) -> bool:
        return bool(self._read("streaming"))

    @property
    def arrival_time(self) -> float:
        """Seconds since the epoch."""
        return float(self._read("arrival_time"))

    @property
    def audio_prompt_tokens(self) -> Optional[View]:
        """The voice to be imitated: int64 tokens, or int16 samples; None: none."""
        return self._context.array("audio_prompt_tokens")

    @property
    def buffer_speech_tokens(self) -> Optional[View]:
        return self._context.array("buffer_speech_tokens")

    @property
    def audio_buffer(self) -> Optional[View]:
        """The sound so far, as replace_array() left it; None: none yet."""
        return self._context.array("audio_buffer")


@dataclass(frozen=True)
class Output:
    """A picture of 8 bits a channel: 1 channel is grey, 3 are RGB, 4 are RGBA."""

    status: str
    width: int
    height: int
    channels: int
    pixels: bytes


class Picture(Part):
    """A picture that is made from a prompt (<millrace/pixel.h>).

    Its prompts, sigmas, timesteps and noise are arrays of the context: see Context.array().
    """

    _kind = "pixel"

    @property
    def height(self) -> int:
        return int(self._read("height"))

    @property
    def width(self) -> int:
        return int(self._read("width"))

    @property
    def num_inference_steps(self) -> int:
        return int(self._read("num_inference_steps"))

    @property
    def num_warmup_steps(self) -> int:
        return int(self._read("num_warmup_steps"))

    @property
    def num_images_per_prompt(self) -> int:
        return int(self._read("num_images_per_prompt"))

    @property
    def guidance_scale(self) -> float:
        return float(self._read("guidance_scale"))

    @property
    def true_cfg_scale(self) -> float:
        return float(self._read("true_cfg_scale"))

    @property
    def status(self) -> str:
        """'active', or how it ended; assigning is one commit."""
        return STATUS_NAMES[self._read("status")]

    @status.setter
    def status(self, status: str) -> None:
        lib.pixel_set_status(self._call, STATUSES[status])

    @property
    def is_done(self) -> bool:
        return bool(self._read("is_done"))

    @property
    def latents(self) -> View:
        """As of now: the noise, or what was given last; of shape (0,) without either."""
        array = Array()
        lib.check(lib.pixel_latents(self._call, array))
        return self._context._keep(view_of(array))

    def update(self, latents: Any, dtype: Optional[str] = None) -> None:
        """New latents, or the picture itself: copied, one commit.

        Takes what has a buffer in C order; `dtype` is NumPy's name of it where it isn't told by an
        attribute `dtype`. prepare_array("latents", ...) and replace_array() copy nothing.
        """
        array, keep = _contiguous(latents, dtype or str(latents.dtype))
        lib.check(lib.pixel_update(self._call, array))
        del keep

    def compute_num_available_steps(self, max_seq_len: int) -> int:
        """All of num_inference_steps, whatever the argument."""
        return int(lib.pixel_compute_num_available_steps(self._call, max_seq_len))

    def reset(self) -> None:
        """Active again; the latents stay: one commit."""
        self._read("reset")

    def restart(self) -> None:
        """Active again, and back to the noise: one commit."""
        self._read("restart")

    def to_generation_output(self) -> Output:
        """The latents as a picture; may be repeated."""
        told = PixelOutput()
        lib.check(lib.pixel_to_generation_output(self._call, told, None, 0))
        pixels = c.create_string_buffer(told.bytes)
        lib.check(lib.pixel_to_generation_output(self._call, told, pixels, told.bytes))
        return Output(STATUS_NAMES[told.final_status], told.width, told.height, told.channels,
                      pixels.raw)


@dataclass(frozen=True)
class Image:
    """The tokens [start, end) of the prompt stand for it."""

    start: int
    end: int
    pixel_values: View
    hash: Optional[int]  # of the pixel values, for prefix caches


class Vision(Part):
    """Images in a prompt (<millrace/vision.h>)."""

    _kind = "vision"

    @property
    def token_ids(self) -> list[int]:
        """The ids that stand for images."""
        count = c.c_size_t()
        at = lib.vision_token_ids(self._call, count)
        return list((c.c_int64 * count.value).from_address(at)) if count else []

    def _image(self, i: int) -> Image:
        fields = ImageFields()
        lib.check(lib.vision_image(self._call, i, fields))
        pixels = self._context._keep(view_of(fields.pixel_values))
        return Image(fields.start_idx, fields.end_idx, pixels,
                     fields.hash if fields.has_hash else None)

    @property
    def images(self) -> list[Image]:
        """All, by their places."""
        return [self._image(i) for i in range(int(self._read("image_count")))]

    @property
    def next_images(self) -> list[Image]:
        """Those whose tokens aren't all processed."""
        first, count = self.image_idx, int(self._read("image_count"))
        return [self._image(i) for i in range(first, count)]

    @property
    def image_idx(self) -> int:
        """The first of them, or how many images there are."""
        return int(self._read("image_idx"))

    @property
    def needs_vision_encoding(self) -> bool:
        return bool(self._read("needs_vision_encoding"))

    @property
    def bisected(self) -> bool:
        """Whether the current position lies inside an image."""
        return bool(self._read("bisected"))

    def compute_image_aligned_idx(self, i: int) -> int:
        """Where the image that index `i` lies in begins, else `i`; chunk() must not cut one."""
        return int(lib.vision_compute_image_aligned_idx(self._call, i))

    def extra_model_arg(self, name: str) -> Optional[View]:
        """An input of the model's own; an Error if the request has none of that name."""
        array = Array()
        lib.check(lib.vision_extra_model_arg(self._call, name.encode(), array))
        return self._view(array)


def image_hash(pixel_values: Any, dtype: Optional[str] = None) -> int:
    """What the hash of an Image is; of a View, or of what has a buffer in C order."""
    array, keep = _contiguous(pixel_values.memory() if isinstance(pixel_values, View)
                              else pixel_values, dtype or str(pixel_values.dtype))
    found = c.c_int64()
    lib.check(lib.image_hash(array, found))
    del keep
    return found.value
