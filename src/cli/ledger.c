/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail ledger: of each agent's instance where its events are, and whether that adds up. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/where.h"

#define LEDGER_PATH "/api/v1/ledger"
#define TIMEOUT_MS  10000L

struct options {
    struct ft_cli_where where;
    struct ft_strings node_name;
    bool detail;
    int output;
};

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const output_names[] = {"table", "json", NULL};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_STRINGS(struct options, node_name, "node_name", NULL,
                   "Agent: the name of its host, \"web-*\" for all that begin so, or its id.",
                   .value_name = "NAME"),
    FT_OPT_BOOL(struct options, detail, "detail", "false",
                "Below each row what both sides have counted, and losses by cause.", .letter = 'd'),
    FT_OPT_ENUM(
        struct options, output, "output", "table", output_names,
        "Form of the answer; json is the answer as it came, a line for each 1000 instances.",
        .letter = 'o'),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

/* An answer, page by page. */
struct ledger {
    struct ft_http_client *client;
    bool json;
    bool detail;
    struct ft_buf path; /* Without the cursor. */
    struct ft_buf body;
    struct ft_buf out;
    struct ft_json_doc *doc; /* Of the present page. */
    uint64_t n_shown;
};

static int run(const void *loaded, const struct ft_options_args *args);
static ft_err show_all(struct ledger *ledger, struct ft_diag *reterr_diag);
static ft_err get_page(struct ledger *ledger, const char *cursor, struct ft_diag *reterr_diag);
static ft_err show_page(struct ledger *ledger);
static void add_instance(struct ledger *ledger, const struct ft_json_value *instance);
static int finish(struct ledger *ledger);

const struct ft_command ft_command_ledger = {
    .name = "ledger",
    .summary = "Where each agent's events are, and whether that adds up.",
    .text = "A row for each instance of an agent: observed = stored + retained + lost + other.  "
            "Stored events are in the store or durable on their way there; the agent retains what "
            "the collector has not acknowledged; other are merged with another event before they "
            "were sent, in quarantine, or damaged in the collector's log.\n\n"
            "A collector keeps the ledger of all its agents over restarts, and holds what each "
            "last told of its events against what it has itself.  Of an agent that is away it is "
            "said when that was.  An agent has its own side: stored is what the collector has "
            "acknowledged.\n\n"
            "Exit code 0: all accounts balance; 1: one does not; 2: it cannot be told, because an "
            "agent has not given its account, or did not say what became of what it retained when "
            "it ended, there is no such agent, or there is no answer.",
    .examples = "  flowtrail ledger\n"
                "  flowtrail ledger --server collector:8319 --detail\n"
                "  flowtrail ledger --server collector:8319 --node-name 'web-*'\n"
                "  flowtrail ledger --server collector:8319 --node-name web-1 -o json\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    struct ledger ledger = {
        .client = client, .json = options->output == OUTPUT_JSON, .detail = options->detail};
    struct ft_diag diag = {0};
    ft_buf_init(&ledger.path, 0);
    ft_buf_init(&ledger.body, FT_HTTP_BODY_BYTES_MAX);
    ft_buf_init(&ledger.out, 0);
    ft_buf_add_str(&ledger.path, LEDGER_PATH "?limit=1000");
    for (size_t i = 0; i < options->node_name.n; i++) {
        ft_buf_add_str(&ledger.path, "&agent=");
        ft_http_add_escaped(&ledger.path, options->node_name.items[i]);
    }
    ft_err err = show_all(&ledger, &diag);
    int code = FT_EXIT_FAILED;
    if (err == FT_OK) {
        code = finish(&ledger);
    } else if (err != ft_err_from_errno(EPIPE)) {
        ft_cli_tell_failure(&options->where, err, &diag);
    }
    ft_json_doc_destroy(ledger.doc);
    ft_buf_deinit(&ledger.out);
    ft_buf_deinit(&ledger.body);
    ft_buf_deinit(&ledger.path);
    return code;
}

static ft_err show_all(struct ledger *ledger, struct ft_diag *reterr_diag)
{
    struct ft_buf cursor;
    ft_buf_init(&cursor, 0);
    ft_err err;
    do {
        err = get_page(ledger, ft_buf_str(&cursor), reterr_diag);
        if (err != FT_OK) {
            break;
        }
        uint64_t n_before = ledger->n_shown;
        err = show_page(ledger);
        if (ledger->n_shown == n_before) {
            break; /* Nothing comes any more, whatever it says. */
        }
        ft_buf_clear(&cursor);
        ft_http_add_escaped(&cursor, ft_cli_text_of(ft_json_doc_get_root(ledger->doc), "next"));
    } while (err == FT_OK && cursor.size > 0);
    ft_buf_deinit(&cursor);
    return err;
}

static ft_err get_page(struct ledger *ledger, const char *cursor, struct ft_diag *reterr_diag)
{
    struct ft_buf path;
    ft_buf_init(&path, 0);
    ft_buf_addf(&path, "%s%s%s", ft_buf_str(&ledger->path), cursor[0] != '\0' ? "&cursor=" : "",
                cursor);
    ft_json_doc_destroy(ledger->doc);
    ledger->doc = NULL;
    ft_buf_clear(&ledger->body);
    ft_err err =
        ft_http_get_all(ledger->client, ft_buf_str(&path), TIMEOUT_MS, &ledger->body, reterr_diag);
    if (err == FT_OK) {
        err = ft_json_parse(ft_buf_str(&ledger->body), ledger->body.size, LEDGER_PATH, &ledger->doc,
                            reterr_diag);
    }
    ft_buf_deinit(&path);
    return err;
}

static ft_err show_page(struct ledger *ledger)
{
    const struct ft_json_value *rows = ft_json_get(ft_json_doc_get_root(ledger->doc), "ledger");
    ft_buf_clear(&ledger->out);
    if (ledger->json) {
        size_t size = ledger->body.size;
        while (size > 0 && ledger->body.data[size - 1] == '\n') {
            size--;
        }
        ft_cli_add_json(&ledger->out, ledger->body.data, size);
        ft_buf_add_char(&ledger->out, '\n');
    } else if (ledger->n_shown == 0 && ft_json_size(rows) > 0) {
        ft_buf_addf(&ledger->out, "%-14s %-8s  %-9s %12s %12s %12s %12s %12s  %s\n", "agent",
                    "instance", "state", "observed", "stored", "retained", "lost", "other",
                    "account");
    }
    for (size_t i = 0; i < ft_json_size(rows); i++) {
        if (!ledger->json) {
            add_instance(ledger, ft_json_at(rows, i));
        }
        ledger->n_shown++;
    }
    return ft_cli_write(&ledger->out);
}

/* 1: yes; 0: no; -1: not known. */
static int is_balanced(const struct ft_json_value *object)
{
    bool set;
    return ft_json_as_bool(ft_json_get(object, "balanced"), &set) ? set : -1;
}

static void add_numbers(struct ft_buf *out, const struct ft_json_value *account)
{
    static const char *const others[] = {"quarantined", "damaged", "merged"};
    static const char *const shown[] = {"observed", "stored", "retained", "lost"};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        ft_buf_addf(out, " %12llu", (unsigned long long)ft_cli_number_of(account, shown[i]));
    }
    uint64_t other = 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        other += ft_cli_number_of(account, others[i]);
    }
    ft_buf_addf(out, " %12llu", (unsigned long long)other);
}

/* "    TITLE: NAME 5, NAME 7", of what is not zero; nothing when all is. */
struct list {
    struct ft_buf *out;
    const char *title;
    unsigned n;
};

static bool add_item(void *ctx, const char *key, const struct ft_json_value *value)
{
    struct list *list = ctx;
    uint64_t count = 0;
    if (ft_json_as_u64(value, &count) && count > 0) {
        ft_buf_addf(list->out, "%s%s", list->n == 0 ? "    " : ", ",
                    list->n == 0 ? list->title : "");
        ft_cli_add_clean(list->out, key);
        ft_buf_addf(list->out, " %llu", (unsigned long long)count);
        list->n++;
    }
    return true;
}

static void end_list(struct list *list)
{
    if (list->n > 0) {
        ft_buf_add_char(list->out, '\n');
    }
}

static void add_list(struct ft_buf *out, const char *title, const struct ft_json_value *object,
                     const char *const *keys)
{
    struct list list = {.out = out, .title = title};
    for (; *keys != NULL; keys++) {
        (void)add_item(&list, *keys, ft_json_get(object, *keys));
    }
    end_list(&list);
}

/* Of an instance, or of all. */
static void add_details(struct ft_buf *out, const struct ft_json_value *object)
{
    static const char *const other[] = {"quarantined", "damaged", "merged", NULL};
    static const char *const there[] = {"observed",     "filtered", "merged", "sealed", "sent",
                                        "acknowledged", "retained", "lost",   NULL};
    static const char *const here[] = {"received", "duplicate", "rejected",    "missing",
                                       "stored",   "waiting",   "quarantined", "damaged",
                                       "vanished", "lost",      NULL};
    const struct ft_json_value *account = ft_json_get(object, "account");
    struct list lost = {.out = out, .title = "lost: "};
    ft_json_each(ft_json_get(account, "lost_by_cause"), add_item, &lost);
    end_list(&lost);
    add_list(out, "other: ", account, other);
    add_list(out, "at the agent: ", ft_json_get(object, "agent"), there);
    add_list(out, "at the collector: ", ft_json_get(object, "collector"), here);
}

/* The verdict; of whom is not there, when what is known was true. */
static void add_verdict(struct ft_buf *out, const struct ft_json_value *instance, const char *state)
{
    static const char *const words[] = {"unknown", "NOT BALANCED", "balanced"};
    const char *told = ft_cli_text_of(ft_json_get(instance, "agent"), "told");
    ft_buf_addf(out, "  %s", words[is_balanced(instance) + 1]);
    if (told[0] != '\0' && (strcmp(state, "away") == 0 || strcmp(state, "ended") == 0)) {
        ft_buf_add_str(out, ", as of ");
        ft_cli_add_clean(out, told);
    }
    ft_buf_add_char(out, '\n');
    const char *why = ft_cli_text_of(instance, "why");
    if (why[0] != '\0') {
        ft_buf_add_str(out, "    ");
        ft_cli_add_clean(out, why);
        ft_buf_add_char(out, '\n');
    }
}

static void add_instance(struct ledger *ledger, const struct ft_json_value *instance)
{
    const char *state = ft_cli_text_of(instance, "state");
    const char *name = ft_cli_text_of(instance, "host_name");
    char id[9];
    (void)snprintf(id, sizeof id, "%.8s", ft_cli_text_of(instance, "instance_id"));
    ft_cli_add_column(&ledger->out, name[0] != '\0' ? name : ft_cli_text_of(instance, "agent_id"),
                      14);
    ft_buf_add_char(&ledger->out, ' ');
    ft_cli_add_column(&ledger->out, id, 8);
    ft_buf_add_str(&ledger->out, "  ");
    ft_cli_add_column(&ledger->out, state, 9);
    add_numbers(&ledger->out, ft_json_get(instance, "account"));
    add_verdict(&ledger->out, instance, state);
    if (ledger->detail) {
        add_details(&ledger->out, instance);
    }
}

/* The last page's totals are of all. */
static int finish(struct ledger *ledger)
{
    const struct ft_json_value *root = ft_json_doc_get_root(ledger->doc);
    const struct ft_json_value *total = ft_json_get(root, "total");
    const struct ft_json_value *account = ft_json_get(total, "account");
    unsigned long long n = ft_cli_number_of(total, "instances");
    int balanced = n > 0 ? is_balanced(root) : -1;
    struct ft_buf *out = &ledger->out;
    ft_buf_clear(out);
    if (ledger->json) {
        /* It is in each line. */
    } else if (n == 0) {
        ft_buf_add_str(out, "No such agent is known.\n");
    } else {
        ft_cli_add_column(out, "all", 34);
        add_numbers(out, account);
        ft_buf_add_char(out, '\n');
        if (ledger->detail) {
            add_details(out, total);
        }
        ft_buf_add_char(out, '\n');
        if (balanced > 0) {
            ft_buf_addf(out, "Balanced: %llu instance%s.\n", n, n == 1 ? "" : "s");
        } else if (balanced == 0) {
            ft_buf_addf(out, "NOT BALANCED: %llu of %llu instances, %llu events unaccounted for.\n",
                        (unsigned long long)ft_cli_number_of(total, "unbalanced"), n,
                        (unsigned long long)ft_cli_number_of(account, "unaccounted"));
        } else {
            ft_buf_addf(out, "Cannot be told for %llu of %llu instances.\n",
                        (unsigned long long)ft_cli_number_of(total, "unknown"), n);
        }
    }
    static const int codes[] = {FT_EXIT_FAILED, FT_EXIT_DEGRADED, FT_EXIT_OK};
    return ft_cli_finish(out, codes[balanced + 1]);
}
