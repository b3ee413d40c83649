/*
 * layout.h - what lies where in the shared memory of a domain
 *
 * All shared structs of the data segment stand here and nowhere else, so that one hash over their
 * sizes and offsets (the layout epoch) tells whether two binaries mean the same memory. Private to
 * ipc/: no public header knows an offset.
 *
 * Rules: offsets, never pointers; fixed-width types; each word has one writer or is atomic; words
 * written by different processes lie on lines of their own (128 bytes for the hottest, since
 * processors fetch lines in pairs), but for those that are always handed over together.
 *
 *     header | members | queues + ring entries | slots | id table | finished requests | arena
 */
#ifndef MILLRACE_IPC_LAYOUT_H
#define MILLRACE_IPC_LAYOUT_H

#include <millrace/context.h>
#include <millrace/domain.h>
#include <millrace/emission.h>
#include <millrace/trace.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#define MR_MAGIC UINT64_C(0x314543415252494d) /* "MIRRACE1" */
#define MR_ABI   1u

typedef _Atomic uint64_t mr_word; /* one word of shared memory */

_Static_assert(sizeof(mr_word) == 8, "a word is eight bytes");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a process killed while it holds a hidden lock would stop all others");

/* ---- two copies and a sequence word (twin.h) ---- */

#define MR_CURSOR_WORDS  32
#define MR_GLANCE_WORDS  3
#define MR_JOURNAL_WORDS (2 + 3 * MR_MAX_EMITTED)
#define MR_MARK_WORDS    4

/* ---- queues ---- */

/* Ring entries lie at `entries` in the segment; head and tail are hints (ring.c). */
typedef struct mr_ring {
    _Alignas(128) mr_word head;
    _Alignas(128) mr_word tail;
    _Alignas(128) mr_word rescan; /* a hint was dropped: look at the slots themselves */
    uint64_t entries;             /* offset in the segment; constant */
    uint64_t mask;                /* entries - 1; constant */
} mr_ring;

typedef struct mr_doorbell {
    _Alignas(128) mr_word sleepers; /* a bit a member that waits on the semaphore */
    mr_word watchers;               /* a bit a member that waits on the eventfd */
    _Alignas(64) sem_t semaphore;
} mr_doorbell;

typedef struct mr_queue {
    mr_ring ring;
    mr_doorbell doorbell;
} mr_queue;

/* Queues: one a stage, then these two. */
enum { MR_QUEUE_COLLECTOR = MR_MAX_STAGES, MR_QUEUE_FREE, MR_QUEUES };

/* ---- members ---- */

/* All bits say the same, and the majority counts: a flipped bit is no death. */
#define MR_PLACE_FREE  UINT32_C(0)
#define MR_PLACE_TAKEN UINT32_MAX

typedef struct mr_place_record {
    /* written by the supervisor, before the member may act and after it is dead */
    _Alignas(128) _Atomic uint32_t place; /* FREE or TAKEN */
    uint32_t role;
    int32_t pid;
    uint32_t stage;
    uint64_t start_time;
    uint64_t pid_namespace;
    uint64_t fingerprint;
    uint32_t capacity;
    uint32_t flags;
    char name[32];
    mr_word leave; /* 1: it shall put back what it holds and leave (mr_supervisor_drain()) */
    uint64_t reserved[3];
    /* written by the member alone: its progress (plain stores) */
    _Alignas(128) mr_word steps;
    mr_word parts;
    mr_word step_begun;
    mr_word held;
    mr_word alone; /* handle + 1 of the suspect that is worked on by itself; 0: all that is held */
} mr_place_record;

/* ---- slots ---- */

/*
 * Words of a context's cursors. A commit writes to the idle copy, then the sequence word. What a
 * word means for text is in text.c; tokens [0, LENGTH - 1) count from the array, the last token
 * counts from LAST (text.c says why).
 *
 * The first line of a copy holds all that a token changes: such a commit writes it alone
 * (context.c).
 */
enum mr_cursor {
    MR_CURSOR_LENGTH,     /* L */
    MR_CURSOR_LAST,       /* token L - 1 */
    MR_CURSOR_START,      /* S */
    MR_CURSOR_END,        /* E */
    MR_CURSOR_OFFSET,     /* O, may be negative */
    MR_CURSOR_COMPLETION, /* B */
    MR_CURSOR_STATUS,     /* enum mr_status */
    MR_CURSOR_FLAGS,      /* enum mr_cursor_flag */
    MR_CURSOR_HOT,        /* words of the first line */

    MR_CURSOR_PROMPT = MR_CURSOR_HOT, /* P */
    MR_CURSOR_CONSUMED,               /* A */
    MR_CURSOR_RECORDS,                /* log-probability records, bytes used */
    MR_CURSOR_RECORD_FIRST,           /* byte at which the first undelivered record may lie */
    MR_CURSOR_ECHO,                   /* prompt positions below have their log-probability record */
    MR_CURSOR_RESETS,                 /* times the context was taken over or put back */
    MR_CURSOR_FINGERPRINT,  /* of the worker that made the generated tokens; 0: none yet */
    MR_CURSOR_FAILURE,      /* 1: ended by an error, slot.failure says which */
    MR_CURSOR_BASE,         /* tokens from here on count for min_tokens and stop sequences */
    MR_CURSOR_RECORD_KEY,   /* largest key of a record so far */
    MR_CURSOR_RECORD_LATE,  /* byte below which records that came too late are dropped */
    MR_CURSOR_KIND = 20,    /* from here: words of the other kinds */
    MR_CURSOR_PLACES = 20,  /* a bit for each replaceable array: which of its two places counts */
    MR_CURSOR_SPEECH,       /* tts: speech tokens */
    MR_CURSOR_BLOCKS,       /* tts: how often some were added */
    MR_CURSOR_DECODED,      /* tts: speech tokens that were turned into audio */
    MR_CURSOR_AUDIO_STATUS, /* tts: enum mr_status */
    MR_CURSOR_SAMPLES,      /* tts: samples beyond the offset */
    MR_CURSOR_REPLACED,     /* a bit for each replaceable array: it isn't what the request gave */
    MR_CURSOR_CHECK = MR_CURSOR_WORDS - 1, /* of the words behind the first line (cursors.h) */
};

_Static_assert(MR_CURSOR_HOT * sizeof(mr_word) == 64, "the hot words fill a line");

enum mr_cursor_flag {
    MR_FLAG_CHUNKED = 1,
    MR_FLAG_INITIAL = 2, /* is_initial_prompt */
};

/* A range of the context's own part of the arena: offset from the segment's start, and bytes. */
typedef struct mr_range {
    uint64_t offset;
    uint64_t bytes;
} mr_range;

/* ---- named arrays (directory.c): in the range `directory`, constant ---- */

typedef struct mr_entry {
    char name[56]; /* ends with a NUL */
    uint32_t group;
    uint32_t places; /* 1, or 2 for what may be replaced */
    uint64_t offset; /* of the first place, in the segment */
    uint64_t bytes;  /* of each place, its head included */
} mr_entry;

/* A place: what is there, then the elements in C order. */
typedef struct mr_array_place {
    uint32_t dtype;
    uint32_t rank;
    int64_t shape[8];
    uint64_t reserved[7];
} mr_array_place;

_Static_assert(sizeof(mr_entry) == 80 && sizeof(mr_array_place) == 128, "elements lie on lines");

/* ---- the kinds' own parameters ---- */

typedef struct mr_image_record {
    int64_t start;
    int64_t end;
    int64_t hash;
    uint64_t has_hash;
} mr_image_record;

typedef struct mr_vision_params {
    mr_range token_ids; /* i64[] */
    mr_range images;    /* mr_image_record[] */
} mr_vision_params;

typedef struct mr_tts_params {
    mr_range speech; /* i32[] */
    double arrival_time;
    uint64_t streaming;
} mr_tts_params;

typedef struct mr_pixel_params {
    int64_t height;
    int64_t width;
    int64_t num_inference_steps;
    int64_t num_warmup_steps;
    int64_t num_images_per_prompt;
    double guidance_scale;
    double true_cfg_scale;
} mr_pixel_params;

/* The request, written by the tokenizer while the slot is FILLING; constant afterwards. */
typedef struct mr_params {
    uint32_t kind;
    uint32_t choice;
    uint32_t choices;
    uint32_t first_stage;
    int32_t priority;
    uint32_t log_probabilities;
    uint32_t want_log_probabilities;
    uint32_t log_probabilities_echo;
    uint32_t ignore_eos;
    uint32_t eos_sequence_count;
    uint64_t deadline;
    uint64_t accepted;
    int64_t max_length;
    int64_t capacity;        /* tokens */
    int64_t original_prompt; /* tokens */
    mr_range tokens;         /* i64[capacity] */
    mr_range records;        /* log-probability records */
    mr_range eos_ids;        /* i64[] */
    mr_range eos_sequences;  /* i64[]: for each sequence its length, then its tokens */
    mr_range logit_bias;     /* mr_logit_bias[] */
    mr_range request_id;
    mr_range model_name;
    mr_range json_schema;
    mr_range target_endpoint;
    mr_range reply;
    mr_range directory; /* named arrays of the other kinds */
    mr_sampling sampling;
    union {
        mr_vision_params vision;
        mr_tts_params tts;
        mr_pixel_params pixel;
        uint64_t reserved[16];
    };
} mr_params;

/* ---- the way of a request (events.h) ---- */

/* One holding of a context by a worker; words packed and told apart as events.h says. */
typedef struct mr_lease_record {
    mr_word begun;
    mr_word begun_at; /* the slot's sequence then */
    mr_word first;    /* when the first step was over */
    mr_word ended;
    mr_word ended_at;
} mr_lease_record;

/* Its words, where a copy is an array of them. */
enum {
    MR_LEASE_BEGUN,
    MR_LEASE_BEGUN_AT,
    MR_LEASE_FIRST,
    MR_LEASE_ENDED,
    MR_LEASE_ENDED_AT,
    MR_LEASE_WORDS
};

_Static_assert(sizeof(mr_lease_record) == MR_LEASE_WORDS * 8, "a lease is its words");

/* What is kept of a request that ended. */
typedef struct mr_way {
    uint64_t handle;
    uint64_t ordinal;
    uint64_t accepted;
    uint64_t queued;
    int64_t prompt_length;
    int64_t length;
    uint32_t choice;
    uint32_t choices;
    uint32_t kind;
    uint32_t failed;
    uint32_t cancel;
    uint32_t id_bytes; /* of the whole id; as much of it as there is room for follows */
    uint64_t leases;   /* in all */
    uint64_t lease[MR_TRACE_LEASES][MR_LEASE_WORDS]; /* as in the slot */
    char id[MR_TRACE_ID];
} mr_way;

/* Written by the collector. */
typedef struct mr_finished {
    _Alignas(64) mr_word number; /* counts from 1; 0: just being written */
    mr_word emitted;             /* boot time; 0: not known */
    mr_word way[sizeof(mr_way) / 8];
} mr_finished;

_Static_assert(sizeof(mr_way) % 8 == 0 && sizeof(mr_finished) == 384, "whole words, whole lines");

typedef struct mr_slot {
    /* {generation 28, attempts 4, state 4, stage 8, owner 20}: slot.h; by CAS */
    _Alignas(128) mr_word state;
    /* by who owns the slot; its first lease lies where the state is written anyway (events.h) */
    mr_word leases; /* {generation 28, leases 36} */
    mr_lease_record first_lease;
    /* stored by whoever wants the context to end */
    _Alignas(64) mr_word cancel;
    /* the collector's marks, copied from its journal */
    _Alignas(64) mr_word emitted_tokens; /* {check 32, tokens 32}: cursors.h */
    mr_word emitted_bytes;
    mr_word emitted_final;
    /* a token's hand-over (cursors.h): sequence and glance by the lease holder, news exchanged by
     * it and the collector; on one line, since whoever touches one of them touches all */
    _Alignas(128) mr_word sequence;
    mr_word news;
    mr_word glance[2][MR_GLANCE_WORDS];
    /* the lease holder's cursors */
    _Alignas(128) mr_word cursors[2][MR_CURSOR_WORDS];
    char failure[192]; /* by the lease holder before it commits MR_CURSOR_FAILURE */
    /* the tokenizer's; ordinal and input_end outlive the context (intake.c) */
    _Alignas(64) mr_word ordinal;
    mr_word input_end;
    mr_word choice; /* {choices 32, choice 32} */
    mr_range arena; /* the whole range of the context; constant from FILLING to the next FILLING */
    uint64_t seal;  /* of these and of params: slot.h */
    mr_word queued; /* boot time of its acceptance; 0: not known */
    _Alignas(64) mr_params params;
    _Alignas(64) mr_lease_record later_leases[MR_TRACE_LEASES - 1];
} mr_slot;

/* ---- the header ---- */

typedef struct mr_header {
    /* constant once published */
    mr_word magic; /* stored last */
    uint32_t abi;
    uint32_t header_bytes;
    uint64_t layout; /* hash of the layout epoch */
    uint64_t features;
    uint64_t total_bytes; /* of this segment */
    uint64_t all_bytes;   /* of all segments of the domain */
    uint64_t created;
    uint64_t seed;
    uint64_t model_fingerprint;
    uint32_t creator;
    uint32_t named;
    uint32_t slots;
    uint32_t stages;
    uint32_t max_length;
    uint32_t vocabulary;
    uint32_t max_attempts;
    uint32_t spin_us; /* how long a consumer spins before it sleeps; 0: by the number of cores */
    uint64_t members_offset;
    uint64_t queues_offset;
    uint64_t slots_offset;
    uint64_t ids_offset;
    uint64_t ids_count; /* a power of two */
    uint64_t arena_offset;
    uint64_t arena_bytes;
    char name[MR_NAME_MAX + 1];
    char stage_names[MR_MAX_STAGES][MR_STAGE_NAME_MAX + 1];
    uint32_t kinds;          /* enum mr_kinds */
    uint32_t finished_count; /* requests that ended and are kept */
    uint64_t finished_offset;
    uint64_t reserved[30];

    /* the supervisor's */
    _Alignas(128) _Atomic uint32_t phase; /* enum mr_phase, as domain.h has it */
    mr_word intake_deaths;                /* deaths in a row at intake_death_at */
    mr_word intake_death_at;              /* ordinal of the record at work then */
    mr_word emission_deaths; /* cleared by the collector that survived a look at it (emission.c) */
    mr_word emission_death_at; /* handle + 1 */
    char note[MR_NOTE_MAX + 1];

    /* the tokenizer's */
    _Alignas(128) mr_word mark_sequence;
    mr_word intaking;               /* ordinal of the record at work; 0: none */
    mr_word mark[2][MR_MARK_WORDS]; /* {ordinal, input end, finished} */

    /* the collector's */
    _Alignas(128) mr_word journal_sequence;
    mr_word emitting; /* handle at work */
    mr_word finished; /* requests that ended, in all: events.h */
    _Alignas(
        64) mr_word journal[2][MR_JOURNAL_WORDS]; /* {length, n, n x {handle, tokens, bytes}} */
} mr_header;

/* Words of the intake mark and of the journal. */
enum { MR_MARK_ORDINAL, MR_MARK_INPUT_END, MR_MARK_FINISHED };
enum { MR_JOURNAL_LENGTH, MR_JOURNAL_COUNT, MR_JOURNAL_PARTS, MR_PART_WORDS = 3 };

/* Custom ids seen so far: written by the tokenizer alone. */
typedef struct mr_id {
    uint64_t hash[2];
    uint64_t ordinal; /* 0: empty; stored last */
} mr_id;

#endif
