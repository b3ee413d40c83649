"""A worker's life, as <millrace/worker.h> has it: attach, take batches, work, hand on, leave."""
from __future__ import annotations

import ctypes as c
import errno
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, Optional, Sequence

from ._kinds import STATUS_NAMES, STATUSES, Picture, Speech, Vision
from ._library import (TEXT_FACTS, TEXT_NUMBERS, Array, ArrayInfo, Bytes, Error, LogitBias,
                       Logprob, Logprobs, TopLogprob, Tokens, WorkerOptions, lib)
from ._view import ReleasedError, View, ViewError, view_of

KINDS = {1: "text", 2: "vision", 3: "tts", 4: "pixel"}
GROUPS = {"field": 1, "extra": 2, "image": 3}
BATCH_INVARIANT, KEEP_SIGNALS = 1, 2
SLICE_MS = 200  # a wait is cut into such pieces, so that Python's own signal handlers run


@dataclass(frozen=True)
class Sampling:
    """A request's sampling parameters; <millrace/sampling.h> explains each."""

    top_k: int
    top_p: float
    min_p: float
    temperature: float
    frequency_penalty: float
    presence_penalty: float
    repetition_penalty: float
    max_new_tokens: int
    min_new_tokens: int
    seed: int
    choice: int
    choices: int


def _text(found: Bytes) -> str:
    return c.string_at(found.bytes, found.length).decode(errors="replace") if found.length else ""


def _entry(logprob: float, top: Sequence[tuple[int, float]]) -> Logprob:
    tops = (TopLogprob * len(top))(*(TopLogprob(*pair) for pair in top))
    return Logprob(logprob, tops, len(top))


def _record(logprob: Optional[float], top: Sequence[tuple[int, float]]) -> Optional[Logprobs]:
    return None if logprob is None else Logprobs(c.pointer(_entry(logprob, top)), 1)


class Context:
    """One request, held by this worker until hand_on(), put_back() or fail().

    `tokens`, `prompt`, `generated` and `active` are views of the token ids as they are at the time
    of asking; after an update ask again. `speech`, `picture` and `vision` are what a context of
    another kind has besides.
    """

    # The numbers and facts of <millrace/text.h>: __getattr__ asks the library.
    length: int
    prompt_length: int
    generated_length: int
    processed_length: int
    active_length: int
    original_prompt_length: int
    capacity: int
    max_length: int
    min_tokens: int
    current_position: int
    processing_end: int
    processing_offset: int
    completion_start: int
    completion_end: int
    ignore_eos: bool
    wants_log_probabilities: bool
    log_probabilities_echo: bool
    is_initial_prompt: bool
    actively_chunked: bool
    has_outstanding_generated_tokens: bool

    def __init__(self, worker: Worker, pointer: int) -> None:
        self._worker = worker
        self._pointer: Optional[int] = pointer
        self._text: Optional[int] = lib.context_text(pointer)
        self._views: list[View] = []
        self.kind: str = KINDS[lib.context_kind(pointer)]
        self.state: Any = None  # the engine's own: a cache, say

    # ---- what is known of it

    def _held(self) -> int:
        if self._pointer is None:
            raise ReleasedError("this worker has let go of the context")
        return self._pointer

    def _as_text(self) -> int:
        self._held()
        if self._text is None:
            raise TypeError(f"a context of kind '{self.kind}' has no text")
        return self._text

    @property
    def handle(self) -> int:
        return int(lib.context_handle(self._held()))

    @property
    def request_id(self) -> str:
        return _text(lib.context_request_id(self._held()))

    @property
    def model_name(self) -> str:
        return _text(lib.context_model_name(self._held()))

    @property
    def deadline(self) -> Optional[float]:
        """In seconds of time.clock_gettime(time.CLOCK_BOOTTIME); None: none."""
        return int(lib.context_deadline(self._held())) / 1e9 or None

    @property
    def priority(self) -> int:
        """Higher is more urgent."""
        return int(lib.context_priority(self._held()))

    @property
    def is_done(self) -> bool:
        return bool(lib.context_is_done(self._held()))

    @property
    def cancelled(self) -> bool:
        """Whether it should be handed on without further work; ask once a step."""
        return bool(lib.context_cancelled(self._held()))

    @property
    def suspect(self) -> bool:
        return bool(lib.context_suspect(self._held()))

    @property
    def sampling(self) -> Sampling:
        fields = lib.context_sampling(self._held()).contents
        return Sampling(**{name: getattr(fields, name) for name in Sampling.__dataclass_fields__})

    @property
    def logit_bias(self) -> dict[int, float]:
        count = c.c_size_t()
        at = lib.context_logit_bias(self._held(), count)
        return {e.token: e.bias for e in (LogitBias * count.value).from_address(at)} if count else {}

    # ---- by its kind

    def _of_kind(self, kind: str) -> None:
        self._held()
        if self.kind != kind:
            raise TypeError(f"a context of kind '{self.kind}' is none of kind '{kind}'")

    @property
    def speech(self) -> Speech:
        self._of_kind("tts")
        return Speech(self)

    @property
    def picture(self) -> Picture:
        self._of_kind("pixel")
        return Picture(self)

    @property
    def vision(self) -> Vision:
        self._of_kind("vision")
        return Vision(self)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make one commit of what is done inside, say a token and its speech.

        An exception inside leaves it undone: then put_back() gives the context back as it was.
        """
        lib.context_hold(self._held())
        yield
        lib.context_release(self._held())

    # ---- text

    def _tokens(self, name: str) -> View:
        found: Tokens = getattr(lib, "text_" + name)(self._as_text())
        return self._keep(View(found.ids or 0, "int64", (found.count,)))

    @property
    def tokens(self) -> View:
        """All: prompt and generated."""
        return self._tokens("all")

    @property
    def prompt(self) -> View:
        return self._tokens("prompt")

    @property
    def generated(self) -> View:
        return self._tokens("generated")

    @property
    def active(self) -> View:
        """What the next step must process."""
        return self._tokens("active")

    if not TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any:
            if name in TEXT_NUMBERS or name in TEXT_FACTS:
                return getattr(lib, "text_" + name)(self._as_text())
            raise AttributeError(f"a context has no '{name}'")

    @property
    def text_is_done(self) -> bool:
        """Whether its text is; is_done speaks of all of it."""
        return bool(lib.text_is_done(self._as_text()))

    @property
    def status(self) -> str:
        """Of the text: 'active', 'end_of_sequence', 'maximum_length' or 'cancelled'."""
        return STATUS_NAMES[lib.text_status(self._as_text())]

    @property
    def json_schema(self) -> str:
        """'': none."""
        return _text(lib.text_json_schema(self._as_text()))

    @property
    def target_endpoint(self) -> str:
        """'': none."""
        return _text(lib.text_target_endpoint(self._as_text()))

    @property
    def eos_sequences(self) -> list[list[int]]:
        text = self._as_text()
        found = (lib.text_eos_sequence(text, i) for i in range(lib.text_eos_sequence_count(text)))
        return [list((c.c_int64 * tokens.count).from_address(tokens.ids)) for tokens in found]

    @property
    def eos_token_ids(self) -> list[int]:
        count = c.c_size_t()
        at = lib.text_eos_token_ids(self._as_text(), count)
        return list((c.c_int64 * count.value).from_address(at)) if count else []

    @property
    def ending_is_forbidden(self) -> bool:
        """Whether the next token must not be one of eos_token_ids (min_tokens)."""
        return bool(lib.text_min_token_mask(self._as_text(), 0))

    @property
    def top_logprobs(self) -> Optional[int]:
        """How many alternatives the request wants with each token; None: no log-probabilities."""
        text = self._as_text()
        wants = lib.text_wants_log_probabilities(text)
        return int(lib.text_log_probabilities(text)) if wants else None

    def update(self, token: int, logprob: Optional[float] = None,
               top: Sequence[tuple[int, float]] = ()) -> None:
        """One step's token: one commit. `top` are alternatives as (token, log-probability)."""
        lib.check(lib.text_update(self._as_text(), token, _record(logprob, top)))

    def update_with_future_token(self) -> bool:
        """A placeholder, in this process's view alone, so that the next step can be prepared; False
        where a chunk was advanced instead. realize_future_token() puts the token there."""
        return lib.check(lib.text_update_with_future_token(self._as_text())) == 0

    def realize_future_token(self, token: int, logprob: Optional[float] = None,
                             top: Sequence[tuple[int, float]] = ()) -> None:
        """The placeholder's token: one commit."""
        lib.check(lib.text_realize_future_token(self._as_text(), token, _record(logprob, top)))

    def put_echo_logprob(self, position: int, logprob: float,
                         top: Sequence[tuple[int, float]] = ()) -> None:
        """Of the prompt's token at `position` >= 1, in order; committed with the next step."""
        lib.check(lib.text_put_echo_logprob(self._as_text(), position, _entry(logprob, top)))

    def jump_ahead(self, token: int) -> None:
        """Append a token that was not sampled: one commit."""
        lib.check(lib.text_jump_ahead(self._as_text(), token))

    def overwrite_last_token(self, token: int) -> None:
        """Replace the last generated token: one commit."""
        lib.check(lib.text_overwrite_last_token(self._as_text(), token))

    def reset(self) -> None:
        """Begin anew with all tokens as the prompt, for who lost its cache: one commit."""
        lib.check(lib.text_reset(self._as_text()))

    def rewind_processing(self, n: int) -> None:
        """The active tokens begin `n` earlier: one commit."""
        lib.check(lib.text_rewind_processing(self._as_text(), n))

    def skip_processing(self, n: int) -> None:
        """The active tokens begin `n` later: one commit."""
        lib.check(lib.text_skip_processing(self._as_text(), n))

    def apply_processing_offset(self, offset: int) -> None:
        """The active tokens begin `offset` later, for a draft model that lags: one commit."""
        lib.check(lib.text_apply_processing_offset(self._as_text(), offset))

    def advance_chunk(self) -> None:
        """Go on behind the chunk: one commit; update() does it too."""
        lib.check(lib.text_advance_chunk(self._as_text()))

    def compute_num_available_steps(self, max_seq_len: int) -> int:
        """So many steps fit a model with sequences of that length; may be negative."""
        return int(lib.text_compute_num_available_steps(self._as_text(), max_seq_len))

    def chunk(self, size: int) -> None:
        """Let the next step process `size` tokens alone; its update() adds none."""
        lib.check(lib.text_chunk(self._as_text(), size))

    def set_status(self, status: str) -> None:
        """One commit. Of a text, or of a picture: 'end_of_sequence' ends it."""
        if self.kind == "pixel":
            self.picture.status = status
        else:
            lib.text_set_status(self._as_text(), STATUSES[status])

    # ---- arrays of other kinds

    def arrays(self) -> list[tuple[str, str]]:
        """(group, name) of all arrays; a group is 'field', 'extra' or 'image'."""
        names, info, array = [], ArrayInfo(), Array()
        for i in range(lib.context_array_count(self._held())):
            lib.check(lib.context_array_at(self._held(), i, info, array))
            group = next(g for g, number in GROUPS.items() if number == info.group)
            names.append((group, info.name.decode()))
        return names

    def array(self, name: str, group: str = "field") -> Optional[View]:
        """An array, where it lies; None if the request leaves it out."""
        array = Array()
        lib.check(lib.context_array(self._held(), GROUPS[group], name.encode(), array))
        return self._keep(view_of(array)) if array.dtype else None

    def prepare_array(self, name: str, dtype: str, shape: Sequence[int],
                      group: str = "field") -> View:
        """Where to write what replace_array() makes the array; nobody reads it before."""
        array = Array(dtype=lib.dtype_from_name(dtype.encode()), rank=len(shape))
        array.shape[:len(shape)] = list(shape)
        lib.check(lib.context_array_prepare(self._held(), GROUPS[group], name.encode(), array))
        return self._keep(view_of(array, writeable=True))

    def replace_array(self, name: str, group: str = "field") -> None:
        """What was prepared is the array now: one commit."""
        lib.check(lib.context_array_replace(self._held(), GROUPS[group], name.encode()))

    # ---- letting go

    def hand_on(self) -> None:
        """It is finished here."""
        self._let_go(lambda w, p: lib.worker_hand_on(w, p))

    def put_back(self) -> None:
        """Another worker may take it."""
        self._let_go(lambda w, p: lib.worker_put_back(w, p))

    def fail(self, why: str) -> None:
        """End the request with an error."""
        self._let_go(lambda w, p: lib.worker_fail(w, p, why.encode()))

    def _keep(self, view: View) -> View:
        self._views.append(view)
        if len(self._views) > 64:
            self._views = [v for v in self._views if v.is_looked_at() or v is view]
        return view

    def _let_go(self, call: Any) -> None:
        pointer = self._held()
        if self._is_looked_at():
            raise ViewError("arrays made of this context's views live; delete or copy them before "
                            "you let go of it")
        result = call(self._worker._held(), pointer)
        if result >= 0 or result == -errno.ESTALE:
            self._worker._forget(self)
        lib.check(result)

    def _is_looked_at(self) -> bool:
        return any(view.is_looked_at() for view in self._views)

    def _release(self) -> None:
        for view in self._views:
            view.release()
        self._pointer = None
        self.state = None


class Worker:
    """A member of a running group. Iterate over it for batches; it ends when the group does, or
    when it is told to leave (`millrace drain`)."""

    def __init__(self, domain: str, *, fingerprint: str, capacity: int = 1,
                 stage: Optional[str] = None, name: Optional[str] = None, vocabulary: int = 0,
                 token_capacity: int = 0, token_page: int = 0, batch_invariant: bool = False,
                 keep_signals: bool = False, kinds: Sequence[str] = ("text",)) -> None:
        numbers = {kind: number for number, kind in KINDS.items()}
        options = WorkerOptions(
            size=c.sizeof(WorkerOptions), capacity=capacity,
            stage=stage.encode() if stage else None, fingerprint=fingerprint.encode(),
            name=name.encode() if name else None, vocabulary=vocabulary,
            token_capacity=token_capacity, token_page=token_page,
            flags=batch_invariant * BATCH_INVARIANT | keep_signals * KEEP_SIGNALS,
            kinds=sum(1 << numbers[kind] for kind in set(kinds)))
        pointer = c.c_void_p()
        self._pointer: Optional[int] = None
        self._contexts: dict[int, Context] = {}
        self._orphans: list[Context] = []  # put back by the library, but still looked at
        lib.check(lib.worker_attach(pointer, domain.encode(), options))
        self._pointer = pointer.value
        self._batch = (c.c_void_p * capacity)()

    def _held(self) -> int:
        if self._pointer is None:
            raise ReleasedError("this worker has left its domain")
        return self._pointer

    def _forget(self, context: Context) -> None:
        self._contexts.pop(context._pointer or 0, None)
        context._release()

    @property
    def index(self) -> int:
        return int(lib.worker_index(self._held()))

    def progress(self) -> None:
        """Tell that a long step moves."""
        lib.worker_progress(self._held())

    def batch(self, timeout: Optional[float] = None) -> Optional[list[Context]]:
        """All contexts held, of before and new; [] after `timeout` seconds; None: leave now."""
        left = -1 if timeout is None else int(timeout * 1000)
        while True:
            piece = SLICE_MS if left < 0 else min(left, SLICE_MS)
            count = lib.worker_batch(self._held(), self._batch, piece)
            if count > 0:
                return [self._context(at) for at in self._batch[:count]]
            if count == -errno.ESHUTDOWN:
                self._lose_all()
                return None
            lib.check(count)
            left -= piece if left > 0 else 0
            if left == 0:
                return []

    def _context(self, at: Optional[int]) -> Context:
        assert at is not None
        if at not in self._contexts:
            self._contexts[at] = Context(self, at)
        return self._contexts[at]

    def _lose_all(self) -> None:
        for context in list(self._contexts.values()):
            if context._is_looked_at():
                self._orphans.append(context)
            self._forget(context)

    def __iter__(self) -> Iterator[list[Context]]:
        while True:
            batch = self.batch()
            if batch is None:
                return
            yield batch

    def close(self) -> None:
        """Put back what is held, and leave. Refused while arrays look at what would be unmapped."""
        if self._pointer is None:
            return
        if any(x._is_looked_at() for x in [*self._contexts.values(), *self._orphans]):
            raise ViewError("arrays made of this worker's contexts live; delete them before it "
                            "leaves")
        for context in list(self._contexts.values()):
            self._forget(context)
        lib.worker_leave(self._pointer)
        self._pointer = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except ViewError:
            pass  # the frames of the error hold them; the end of the process leaves for us


__all__ = ["Context", "Error", "Sampling", "Worker"]
