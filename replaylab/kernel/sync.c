/* Syncs of one journal, one after another, as its writer asks for them. See kernel.h for the contract. */
#define _POSIX_C_SOURCE 200809L
#include "kernel.h"

#if defined(__unix__) || defined(__APPLE__)

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS_AT_ONCE = 128 };

static int64_t time_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Wait until there is something to read, for at most `ns`. */
static int is_ready(int32_t requests, int64_t ns) {
    struct pollfd one = {.fd = requests, .events = POLLIN};
    return ns > 0 && poll(&one, 1, (int)((ns + 999999) / 1000000)) > 0;
}

/* Read what was asked for into `run`; 0 when nothing, or something for the caller, is among it. */
static int is_asked(int32_t requests, struct sync_run *run) {
    struct sync_request asked[REQUESTS_AT_ONCE];
    ssize_t size = read(requests, asked, sizeof asked);
    if (size <= 0) return 0;
    for (int64_t i = 0; i < size / (int64_t)sizeof asked[0]; i++) {
        if (asked[i].journal != run->journal) return 0;
        if (asked[i].seq <= run->asked_seq) continue;
        run->asked_seq = asked[i].seq;
        run->asked_size = asked[i].size;
    }
    return 1;
}

static int is_synced(int32_t descriptor, sync_call *sync, struct sync_run *run) {
    int64_t begun = time_ns(CLOCK_MONOTONIC);
    if ((sync == NULL ? fsync(descriptor) : sync(descriptor)) != 0) {
        run->error = errno == 0 ? EIO : errno;
        return 0;
    }
    run->took_ns[run->syncs++] = time_ns(CLOCK_MONOTONIC) - begun;
    run->synced_at_ns = time_ns(CLOCK_REALTIME);
    run->seq = run->asked_seq;
    run->size = run->asked_size;
    return 1;
}

void replaylab_sync_as_asked(int32_t descriptor, int32_t requests, sync_call *sync, struct sync_run *run) {
    int64_t end = time_ns(CLOCK_MONOTONIC) + run->most_ns;
    run->syncs = run->error = 0;
    while (is_synced(descriptor, sync, run) && run->syncs < MOST_SYNCS && run->seq < run->last_seq &&
           run->size < run->last_size) {
        while (run->asked_seq == run->seq)
            if (!is_ready(requests, end - time_ns(CLOCK_MONOTONIC)) || !is_asked(requests, run)) return;
    }
}

#endif
