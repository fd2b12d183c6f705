/* Lines of known layout -> columns. See kernel.h for the contract. */
#include "kernel.h"

#include <stddef.h>
#include <string.h>

typedef unsigned __int128 uint128;

static const uint64_t POWER_OF_10[17] = {1ULL,
                                         10ULL,
                                         100ULL,
                                         1000ULL,
                                         10000ULL,
                                         100000ULL,
                                         1000000ULL,
                                         10000000ULL,
                                         100000000ULL,
                                         1000000000ULL,
                                         10000000000ULL,
                                         100000000000ULL,
                                         1000000000000ULL,
                                         10000000000000ULL,
                                         100000000000000ULL,
                                         1000000000000000ULL,
                                         10000000000000000ULL};

static const uint64_t GREATEST_US = 253370764799999999ULL; /* the end of the year 9998 */
static const uint64_t ONES = 0x0101010101010101ULL;
static const uint64_t TOP_BITS = 0x8080808080808080ULL;
static const uint64_t ZEROS = 0x3030303030303030ULL;     /* eight times '0' */
static const uint64_t OVER_NINE = 0x7676767676767676ULL; /* added to a byte of 10 or more, its top bit is set */

/* What is remembered from line to line: most lines share their minute and their game with the one before. */
struct memory {
    uint8_t minute[16];
    int64_t minute_us;
    const uint8_t *game;
    ptrdiff_t game_length;
    int32_t game_code;
    int32_t layout;
};

static inline uint64_t load(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Whether two stretches hold the same bytes; at most 7 bytes behind each are loaded. */
static inline int same(const uint8_t *left, const uint8_t *right, ptrdiff_t length) {
    while (length >= 8) {
        if (load(left) != load(right)) return 0;
        left += 8;
        right += 8;
        length -= 8;
    }
    if (length == 0) return 1;
    return ((load(left) ^ load(right)) & (~0ULL >> (64 - 8 * length))) == 0;
}

/* How many of the eight bytes of a word are digits, counted from the first until another byte comes. */
static inline int leading_digits(uint64_t word) {
    uint64_t digits = word ^ ZEROS;
    uint64_t others = ((digits + OVER_NINE) | digits) & TOP_BITS;
    return others ? __builtin_ctzll(others) >> 3 : 8;
}

/* Join eight values of 0 to 9, the first in the lowest byte: pairs, fours, eight. */
static inline uint64_t joined(uint64_t digits) {
    digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FFULL;
    digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFFULL;
    return (digits * 10000 + (digits >> 32)) & 0xFFFFFFFFULL;
}

/* The number that the first `count` digits of a word make, 1 to 8. */
static inline uint64_t number_of(uint64_t word, int count) {
    return joined((word ^ ZEROS) << ((8 - count) * 8));
}

/* Every reader takes a cursor and returns the cursor behind what it read, or NULL when the line is to be left alone. */

/* A whole number of 1 to 8 digits without a leading zero. */
static inline const uint8_t *read_whole(const uint8_t *at, int64_t *value) {
    uint64_t word = load(at);
    int count = leading_digits(word);
    if (count == 0 || (count > 1 && at[0] == '0')) return NULL;
    if (count == 8 && (uint8_t)(at[8] - '0') < 10) return NULL;
    *value = (int64_t)number_of(word, count);
    return at + count;
}

static inline const uint8_t *read_timer(const uint8_t *at, int64_t *value) {
    int negative = *at == '-';
    at = read_whole(at + negative, value);
    if (!at || (negative && *value == 0)) return NULL;
    if (negative) *value = -*value;
    return at;
}

/* Up to `most` (at most 24) digits, appended to `value`; `count` says how many there were. NULL when there are more. */
static inline const uint8_t *read_digits(const uint8_t *at, int most, uint128 *value, int *count) {
    *count = 0;
    for (;;) {
        uint64_t word = load(at);
        int more = leading_digits(word);
        if (more == 0) return at;
        *count += more;
        if (*count > most) return NULL;
        *value = *value * POWER_OF_10[more] + number_of(word, more);
        at += more;
        if (more < 8) return at;
    }
}

/* A plain decimal number of at most 14 whole digits and 24 behind the point, in units of 10 ** -24. */
static inline const uint8_t *read_price(const uint8_t *at, uint128 *price) {
    int whole, fraction = 0;
    int leading_zero = *at == '0';
    *price = 0;
    at = read_digits(at, 14, price, &whole);
    if (!at || whole == 0 || (leading_zero && whole > 1)) return NULL;
    if (*at == '.') {
        at = read_digits(at + 1, 24, price, &fraction);
        if (!at || fraction == 0) return NULL;
    }
    int left = 24 - fraction;
    if (left > 12) {
        *price *= POWER_OF_10[12];
        left -= 12;
    }
    *price *= POWER_OF_10[left];
    return at;
}

static inline const uint8_t *read_flag(const uint8_t *at, uint8_t *flag) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    if (word == 0x65757274u) { /* true */
        *flag = 1;
        return at + 4;
    }
    if (word == 0x736c6166u && at[4] == 'e') { /* fals, e */
        *flag = 0;
        return at + 5;
    }
    return NULL;
}

/* Where a text ends: at its quotation mark. NULL when it is empty or holds an escape or a control character. */
static inline const uint8_t *text_end(const uint8_t *at) {
    const uint8_t *begin = at;
    for (;;) {
        uint64_t word = load(at);
        uint64_t quote = word ^ 0x2222222222222222ULL, escape = word ^ 0x5C5C5C5C5C5C5C5CULL;
        uint64_t found = ((quote - ONES) & ~quote) | ((escape - ONES) & ~escape) |
                         ((word - 0x2020202020202020ULL) & ~word); /* the newline is one of the last */
        found &= TOP_BITS;
        if (found) {
            at += __builtin_ctzll(found) >> 3;
            return *at == '"' && at > begin ? at : NULL;
        }
        at += 8;
    }
}

static inline uint32_t hash_of(const uint8_t *at, ptrdiff_t length) {
    uint64_t hash = 0x9E3779B97F4A7C15ULL ^ (uint64_t)length;
    for (; length >= 8; at += 8, length -= 8) {
        hash = (hash ^ load(at)) * 0xFF51AFD7ED558CCDULL;
        hash ^= hash >> 29;
    }
    for (; length > 0; at++, length--) hash = (hash ^ *at) * 0x100000001B3ULL;
    hash ^= hash >> 32;
    return (uint32_t)(hash ^ (hash >> 15));
}

/* The code of a game's text, a new one when it was not seen before; -1 when there are more than lines, as there may be
   when several layouts read a text in one line. */
static int32_t game_code(const uint8_t *data, struct columns *columns, const uint8_t *at, ptrdiff_t length) {
    uint32_t last = (uint32_t)columns->slots - 1;
    uint32_t slot = hash_of(at, length) & last;
    for (;; slot = (slot + 1) & last) {
        int32_t code = columns->game_slots[slot];
        if (code < 0) {
            if (columns->games >= columns->lines) return -1;
            code = columns->games++;
            columns->game_at[code] = (int32_t)(at - data);
            columns->game_length[code] = (int32_t)length;
            columns->game_slots[slot] = code;
            return code;
        }
        if (columns->game_length[code] == length && memcmp(data + columns->game_at[code], at, (size_t)length) == 0) {
            return code;
        }
    }
}

static inline const uint8_t *read_game(const uint8_t *data, struct columns *columns, struct memory *memory,
                                       const uint8_t *at, int32_t *code) {
    /* The comparison ends at the newline of this line at the latest: the text before it holds none. */
    if (memory->game && same(at, memory->game, memory->game_length) && at[memory->game_length] == '"') {
        *code = memory->game_code;
        return at + memory->game_length;
    }
    const uint8_t *end = text_end(at);
    if (!end) return NULL;
    *code = game_code(data, columns, at, end - at);
    if (*code < 0) return NULL;
    memory->game = at;
    memory->game_length = end - at;
    memory->game_code = *code;
    return end;
}

static inline const uint8_t *read_phase(const uint8_t *data, struct columns *columns, const uint8_t *at,
                                        int32_t *code) {
    const uint8_t *end = text_end(at);
    if (!end) return NULL;
    int32_t length = (int32_t)(end - at);
    for (int32_t known = 0; known < columns->phases; known++) {
        if (columns->phase_length[known] == length && same(data + columns->phase_at[known], at, length)) {
            *code = known;
            return end;
        }
    }
    if (columns->phases >= MOST_PHASES) return NULL;
    columns->phase_at[columns->phases] = (int32_t)(at - data);
    columns->phase_length[columns->phases] = length;
    *code = columns->phases++;
    return end;
}

static int number_at(const uint8_t *at, int digits) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
        unsigned digit = (unsigned)at[i] - '0';
        if (digit > 9) return -1;
        value = value * 10 + (int)digit;
    }
    return value;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t days_from_civil(int year, int month, int day) {
    year -= month <= 2;
    int era = year / 400;
    int year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + day_of_era - 719468;
}

/* Microseconds since 1970 at which a minute such as 2031-01-02T03:04 begins; INT64_MIN when it is none. */
static int64_t minute_us(const uint8_t *at) {
    static const int days_of_month[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = number_at(at, 4), month = number_at(at + 5, 2), day = number_at(at + 8, 2);
    int hour = number_at(at + 11, 2), minute = number_at(at + 14, 2);
    if (at[4] != '-' || at[7] != '-' || (at[10] != 'T' && at[10] != ' ') || at[13] != ':') return INT64_MIN;
    if (year < 2 || year > 9998 || month < 1 || month > 12 || day < 1) return INT64_MIN;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return INT64_MIN;
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days_of_month[month] + (month == 2 && leap)) return INT64_MIN;
    return ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60000000LL;
}

/* The seconds of a time up to its point or its end, in microseconds. */
static inline const uint8_t *read_second(struct memory *memory, const uint8_t *at, int64_t *wall_us) {
    if (load(at) != load(memory->minute) || load(at + 8) != load(memory->minute + 8)) {
        memory->minute_us = minute_us(at);
        memcpy(memory->minute, at, sizeof memory->minute);
    }
    unsigned tens = (unsigned)at[17] - '0', ones = (unsigned)at[18] - '0';
    if (memory->minute_us == INT64_MIN || at[16] != ':' || tens > 5 || ones > 9) return NULL;
    *wall_us = memory->minute_us + (int64_t)(tens * 10 + ones) * 1000000;
    return at + 19;
}

static inline const uint8_t *read_zone(const struct layout *layout, const uint8_t *at) {
    return same(at, layout->zone, layout->zone_length) ? at + layout->zone_length : NULL;
}

static inline const uint8_t *read_time(const struct layout *layout, struct memory *memory, const uint8_t *at,
                                       int64_t *wall_us) {
    at = read_second(memory, at, wall_us);
    if (!at || *at != '.') return NULL;
    uint64_t fraction = (load(at - 1) ^ ZEROS) & 0xFFFFFFFFFFFF0000ULL; /* the six digits behind the point */
    if (((fraction + OVER_NINE) | fraction) & TOP_BITS) return NULL;
    *wall_us += (int64_t)joined(fraction);
    return read_zone(layout, at + 7);
}

/* A time with up to nine digits behind its point; those behind the sixth are zeros, or are cut where that was asked. */
static inline const uint8_t *read_stamp(const struct layout *layout, struct memory *memory, const uint8_t *at,
                                        int64_t *wall_us, uint8_t *cut) {
    at = read_second(memory, at, wall_us);
    *cut = 0;
    if (!at) return NULL;
    if (*at == '.') {
        uint128 fraction = 0;
        int digits;
        at = read_digits(at + 1, 9, &fraction, &digits);
        if (!at || digits == 0) return NULL;
        uint64_t nanoseconds = (uint64_t)fraction * POWER_OF_10[9 - digits];
        *cut = nanoseconds % 1000 != 0;
        if (*cut && !layout->truncate) return NULL;
        *wall_us += (int64_t)(nanoseconds / 1000);
    }
    return read_zone(layout, at);
}

/* A number of units since 1970, of up to 19 digits and 9 behind a point, that is a time up to the year 9998. */
static inline const uint8_t *read_epoch(const struct layout *layout, int shift, const uint8_t *at, int64_t *wall_us,
                                        uint8_t *cut) {
    uint128 units = 0;
    int whole, fraction = 0;
    int leading_zero = *at == '0';
    *cut = 0;
    at = read_digits(at, 19, &units, &whole);
    if (!at || whole == 0 || (leading_zero && whole > 1)) return NULL;
    if (*at == '.') {
        at = read_digits(at + 1, 9, &units, &fraction);
        if (!at || fraction == 0) return NULL;
    }
    shift -= fraction;
    if (shift >= 0) {
        units *= POWER_OF_10[shift];
    } else {
        *cut = units % POWER_OF_10[-shift] != 0;
        units /= POWER_OF_10[-shift];
    }
    if ((*cut && !layout->truncate) || units > GREATEST_US) return NULL;
    *wall_us = (int64_t)units;
    return at;
}

/* A text of ASCII without escapes and control characters, which may be empty; `at` is behind its quotation mark. */
static inline const uint8_t *skip_text(const uint8_t *at) {
    for (;;) {
        uint64_t word = load(at);
        uint64_t quote = word ^ 0x2222222222222222ULL, escape = word ^ 0x5C5C5C5C5C5C5C5CULL;
        uint64_t found = ((quote - ONES) & ~quote) | ((escape - ONES) & ~escape) |
                         ((word - 0x2020202020202020ULL) & ~word) | word; /* the last: what is not ASCII */
        found &= TOP_BITS;
        if (found) {
            at += __builtin_ctzll(found) >> 3;
            return *at == '"' ? at + 1 : NULL;
        }
        at += 8;
    }
}

static inline const uint8_t *skip_digits(const uint8_t *at) {
    int more = leading_digits(load(at));
    if (more == 0) return NULL;
    for (at += more; more == 8; at += more) more = leading_digits(load(at));
    return at;
}

/* A number as JSON has it, with an exponent of at most three digits: Python converts no longer one. */
static inline const uint8_t *skip_number(const uint8_t *at) {
    if (*at == '-') at++;
    const uint8_t *begin = at;
    at = skip_digits(at);
    if (!at || (*begin == '0' && at - begin > 1)) return NULL;
    if (*at == '.') {
        at = skip_digits(at + 1);
        if (!at) return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '-' || *at == '+') at++;
        begin = at;
        at = skip_digits(at);
        if (!at || at - begin > 3) return NULL;
    }
    return at;
}

static inline const uint8_t *skip_value(const uint8_t *at) {
    uint8_t flag;
    if (*at == '"') return skip_text(at + 1);
    if (*at == 'n') return same(at, (const uint8_t *)"null\0\0\0\0\0\0\0", 4) ? at + 4 : NULL;
    if (*at == 't' || *at == 'f') return read_flag(at, &flag);
    return skip_number(at);
}

static inline const uint8_t *read_checksum(const uint8_t *at) {
    for (int i = 0; i < 8; i++) {
        int decimal = at[i] >= '0' && at[i] <= '9';
        if (!decimal && !(at[i] >= 'a' && at[i] <= 'f')) return NULL;
    }
    return at + 8;
}

/* Whether the price is the text 1.0, which the old recorder wrote for a price that it had not received. */
static inline int is_filler(const uint8_t *price, const uint8_t *end) {
    return end - price == 3 && price[0] == '1' && price[1] == '.' && price[2] == '0';
}

static inline void put_price(struct columns *columns, int64_t row, uint128 price) {
    columns->price[2 * row] = (uint64_t)price;
    columns->price[2 * row + 1] = (uint64_t)(price >> 64);
}

static inline const uint8_t *read_value(const uint8_t *data, const struct layout *layout, const struct piece *piece,
                                        struct columns *columns, struct memory *memory, const uint8_t *at,
                                        int64_t row) {
    int64_t number = 0;
    uint128 price;
    const uint8_t *end;
    switch (piece->kind) {
    case TYPE: return at; /* its value says what the line is, so all of it is frame */
    case TIME: return read_time(layout, memory, at, &columns->wall_us[row]);
    case STAMP: return read_stamp(layout, memory, at, &columns->wall_us[row], &columns->cut[row]);
    case EPOCH: return read_epoch(layout, piece->shift, at, &columns->wall_us[row], &columns->cut[row]);
    case SKIP: return skip_value(at);
    case GAME: return read_game(data, columns, memory, at, &columns->game[row]);
    case PHASE: return read_phase(data, columns, at, &columns->phase[row]);
    case ACTIVE: return read_flag(at, &columns->active[row]);
    case RUGGED: return read_flag(at, &columns->rugged[row]);
    case TIMER: return read_timer(at, &columns->cooldown_timer[row]);
    case TRADES: return read_whole(at, &columns->trade_count[row]);
    case SEQ: return read_whole(at, &number);
    case CRC: return read_checksum(at);
    case TICK:
        end = read_whole(at, &number);
        columns->tick[row] = (int32_t)number;
        return end;
    case PRICE:
        end = read_price(at, &price);
        if (!end) return NULL;
        put_price(columns, row, price);
        if (columns->price_at) columns->price_at[row] = at - data;
        columns->price_filled[row] = (uint8_t)(layout->filler && is_filler(at, end));
        return end;
    default: return NULL;
    }
}

/* Read one line by one layout; return where its newline stands, or NULL when it has another layout. */
static inline const uint8_t *read_line(const uint8_t *data, const struct layout *layout, struct columns *columns,
                                       struct memory *memory, const uint8_t *line, int64_t row) {
    const uint8_t *at = line;
    for (int32_t i = 0; i < layout->pieces; i++) {
        const struct piece *piece = &layout->piece[i];
        if (!same(at, piece->frame, piece->frame_length)) return NULL;
        at = read_value(data, layout, piece, columns, memory, at + piece->frame_length, row);
        if (!at) return NULL;
    }
    if (!same(at, layout->tail, layout->tail_length)) return NULL;
    at += layout->tail_length;
    if (*at == '\r') at++;
    if (*at != '\n' || at - line > LONGEST_LINE) return NULL;
    if (columns->active[row]) columns->price_filled[row] = 0;
    if (columns->price_filled[row]) put_price(columns, row, 0);
    return at;
}

enum { LANES = 64 };

/* Each lane counts its bytes, up to the 255 that one byte holds; the compiler keeps the lanes in registers. */
int64_t replaylab_count_newlines(const uint8_t *data, int64_t size) {
    int64_t total = 0, at = 0;
    while (size - at >= LANES) {
        uint8_t counts[LANES] = {0};
        int64_t rounds = (size - at) / LANES;
        if (rounds > UINT8_MAX) rounds = UINT8_MAX;
        for (int64_t round = 0; round < rounds; round++, at += LANES) {
            for (int lane = 0; lane < LANES; lane++) counts[lane] = (uint8_t)(counts[lane] + (data[at + lane] == '\n'));
        }
        for (int lane = 0; lane < LANES; lane++) total += counts[lane];
    }
    for (; at < size; at++) total += data[at] == '\n';
    return total;
}

void replaylab_read_lines(const uint8_t *data, int64_t size, const struct layout *layouts, int32_t layout_count,
                          struct columns *columns) {
    const uint8_t *stop = data + size, *line = data;
    struct memory memory = {.minute_us = INT64_MIN};
    memset(columns->game_slots, 0xFF, (size_t)columns->slots * sizeof *columns->game_slots);
    columns->games = columns->phases = 0;
    for (int64_t row = 0; row < columns->lines && line < stop; row++) {
        const uint8_t *end = NULL;
        columns->start[row] = line - data;
        columns->layout_of[row] = -1;
        for (int32_t tried = 0; tried < layout_count && !end; tried++) {
            int32_t which = (memory.layout + tried) % layout_count;
            end = read_line(data, &layouts[which], columns, &memory, line, row);
            if (end) columns->layout_of[row] = (int8_t)(memory.layout = which);
        }
        if (!end) end = memchr(line, '\n', (size_t)(stop - line));
        if (!end) end = stop;
        columns->end[row] = end - data;
        line = end + 1;
    }
}
