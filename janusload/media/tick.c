/* The C tick: what `tick.PythonTick` does for flows that only play a clip and count what comes. See native.py.
 *
 * Compiled by native.py where a C compiler is; the structs are mirrored there, field for field. libsrtp is the one that
 * pylibsrtp has loaded, whose sessions these are: its functions come as pointers, and nothing is linked. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    HEADER = 12,         /* RFC 3550 section 5.1 */
    LARGEST = 2048,      /* as tick.BUFFER_BYTES */
    TRAILER = 160,       /* as tick.TRAILER_BYTES */
    BATCH = 4,           /* datagrams that are read by one call */
    MOST_OF_ONE = 64,    /* datagrams of one flow before the others have their turn */
    EVENTS = 64,
    FORESEEN = 256,      /* as in native.py */
    LATE_STEPS = 1000,   /* as quality.Lateness */
    LATE_STEP_NS = 100000,
    REPLAY_FAIL = 9,     /* as srtp.REPLAYED */
    REPLAY_OLD = 10,
    MAX_DROPOUT = 3000,  /* RFC 3550 appendix A.1 */
    MAX_MISORDER = 100,
};

typedef int (*srtp_function)(void *session, void *packet, int *length);

struct packet {
    const uint8_t *rest; /* behind the header: extension and payload */
    uint32_t size;       /* of the rest */
    uint32_t octets;     /* of the payload; 0: left out */
    uint32_t first;      /* the header's first two bytes, without payload type */
    uint32_t more;       /* the next one has the same timestamp, and leaves with it */
};

/* as quality.Reception */
struct reception {
    int64_t received, lost_before, in_stretch, base, max, cycles, resync;
    int64_t expected_prior, received_prior, sender_ntp, sender_ns, jitter_x16, first_ns;
    uint32_t clock_rate, ssrc, transit, begun, jitter_known, unused;
};

/* as flow.Flow */
struct flow {
    void *tx, *rx;
    const struct packet *packets;
    const uint8_t *copies; /* how often each of the next FORESEEN packets is sent, from `copy` on; NULL: once */
    int64_t sent, sent_bytes, octets, used, late, received_bytes;
    int64_t forged, replayed, strange, send_errors, receive_errors, began_ns;
    uint32_t packet_count, index, every, wait, step, timestamp, ssrc, sequence;
    uint32_t payload_type, second, sending, copy, unused;
    int32_t fd;
    struct reception reception;
};

/* a datagram that is Python's business: RTCP, decrypted, or what is neither RTP nor RTCP */
struct event {
    struct flow *flow;
    int64_t arrived_ns;
    uint32_t is_rtcp, size;
    uint8_t data[LARGEST];
};

/* flows that send and are read together; the last three are of a reading: how far it is, whether there may be more for
 * another, and whether one is wanted since they last sent */
struct slot {
    struct flow **flows;
    int64_t count, due_ns, read;
    uint32_t more, unread;
};

struct tick {
    srtp_function protect, unprotect, unprotect_rtcp;
    int64_t late_after_ns;
    int32_t wanted;    /* set by any thread that wants tick_run to return */
    uint32_t counting; /* which of the two is counted into; the other is read meanwhile */
    uint32_t late_counts[2][LATE_STEPS + 1];
    uint32_t event_count;
    struct event events[EVENTS];
};

static const int64_t FOR_EVER = INT64_MAX;

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
}

/* sizes of what native.py mirrors, so that it can tell that it does */
void tick_sizes(uint64_t sizes[6])
{
    sizes[0] = sizeof(struct packet);
    sizes[1] = sizeof(struct reception);
    sizes[2] = sizeof(struct flow);
    sizes[3] = sizeof(struct event);
    sizes[4] = sizeof(struct slot);
    sizes[5] = sizeof(struct tick);
}

static void count_late(struct tick *tick, int64_t late_ns)
{
    int64_t step = late_ns > 0 ? late_ns / LATE_STEP_NS : 0;
    tick->late_counts[tick->counting & 1][step < LATE_STEPS ? step : LATE_STEPS]++;
}

/* Go on in the clip: past a packet, and past the others of its timestamp. */
static void pass_over(struct flow *flow)
{
    uint32_t more;

    do {
        more = flow->packets[flow->index].more;
        flow->index = flow->index + 1 < flow->packet_count ? flow->index + 1 : 0;
    } while (more);
}

void tick_skip(struct tick *tick, struct slot *slot, int64_t periods, int64_t period_ns)
{
    for (int64_t i = 0; i < slot->count; i++) {
        struct flow *flow = slot->flows[i];
        int64_t passed = periods;
        while (passed >= flow->wait) {
            passed -= flow->wait;
            flow->wait = flow->every;
            flow->timestamp += flow->step;
            pass_over(flow);
            if (flow->sending) {
                flow->late++;
                count_late(tick, periods * period_ns);
            }
        }
        flow->wait -= passed;
    }
}

static void send_one(struct tick *tick, struct flow *flow, const struct packet *packet, int64_t due_ns)
{
    _Alignas(16) uint8_t buffer[LARGEST];
    int length = HEADER + packet->size;

    flow->sequence = (flow->sequence + 1) & 0xFFFF;
    flow->used++;
    int copies = flow->copies ? flow->copies[flow->copy++ % FORESEEN] : 1;
    if (!copies)
        return;
    put16(buffer, packet->first | flow->second);
    put16(buffer + 2, flow->sequence);
    put32(buffer + 4, flow->timestamp);
    put32(buffer + 8, flow->ssrc);
    memcpy(buffer + HEADER, packet->rest, packet->size);
    flow->second = flow->payload_type;
    /* plain RTP has no session */
    if (flow->tx && tick->protect(flow->tx, buffer, &length)) {
        flow->send_errors++;
        return;
    }
    while (copies--) {
        ssize_t bytes = send(flow->fd, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (bytes < 0) {
            flow->send_errors++;
            continue;
        }
        flow->sent_bytes += bytes;
        flow->sent++;
        flow->octets += packet->octets;
        int64_t late_ns = now_ns(CLOCK_MONOTONIC) - due_ns;
        if (late_ns > tick->late_after_ns)
            flow->late++;
        count_late(tick, late_ns);
    }
}

void tick_send(struct tick *tick, struct slot *slot, int64_t due_ns)
{
    for (int64_t i = 0; i < slot->count; i++) {
        struct flow *flow = slot->flows[i];
        const struct packet *packet;
        if (flow->wait > 1) {
            flow->wait--;
            continue;
        }
        flow->wait = flow->every;
        flow->timestamp += flow->step;
        if (!flow->sending)
            continue;
        if (!flow->index)
            flow->began_ns = due_ns;
        do {
            packet = &flow->packets[flow->index];
            flow->index = flow->index + 1 < flow->packet_count ? flow->index + 1 : 0;
            if (packet->octets)
                send_one(tick, flow, packet, due_ns);
        } while (packet->more);
    }
}

static int64_t lost(const struct reception *from)
{
    if (!from->begun)
        return 0;
    int64_t missing = from->cycles + from->max - from->base + 1 - from->in_stretch;
    return from->lost_before + (missing > 0 ? missing : 0);
}

static void begin(struct reception *from, uint32_t ssrc, uint32_t sequence)
{
    from->lost_before = lost(from);
    from->ssrc = ssrc;
    from->begun = 1;
    from->base = from->max = sequence;
    from->cycles = from->in_stretch = 0;
    from->expected_prior = from->received_prior = 0;
    from->resync = -1;
    from->sender_ntp = from->sender_ns = 0;
}

static void received(struct reception *from, uint32_t ssrc, uint32_t sequence, uint32_t timestamp, int64_t arrived_ns)
{
    from->received++;
    if (!from->begun || ssrc != from->ssrc) {
        if (!from->first_ns)
            from->first_ns = arrived_ns;
        begin(from, ssrc, sequence);
    } else {
        uint32_t ahead = (sequence - (uint32_t)from->max) & 0xFFFF;
        if (ahead < MAX_DROPOUT) {
            if (sequence < from->max)
                from->cycles += 0x10000;
            from->max = sequence;
        } else if (ahead <= 0x10000 - MAX_MISORDER) {
            if (sequence != from->resync) {
                from->resync = (sequence + 1) & 0xFFFF;
                from->received--;
                return;
            }
            begin(from, ssrc, sequence);
        }
    }
    from->in_stretch++;
    int64_t seconds = arrived_ns / 1000000000, rest = arrived_ns % 1000000000;
    uint32_t transit = (uint32_t)(seconds * from->clock_rate + rest * from->clock_rate / 1000000000) - timestamp;
    if (from->in_stretch > 1) {
        int64_t difference = (int32_t)(transit - from->transit);
        if (difference < 0)
            difference = -difference;
        from->jitter_x16 += difference - ((from->jitter_x16 + 8) >> 4);
        from->jitter_known = 1;
    }
    from->transit = transit;
}

static void tell(struct tick *tick, struct flow *flow, const uint8_t *data, int size, int is_rtcp, int64_t arrived_ns)
{
    struct event *event = &tick->events[tick->event_count++];
    event->flow = flow;
    event->arrived_ns = arrived_ns;
    event->is_rtcp = is_rtcp;
    event->size = size;
    memcpy(event->data, data, size);
}

/* Take a datagram, in place; the caller has seen to it that there is room for an event. */
static void take(struct tick *tick, struct flow *flow, uint8_t *data, int size, int64_t arrived_ns)
{
    uint32_t first = size ? data[0] : 255;
    int length = size;

    /* RFC 7983 section 7 */
    if (first < 128 || first > 191) {
        if (first <= 3 || (first >= 20 && first <= 63))
            tell(tick, flow, data, size, 0, arrived_ns);
        else
            flow->strange++;
        return;
    }
    /* RFC 5761 section 4 */
    int is_rtcp = flow->rx && size >= 2 && data[1] >= 192 && data[1] <= 223;
    if (!flow->rx && size < HEADER) {
        flow->strange++;
        return;
    }
    int failure = flow->rx ? (is_rtcp ? tick->unprotect_rtcp : tick->unprotect)(flow->rx, data, &length) : 0;
    if (failure) {
        if (failure == REPLAY_FAIL || failure == REPLAY_OLD)
            flow->replayed++;
        else
            flow->forged++;
    } else if (is_rtcp) {
        tell(tick, flow, data, length, 1, arrived_ns);
    } else {
        flow->received_bytes += size;
        received(&flow->reception, get32(data + 8), get16(data + 2), get32(data + 4), arrived_ns);
    }
}

void tick_take(struct tick *tick, struct flow *flow, const uint8_t *data, int64_t size, int64_t arrived_ns)
{
    _Alignas(16) uint8_t buffer[LARGEST];

    tick->event_count = 0;
    if (size > LARGEST - TRAILER) {
        flow->strange++;
        return;
    }
    memcpy(buffer, data, size);
    take(tick, flow, buffer, size, arrived_ns);
}

static int64_t stamp_ns(struct msghdr *message)
{
    for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each))
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
            return stamp.tv_sec * INT64_C(1000000000) + stamp.tv_nsec;
        }
    return now_ns(CLOCK_REALTIME);
}

static int is_full(const struct tick *tick)
{
    return tick->event_count > EVENTS - BATCH;
}

/* Read the flows of a slot once, each until it has nothing more, from where it was interrupted. Returns false when it was
 * again: the events are to be looked at first, or the time is over. Sets `more` when a flow may have something left. */
static int read_once(struct tick *tick, struct slot *slot, int64_t until_ns)
{
    _Alignas(16) uint8_t buffers[BATCH][LARGEST];
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } stamps[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];

    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], LARGEST};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = &stamps[i]};
    }
    if (!slot->read)
        slot->more = 0;
    for (; slot->read < slot->count; slot->read++) {
        struct flow *flow = slot->flows[slot->read];
        if (until_ns < FOR_EVER && now_ns(CLOCK_MONOTONIC) >= until_ns)
            return 0;
        for (int read = 0;;) {
            if (is_full(tick))
                return 0;
            for (int j = 0; j < BATCH; j++) {
                messages[j].msg_hdr.msg_controllen = sizeof stamps[j];
                messages[j].msg_hdr.msg_flags = 0;
            }
            int got = recvmmsg(flow->fd, messages, BATCH, MSG_DONTWAIT, NULL);
            if (got < 0) {
                /* an ICMP error of an earlier datagram; reading it has cleared it */
                if (errno != EAGAIN && errno != EWOULDBLOCK) {
                    flow->receive_errors++;
                    if (++read < MOST_OF_ONE)
                        continue;
                }
                break;
            }
            for (int j = 0; j < got; j++)
                take(tick, flow, buffers[j], messages[j].msg_len, stamp_ns(&messages[j].msg_hdr));
            read += got;
            if (got < BATCH)
                break;
            if (read >= MOST_OF_ONE) {
                slot->more = 1;
                break;
            }
        }
    }
    slot->read = 0;
    return 1;
}

/* Read the flows of a slot until they have nothing more, or the time is over: what is left then stays in the kernel.
 * Returns false when the events are to be looked at first: call again then. */
int32_t tick_drain(struct tick *tick, struct slot *slot, int64_t until_ns)
{
    tick->event_count = 0;
    do {
        if (!read_once(tick, slot, FOR_EVER))
            return 0;
    } while (slot->more && now_ns(CLOCK_MONOTONIC) < until_ns);
    slot->unread = 0;
    return 1;
}

/* Read the slots that are not read yet while there is time. Returns false when the events are to be looked at first. */
static int read_while_there_is_time(struct tick *tick, struct slot *slots, int64_t count, int64_t until_ns)
{
    for (int64_t i = 0; i < count; i++)
        while (slots[i].unread) {
            if (now_ns(CLOCK_MONOTONIC) >= until_ns)
                return 1;
            if (read_once(tick, &slots[i], until_ns))
                slots[i].unread = slots[i].more;
            else if (is_full(tick))
                return 0;
        }
    return 1;
}

static void sleep_until(int64_t moment_ns)
{
    struct timespec moment = {moment_ns / 1000000000, moment_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
}

/* What Pump._run does for one slot after the other, until `until_ns`, until it is wanted, or until there are so many
 * events that they are to be looked at. What is due leaves first; what came bears its stamp and can wait. */
void tick_run(struct tick *tick, struct slot *slots, int64_t count, int64_t period_ns, int64_t until_ns)
{
    tick->event_count = 0;
    while (!__atomic_load_n(&tick->wanted, __ATOMIC_RELAXED)) {
        struct slot *next = NULL;
        for (int64_t i = 0; i < count; i++)
            if (slots[i].count && (!next || slots[i].due_ns < next->due_ns))
                next = &slots[i];
        if (!next)
            return;
        if (!read_while_there_is_time(tick, slots, count, next->due_ns < until_ns ? next->due_ns : until_ns))
            return;
        if (next->due_ns > until_ns)
            return;
        sleep_until(next->due_ns);
        /* not read for a whole period: else it would never be */
        if (next->unread && !read_once(tick, next, FOR_EVER))
            return;
        int64_t missed = (now_ns(CLOCK_MONOTONIC) - next->due_ns) / period_ns;
        if (missed > 0) {
            next->due_ns += missed * period_ns;
            tick_skip(tick, next, missed, period_ns);
        }
        tick_send(tick, next, next->due_ns);
        next->due_ns += period_ns;
        next->unread = 1;
    }
}
