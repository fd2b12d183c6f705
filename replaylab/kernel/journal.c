/* Lines of a journal: written from columns, and taken apart again. See kernel.h for the contract. */
#include "kernel.h"

#include <string.h>

static const int64_t MINUTE_US = 60000000LL;
static const int64_t DAY_MINUTES = 1440;

/* CRC-32C (Castagnoli), reflected: what a byte does to the remainder. */
static const uint32_t CRC_OF_BYTE[256] = {
    0x00000000U, 0xf26b8303U, 0xe13b70f7U, 0x1350f3f4U, 0xc79a971fU, 0x35f1141cU, 0x26a1e7e8U, 0xd4ca64ebU,
    0x8ad958cfU, 0x78b2dbccU, 0x6be22838U, 0x9989ab3bU, 0x4d43cfd0U, 0xbf284cd3U, 0xac78bf27U, 0x5e133c24U,
    0x105ec76fU, 0xe235446cU, 0xf165b798U, 0x030e349bU, 0xd7c45070U, 0x25afd373U, 0x36ff2087U, 0xc494a384U,
    0x9a879fa0U, 0x68ec1ca3U, 0x7bbcef57U, 0x89d76c54U, 0x5d1d08bfU, 0xaf768bbcU, 0xbc267848U, 0x4e4dfb4bU,
    0x20bd8edeU, 0xd2d60dddU, 0xc186fe29U, 0x33ed7d2aU, 0xe72719c1U, 0x154c9ac2U, 0x061c6936U, 0xf477ea35U,
    0xaa64d611U, 0x580f5512U, 0x4b5fa6e6U, 0xb93425e5U, 0x6dfe410eU, 0x9f95c20dU, 0x8cc531f9U, 0x7eaeb2faU,
    0x30e349b1U, 0xc288cab2U, 0xd1d83946U, 0x23b3ba45U, 0xf779deaeU, 0x05125dadU, 0x1642ae59U, 0xe4292d5aU,
    0xba3a117eU, 0x4851927dU, 0x5b016189U, 0xa96ae28aU, 0x7da08661U, 0x8fcb0562U, 0x9c9bf696U, 0x6ef07595U,
    0x417b1dbcU, 0xb3109ebfU, 0xa0406d4bU, 0x522bee48U, 0x86e18aa3U, 0x748a09a0U, 0x67dafa54U, 0x95b17957U,
    0xcba24573U, 0x39c9c670U, 0x2a993584U, 0xd8f2b687U, 0x0c38d26cU, 0xfe53516fU, 0xed03a29bU, 0x1f682198U,
    0x5125dad3U, 0xa34e59d0U, 0xb01eaa24U, 0x42752927U, 0x96bf4dccU, 0x64d4cecfU, 0x77843d3bU, 0x85efbe38U,
    0xdbfc821cU, 0x2997011fU, 0x3ac7f2ebU, 0xc8ac71e8U, 0x1c661503U, 0xee0d9600U, 0xfd5d65f4U, 0x0f36e6f7U,
    0x61c69362U, 0x93ad1061U, 0x80fde395U, 0x72966096U, 0xa65c047dU, 0x5437877eU, 0x4767748aU, 0xb50cf789U,
    0xeb1fcbadU, 0x197448aeU, 0x0a24bb5aU, 0xf84f3859U, 0x2c855cb2U, 0xdeeedfb1U, 0xcdbe2c45U, 0x3fd5af46U,
    0x7198540dU, 0x83f3d70eU, 0x90a324faU, 0x62c8a7f9U, 0xb602c312U, 0x44694011U, 0x5739b3e5U, 0xa55230e6U,
    0xfb410cc2U, 0x092a8fc1U, 0x1a7a7c35U, 0xe811ff36U, 0x3cdb9bddU, 0xceb018deU, 0xdde0eb2aU, 0x2f8b6829U,
    0x82f63b78U, 0x709db87bU, 0x63cd4b8fU, 0x91a6c88cU, 0x456cac67U, 0xb7072f64U, 0xa457dc90U, 0x563c5f93U,
    0x082f63b7U, 0xfa44e0b4U, 0xe9141340U, 0x1b7f9043U, 0xcfb5f4a8U, 0x3dde77abU, 0x2e8e845fU, 0xdce5075cU,
    0x92a8fc17U, 0x60c37f14U, 0x73938ce0U, 0x81f80fe3U, 0x55326b08U, 0xa759e80bU, 0xb4091bffU, 0x466298fcU,
    0x1871a4d8U, 0xea1a27dbU, 0xf94ad42fU, 0x0b21572cU, 0xdfeb33c7U, 0x2d80b0c4U, 0x3ed04330U, 0xccbbc033U,
    0xa24bb5a6U, 0x502036a5U, 0x4370c551U, 0xb11b4652U, 0x65d122b9U, 0x97baa1baU, 0x84ea524eU, 0x7681d14dU,
    0x2892ed69U, 0xdaf96e6aU, 0xc9a99d9eU, 0x3bc21e9dU, 0xef087a76U, 0x1d63f975U, 0x0e330a81U, 0xfc588982U,
    0xb21572c9U, 0x407ef1caU, 0x532e023eU, 0xa145813dU, 0x758fe5d6U, 0x87e466d5U, 0x94b49521U, 0x66df1622U,
    0x38cc2a06U, 0xcaa7a905U, 0xd9f75af1U, 0x2b9cd9f2U, 0xff56bd19U, 0x0d3d3e1aU, 0x1e6dcdeeU, 0xec064eedU,
    0xc38d26c4U, 0x31e6a5c7U, 0x22b65633U, 0xd0ddd530U, 0x0417b1dbU, 0xf67c32d8U, 0xe52cc12cU, 0x1747422fU,
    0x49547e0bU, 0xbb3ffd08U, 0xa86f0efcU, 0x5a048dffU, 0x8ecee914U, 0x7ca56a17U, 0x6ff599e3U, 0x9d9e1ae0U,
    0xd3d3e1abU, 0x21b862a8U, 0x32e8915cU, 0xc083125fU, 0x144976b4U, 0xe622f5b7U, 0xf5720643U, 0x07198540U,
    0x590ab964U, 0xab613a67U, 0xb831c993U, 0x4a5a4a90U, 0x9e902e7bU, 0x6cfbad78U, 0x7fab5e8cU, 0x8dc0dd8fU,
    0xe330a81aU, 0x115b2b19U, 0x020bd8edU, 0xf0605beeU, 0x24aa3f05U, 0xd6c1bc06U, 0xc5914ff2U, 0x37faccf1U,
    0x69e9f0d5U, 0x9b8273d6U, 0x88d28022U, 0x7ab90321U, 0xae7367caU, 0x5c18e4c9U, 0x4f48173dU, 0xbd23943eU,
    0xf36e6f75U, 0x0105ec76U, 0x12551f82U, 0xe03e9c81U, 0x34f4f86aU, 0xc69f7b69U, 0xd5cf889dU, 0x27a40b9eU,
    0x79b737baU, 0x8bdcb4b9U, 0x988c474dU, 0x6ae7c44eU, 0xbe2da0a5U, 0x4c4623a6U, 0x5f16d052U, 0xad7d5351U};

typedef uint32_t extend_crc(uint32_t remainder, const uint8_t *data, int64_t size);

static uint32_t extend_by_table(uint32_t remainder, const uint8_t *data, int64_t size) {
    for (int64_t i = 0; i < size; i++) remainder = (remainder >> 8) ^ CRC_OF_BYTE[(remainder ^ data[i]) & 0xFF];
    return remainder;
}

#if defined(__x86_64__)
/* The same by the instruction that processors since 2008 have. */
__attribute__((target("sse4.2"))) static uint32_t extend_by_instruction(uint32_t remainder, const uint8_t *data,
                                                                         int64_t size) {
    uint64_t wide = remainder;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    remainder = (uint32_t)wide;
    for (; size > 0; data++, size--) remainder = __builtin_ia32_crc32qi(remainder, *data);
    return remainder;
}
#endif

static extend_crc *fastest_crc(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return extend_by_instruction;
#endif
    return extend_by_table;
}

/* The checksum of `seed` and what follows it, as google_crc32c.extend has it. */
static inline uint32_t crc32c(extend_crc *extend, uint32_t seed, const uint8_t *data, int64_t size) {
    return ~extend(~seed, data, size);
}

uint32_t replaylab_crc32c(uint32_t seed, const uint8_t *data, int64_t size, int32_t by_table) {
    return crc32c(by_table ? extend_by_table : fastest_crc(), seed, data, size);
}

/* Every writer takes where to write, and returns where the next byte goes. */

static inline uint8_t *put(uint8_t *out, const void *bytes, int64_t size) {
    memcpy(out, bytes, (size_t)size);
    return out + size;
}

static inline uint8_t *put_text(uint8_t *out, const char *text) {
    return put(out, text, (int64_t)strlen(text));
}

static inline uint8_t *put_number(uint8_t *out, int64_t value) {
    uint8_t digits[20];
    int count = 0;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0) *out++ = '-';
    do {
        digits[count++] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left);
    while (count) *out++ = digits[--count];
    return out;
}

/* The last `width` digits of a number that is not negative, with leading zeros. */
static inline uint8_t *put_padded(uint8_t *out, int64_t value, int width) {
    for (int i = width - 1; i >= 0; i--, value /= 10) out[i] = (uint8_t)('0' + value % 10);
    return out + width;
}

static inline uint8_t *put_checksum(uint8_t *out, uint32_t checksum) {
    for (int shift = 28; shift >= 0; shift -= 4) *out++ = (uint8_t)"0123456789abcdef"[(checksum >> shift) & 15];
    return out;
}

/* A minute since 1970 as 2031-01-02T03:04: (Howard Hinnant, "chrono-compatible low-level date algorithms",
 * civil_from_days). */
static uint8_t *put_minute(uint8_t *out, int64_t minute) {
    int64_t day = minute / DAY_MINUTES - (minute % DAY_MINUTES < 0);
    int64_t clock = minute - day * DAY_MINUTES;
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march + (month_from_march < 10 ? 3 : -9);
    out = put_padded(out, year_of_era + era * 400 + (month <= 2), 4);
    *out++ = '-';
    out = put_padded(out, month, 2);
    *out++ = '-';
    out = put_padded(out, day_of_year - (153 * month_from_march + 2) / 5 + 1, 2);
    *out++ = 'T';
    out = put_padded(out, clock / 60, 2);
    *out++ = ':';
    out = put_padded(out, clock % 60, 2);
    *out++ = ':';
    return out;
}

/* The text of a price without the zeros that end its fraction. */
static inline uint8_t *put_price_text(uint8_t *out, const uint8_t *at) {
    const uint8_t *end = at, *point = NULL;
    for (; (uint8_t)(*end - '0') < 10 || *end == '.'; end++) {
        if (*end == '.') point = end;
    }
    if (point) {
        while (end[-1] == '0') end--;
        if (end[-1] == '.') end--;
    }
    return put(out, at, end - at);
}

struct written_minute {
    int64_t minute;
    uint8_t text[24];
};

static inline uint8_t *put_time(uint8_t *out, struct written_minute *last, int64_t wall_us) {
    int64_t minute = wall_us / MINUTE_US - (wall_us % MINUTE_US < 0);
    int64_t rest = wall_us - minute * MINUTE_US;
    if (minute != last->minute) {
        put_minute(last->text, minute);
        last->minute = minute;
    }
    out = put(out, last->text, 17);
    out = put_padded(out, rest / 1000000, 2);
    *out++ = '.';
    out = put_padded(out, rest % 1000000, 6);
    return put_text(out, "+00:00");
}

/* A line up to its brace: what its checksum is of. */
static inline uint8_t *put_tick(uint8_t *out, const uint8_t *data, const struct columns *columns, int64_t row,
                                int64_t seq, struct written_minute *last) {
    int32_t game = columns->game[row], phase = columns->phase[row];
    out = put_text(out, "{\"type\": \"tick\", \"timestamp\": \"");
    out = put_time(out, last, columns->wall_us[row]);
    out = put_text(out, "\", \"game_id\": \"");
    out = put(out, data + columns->game_at[game], columns->game_length[game]);
    out = put_text(out, "\", \"tick\": ");
    out = put_number(out, columns->tick[row]);
    out = put_text(out, ", \"price\": ");
    out = put_price_text(out, data + columns->price_at[row]);
    out = put_text(out, ", \"phase\": \"");
    out = put(out, data + columns->phase_at[phase], columns->phase_length[phase]);
    out = put_text(out, columns->active[row] ? "\", \"active\": true" : "\", \"active\": false");
    out = put_text(out, columns->rugged[row] ? ", \"rugged\": true" : ", \"rugged\": false");
    out = put_text(out, ", \"cooldown_timer\": ");
    out = put_number(out, columns->cooldown_timer[row]);
    out = put_text(out, ", \"trade_count\": ");
    out = put_number(out, columns->trade_count[row]);
    out = put_text(out, ", \"seq\": ");
    return put_number(out, seq);
}

int64_t replaylab_write_journal(const uint8_t *data, const struct columns *columns, int64_t first, int64_t last,
                                int64_t seq, uint32_t seed, uint8_t *out) {
    extend_crc *extend = fastest_crc();
    struct written_minute minute = {.minute = INT64_MIN};
    uint8_t *at = out;
    for (int64_t row = first; row < last; row++) {
        uint8_t *line = at;
        at = put_tick(at, data, columns, row, seq++, &minute);
        uint32_t checksum = crc32c(extend, seed, line, at - line);
        at = put_text(at, ", \"crc\": \"");
        at = put_checksum(at, checksum);
        at = put_text(at, "\"}\n");
    }
    return at - out;
}

/* Where `, "seq": 17` begins that ends a body, and its number; -1 without one. */
static int64_t seq_before(const uint8_t *body, int64_t size, int64_t *seq) {
    static const char name[] = ", \"seq\": ";
    const int64_t length = sizeof name - 1;
    int64_t at = size, number = 0, power = 1;
    for (int digits = 0; digits < 18 && at > length && (uint8_t)(body[at - 1] - '0') < 10; digits++, power *= 10) {
        number += (body[--at] - '0') * power;
    }
    if (at == size || at < length || memcmp(body + at - length, name, (size_t)length) != 0) return -1;
    *seq = number;
    return at - length;
}

/* Where the last member but the checksum begins in a good line of a tick; -1 for any other line. */
static int64_t tick_end(extend_crc *extend, uint32_t seed, const uint8_t *line, int64_t size, int64_t *seq) {
    static const char opening[] = "{\"type\": \"tick\", ", closing[] = ", \"crc\": \"";
    uint8_t checksum[8];
    if (size < 64) return -1; /* shorter than any tick */
    int64_t body = size - 20;
    if (memcmp(line, opening, sizeof opening - 1) != 0) return -1;
    if (memcmp(line + body, closing, sizeof closing - 1) != 0 || memcmp(line + size - 2, "\"}", 2) != 0) return -1;
    put_checksum(checksum, crc32c(extend, seed, line, body));
    if (memcmp(checksum, line + size - 10, sizeof checksum) != 0) return -1;
    return seq_before(line, body, seq);
}

int64_t replaylab_read_journal(const uint8_t *data, int64_t size, uint32_t seed, struct journal_lines *lines) {
    extend_crc *extend = fastest_crc();
    uint8_t *out = lines->ticks;
    const uint8_t *line = data, *stop = data + size;
    int64_t row = 0;
    for (; row < lines->lines && line < stop; row++) {
        const uint8_t *end = memchr(line, '\n', (size_t)(stop - line));
        if (!end) break;
        lines->end[row] = end - data;
        lines->seq[row] = -1;
        int64_t cut = tick_end(extend, seed, line, end - line, &lines->seq[row]);
        if (cut >= 0) {
            out = put(out, line, cut);
            *out++ = '}';
            *out++ = '\n';
        }
        line = end + 1;
    }
    lines->tick_bytes = out - lines->ticks;
    return row;
}
