/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages around the batches (proto/flowtrail/v1/export.proto) as plain structures, and the
 * health check of gRPC.  Encoders append to a buffer; decoders check every bound.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_WIRE_MESSAGE_H
#define FT_WIRE_MESSAGE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/receipt.h"
#include "base/buf.h"
#include "flow/event.h"
#include "flow/ids.h"

#define FT_WIRE_PROTOCOL_VERSION 1

/* Full names of the methods. */
#define FT_WIRE_METHOD_EXPORT       "/flowtrail.v1.Ingest/Export"
#define FT_WIRE_METHOD_HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define FT_WIRE_METHOD_HEALTH_WATCH "/grpc.health.v1.Health/Watch"

/* Bounds of what messages carry; more is refused (texts: cut by the encoder). */
#define FT_WIRE_NAME_SIZE      256
#define FT_WIRE_TEXT_SIZE      512
#define FT_WIRE_COMPONENTS_MAX 16
#define FT_WIRE_REJECTED_MAX   16
#define FT_WIRE_LOST_MAX       16

struct ft_msg_hello {
    uint32_t protocol_version;
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t oldest_seq;
    uint64_t next_seq;
    int64_t started_ns;
    int64_t time_ns;
    bool has_collector_id;
    struct ft_uuid collector_id;
    bool has_challenge;
    uint8_t challenge[FT_RECEIPT_ID_SIZE];
    bool has_witness;
    uint8_t witness[FT_RECEIPT_WITNESS_SIZE];
    char host_name[FT_WIRE_NAME_SIZE];
    char agent_version[FT_WIRE_NAME_SIZE];
    char kernel_release[FT_WIRE_NAME_SIZE];
};

/* A receipt as it came: one of another size is kept as that size, for the check to refuse. */
struct ft_msg_signature {
    size_t size; /* 0: none. */
    uint8_t bytes[FT_RECEIPT_SIGNATURE_SIZE];
};

struct ft_msg_hole {
    uint64_t first_seq;
    uint64_t last_seq;
};

struct ft_msg_welcome {
    struct ft_uuid collector_id;
    struct ft_uuid store_epoch;
    uint64_t durable_seq;
    uint64_t window_bytes;
    uint64_t message_bytes_max;
    uint32_t status_interval_ms;
    int64_t time_ns;
    char collector_version[FT_WIRE_NAME_SIZE];
    struct ft_msg_signature receipt;
    bool has_receipt_key;
    uint8_t receipt_key[FT_RECEIPT_KEY_SIZE];
    unsigned n_lost;
    struct ft_msg_hole lost[FT_WIRE_LOST_MAX];
    uint64_t newest_seq;
    uint64_t newest_life;
    uint64_t missing_events; /* Below newest_seq. */
};

struct ft_msg_range {
    uint64_t first_seq;
    uint64_t last_seq;
    char reason[FT_WIRE_TEXT_SIZE];
};

struct ft_msg_ack {
    uint64_t durable_seq;
    unsigned n_rejected;
    struct ft_msg_range rejected[FT_WIRE_REJECTED_MAX];
    bool has_store_epoch;
    struct ft_uuid store_epoch;
    struct ft_msg_signature receipt;
};

/* The digest of the lost and of the rejected ranges, as a receipt signs it. */
void ft_welcome_digest(const struct ft_msg_welcome *welcome,
                       uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE]);
void ft_ack_digest(const struct ft_msg_ack *ack, uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE]);

enum ft_health {
    FT_HEALTH_UNKNOWN,
    FT_HEALTH_OK,
    FT_HEALTH_DEGRADED,
    FT_HEALTH_FAILED,
    FT_HEALTH_N
};

struct ft_msg_component {
    char name[32];
    enum ft_health health;
    char text[FT_WIRE_TEXT_SIZE];
};

struct ft_msg_status {
    int64_t time_ns;
    uint64_t observed_events;
    uint64_t acknowledged_events;
    uint64_t retained_events;
    uint64_t retained_bytes;
    uint64_t filtered_events;
    uint64_t merged_events;
    uint64_t sealed_events;
    uint64_t sent_events;
    uint64_t active_flows;
    uint64_t conntrack_entries;
    uint64_t conntrack_entries_max;
    uint64_t lost[FT_LOSS_CAUSE_N];
    char capture_step[32];
    unsigned n_components;
    struct ft_msg_component components[FT_WIRE_COMPONENTS_MAX];
};

struct ft_msg_slow_down {
    uint64_t window_bytes;
    uint32_t pause_ms;
};

struct ft_msg_go_away {
    uint32_t retry_after_ms;
    char reason[FT_WIRE_TEXT_SIZE];
};

/* What an agent says. */
enum ft_request_kind { FT_REQUEST_HELLO, FT_REQUEST_BATCH, FT_REQUEST_STATUS, FT_REQUEST_OTHER };

struct ft_request {
    enum ft_request_kind kind;
    union {
        struct ft_msg_hello hello;
        struct ft_msg_status status;
        struct {
            uint8_t *data; /* The batch's bytes, unchanged. */
            size_t size;
        } batch;
    };
};

/* FT_E_PROTOCOL with the reason, or -ENOMEM.  'ret_request' owns memory until ft_request_clear. */
FT_MUST_USE ft_err ft_request_decode(const void *data, size_t size, struct ft_request *ret_request,
                                     struct ft_diag *reterr_diag);
void ft_request_clear(struct ft_request *request);

FT_MUST_USE ft_err ft_hello_encode(const struct ft_msg_hello *hello, struct ft_buf *buf);
FT_MUST_USE ft_err ft_status_encode(const struct ft_msg_status *status, struct ft_buf *buf);

/* The bytes that go before a sealed batch to make it an ExportRequest. */
#define FT_WIRE_BATCH_HEAD_SIZE_MAX 11
size_t ft_batch_head_encode(size_t batch_size, uint8_t *to);

/* What a sealed batch begins with: its instance. */
#define FT_WIRE_BATCH_INSTANCE_SIZE ((size_t)18)
/*
 * The same bytes for another instance, to be sent in place of the first
 * FT_WIRE_BATCH_INSTANCE_SIZE bytes of 'batch'.  False when it does not begin as a batch does.
 */
bool ft_batch_instance_encode(const void *batch, size_t size, const struct ft_uuid *instance_id,
                              uint8_t to[FT_WIRE_BATCH_INSTANCE_SIZE]);

/* What a collector says. */
enum ft_response_kind {
    FT_RESPONSE_WELCOME,
    FT_RESPONSE_ACK,
    FT_RESPONSE_SLOW_DOWN,
    FT_RESPONSE_GO_AWAY,
    FT_RESPONSE_OTHER /* Known to the protocol, not to this program: ignored. */
};

struct ft_response {
    enum ft_response_kind kind;
    union {
        struct ft_msg_welcome welcome;
        struct ft_msg_ack ack;
        struct ft_msg_slow_down slow_down;
        struct ft_msg_go_away go_away;
    };
};

/* FT_E_PROTOCOL with the reason, or -ENOMEM. */
FT_MUST_USE ft_err ft_response_decode(const void *data, size_t size,
                                      struct ft_response *ret_response,
                                      struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_response_encode(const struct ft_response *response, struct ft_buf *buf);

/* grpc.health.v1: the service that is asked for ("" is the whole server). */
FT_MUST_USE ft_err ft_health_request_decode(const void *data, size_t size, char *service,
                                            size_t service_size);
enum ft_serving { FT_SERVING_UNKNOWN, FT_SERVING, FT_NOT_SERVING, FT_SERVICE_UNKNOWN };
FT_MUST_USE ft_err ft_health_response_encode(enum ft_serving serving, struct ft_buf *buf);

#endif
