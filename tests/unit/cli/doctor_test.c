/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail doctor: what is concluded from facts, and the way to a collector, step by step. */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "fixture.h"
#include "rpc/rpc.h"
#include "rpc/server.h"

static const struct ft_doctor_kernel good_kernel = {
    .release = "6.1.0-18-amd64",
    .has_conntrack = true,
    .switches = {1, 1, 1},
    .has_net_admin = true,
    .n_entries = 1204,
    .n_entries_max = 262144,
    .rmem_max = 212992,
    .rcvbuf_got = 32 << 20,
    .tracking = {.state = FT_TRACKING_ON, .hooks_known = true, .ipv4 = true, .ipv6 = true}};

static void add_text(struct ft_buf *out, const char *title, const struct ft_checkup *checkup)
{
    ft_buf_addf(out, "== %s: exit %d\n", title, ft_checkup_judge(checkup));
    ft_checkup_write_table(checkup, false, out);
}

static void add_kernel(struct ft_buf *out, const char *title, const struct ft_doctor_kernel *kernel)
{
    struct ft_checkup checkup = {.n = 0};
    ft_doctor_kernel_judge(kernel, &checkup);
    add_text(out, title, &checkup);
}

TEST(kernels)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    struct ft_doctor_kernel kernel = good_kernel;
    add_kernel(&out, "well", &kernel);
    kernel.switches[FT_CT_SWITCH_ACCT] = 0;
    kernel.switches[FT_CT_SWITCH_EVENTS] = 0;
    kernel.switch_err[FT_CT_SWITCH_TIMESTAMP] = ft_err_from_errno(ENOENT);
    kernel.n_entries = 262000;
    kernel.rcvbuf_got = 425984;
    kernel.tracking = (struct ft_tracking_report){.state = FT_TRACKING_NONE};
    add_kernel(&out, "ill", &kernel);
    kernel = good_kernel;
    kernel.n_entries = 220000;
    kernel.tracking.ipv6 = false;
    add_kernel(&out, "half", &kernel);
    kernel = good_kernel;
    kernel.has_net_admin = false;
    kernel.rcvbuf_err = ft_err_from_errno(EPERM);
    add_kernel(&out, "without root", &kernel);
    kernel = good_kernel;
    kernel.has_conntrack = false;
    kernel.rcvbuf_err = ft_err_from_errno(EPROTONOSUPPORT);
    add_kernel(&out, "without conntrack", &kernel);
    kernel = good_kernel;
    kernel.tracking = (struct ft_tracking_report){.state = FT_TRACKING_UNKNOWN, .legacy = true};
    kernel.fill_err = ft_err_from_errno(EACCES);
    kernel.switch_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EACCES);
    add_kernel(&out, "hidden", &kernel);
    CHECK_GOLDEN("cli/doctor-kernel.txt", out.data, out.size);
    ft_buf_deinit(&out);
}

TEST(clocks)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    static const double skews[] = {0.004, -0.3, 1.5, -61};
    for (size_t i = 0; i < sizeof skews / sizeof skews[0]; i++) {
        struct ft_checkup checkup = {.n = 0};
        ft_doctor_clock_judge(true, skews[i], "the collector", &checkup);
        add_text(&out, "told", &checkup);
    }
    struct ft_checkup checkup = {.n = 0};
    ft_doctor_clock_judge(false, 0, "the collector", &checkup);
    add_text(&out, "not told", &checkup);
    CHECK_GOLDEN("cli/doctor-clock.txt", out.data, out.size);
    ft_buf_deinit(&out);
}

TEST(rows_as_json_and_in_colour)
{
    struct ft_buf out;
    struct ft_checkup checkup = {.n = 0};
    ft_buf_init(&out, 0);
    ft_checkup_add(&checkup, "agent", FT_CHECK_OK, "well");
    struct ft_check *check =
        ft_checkup_add(&checkup, "log", FT_CHECK_WARN, "\x1b[2J\"full\"\n of \xc2\x9b rows");
    ft_check_set_fix(check, "make room");
    ft_checkup_add(&checkup, "clock", FT_CHECK_UNSEEN, "dark");
    CHECK_INT(ft_checkup_judge(&checkup), FT_EXIT_DEGRADED);
    ft_checkup_write_json(&checkup, &out);
    CHECK_STR(ft_buf_str(&out),
              "{\"state\":\"warn\",\"checks\":["
              "{\"name\":\"agent\",\"state\":\"ok\",\"text\":\"well\"},"
              "{\"name\":\"log\",\"state\":\"warn\","
              "\"text\":\"\\u001b[2J\\\"full\\\"\\n of \\u009b rows\",\"fix\":\"make room\"},"
              "{\"name\":\"clock\",\"state\":\"unseen\",\"text\":\"dark\"}]}\n");
    ft_buf_clear(&out);
    ft_checkup_write_table(&checkup, true, &out);
    CHECK(strstr(ft_buf_str(&out), "\x1b[33mwarn  \x1b[0m") != NULL);
    CHECK(strstr(ft_buf_str(&out), "\x1b[2J") == NULL);
    ft_buf_deinit(&out);
}

/* "name state; …" of all rows. */
static const char *states(const struct ft_checkup *checkup)
{
    static const char *const names[] = {"ok", "unseen", "warn", "fail"};
    static char text[1024];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < checkup->n; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s", i > 0 ? "; " : "",
                               checkup->checks[i].name, names[checkup->checks[i].state]);
        if (checkup->checks[i].state > FT_CHECK_UNSEEN) {
            CHECK(checkup->checks[i].fix[0] != '\0');
        }
    }
    return text;
}

static struct ft_doctor_target target_of(const char *url, const char *token, mode_t mode)
{
    struct ft_doctor_target target = {.timeout_ns = 400000000};
    (void)snprintf(target.url, sizeof target.url, "%s", url);
    if (token != NULL) {
        (void)snprintf(target.token_file, sizeof target.token_file, "%s/token", ft_test_tmpdir());
        FILE *file = fopen(target.token_file, "w");
        CHECK(file != NULL && fputs(token, file) >= 0 && fclose(file) == 0);
        CHECK(chmod(target.token_file, mode) == 0);
    }
    return target;
}

#define TOKEN "correct-horse-battery"

TEST(way_that_ends_early)
{
    struct ft_checkup checkup = {.n = 0};
    struct ft_doctor_target target = target_of("", NULL, 0);
    ft_doctor_collector(&target, &checkup);
    CHECK_STR(states(&checkup), "collector unseen; token file unseen");

    checkup.n = 0;
    target = target_of("https://collector/path", TOKEN, 0644);
    ft_doctor_collector(&target, &checkup);
    CHECK_STR(states(&checkup), "token file warn; url fail");

    checkup.n = 0;
    target = target_of("https://name.invalid:4317", "short", 0600);
    ft_doctor_collector(&target, &checkup);
    CHECK_STR(states(&checkup), "token file fail; url ok; name resolution fail");

    checkup.n = 0;
    target = target_of("http://127.0.0.1:1", TOKEN, 0600);
    ft_doctor_collector(&target, &checkup);
    CHECK_STR(states(&checkup), "token file ok; url ok; name resolution ok; tcp fail");
    CHECK(strstr(checkup.checks[3].text, "Connection refused") != NULL);
}

/* Something listens, but it is no collector. */
TEST(way_to_another_program)
{
    const struct answer answers[] = {{.path = "/", .parts = {"hello"}}, {0}};
    struct server *server = server_start(answers, NULL);
    static const char *const schemes[] = {"http", "https"};
    static const char *const expected[] = {
        "token file ok; url ok; name resolution ok; tcp ok; login fail",
        "token file ok; url ok; name resolution ok; tcp ok; tls "};
    for (size_t i = 0; i < 2; i++) {
        struct ft_checkup checkup = {.n = 0};
        char url[128];
        (void)snprintf(url, sizeof url, "%s://%s", schemes[i], server_where(server));
        struct ft_doctor_target target = target_of(url, TOKEN, 0600);
        ft_doctor_collector(&target, &checkup);
        CHECK(strstr(states(&checkup), expected[i]) != NULL);
        CHECK(strstr(states(&checkup), "login ok") == NULL);
    }
    server_stop(server);
}

static enum ft_rpc_status on_open(void *ctx, struct ft_rpc_session *session,
                                  const struct ft_rpc_request *request, char *reterr_text)
{
    (void)session;
    struct ft_rpc_token token;
    if (ft_rpc_request_get_token(request, &token) == FT_OK && token.len == strlen(TOKEN) &&
        memcmp(token.text, TOKEN, token.len) == 0) {
        return FT_RPC_OK;
    }
    (void)snprintf(reterr_text, FT_RPC_TEXT_SIZE, "the token is not accepted");
    (void)ctx;
    return FT_RPC_UNAUTHENTICATED;
}

static bool on_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data, size_t size)
{
    (void)session;
    (void)data;
    (void)size;
    *(bool *)ctx = true; /* The doctor says nothing: it must leave no trace. */
    return true;
}

static void on_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    (void)ctx;
    (void)session;
    (void)end;
}

TEST(way_to_a_collector)
{
    static const struct ft_rpc_handler handler = {
        .on_open = on_open, .on_message = on_message, .on_closed = on_closed};
    bool was_told = false;
    struct ft_rpc_method method = {
        .path = "/flowtrail.v1.Ingest/Export", .handler = &handler, .ctx = &was_told};
    struct ft_rpc_server_options options = {
        .listen = "127.0.0.1:0", .methods = &method, .n_methods = 1, .plaintext = true};
    struct ft_rpc_server *server = NULL;
    struct ft_diag diag = {0};
    ft_rpc_init(NULL);
    CHECK_OK(ft_rpc_server_start(&options, &server, &diag));
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", ft_rpc_server_get_port(server));
    static const struct {
        const char *token;
        const char *states;
    } cases[] = {
        {TOKEN, "token file ok; url ok; name resolution ok; tcp ok; login ok"},
        {"another-token-of-mine", "token file ok; url ok; name resolution ok; tcp ok; login fail"},
        {NULL, "token file unseen; url ok; name resolution ok; tcp ok; login unseen"},
    };
    for (size_t i = 0; i < 3; i++) {
        struct ft_checkup checkup = {.n = 0};
        struct ft_doctor_target target = target_of(url, cases[i].token, 0600);
        ft_doctor_collector(&target, &checkup);
        CHECK_STR(states(&checkup), cases[i].states);
    }
    CHECK(!was_told);
    ft_rpc_server_stop(server, 0);
    ft_rpc_shutdown();
}

static void judge_agent(const char *status, const char *expected)
{
    const struct answer answers[] = {{.path = "/api/v1/status", .parts = {status}}, {0}};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/agent.sock", ft_test_tmpdir());
    struct server *server = server_start(answers, path);
    struct ft_cli_where where = {.server = (char[]){""}, .agent = path, .ca_file = (char[]){""}};
    struct ft_doctor_target target = {0};
    struct ft_checkup checkup = {.n = 0};
    ft_doctor_agent(&where, &target, &checkup);
    CHECK_STR(states(&checkup), expected);
    CHECK_STR(target.url, "https://c:4317");
    CHECK_STR(target.token_file, "/etc/flowtrail/token");
    CHECK_STR(target.ca_file, "/etc/flowtrail/ca.pem");
    CHECK(target.clock_skew_known == (strstr(status, "active") != NULL));
    server_stop(server);
}

TEST(agents)
{
#define COLLECTOR(state)                                                                           \
    "\"collector\":{\"url\":\"https://c:4317\",\"token_file\":\"/etc/flowtrail/token\","           \
    "\"ca_file\":\"/etc/flowtrail/ca.pem\",\"state\":\"" state "\",\"clock_skew_seconds\":0.5}"
    judge_agent("{\"version\":\"" FT_VERSION "\",\"components\":[{\"name\":\"log\",\"health\":"
                "\"ok\"}],\"account\":{\"balanced\":true}," COLLECTOR("active") "}",
                "agent ok; version ok");
    judge_agent("{\"version\":\"0.0.1\",\"components\":[{\"name\":\"log\",\"health\":\"ok\"},"
                "{\"name\":\"stream\",\"health\":\"degraded\",\"text\":\"away\"},{\"name\":"
                "\"configuration\",\"health\":\"failed\"}]," COLLECTOR("backoff") "}",
                "agent warn; agent fail; version warn");
}

TEST(command)
{
    struct process process;
    const struct answer answers[] = {
        {.path = "/api/v1/status", .parts = {"{\"time\":\"2000-01-01T00:00:00Z\"}"}}, {0}};
    struct server *server = server_start(answers, NULL);
    int code =
        RUN(&process, "doctor", "--agent", "/nowhere/agent.sock", "--server", server_where(server));
    CHECK_INT(code, 2); /* The clock is years ahead, whatever this machine is like. */
    CHECK_STR(ERR(&process), "");
    CHECK(strstr(OUT(&process), "conntrack") != NULL);
    CHECK(strstr(OUT(&process), "cannot reach /nowhere/agent.sock: No such file or directory\n") !=
          NULL);
    CHECK(strstr(OUT(&process), "s ahead of the collector\n") != NULL);
    process_clear(&process);
    server_stop(server);
}

/* What can be seen without privileges is seen, and the rest is named. */
TEST(without_root)
{
    if (geteuid() != 0 || access("/usr/bin/setpriv", X_OK) != 0) {
        ft_test_skip("needs root and setpriv to give it up");
    }
    char command[512];
    char self[256];
    char text[8192];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    (void)snprintf(command, sizeof command,
                   "FT_TEST_RUN_CLI=1 setpriv --reuid 65534 --regid 65534 --clear-groups "
                   "--bounding-set -all --inh-caps -all %s doctor 2>&1",
                   self);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    size_t size = fread(text, 1, sizeof text - 1, pipe);
    text[size] = '\0';
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 2) {
        ft_test_fail(__FILE__, __LINE__, "status 0x%x: %.3000s", (unsigned)status, text);
    }
    CHECK(strstr(text, "unseen  capabilities") != NULL);
    CHECK(strstr(text, "unseen  receive buffer") != NULL);
    CHECK(strstr(text, "sudo flowtrail doctor") != NULL);
    CHECK(strstr(text, "connection table          ") != NULL);
}
