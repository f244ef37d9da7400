/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/delivery.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/token.h"
#include "base/log.h"
#include "base/thread.h"
#include "rpc/client.h"

/* How often the thread looks whether it is to stop, besides being woken. */
#define STEP_NS (1 * FT_NS_PER_S)
/* For the last status, when all is delivered. */
#define FINISH_NS FT_NS_PER_S

struct ft_delivery {
    /* Set at creation. */
    struct ft_delivery_options options;
    struct ft_exporter *exporter; /* NULL: no collector configured. */
    struct ft_thread thread;
    bool report_own; /* The agent's own connection is to be reported. */
    /* The delivery's thread. */
    struct ft_rpc_target target;
    enum ft_link_state logged_state;
    struct ft_binding binding; /* What is known of the collector. */
    /* Any thread. */
    _Atomic bool stopping;
    _Atomic int64_t stop_deadline_ns;
    struct ft_mutex lock;
    struct ft_stream *stream FT_GUARDED;      /* Only its wake() is for other threads. */
    struct ft_stream *next_stream FT_GUARDED; /* From a reload, to be taken over. */
    struct ft_rpc_target next_target FT_GUARDED;
    enum ft_trust_policy next_receipts FT_GUARDED;
    struct ft_receipt_keys next_receipt_keys FT_GUARDED;
    char token_file[512] FT_GUARDED;
    struct ft_token token FT_GUARDED; /* The last good one. */
    struct ft_uuid instance_id FT_GUARDED;
};

static ft_err make_stream(struct ft_delivery *delivery, const struct ft_agent_options *config,
                          struct ft_stream **ret_stream, struct ft_rpc_target *ret_target,
                          struct ft_diag *reterr_diag);
static ft_err give_token(void *ctx, char *buf, size_t buf_size);
static void set_instance(struct ft_delivery *delivery, const struct ft_uuid *instance_id);
static void learn_peers(struct ft_delivery *delivery);
static struct ft_binding binding_of(const struct ft_spool_binding *from);
static void run(void *ctx);
static void take_over_stream(struct ft_delivery *delivery);
static uint64_t host_next_seq(void *ctx);
static void host_fill_status(void *ctx, struct ft_msg_status *status);
static void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns);
static void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
static void host_on_damaged(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
static void host_on_sent(void *ctx, uint64_t n_events);
static ft_err host_on_bound(void *ctx, const struct ft_uuid *collector_id);
static ft_err host_on_new_instance(void *ctx, uint64_t base_seq, const struct ft_progress *before,
                                   struct ft_uuid *ret_instance_id);
static void host_on_trusted(void *ctx, const struct ft_binding *binding);
static void host_on_gone_back(void *ctx, uint64_t durable_seq);
static void host_on_gone(void *ctx, const struct ft_loss *loss);
static void host_on_state(void *ctx, enum ft_link_state state, const char *text);

ft_err ft_delivery_create(const struct ft_delivery_options *options,
                          struct ft_delivery **ret_delivery, struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_delivery_destroy) struct ft_delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&delivery->lock);
    delivery->options = *options;
    set_instance(delivery, &options->instance_id);
    const struct ft_agent_options *config = options->config;
    delivery->report_own = config->filter.own_connection;
    if (config->collector.url[0] != '\0') {
        struct ft_stream *stream = NULL;
        FT_TRY(make_stream(delivery, config, &stream, &delivery->target, reterr_diag));
        ft_mutex_lock(&delivery->lock);
        delivery->stream = stream;
        ft_mutex_unlock(&delivery->lock);
        struct ft_exporter_options exporter = {.link = ft_link_options_default,
                                               .window_bytes = config->collector.window_bytes,
                                               .agent_id = options->agent_id,
                                               .instance_id = options->instance_id,
                                               .started_ns = options->started_ns,
                                               .clock = options->clock,
                                               .random = options->random,
                                               .stream = stream,
                                               .log = options->log,
                                               .host = {.ctx = delivery,
                                                        .next_seq = host_next_seq,
                                                        .fill_status = host_fill_status,
                                                        .on_acked = host_on_acked,
                                                        .on_rejected = host_on_rejected,
                                                        .on_damaged = host_on_damaged,
                                                        .on_sent = host_on_sent,
                                                        .on_bound = host_on_bound,
                                                        .on_new_instance = host_on_new_instance,
                                                        .on_state = host_on_state}};
        exporter.link.backoff_base_ns = config->collector.backoff_base;
        exporter.link.backoff_max_ns = config->collector.backoff_max;
        exporter.link.open_timeout_ns = config->collector.connect_timeout;
        exporter.link.hello_timeout_ns = config->collector.connect_timeout;
        exporter.link.ack_timeout_ns = config->collector.ack_timeout;
        (void)snprintf(exporter.host_name, sizeof exporter.host_name, "%s", options->host_name);
        (void)snprintf(exporter.agent_version, sizeof exporter.agent_version, "%s", FT_VERSION);
        (void)snprintf(exporter.kernel_release, sizeof exporter.kernel_release, "%s",
                       options->kernel_release);
        exporter.host.on_trusted = host_on_trusted;
        exporter.host.on_gone_back = host_on_gone_back;
        exporter.host.on_gone = host_on_gone;
        exporter.receipts = (enum ft_trust_policy)config->collector.receipts;
        FT_TRY(ft_receipt_keys_load(config->collector.receipt_key, &exporter.receipt_keys,
                                    reterr_diag));
        if (options->spool != NULL) {
            struct ft_spool_identity identity;
            ft_spool_get_identity(options->spool, &identity);
            exporter.durable_only = true;
            exporter.window_bytes =
                ft_spool_window(config->collector.window_bytes, config->spool.bytes_max);
            exporter.bound = identity.binding.bound;
            exporter.collector_id = identity.binding.collector_id;
            exporter.binding = binding_of(&identity.binding);
            delivery->binding = exporter.binding;
            exporter.base_seq = identity.base_seq;
            exporter.known_seq = identity.known_seq;
            exporter.lives = identity.lives;
        }
        FT_TRY(ft_exporter_create(&exporter, &delivery->exporter));
    }
    *ret_delivery = FT_TAKE(delivery);
    return FT_OK;
}

ft_err ft_delivery_start(struct ft_delivery *delivery)
{
    if (delivery->exporter == NULL) {
        return FT_OK;
    }
    ft_exporter_enable(delivery->exporter);
    return ft_thread_start(&delivery->thread, "export", run, delivery);
}

ft_err ft_delivery_reload(struct ft_delivery *delivery, const struct ft_agent_options *config,
                          struct ft_diag *reterr_diag)
{
    if (delivery->exporter == NULL) {
        if (config->collector.url[0] == '\0') {
            return FT_OK;
        }
        return ft_diag_set(reterr_diag, FT_E_UNSUPPORTED, NULL, 0, 0,
                           "collector.url was empty at the start: a restart is needed");
    }
    struct ft_stream *stream = NULL;
    struct ft_rpc_target target;
    struct ft_receipt_keys keys;
    FT_TRY(ft_receipt_keys_load(config->collector.receipt_key, &keys, reterr_diag));
    FT_TRY(make_stream(delivery, config, &stream, &target, reterr_diag));
    ft_mutex_lock(&delivery->lock);
    delivery->next_receipts = (enum ft_trust_policy)config->collector.receipts;
    delivery->next_receipt_keys = keys;
    struct ft_stream *older = delivery->next_stream;
    delivery->next_stream = stream;
    delivery->next_target = target;
    ft_mutex_unlock(&delivery->lock);
    if (older != NULL) {
        older->ops->destroy(older);
    }
    ft_delivery_wake(delivery);
    return FT_OK;
}

void ft_delivery_stop(struct ft_delivery *delivery, int64_t timeout_ns)
{
    delivery->stop_deadline_ns = ft_clock_mono_ns(delivery->options.clock) + timeout_ns;
    delivery->stopping = true;
    ft_delivery_wake(delivery);
    ft_thread_join(&delivery->thread);
}

void ft_delivery_destroy(struct ft_delivery *delivery) FT_NO_TSA
{
    if (delivery == NULL) {
        return;
    }
    ft_exporter_destroy(delivery->exporter);
    if (delivery->stream != NULL) {
        delivery->stream->ops->destroy(delivery->stream);
    }
    if (delivery->next_stream != NULL) {
        delivery->next_stream->ops->destroy(delivery->next_stream);
    }
    ft_token_wipe(&delivery->token);
    ft_mutex_deinit(&delivery->lock);
    free(delivery);
}

void ft_delivery_wake(struct ft_delivery *delivery)
{
    ft_mutex_lock(&delivery->lock);
    if (delivery->stream != NULL) {
        delivery->stream->ops->wake(delivery->stream);
    }
    ft_mutex_unlock(&delivery->lock);
}

static void set_instance(struct ft_delivery *delivery, const struct ft_uuid *instance_id)
{
    ft_mutex_lock(&delivery->lock);
    delivery->instance_id = *instance_id;
    ft_mutex_unlock(&delivery->lock);
}

void ft_delivery_get_instance(struct ft_delivery *delivery, struct ft_uuid *ret_instance_id)
{
    ft_mutex_lock(&delivery->lock);
    *ret_instance_id = delivery->instance_id;
    ft_mutex_unlock(&delivery->lock);
}

bool ft_delivery_is_configured(const struct ft_delivery *delivery)
{
    return delivery->exporter != NULL;
}

const struct ft_exporter_stats *ft_delivery_stats(const struct ft_delivery *delivery)
{
    return delivery->exporter != NULL ? ft_exporter_stats(delivery->exporter) : NULL;
}

void ft_delivery_last_text(struct ft_delivery *delivery, char *buf, size_t size)
{
    buf[0] = '\0';
    if (delivery->exporter != NULL) {
        ft_exporter_last_text(delivery->exporter, buf, size);
    }
}

/* What was kept of the collector. */
static struct ft_binding binding_of(const struct ft_spool_binding *from)
{
    struct ft_binding binding = {.has_collector = from->bound,
                                 .collector_id = from->collector_id,
                                 .has_key = from->has_receipt_key,
                                 .has_epoch = from->has_store_epoch,
                                 .store_epoch = from->store_epoch};
    memcpy(binding.key, from->receipt_key, sizeof binding.key);
    return binding;
}

/* "" becomes NULL: not set. */
static const char *given(const char *text) { return text[0] != '\0' ? text : NULL; }

static ft_err make_stream(struct ft_delivery *delivery, const struct ft_agent_options *config,
                          struct ft_stream **ret_stream, struct ft_rpc_target *ret_target,
                          struct ft_diag *reterr_diag)
{
    struct ft_rpc_client_options client = {.url = config->collector.url,
                                           .plaintext = config->collector.plaintext
                                                            ? FT_RPC_PLAINTEXT_ANYWHERE
                                                            : FT_RPC_PLAINTEXT_NEVER,
                                           .ca_path = given(config->collector.ca_file),
                                           .certificate_path = given(config->collector.cert_file),
                                           .key_path = given(config->collector.key_file),
                                           .server_name = given(config->collector.server_name),
                                           .token = give_token,
                                           .ctx = delivery,
                                           .open_timeout_ns = config->collector.connect_timeout};
    FT_TRY(ft_rpc_target_parse(client.url, client.plaintext, ret_target, reterr_diag));
    struct ft_token token = {0};
    const char *token_file = config->collector.token_file;
    if (token_file[0] != '\0') {
        FT_TRY(ft_token_load(token_file, &token, reterr_diag));
        if (token.exposed) {
            ft_log(FT_LOG_WARN, "agent", "%s can be read by other users", token_file);
        }
    }
    ft_err err = ft_rpc_client_create(&client, ret_stream, reterr_diag);
    if (err == FT_OK) {
        ft_mutex_lock(&delivery->lock);
        delivery->token = token;
        (void)snprintf(delivery->token_file, sizeof delivery->token_file, "%s", token_file);
        ft_mutex_unlock(&delivery->lock);
    }
    ft_token_wipe(&token);
    return err;
}

/* Called at each open: reads the file again, so that a new token needs no signal. */
static ft_err give_token(void *ctx, char *buf, size_t buf_size)
{
    struct ft_delivery *delivery = ctx;
    learn_peers(delivery);
    ft_mutex_lock(&delivery->lock);
    if (delivery->token_file[0] != '\0') {
        ft_err_ignore(ft_token_load(delivery->token_file, &delivery->token, NULL),
                      "the last good token goes on");
    }
    ft_err err = delivery->token.len < buf_size ? FT_OK : FT_E_RANGE;
    if (err == FT_OK) {
        memcpy(buf, delivery->token.text, delivery->token.len);
        buf[delivery->token.len] = '\0';
    }
    ft_mutex_unlock(&delivery->lock);
    return err;
}

/* gRPC knows both loopback addresses by the name "localhost", whatever the host's files say. */
static size_t add_loopback(const struct ft_delivery *delivery, struct ft_filter_peer *peers,
                           size_t n)
{
    if (!delivery->target.is_loopback || n + 2 > FT_PIPELINE_PEERS_MAX) {
        return n;
    }
    struct ft_filter_peer v4 = {.addr = {{127, 0, 0, 1}}, .port = delivery->target.port};
    struct ft_filter_peer v6 = {.ipv6 = true, .port = delivery->target.port};
    v6.addr.bytes[15] = 1;
    peers[n++] = v4;
    peers[n++] = v6;
    return n;
}

/* Tells the filter where the agent's own connection goes to. */
static void learn_peers(struct ft_delivery *delivery)
{
    if (delivery->report_own) {
        return;
    }
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)delivery->target.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(delivery->target.host, port, &hints, &found) != 0) {
        return; /* The connect that follows says so in words. */
    }
    struct ft_filter_peer peers[FT_PIPELINE_PEERS_MAX];
    size_t n = 0;
    for (struct addrinfo *at = found; at != NULL && n < FT_PIPELINE_PEERS_MAX; at = at->ai_next) {
        struct ft_filter_peer *peer = &peers[n];
        memset(peer, 0, sizeof *peer);
        peer->port = delivery->target.port;
        peer->ipv6 = at->ai_family == AF_INET6;
        if (at->ai_family == AF_INET) {
            struct sockaddr_in v4;
            memcpy(&v4, at->ai_addr, sizeof v4);
            memcpy(peer->addr.bytes, &v4.sin_addr, 4);
            n++;
        } else if (at->ai_family == AF_INET6) {
            struct sockaddr_in6 v6;
            memcpy(&v6, at->ai_addr, sizeof v6);
            memcpy(peer->addr.bytes, &v6.sin6_addr, 16);
            n++;
        }
    }
    freeaddrinfo(found);
    n = add_loopback(delivery, peers, n);
    ft_pipeline_set_peers(delivery->options.pipeline, peers, n);
}

static void run(void *ctx)
{
    struct ft_delivery *delivery = ctx;
    for (;;) {
        int64_t now_ns = ft_clock_mono_ns(delivery->options.clock);
        int64_t until_ns = now_ns + STEP_NS;
        if (delivery->stopping) {
            int64_t deadline_ns = delivery->stop_deadline_ns;
            if (now_ns >= deadline_ns || ft_exporter_is_drained(delivery->exporter)) {
                break;
            }
            until_ns = deadline_ns < until_ns ? deadline_ns : until_ns;
        }
        take_over_stream(delivery);
        ft_exporter_step(delivery->exporter, until_ns);
    }
    int64_t now_ns = ft_clock_mono_ns(delivery->options.clock);
    int64_t until_ns = delivery->stop_deadline_ns;
    ft_exporter_finish(delivery->exporter,
                       until_ns < now_ns + FINISH_NS ? until_ns : now_ns + FINISH_NS);
}

static void take_over_stream(struct ft_delivery *delivery)
{
    ft_mutex_lock(&delivery->lock);
    struct ft_stream *stream = delivery->next_stream;
    struct ft_stream *older = NULL;
    delivery->next_stream = NULL;
    enum ft_trust_policy receipts = delivery->next_receipts;
    struct ft_receipt_keys keys = delivery->next_receipt_keys;
    if (stream != NULL) {
        older = delivery->stream;
        delivery->stream = stream;
        delivery->target = delivery->next_target;
    }
    ft_mutex_unlock(&delivery->lock);
    if (stream != NULL) {
        ft_exporter_set_receipts(delivery->exporter, receipts, &keys);
        ft_exporter_use_stream(delivery->exporter, stream);
        older->ops->destroy(older);
    }
}

static uint64_t host_next_seq(void *ctx)
{
    struct ft_delivery *delivery = ctx;
    return ft_pipeline_stats(delivery->options.pipeline)->numbered_events + 1;
}

static void host_fill_status(void *ctx, struct ft_msg_status *status)
{
    struct ft_delivery *delivery = ctx;
    delivery->options.fill_status(delivery->options.ctx, status);
}

static void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns)
{
    (void)first_seq;
    struct ft_delivery *delivery = ctx;
    ft_pipeline_acked(delivery->options.pipeline, last_seq);
    if (delivery->options.ack_seconds != NULL) {
        int64_t took_ns = ft_clock_real_ns(delivery->options.clock) - sealed_ns;
        ft_histogram_observe(delivery->options.ack_seconds, (double)took_ns / (double)FT_NS_PER_S);
    }
}

/* Before the exporter goes on. */
static void keep_account(struct ft_delivery *delivery)
{
    if (delivery->options.spool != NULL) {
        ft_err_ignore(ft_spool_keep_account(delivery->options.spool),
                      "the spool's thread tries again, and says that its disk fails");
    }
}

static void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    struct ft_delivery *delivery = ctx;
    ft_log(FT_LOG_WARN, "agent", "events %llu to %llu are not stored: %s, counted as lost",
           (unsigned long long)first_seq, (unsigned long long)last_seq, reason);
    ft_pipeline_lost(delivery->options.pipeline, FT_LOSS_REJECTED, first_seq, last_seq);
    keep_account(delivery);
}

static void host_on_damaged(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    struct ft_delivery *delivery = ctx;
    ft_log(FT_LOG_ERROR, "agent", "events %llu to %llu: %s, counted as lost",
           (unsigned long long)first_seq, (unsigned long long)last_seq, reason);
    ft_pipeline_lost(delivery->options.pipeline, FT_LOSS_SPOOL_DAMAGED, first_seq, last_seq);
    keep_account(delivery);
}

static void host_on_sent(void *ctx, uint64_t n_events)
{
    struct ft_delivery *delivery = ctx;
    ft_tally_live(ft_pipeline_tally(delivery->options.pipeline))->sent += n_events;
}

static ft_err host_on_bound(void *ctx, const struct ft_uuid *collector_id)
{
    struct ft_delivery *delivery = ctx;
    struct ft_spool *spool = delivery->options.spool;
    if (spool == NULL) {
        return FT_OK;
    }
    struct ft_spool_identity identity;
    ft_spool_get_identity(spool, &identity);
    identity.binding.bound = true;
    identity.binding.collector_id = *collector_id;
    return ft_spool_bind(spool, &identity.binding);
}

static ft_err host_on_new_instance(void *ctx, uint64_t base_seq, const struct ft_progress *before,
                                   struct ft_uuid *ret_instance_id)
{
    struct ft_delivery *delivery = ctx;
    uint64_t acked = before->done_events - before->rejected_events - before->gone_events;
    struct ft_pipeline *pipeline = delivery->options.pipeline;
    if (delivery->options.spool != NULL) {
        FT_TRY(ft_spool_new_instance(delivery->options.spool, base_seq, acked, ret_instance_id));
    } else {
        ft_uuid_make_random(delivery->options.random, ret_instance_id);
        ft_tally_rebase(ft_pipeline_tally(pipeline), base_seq, acked);
    }
    ft_pipeline_forget_done(pipeline, before->done_events);
    ft_pipeline_set_instance(delivery->options.pipeline, ret_instance_id);
    set_instance(delivery, ret_instance_id);
    delivery->options.on_new_instance(delivery->options.ctx, ret_instance_id, base_seq);
    char id[FT_UUID_TEXT_SIZE];
    ft_uuid_format(ret_instance_id, id);
    ft_log(FT_LOG_WARN, "agent",
           "the collector has events that this log does not know to have sent: this host was set "
           "back to an earlier state, and all behind event %llu goes out as instance %s",
           (unsigned long long)base_seq, id);
    return FT_OK;
}

/* The key that was not configured is kept, and what it is of; both are news. */
static void host_on_trusted(void *ctx, const struct ft_binding *binding)
{
    struct ft_delivery *delivery = ctx;
    struct ft_binding *before = &delivery->binding;
    if (binding->has_key &&
        (!before->has_key || memcmp(before->key, binding->key, sizeof binding->key) != 0)) {
        char key[FT_RECEIPT_KEY_TEXT_SIZE];
        ft_receipt_key_format(binding->key, key);
        ft_log(FT_LOG_INFO, "agent", "the collector signs receipts with %s", key);
    }
    if (before->has_epoch && !ft_uuid_equal(&before->store_epoch, &binding->store_epoch)) {
        ft_log(FT_LOG_WARN, "agent",
               "the collector's store is another, was set back or has lost events");
    }
    *before = *binding;
    struct ft_spool *spool = delivery->options.spool;
    if (spool != NULL) {
        struct ft_spool_identity identity;
        ft_spool_get_identity(spool, &identity);
        identity.binding.has_receipt_key = binding->has_key;
        memcpy(identity.binding.receipt_key, binding->key, sizeof binding->key);
        identity.binding.has_store_epoch = binding->has_epoch;
        identity.binding.store_epoch = binding->store_epoch;
        ft_err_ignore(ft_spool_bind(spool, &identity.binding), "the next welcome shows it again");
    }
}

static void host_on_gone_back(void *ctx, uint64_t durable_seq)
{
    struct ft_delivery *delivery = ctx;
    ft_log(FT_LOG_ERROR, "agent",
           "the collector has nothing behind event %llu any more, sending again what is still here",
           (unsigned long long)durable_seq);
    ft_tally_gone_back(ft_pipeline_tally(delivery->options.pipeline), durable_seq);
}

static void host_on_gone(void *ctx, const struct ft_loss *loss)
{
    struct ft_delivery *delivery = ctx;
    ft_log(FT_LOG_ERROR, "agent", "events %llu to %llu are %s, counted as lost",
           (unsigned long long)loss->first_seq, (unsigned long long)loss->last_seq,
           loss->cause == FT_LOSS_COLLECTOR_LOST
               ? "lost at the collector and not here any more"
               : "neither here nor at the collector: the spool had lost the place between them");
    struct ft_loss told = *loss;
    told.begin_ns = ft_clock_real_ns(delivery->options.clock);
    told.end_ns = told.begin_ns;
    ft_tally_reject(ft_pipeline_tally(delivery->options.pipeline), &told);
    keep_account(delivery);
}

/* One line when the collector is there, one when it is not: not one for each try. */
static void host_on_state(void *ctx, enum ft_link_state state, const char *text)
{
    struct ft_delivery *delivery = ctx;
    if (state == FT_LINK_ACTIVE) {
        ft_log(FT_LOG_INFO, "agent", "connected to collector %s:%u", delivery->target.host,
               (unsigned)delivery->target.port);
        delivery->logged_state = state;
    } else if (state == FT_LINK_BACKOFF && delivery->logged_state != FT_LINK_BACKOFF &&
               (text[0] != '\0' || delivery->logged_state == FT_LINK_ACTIVE)) {
        ft_log(FT_LOG_WARN, "agent", "no connection to collector %s:%u: %s, retrying",
               delivery->target.host, (unsigned)delivery->target.port,
               text[0] != '\0' ? text : "the stream ended");
        delivery->logged_state = state;
    }
}
