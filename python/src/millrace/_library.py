"""The shared library: where it is, and the calls of it that this package uses.

The structs are those of <millrace/*.h>; those that begin with their size tell the library how much
of them we know.
"""
from __future__ import annotations

import ctypes as c
import ctypes.util
import os
import subprocess
from typing import Any, Optional

SONAME = "libmillrace.so.0"
MAX_RANK = 8


class Error(OSError):
    """What libmillrace refused: `errno`, one sentence, and `code`, a reason finer than errno or 0."""

    code: int = 0


class WorkerOptions(c.Structure):
    _fields_ = [("size", c.c_uint32), ("capacity", c.c_uint32), ("stage", c.c_char_p),
                ("fingerprint", c.c_char_p), ("name", c.c_char_p),
                ("model_fingerprint", c.c_uint64), ("token_capacity", c.c_uint64),
                ("token_page", c.c_uint32), ("vocabulary", c.c_uint32), ("flags", c.c_uint32),
                ("kinds", c.c_uint32)]


class Tokens(c.Structure):
    _fields_ = [("ids", c.c_void_p), ("count", c.c_size_t)]


class Bytes(c.Structure):
    _fields_ = [("bytes", c.c_void_p), ("length", c.c_size_t)]


class SamplingFields(c.Structure):
    _fields_ = [("top_k", c.c_int64), ("top_p", c.c_double), ("min_p", c.c_double),
                ("temperature", c.c_double), ("frequency_penalty", c.c_double),
                ("presence_penalty", c.c_double), ("repetition_penalty", c.c_double),
                ("max_new_tokens", c.c_int64), ("min_new_tokens", c.c_int64),
                ("seed", c.c_uint64), ("ignore_eos", c.c_uint32), ("detokenize", c.c_uint32),
                ("choice", c.c_uint32), ("choices", c.c_uint32)]


class LogitBias(c.Structure):
    _fields_ = [("token", c.c_int32), ("bias", c.c_float)]


class TopLogprob(c.Structure):
    _fields_ = [("token", c.c_int64), ("logprob", c.c_double)]


class Logprob(c.Structure):
    _fields_ = [("chosen", c.c_double), ("top", c.POINTER(TopLogprob)), ("top_count", c.c_size_t)]


class Logprobs(c.Structure):
    _fields_ = [("entries", c.POINTER(Logprob)), ("count", c.c_size_t)]


class Array(c.Structure):
    _fields_ = [("dtype", c.c_uint32), ("rank", c.c_uint32), ("shape", c.c_int64 * MAX_RANK),
                ("strides", c.c_int64 * MAX_RANK), ("data", c.c_void_p)]


class ArrayInfo(c.Structure):
    _fields_ = [("name", c.c_char * 56), ("group", c.c_uint32), ("replaceable", c.c_uint32),
                ("room", c.c_uint64)]


class Speech(c.Structure):
    _fields_ = [("tokens", c.c_void_p), ("count", c.c_size_t)]


class Image(c.Structure):
    _fields_ = [("start_idx", c.c_int64), ("end_idx", c.c_int64), ("pixel_values", Array),
                ("has_hash", c.c_bool), ("hash", c.c_int64)]


class PixelOutput(c.Structure):
    _fields_ = [("final_status", c.c_int), ("width", c.c_int64), ("height", c.c_int64),
                ("channels", c.c_uint32), ("reserved", c.c_uint32), ("bytes", c.c_uint64)]


class StatsHead(c.Structure):
    _fields_ = [("size", c.c_uint32), ("rows", c.c_uint32), ("pages", c.c_uint32),
                ("values", c.c_uint32), ("created", c.c_uint64), ("created_at", c.c_uint64),
                ("looked_at", c.c_uint64), ("name", c.c_char * 48)]


class StatsRow(c.Structure):
    _fields_ = [("name", c.c_char * 40), ("unit", c.c_char * 16), ("label", c.c_char * 32),
                ("help", c.c_char * 128), ("kind", c.c_int), ("first", c.c_uint32),
                ("count", c.c_uint32), ("low", c.c_uint32), ("sub", c.c_uint32)]


P = c.c_void_p
TEXT_NUMBERS = ("length", "prompt_length", "generated_length", "processed_length", "active_length",
                "original_prompt_length", "capacity", "max_length", "min_tokens",
                "current_position", "processing_end", "processing_offset", "completion_start",
                "completion_end")
TEXT_FACTS = ("is_done", "ignore_eos", "wants_log_probabilities", "log_probabilities_echo",
              "is_initial_prompt", "actively_chunked", "has_outstanding_generated_tokens")
TEXT_STEPS = ("apply_processing_offset", "rewind_processing", "skip_processing", "chunk",
              "overwrite_last_token", "jump_ahead")
TTS_NUMBERS = ("block_counter", "decoded_index", "prev_samples_beyond_offset")
PIXEL_NUMBERS = ("height", "width", "num_inference_steps", "num_warmup_steps",
                 "num_images_per_prompt")
TEXT_VIEWS = ("all", "prompt", "generated", "active")
# name: (result, arguments); a result of int that is negative is an error
CALLS: dict[str, tuple[Any, list[Any]]] = {
    "error": (c.c_char_p, []),
    "error_code": (c.c_int, []),
    "version": (c.c_char_p, []),
    "worker_attach": (c.c_int, [c.POINTER(P), c.c_char_p, c.POINTER(WorkerOptions)]),
    "worker_batch": (c.c_int, [P, c.POINTER(P), c.c_int]),
    "worker_hand_on": (c.c_int, [P, P]),
    "worker_put_back": (c.c_int, [P, P]),
    "worker_fail": (c.c_int, [P, P, c.c_char_p]),
    "worker_progress": (None, [P]),
    "worker_index": (c.c_int, [P]),
    "worker_leave": (None, [P]),
    "context_kind": (c.c_int, [P]),
    "context_is_done": (c.c_bool, [P]),
    "context_handle": (c.c_uint64, [P]),
    "context_text": (P, [P]),
    "context_pixel": (P, [P]),
    "context_tts": (P, [P]),
    "context_vision": (P, [P]),
    "context_hold": (None, [P]),
    "context_release": (None, [P]),
    "context_model_name": (Bytes, [P]),
    "context_deadline": (c.c_uint64, [P]),
    "context_priority": (c.c_int32, [P]),
    "context_cancelled": (c.c_int, [P]),
    "context_suspect": (c.c_bool, [P]),
    "context_sampling": (c.POINTER(SamplingFields), [P]),
    "context_request_id": (Bytes, [P]),
    "context_logit_bias": (P, [P, c.POINTER(c.c_size_t)]),
    "context_array_count": (c.c_size_t, [P]),
    "context_array_at": (c.c_int, [P, c.c_size_t, c.POINTER(ArrayInfo), c.POINTER(Array)]),
    "context_array": (c.c_int, [P, c.c_int, c.c_char_p, c.POINTER(Array)]),
    "context_array_prepare": (c.c_int, [P, c.c_int, c.c_char_p, c.POINTER(Array)]),
    "context_array_replace": (c.c_int, [P, c.c_int, c.c_char_p]),
    "array_bytes": (c.c_int64, [c.POINTER(Array)]),
    "array_make_contiguous": (None, [c.POINTER(Array)]),
    "dtype_name": (c.c_char_p, [c.c_uint32]),
    "dtype_from_name": (c.c_int, [c.c_char_p]),
    "text_log_probabilities": (c.c_int, [P]),
    "text_json_schema": (Bytes, [P]),
    "text_target_endpoint": (Bytes, [P]),
    "text_eos_sequence_count": (c.c_size_t, [P]),
    "text_eos_sequence": (Tokens, [P, c.c_size_t]),
    "text_status": (c.c_int, [P]),
    "text_eos_token_ids": (P, [P, c.POINTER(c.c_size_t)]),
    "text_min_token_mask": (c.c_bool, [P, c.c_int64]),
    "text_update": (c.c_int, [P, c.c_int64, c.POINTER(Logprobs)]),
    "text_advance_chunk": (c.c_int, [P]),
    "text_reset": (c.c_int, [P]),
    "text_update_with_future_token": (c.c_int, [P]),
    "text_realize_future_token": (c.c_int, [P, c.c_int64, c.POINTER(Logprobs)]),
    "text_compute_num_available_steps": (c.c_int64, [P, c.c_int64]),
    "text_put_echo_logprob": (c.c_int, [P, c.c_int64, c.POINTER(Logprob)]),
    "text_set_status": (None, [P, c.c_int]),
    "tts_speech_tokens": (Speech, [P]),
    "tts_speech_capacity": (c.c_size_t, [P]),
    "tts_update_speech_tokens": (c.c_int, [P, c.POINTER(c.c_int64), c.c_size_t]),
    "tts_next_speech_tokens": (c.c_int, [P, c.POINTER(c.c_int64), c.POINTER(c.c_int64),
                                         c.POINTER(Speech), c.POINTER(c.c_int64)]),
    "tts_set_decoded_index": (c.c_int, [P, c.c_int64]),
    "tts_audio_generation_status": (c.c_int, [P]),
    "tts_set_audio_generation_status": (None, [P, c.c_int]),
    "tts_set_prev_samples_beyond_offset": (None, [P, c.c_int64]),
    "tts_is_done": (c.c_bool, [P]),
    "tts_streaming": (c.c_bool, [P]),
    "tts_arrival_time": (c.c_double, [P]),
    "pixel_guidance_scale": (c.c_double, [P]),
    "pixel_true_cfg_scale": (c.c_double, [P]),
    "pixel_status": (c.c_int, [P]),
    "pixel_set_status": (None, [P, c.c_int]),
    "pixel_is_done": (c.c_bool, [P]),
    "pixel_compute_num_available_steps": (c.c_int64, [P, c.c_int64]),
    "pixel_latents": (c.c_int, [P, c.POINTER(Array)]),
    "pixel_update": (c.c_int, [P, c.POINTER(Array)]),
    "pixel_reset": (None, [P]),
    "pixel_restart": (None, [P]),
    "pixel_to_generation_output": (c.c_int, [P, c.POINTER(PixelOutput), P, c.c_uint64]),
    "vision_token_ids": (P, [P, c.POINTER(c.c_size_t)]),
    "vision_image_count": (c.c_size_t, [P]),
    "vision_image": (c.c_int, [P, c.c_size_t, c.POINTER(Image)]),
    "vision_image_idx": (c.c_size_t, [P]),
    "vision_needs_vision_encoding": (c.c_bool, [P]),
    "vision_compute_image_aligned_idx": (c.c_int64, [P, c.c_int64]),
    "vision_bisected": (c.c_bool, [P]),
    "vision_extra_model_arg": (c.c_int, [P, c.c_char_p, c.POINTER(Array)]),
    "image_hash": (c.c_int, [c.POINTER(Array), c.POINTER(c.c_int64)]),
    "stats_open": (c.c_int, [c.POINTER(P), c.c_char_p]),
    "stats_close": (None, [P]),
    "stats_get_head": (None, [P, c.POINTER(StatsHead)]),
    "stats_get_row": (c.POINTER(StatsRow), [P, c.c_uint32]),
    "stats_read_total": (None, [P, c.POINTER(c.c_uint64)]),
    "stats_alive": (c.c_bool, [P]),
    "stats_samples": (c.c_uint64, [c.POINTER(StatsRow), c.POINTER(c.c_uint64)]),
    "stats_quantile": (c.c_double, [c.POINTER(StatsRow), c.POINTER(c.c_uint64), c.c_double]),
}
CALLS.update({f"text_{name}": (c.c_int64, [P]) for name in TEXT_NUMBERS})
CALLS.update({f"text_{name}": (c.c_bool, [P]) for name in TEXT_FACTS})
CALLS.update({f"text_{name}": (Tokens, [P]) for name in TEXT_VIEWS})
CALLS.update({f"text_{name}": (c.c_int, [P, c.c_int64]) for name in TEXT_STEPS})
CALLS.update({f"tts_{name}": (c.c_int64, [P]) for name in TTS_NUMBERS})
CALLS.update({f"pixel_{name}": (c.c_int64, [P]) for name in PIXEL_NUMBERS})


def _by_pkg_config() -> Optional[str]:
    try:
        found = subprocess.run(["pkg-config", "--variable=libdir", "millrace"],
                               capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    path = os.path.join(found.stdout.strip(), SONAME)
    return path if os.path.exists(path) else None


def find() -> str:
    """MILLRACE_LIBRARY, else what pkg-config knows, else what the loader finds."""
    return (os.environ.get("MILLRACE_LIBRARY") or _by_pkg_config() or
            ctypes.util.find_library("millrace") or SONAME)


class Library:
    """The calls, without their `mr_`."""

    def __init__(self, path: str) -> None:
        try:
            self.dll = c.CDLL(path)
        except OSError as problem:
            raise ImportError(f"cannot load '{path}' ({problem}); install millrace, or set "
                              "MILLRACE_LIBRARY to its libmillrace.so") from None
        for name, (result, arguments) in CALLS.items():
            call = getattr(self.dll, "mr_" + name)
            call.restype, call.argtypes = result, arguments
            setattr(self, name, call)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this package uses no call mr_{name}")

    def check(self, result: int) -> int:
        """The result of a call, or its error raised."""
        if result >= 0:
            return result
        error = Error(-result, self.error().decode(errors="replace"))
        error.code = self.error_code()
        raise error


lib = Library(find())


def version() -> str:
    """Of the library that runs."""
    return str(lib.version().decode())
