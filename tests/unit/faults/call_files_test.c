/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files of both programs while system calls fail: what is read is right or an error, and
 * what is written is the old or the new, never anything between.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/options.h"
#include "auth/receipt_key.h"
#include "auth/token_set.h"
#include "base/fd.h"
#include "collector/identity.h"
#include "lib/call_fail.h"
#include "lib/test.h"
#include "os/switch_record.h"
#include "os/switches.h"
#include "store/slot_file.h"

static const int errnums[] = {
    EIO, ENOSPC, EDQUOT, EINTR, EAGAIN, EROFS, ENFILE, FT_CALL_SHORT, FT_CALL_SHORT_FULL};
#define ERRNUMS (sizeof errnums / sizeof errnums[0])

static const char *directory;
static unsigned n_cases;

/* What is done to a file.  'during' is run with calls that fail; 'after' with a whole disk, and is
 * told what 'during' said. */
struct file_case {
    void (*before)(void);
    ft_err (*during)(void);
    void (*after)(ft_err err, bool cut);
};

static const char *path_of(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool run_with(const struct file_case *file, const struct ft_call_plan *plan, bool cut)
{
    directory = ft_call_fail_directory();
    file->before();
    ft_call_fail_start(plan);
    ft_err err = file->during();
    struct ft_call_result result;
    ft_call_fail_stop(&result);
    /* Signals do not reach open(2) of what is no terminal; what an interrupted sync has left is not
     * known, so that it is a failure. */
    bool harmless = plan->scope == FT_CALL_ONCE &&
                    (plan->errnum == FT_CALL_SHORT ||
                     (plan->errnum == EINTR && strcmp(result.name, "open") != 0 &&
                      strstr(result.name, "sync") == NULL));
    if (err != FT_OK && (harmless || result.n_failed == 0)) {
        ft_test_fail(__FILE__, __LINE__, "%s for %s", ft_err_name(err), ft_call_fail_describe());
    }
    CHECK_INT(result.n_breaches, 0);
    if (cut) {
        ft_call_fail_cut(directory);
    }
    file->after(err, cut);
    ft_call_fail_finish();
    n_cases += result.n_failed > 0;
    return result.n_calls >= plan->nth;
}

static void run(const struct file_case *file)
{
    for (size_t i = 0; i < ERRNUMS; i++) {
        for (unsigned scope = 0; scope < FT_CALL_SCOPE_N; scope++) {
            for (unsigned cut = 0; cut < 2; cut++) {
                struct ft_call_plan plan = {
                    .nth = 1, .scope = (enum ft_call_scope)scope, .errnum = errnums[i]};
                while (run_with(file, &plan, cut != 0)) {
                    plan.nth++;
                }
            }
        }
    }
}

/* ---- Files that are read ---- */

static void nothing(void) {}
static void no_after(ft_err err, bool cut)
{
    (void)err;
    (void)cut;
}

static void tokens_before(void)
{
    char text[400];
    (void)snprintf(text, sizeof text, "a: sha256:%064x\nb: sha256:%064x role=query\n", 1, 2);
    write_text("tokens", text);
}

static ft_err tokens_during(void)
{
    struct ft_token_set *set = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_token_set_load(path_of("tokens"), &set, &diag);
    if (err == FT_OK) {
        CHECK_INT(ft_token_set_size(set), 2);
    } else {
        CHECK(diag.text[0] != '\0');
    }
    ft_token_set_destroy(set);
    return err;
}

TEST(tokens) { run(&(struct file_case){tokens_before, tokens_during, no_after}); }

static void token_before(void)
{
    write_text("token", "abcdefghijklmnopqrstuvwxyz0123456789\n");
    CHECK(chmod(path_of("token"), 0600) == 0);
}

static ft_err token_during(void)
{
    struct ft_token token = {0};
    struct ft_diag diag = {0};
    ft_err err = ft_token_load(path_of("token"), &token, &diag);
    CHECK((err == FT_OK) == (diag.text[0] == '\0'));
    if (err == FT_OK) {
        CHECK_STR(token.text, "abcdefghijklmnopqrstuvwxyz0123456789");
    }
    ft_token_wipe(&token);
    return err;
}

TEST(token) { run(&(struct file_case){token_before, token_during, no_after}); }

static void keys_before(void)
{
    char text[400];
    (void)snprintf(text, sizeof text, "ed25519:%064x\n# a comment\ned25519:%064x\n", 1, 2);
    write_text("keys", text);
}

static ft_err keys_during(void)
{
    struct ft_receipt_keys keys = {0};
    struct ft_diag diag = {0};
    ft_err err = ft_receipt_keys_load(path_of("keys"), &keys, &diag);
    CHECK((err == FT_OK) == (diag.text[0] == '\0'));
    CHECK_INT(keys.n, err == FT_OK ? 2 : 0);
    return err;
}

TEST(receipt_keys) { run(&(struct file_case){keys_before, keys_during, no_after}); }

static void config_before(void)
{
    write_text("main.yaml", "log.bytes_max: 96MiB\ncapture: {mode: full}\nlogging.level: debug\n");
}

static ft_err config_during(void)
{
    struct ft_agent_options options;
    struct ft_diag diag = {0};
    CHECK_OK(ft_options_init(&ft_agent_option_table, &options));
    uint64_t before = options.log.bytes_max;
    struct ft_options_input input = {.file = path_of("main.yaml")};
    ft_err err = ft_options_load(&ft_agent_option_table, &input, &options, NULL, &diag);
    CHECK((err == FT_OK) == (diag.text[0] == '\0'));
    CHECK_INT(options.log.bytes_max, err == FT_OK ? UINT64_C(96) << 20 : before);
    ft_options_deinit(&ft_agent_option_table, &options);
    return err;
}

TEST(configuration) { run(&(struct file_case){config_before, config_during, no_after}); }

static void text_before(void) { write_text("text", "a small text\n"); }

static ft_err text_during(void)
{
    char text[64];
    ft_err err = ft_read_text_file(path_of("text"), text, sizeof text);
    if (err == FT_OK) {
        CHECK_STR(text, "a small text");
    }
    return err;
}

TEST(text_of_the_system) { run(&(struct file_case){text_before, text_during, no_after}); }

/* ---- Files that are written ---- */

static void switches_before(void)
{
    CHECK_OK(ft_switch_record_save(path_of("switches"), FT_SWITCH_BIT(0)));
}

static ft_err switches_during(void)
{
    return ft_switch_record_save(path_of("switches"), FT_SWITCH_BIT(0) | FT_SWITCH_BIT(1));
}

/* It is not synced: it dies with the boot that it is about. */
static void switches_after(ft_err err, bool cut)
{
    unsigned owned = 0;
    if (cut) {
        return;
    }
    CHECK_OK(ft_switch_record_load(path_of("switches"), &owned));
    CHECK(owned == (FT_SWITCH_BIT(0) | FT_SWITCH_BIT(1)) ||
          (err != FT_OK && owned == FT_SWITCH_BIT(0)));
}

TEST(switches) { run(&(struct file_case){switches_before, switches_during, switches_after}); }

static ft_err switches_load(void)
{
    unsigned owned = 0;
    ft_err err = ft_switch_record_load(path_of("switches"), &owned);
    CHECK_INT(owned, err == FT_OK ? FT_SWITCH_BIT(0) : 0);
    return err;
}

TEST(switches_loaded) { run(&(struct file_case){switches_before, switches_load, no_after}); }

/* Identity of a collector: what was given out is what it is from then on. */
static struct ft_identity given;
static bool was_given;

static ft_err open_identity(struct ft_identity *identity)
{
    struct ft_disk *disk = NULL;
    struct ft_disk *log_disk = NULL;
    struct ft_diag diag = {0};
    FT_TRY(ft_disk_posix_create(directory, &disk));
    ft_err err = ft_disk_posix_create(path_of("log"), &log_disk);
    if (err == FT_OK) {
        err = ft_identity_open(disk, log_disk, ft_random_system(), identity, &diag);
    }
    ft_disk_destroy(log_disk);
    ft_disk_destroy(disk);
    return err;
}

static ft_err identity_during(void)
{
    memset(&given, 0, sizeof given);
    ft_err err = open_identity(&given);
    was_given = err == FT_OK;
    return err;
}

static void identity_after(ft_err err, bool cut)
{
    (void)err;
    if (cut) {
        ft_call_fail_cut(path_of("log"));
    }
    struct ft_identity later = {0};
    CHECK_OK(open_identity(&later));
    if (was_given) {
        CHECK(ft_uuid_equal(&given.collector_id, &later.collector_id));
        CHECK(ft_uuid_equal(&given.log_id, &later.log_id));
        CHECK(ft_uuid_equal(&given.store_epoch, &later.store_epoch));
        CHECK_BYTES(ft_receipt_signer_key(given.signer), FT_RECEIPT_KEY_SIZE,
                    ft_receipt_signer_key(later.signer), FT_RECEIPT_KEY_SIZE);
    }
    ft_identity_close(&later);
    ft_identity_close(&given);
}

TEST(identity) { run(&(struct file_case){nothing, identity_during, identity_after}); }

/* And one that is there already is never made anew. */
static void identity_before(void)
{
    memset(&given, 0, sizeof given);
    CHECK_OK(open_identity(&given));
    was_given = true;
}

static ft_err identity_read(void)
{
    struct ft_identity again = {0};
    ft_err err = open_identity(&again);
    CHECK(err != FT_OK || ft_uuid_equal(&given.collector_id, &again.collector_id));
    ft_identity_close(&again);
    return err;
}

TEST(identity_that_is_there)
{
    run(&(struct file_case){identity_before, identity_read, identity_after});
}

/* A record in two slots: after a power cut the last that was durable, or a later one. */
static const struct ft_slot_kind slot_kind = {.magic = "TST1", .slot_bytes = 1024};
static uint64_t slot_durable;
static uint64_t slot_tried;

static ft_err write_slots(uint64_t from, uint64_t to)
{
    struct ft_disk *disk = NULL;
    FT_TRY(ft_disk_posix_create(directory, &disk));
    struct ft_slot_file slots;
    ft_err first = FT_OK;
    ft_slot_file_init(&slots, disk, "state", &slot_kind, slot_tried);
    for (uint64_t n = from; n <= to; n++) {
        uint8_t record[900];
        memset(record, (int)n, sizeof record);
        slot_tried = n;
        ft_err err = ft_slot_file_write(&slots, record, sizeof record, n % 2 == 0);
        if (err == FT_OK && n % 2 == 0) {
            slot_durable = n;
        }
        first = first == FT_OK ? err : first;
    }
    ft_slot_file_close(&slots);
    ft_disk_destroy(disk);
    return first;
}

static void slots_before(void)
{
    slot_tried = 0;
    slot_durable = 0;
    CHECK_OK(write_slots(1, 4));
}

static ft_err slots_during(void) { return write_slots(5, 12); }

static void slots_after(ft_err err, bool cut)
{
    (void)err;
    (void)cut;
    struct ft_disk *disk = NULL;
    uint8_t record[1024];
    size_t size;
    uint64_t generation;
    CHECK_OK(ft_disk_posix_create(directory, &disk));
    CHECK_OK(ft_slot_file_read(disk, "state", &slot_kind, record, &size, &generation));
    CHECK_INT(size, 900);
    for (size_t i = 1; i < size; i++) {
        CHECK_INT(record[i], record[0]);
    }
    CHECK(record[0] >= slot_durable && record[0] <= slot_tried);
    ft_disk_destroy(disk);
}

TEST(slots) { run(&(struct file_case){slots_before, slots_during, slots_after}); }

static void tell(void)
{
    printf("matrix: R6 %u cases of failing system calls under small files (identity, keys, tokens, "
           "switches, configuration, slots), at %u sites; old or new, never between\n",
           n_cases, ft_call_fail_n_sites());
}

/* Behind the others, in the order of registration. */
TEST(told)
{
    CHECK(n_cases > 500);
    tell();
}
