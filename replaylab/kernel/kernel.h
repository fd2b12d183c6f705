/*
 * The kernel: what replaylab does to every byte of a clean recording, in C. It knows nothing of Python.
 *
 * CONTRACT
 *
 * Who decides.  `replaylab_read_lines` reads lines whose bytes match one of the given layouts exactly: the same keys in
 * the same order with the same spacing, and values in their plainest form. Any other line is left alone: its entry in
 * `layout_of` is -1 and the caller hands it to the general parser in Python. So the kernel never decides what damage
 * means; it can only be slower than it might be (by refusing), never differ. It refuses, among others: escapes in
 * texts, null, numbers of more than 8 digits, prices with an exponent, a sign or more than 14 + 24 digits, times that
 * are not `YYYY-MM-DDTHH:MM:SS.ffffff` (STAMP: with 0 to 9 digits behind the point) in the years 2 to 9998, numbers of
 * units since 1970 with a sign or an exponent, lines of more than LONGEST_LINE bytes.
 * Texts are only delimited here. Whether they are valid UTF-8 and may be stored is asked in Python, once a distinct text;
 * a text that no column needs (SKIP) must be ASCII.
 *
 * What a layout says.  A line is: for each piece its frame and then its value, then the tail, then a newline with or
 * without a carriage return before it. Quotation marks around a value are part of the frames. Values that have to be
 * the same in all lines are part of a frame too. A column that a layout has no piece for is not written.
 *
 * Padding.  At least PADDING bytes stand behind `size` and may be loaded (never used). Every line ends in a newline,
 * and `data[size - 1]` is one. No function reads before `data` or beyond `data + size + PADDING`: a cursor never passes
 * the newline of its line, because no frame, digit, flag or text contains one, and a load takes at most
 * LONGEST_FRAME + 8 bytes from a cursor.
 *
 * Lifetimes.  All memory belongs to the caller and is used during the call only. Nothing is allocated, nothing is kept,
 * no global is written: calls may run in several threads at once, each with columns of its own.
 *
 * Sizes.  Arrays named in `struct columns` have one entry a line (`lines`), unless said otherwise. Entries of lines
 * that are left alone mean nothing, but `start`, `end` and `layout_of`.
 *
 * Machine.  Little-endian, with a 128-bit integer type (gcc and clang on 64-bit machines). The loader checks the order
 * of bytes and the version number before anything is called.
 */
#ifndef REPLAYLAB_KERNEL_H
#define REPLAYLAB_KERNEL_H

#include <stdint.h>

enum {
    KERNEL_VERSION = 8,
    PADDING = 128,
    LONGEST_FRAME = 96,
    LONGEST_LINE = 4096,
    MOST_PIECES = 32,
    MOST_PHASES = 64,
};

/* The value of a piece; numbered as in parsing/kernel_layout.py. */
enum piece_kind {
    TYPE, /* no value: all of it is frame */
    TIME,
    GAME,
    TICK,
    PRICE,
    PHASE,
    ACTIVE,
    RUGGED,
    TIMER,
    TRADES,
    SEQ,
    CRC,
    STAMP, /* a time with any number of digits behind the point */
    EPOCH, /* a number of units since 1970 */
    SKIP,  /* any text, number, true, false or null */
};

struct piece {
    int32_t kind;
    int32_t frame_length; /* bytes before the value */
    int32_t shift;        /* EPOCH: decimals from its unit to microseconds */
    int32_t unused;
    uint8_t frame[LONGEST_FRAME + 8];
};

struct layout {
    int32_t pieces;
    int32_t zone_length; /* bytes behind the seconds of a time: none, "Z" or "+00:00" */
    int32_t tail_length; /* bytes behind the last value */
    int32_t truncate;    /* whether what is finer than a microsecond is cut, and noted in `cut`; refused otherwise */
    int32_t filler;      /* whether a price of 1.0 in an inactive tick is none */
    int32_t unused;
    uint8_t zone[8];
    uint8_t tail[LONGEST_FRAME + 8];
    struct piece piece[MOST_PIECES];
};

struct columns {
    int64_t lines;  /* how many lines the block has, and entries the arrays */
    int64_t slots;  /* of games: a power of two, at least twice as many as lines */
    int64_t *start; /* where each line begins */
    int64_t *end;   /* where its newline stands */
    int8_t *layout_of;
    int32_t *tick;
    int64_t *wall_us;
    uint64_t *price; /* two words an entry: decimal128(38, 24), the low word first */
    int64_t *price_at; /* where the text of each price begins; NULL when that is not wanted */
    uint8_t *price_filled;
    uint8_t *cut;    /* whether digits of the time were cut */
    uint8_t *active; /* where a layout has no piece ACTIVE: as the caller set it */
    uint8_t *rugged;
    int64_t *cooldown_timer;
    int64_t *trade_count;
    int32_t *game;  /* codes into game_at, game_length */
    int32_t *phase; /* codes into phase_at, phase_length */
    int32_t *game_at;     /* an entry a line: where the text of a code stands */
    int32_t *game_length; /* an entry a line */
    int32_t *game_slots;  /* scratch, `slots` entries */
    int32_t *phase_at;     /* MOST_PHASES entries */
    int32_t *phase_length; /* MOST_PHASES entries */
    int32_t games;  /* out: how many distinct texts there are */
    int32_t phases; /* out */
};

/* The lines of a stretch of a journal. */
struct journal_lines {
    int64_t lines; /* how many newlines the stretch has, and entries the arrays */
    int64_t *end;  /* where each newline stands */
    int64_t *seq;  /* the number of a good tick; -1: any other line, good or not */
    uint8_t *ticks;     /* as many bytes as the stretch has: the good ticks without seq and checksum, one a line */
    int64_t tick_bytes; /* out: how many bytes of `ticks` were written */
};

/* A column of rows as Arrow holds it; `offset` rows are skipped. */
enum word_kind { INT32, INT64, FLAG, CODE, DECIMAL };

struct word_column {
    const void *data;
    const uint8_t *valid;  /* bits, or NULL when nothing is null */
    const uint64_t *words; /* CODE: the word of each code, that of null last */
    int32_t kind;
    int32_t codes; /* CODE: how many codes there are, and the place of the word of null */
    int64_t offset;
};

/* What the writer of a journal puts into the pipe: sync this journal as far as this; any other journal is for the caller. */
struct sync_request {
    int64_t journal;
    int64_t seq;  /* the last tick that is in the file */
    int64_t size; /* bytes of the file up to it, or more */
};

/* Syncs of one journal. */
struct sync_run {
    int64_t journal;
    int64_t asked_seq; /* in: what the first sync makes permanent; then the newest request */
    int64_t asked_size;
    int64_t last_seq;  /* in: no further sync once this tick is permanent */
    int64_t last_size; /* in: nor once as many bytes are */
    int64_t most_ns;  /* in: how long to wait for requests, from the call on */
    int64_t seq;      /* out: what is permanent; as the caller set it before the first sync */
    int64_t size;
    int32_t syncs; /* out: how many syncs succeeded, and entries of took_ns */
    int32_t error; /* out: errno of the sync that failed, or 0 */
    int64_t took_ns[64];
    int64_t synced_at_ns; /* out: the time of day after the last sync that succeeded, since 1970 in UTC; set before `seq` */
};
enum { MOST_SYNCS = 64 };
typedef int sync_call(int descriptor);

int32_t replaylab_kernel_version(void);
int64_t replaylab_count_newlines(const uint8_t *data, int64_t size);
void replaylab_read_lines(const uint8_t *data, int64_t size, const struct layout *layouts, int32_t layout_count,
                          struct columns *columns);

/* Rows `first` to `last` of columns that `replaylab_read_lines` has filled (with `price_at`, by layouts that have a piece
 * for each column) as lines of a journal, numbered from `seq` on; byte for byte what journals/encoder.py writes. Returns
 * their size. `out` has room for the longest texts, and 400 bytes more for each row. */
int64_t replaylab_write_journal(const uint8_t *data, const struct columns *columns, int64_t first, int64_t last,
                                int64_t seq, uint32_t seed, uint8_t *out);

/* Which lines of a journal are good ticks: that they begin as one, end with the checksum of `seed` and all before it,
 * and have a number of at most 18 digits. Any other line is left to journals/format.py. Needs no padding; bytes behind
 * the last newline are left out. Returns how many lines ended. */
int64_t replaylab_read_journal(const uint8_t *data, int64_t size, uint32_t seed, struct journal_lines *lines);

/* CRC-32C of `seed` and what follows it; `by_table` without the instruction that the processor may have for it. */
uint32_t replaylab_crc32c(uint32_t seed, const uint8_t *data, int64_t size, int32_t by_table);

uint64_t replaylab_rows_digest(int64_t rows, const struct word_column *columns, int32_t column_count,
                               const uint64_t *mix);

/* Sync `descriptor` at once, and again for each request that the pipe `requests` brings, until `run` says to return: to the
 * caller when nothing more is asked for in time, when it or another journal is meant, after MOST_SYNCS, or after a sync that
 * failed, which is never tried again. `sync` is fsync when NULL. Needs POSIX; elsewhere it is not there. */
void replaylab_sync_as_asked(int32_t descriptor, int32_t requests, sync_call *sync, struct sync_run *run);

#endif
