/* The digest of rows whatever their order: segments/digest.py defines it, and computes the same without this. */
#include "kernel.h"

enum { STRETCH = 2048 }; /* rows mixed at a time: their words stay in the first cache */

static const uint64_t NULL_WORD = 0xC000000000000000ULL; /* -(2 ** 62) */

static inline int bit(const uint8_t *bits, int64_t at) {
    return (bits[at >> 3] >> (at & 7)) & 1;
}

static void mix_int32(const struct word_column *column, int64_t first, int64_t rows, uint64_t factor, uint64_t *mixed) {
    const int32_t *data = (const int32_t *)column->data + first;
    for (int64_t i = 0; i < rows; i++) {
        int there = !column->valid || bit(column->valid, first + i);
        mixed[i] += (there ? (uint64_t)(int64_t)data[i] : NULL_WORD) * factor;
    }
}

static void mix_int64(const struct word_column *column, int64_t first, int64_t rows, uint64_t factor, uint64_t *mixed) {
    const int64_t *data = (const int64_t *)column->data + first;
    for (int64_t i = 0; i < rows; i++) {
        int there = !column->valid || bit(column->valid, first + i);
        mixed[i] += (there ? (uint64_t)data[i] : NULL_WORD) * factor;
    }
}

static void mix_flags(const struct word_column *column, int64_t first, int64_t rows, uint64_t factor, uint64_t *mixed) {
    const uint8_t *data = column->data;
    for (int64_t i = 0; i < rows; i++) {
        int there = !column->valid || bit(column->valid, first + i);
        mixed[i] += there && bit(data, first + i) ? factor : 0;
    }
}

static void mix_codes(const struct word_column *column, int64_t first, int64_t rows, uint64_t factor, uint64_t *mixed) {
    const int32_t *data = (const int32_t *)column->data + first;
    for (int64_t i = 0; i < rows; i++) {
        int there = !column->valid || bit(column->valid, first + i);
        mixed[i] += column->words[there ? data[i] : column->codes] * factor;
    }
}

static void mix_decimals(const struct word_column *column, int64_t first, int64_t rows, const uint64_t *factors,
                         uint64_t *mixed) {
    const uint64_t *data = (const uint64_t *)column->data + 2 * first;
    for (int64_t i = 0; i < rows; i++) {
        int there = !column->valid || bit(column->valid, first + i);
        mixed[i] += (there ? data[2 * i] : 1) * factors[0] + (there ? data[2 * i + 1] : 3) * factors[1];
    }
}

/* `mix` holds 32 factors: one a word, and the last two for the end of a row. */
uint64_t replaylab_rows_digest(int64_t rows, const struct word_column *columns, int32_t column_count,
                               const uint64_t *mix) {
    uint64_t total = 0, mixed[STRETCH];
    for (int64_t begin = 0; begin < rows; begin += STRETCH) {
        int64_t size = rows - begin < STRETCH ? rows - begin : STRETCH;
        const uint64_t *factor = mix;
        for (int64_t i = 0; i < size; i++) mixed[i] = 0;
        for (int32_t number = 0; number < column_count; number++) {
            const struct word_column *column = &columns[number];
            int64_t first = column->offset + begin;
            switch (column->kind) {
            case INT32: mix_int32(column, first, size, *factor, mixed); break;
            case INT64: mix_int64(column, first, size, *factor, mixed); break;
            case FLAG: mix_flags(column, first, size, *factor, mixed); break;
            case CODE: mix_codes(column, first, size, *factor, mixed); break;
            case DECIMAL: mix_decimals(column, first, size, factor++, mixed); break;
            default: break;
            }
            factor++;
        }
        for (int64_t i = 0; i < size; i++) {
            uint64_t row = mixed[i];
            row ^= row >> 32;
            row *= mix[30];
            row ^= row >> 29;
            total += row * mix[31];
        }
    }
    return total;
}

int32_t replaylab_kernel_version(void) {
    return KERNEL_VERSION;
}
