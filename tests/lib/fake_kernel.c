/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ct_build.h"

/* nf_conntrack_ecache.c: the worker that sends ENDs again waits HZ / 10 when congested. */
#define RESEND_NS (100 * FT_NS_PER_MS)

static struct ft_fake_kernel *of(struct ft_ct_kernel *kernel)
{
    return (struct ft_fake_kernel *)kernel;
}

static const struct ft_fake_kernel *of_clock(const struct ft_clock *clock)
{
    const void *fake = (const char *)clock - offsetof(struct ft_fake_kernel, clock);
    return fake;
}

static int64_t fake_mono(const struct ft_clock *clock) { return of_clock(clock)->mono_ns; }

static int64_t fake_real(const struct ft_clock *clock) { return of_clock(clock)->real_ns; }

/* False when the kernel would keep the event to send it again. */
static bool send_event(struct ft_fake_kernel *fake, unsigned group, const void *data, size_t size)
{
    if (!fake->open || (fake->groups & group) == 0) {
        return true;
    }
    uint64_t used = (uint64_t)fake->n_events * FT_FAKE_EVENT_BYTES;
    if (fake->congested || used + FT_FAKE_EVENT_BYTES > fake->rcvbuf_bytes) {
        fake->drops++;
        fake->overrun_due = fake->overrun_due || !fake->congested;
        fake->congested = true;
        return !fake->reliable;
    }
    struct ft_fake_event *event = &fake->events[(fake->first + fake->n_events) % fake->n_places];
    if (size > sizeof event->data) {
        abort();
    }
    event->size = size;
    memcpy(event->data, data, size);
    fake->n_events++;
    fake->n_sent++;
    return true;
}

static bool send_record(struct ft_fake_kernel *fake, struct ft_ct_record record,
                        enum ft_ct_kind kind, unsigned group)
{
    uint8_t message[FT_CT_BUILD_SIZE_MAX];
    record.kind = kind;
    if (kind != FT_CT_DESTROY) {
        record.has &= ~(FT_CT_HAS_COUNTERS | FT_CT_HAS_START | FT_CT_HAS_STOP);
    }
    if (fake->event_stamps && fake->switches[FT_CT_SWITCH_TIMESTAMP] != 0) {
        record.has |= FT_CT_HAS_EVENT;
        record.event_ns = kind == FT_CT_DESTROY && (record.has & FT_CT_HAS_STOP) != 0
                              ? record.stop_ns
                              : fake->real_ns;
    }
    return send_event(fake, group, message, ft_ct_build(&record, false, message, sizeof message));
}

static void send_end(struct ft_fake_kernel *fake, struct ft_fake_flow *flow)
{
    flow->end_told = send_record(fake, flow->record, FT_CT_DESTROY, FT_CT_GROUP_DESTROY);
    flow->dying = !flow->end_told;
}

static ft_err events_open(struct ft_ct_kernel *kernel, const struct ft_ct_events_options *options,
                          uint64_t *ret_rcvbuf)
{
    struct ft_fake_kernel *fake = of(kernel);
    if (fake->n_open_errors > 0) {
        fake->n_open_errors--;
        return ft_err_from_errno(EPERM);
    }
    fake->rcvbuf_bytes = options->rcvbuf_bytes < fake->rcvbuf_bytes_max ? options->rcvbuf_bytes
                                                                        : fake->rcvbuf_bytes_max;
    free(fake->events);
    fake->n_places = (size_t)(fake->rcvbuf_bytes / FT_FAKE_EVENT_BYTES) + 1;
    fake->events = calloc(fake->n_places, sizeof *fake->events);
    fake->first = 0;
    fake->n_events = 0;
    fake->congested = false;
    fake->overrun_due = false;
    fake->groups = options->groups;
    fake->reliable = options->reliable;
    fake->open = true;
    fake->n_opens++;
    *ret_rcvbuf = fake->rcvbuf_bytes;
    return FT_OK;
}

/* The kernel's side of the socket is as it was. */
static ft_err events_adopt(struct ft_ct_kernel *kernel, int fd,
                           const struct ft_ct_events_options *options, uint64_t drops,
                           uint64_t *ret_rcvbuf)
{
    struct ft_fake_kernel *fake = of(kernel);
    (void)fd;
    (void)drops;
    if (!fake->open) {
        return FT_E_UNSUPPORTED;
    }
    fake->groups = options->groups;
    fake->reliable = options->reliable;
    fake->n_adopted++;
    *ret_rcvbuf = fake->rcvbuf_bytes;
    return FT_OK;
}

static void events_close(struct ft_ct_kernel *kernel)
{
    struct ft_fake_kernel *fake = of(kernel);
    fake->open = fake->held;
    fake->n_closes++;
}

static ft_err events_recv(struct ft_ct_kernel *kernel, void *buf, size_t size, size_t *ret_size)
{
    struct ft_fake_kernel *fake = of(kernel);
    if (fake->recv_error != FT_OK) {
        ft_err err = fake->recv_error;
        fake->recv_error = FT_OK;
        return err;
    }
    if (fake->overrun_due) {
        fake->overrun_due = false;
        return FT_E_OVERRUN;
    }
    if (fake->n_events == 0) {
        return ft_err_from_errno(EAGAIN);
    }
    const struct ft_fake_event *event = &fake->events[fake->first];
    if (event->size > size) {
        abort();
    }
    memcpy(buf, event->data, event->size);
    *ret_size = event->size;
    fake->first = (fake->first + 1) % fake->n_places;
    fake->n_events--;
    fake->congested = fake->congested && fake->n_events > 0;
    return FT_OK;
}

static ft_err events_wait(struct ft_ct_kernel *kernel, int wake_fd, int64_t deadline_mono_ns)
{
    (void)kernel;
    (void)wake_fd;
    (void)deadline_mono_ns;
    return FT_OK;
}

static ft_err events_set_groups(struct ft_ct_kernel *kernel, unsigned groups)
{
    of(kernel)->groups = groups;
    return FT_OK;
}

static ft_err events_set_reliable(struct ft_ct_kernel *kernel, bool reliable)
{
    of(kernel)->reliable = reliable;
    return FT_OK;
}

static ft_err events_drops(struct ft_ct_kernel *kernel, uint64_t *ret_drops)
{
    *ret_drops = of(kernel)->drops;
    return FT_OK;
}

static ft_err dump_start(struct ft_ct_kernel *kernel)
{
    struct ft_fake_kernel *fake = of(kernel);
    if (fake->n_dump_errors > 0) {
        fake->n_dump_errors--;
        return ft_err_from_errno(EBUSY);
    }
    fake->dumping = true;
    fake->dump_at = 0;
    fake->n_dumps++;
    return FT_OK;
}

static ft_err dump_recv(struct ft_ct_kernel *kernel, unsigned wait_ms, void *buf, size_t size,
                        size_t *ret_size, bool *ret_consistent)
{
    struct ft_fake_kernel *fake = of(kernel);
    (void)wait_ms;
    if (!fake->dumping) {
        return ft_err_from_errno(EINVAL);
    }
    size_t used = 0;
    for (size_t n = 0; n < fake->dump_entries_max && fake->dump_at < fake->n_flows &&
                       used + FT_CT_BUILD_SIZE_MAX <= size;
         fake->dump_at++) {
        const struct ft_fake_flow *flow = &fake->flows[fake->dump_at];
        if (flow->alive) {
            used += ft_ct_build(&flow->record, true, (uint8_t *)buf + used, size - used);
            n++;
        }
    }
    if (used == 0) {
        fake->dumping = false;
        *ret_consistent = !fake->dump_changes;
        fake->dump_changes = false;
        return FT_E_END;
    }
    *ret_size = used;
    return FT_OK;
}

static void dump_abort(struct ft_ct_kernel *kernel) { of(kernel)->dumping = false; }

static ft_err table_fill(struct ft_ct_kernel *kernel, uint64_t *ret_count, uint64_t *ret_max)
{
    struct ft_fake_kernel *fake = of(kernel);
    *ret_count = 0;
    for (size_t i = 0; i < fake->n_flows; i++) {
        *ret_count += fake->flows[i].alive || fake->flows[i].dying;
    }
    *ret_max = fake->table_max;
    return FT_OK;
}

static ft_err switch_get(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int *ret_value)
{
    *ret_value = of(kernel)->switches[which];
    return FT_OK;
}

static ft_err switch_set(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int value)
{
    of(kernel)->switches[which] = value;
    return FT_OK;
}

static void destroy(struct ft_ct_kernel *kernel) { ft_fake_kernel_deinit(of(kernel)); }

static const struct ft_ct_kernel_ops fake_ops = {
    .events_open = events_open,
    .events_adopt = events_adopt,
    .events_close = events_close,
    .events_recv = events_recv,
    .events_wait = events_wait,
    .events_set_groups = events_set_groups,
    .events_set_reliable = events_set_reliable,
    .events_drops = events_drops,
    .dump_start = dump_start,
    .dump_recv = dump_recv,
    .dump_abort = dump_abort,
    .table_fill = table_fill,
    .switch_get = switch_get,
    .switch_set = switch_set,
    .destroy = destroy,
};

void ft_fake_kernel_init(struct ft_fake_kernel *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->base.ops = &fake_ops;
    fake->clock = (struct ft_clock){.mono_ns = fake_mono, .real_ns = fake_real};
    fake->mono_ns = 1000 * FT_NS_PER_S;
    fake->real_ns = INT64_C(1700000000) * FT_NS_PER_S;
    fake->event_stamps = true;
    fake->table_max = 262144;
    fake->switches[FT_CT_SWITCH_ACCT] = 1;
    fake->switches[FT_CT_SWITCH_TIMESTAMP] = 1;
    fake->dump_entries_max = 16;
    fake->rcvbuf_bytes_max = (uint64_t)1 << 20;
}

void ft_fake_kernel_deinit(struct ft_fake_kernel *fake)
{
    free(fake->flows);
    free(fake->events);
    fake->flows = NULL;
    fake->events = NULL;
}

void ft_fake_kernel_advance(struct ft_fake_kernel *fake, int64_t ns)
{
    fake->mono_ns += ns;
    fake->real_ns += ns;
    if (fake->mono_ns < fake->resend_mono_ns) {
        return;
    }
    fake->resend_mono_ns = fake->mono_ns + RESEND_NS;
    for (size_t i = 0; i < fake->n_flows; i++) {
        if (fake->flows[i].dying) {
            send_end(fake, &fake->flows[i]);
        }
    }
}

size_t ft_fake_kernel_begin(struct ft_fake_kernel *fake, const struct ft_ct_record *record)
{
    if (fake->n_flows == fake->capacity) {
        fake->capacity = fake->capacity == 0 ? 64 : fake->capacity * 2;
        fake->flows = realloc(fake->flows, fake->capacity * sizeof *fake->flows);
        if (fake->flows == NULL) {
            abort();
        }
    }
    struct ft_fake_flow *flow = &fake->flows[fake->n_flows];
    *flow = (struct ft_fake_flow){.record = *record, .alive = true};
    if (fake->switches[FT_CT_SWITCH_ACCT] != 0) {
        flow->record.has |= FT_CT_HAS_COUNTERS;
    }
    if (fake->switches[FT_CT_SWITCH_TIMESTAMP] != 0) {
        flow->record.has |= FT_CT_HAS_START;
        flow->record.start_ns = fake->real_ns;
    }
    (void)send_record(fake, flow->record, FT_CT_NEW, FT_CT_GROUP_NEW);
    return fake->n_flows++;
}

size_t ft_fake_kernel_begin_sample(struct ft_fake_kernel *fake, uint32_t n)
{
    struct ft_ct_record record;
    ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
    return ft_fake_kernel_begin(fake, &record);
}

void ft_fake_kernel_count(struct ft_fake_kernel *fake, size_t flow, uint64_t orig_packets,
                          uint64_t orig_bytes, uint64_t reply_packets, uint64_t reply_bytes)
{
    struct ft_ct_record *record = &fake->flows[flow].record;
    record->orig_packets += orig_packets;
    record->orig_bytes += orig_bytes;
    record->reply_packets += reply_packets;
    record->reply_bytes += reply_bytes;
}

void ft_fake_kernel_update(struct ft_fake_kernel *fake, size_t flow)
{
    (void)send_record(fake, fake->flows[flow].record, FT_CT_UPDATE, FT_CT_GROUP_UPDATE);
}

void ft_fake_kernel_end(struct ft_fake_kernel *fake, size_t number)
{
    struct ft_fake_flow *flow = &fake->flows[number];
    flow->alive = false;
    if ((flow->record.has & FT_CT_HAS_START) != 0) {
        flow->record.has |= FT_CT_HAS_STOP;
        flow->record.stop_ns = fake->real_ns;
    }
    send_end(fake, flow);
}

void ft_fake_kernel_repeat_end(struct ft_fake_kernel *fake, size_t flow)
{
    send_end(fake, &fake->flows[flow]);
}

void ft_fake_kernel_send_raw(struct ft_fake_kernel *fake, const void *data, size_t size)
{
    (void)send_event(fake, FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY, data, size);
}
