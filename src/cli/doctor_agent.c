/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail doctor, the agent: does it run, how is it, and where does it send to? */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/doctor.h"

static void judge_unanswered(const struct ft_cli_where *where, ft_err err,
                             const struct ft_diag *diag, struct ft_checkup *checkup);
static void judge_components(const struct ft_json_value *status, struct ft_checkup *checkup);
static void judge_version(const struct ft_json_value *status, struct ft_checkup *checkup);
static void take_target(const struct ft_json_value *status, struct ft_doctor_target *target);

void ft_doctor_agent(const struct ft_cli_where *where, struct ft_doctor_target *target,
                     struct ft_checkup *checkup)
{
    struct ft_cli_where agent = {
        .server = (char[]){""}, .agent = where->agent, .ca_file = (char[]){""}};
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(&agent);
    struct ft_diag diag = {0};
    ft_err err = FT_E_UNREACHABLE;
    if (client != NULL) {
        err = ft_cli_get_json(client, "/api/v1/status", &doc, &diag);
    }
    if (err != FT_OK) {
        judge_unanswered(where, err, &diag, checkup);
        return;
    }
    const struct ft_json_value *status = ft_json_doc_get_root(doc);
    judge_components(status, checkup);
    judge_version(status, checkup);
    take_target(status, target);
}

static void judge_unanswered(const struct ft_cli_where *where, ft_err err,
                             const struct ft_diag *diag, struct ft_checkup *checkup)
{
    bool denied = strstr(diag->text, ft_err_text(ft_err_from_errno(EACCES))) != NULL;
    struct ft_check *check =
        ft_checkup_add(checkup, "agent", denied ? FT_CHECK_UNSEEN : FT_CHECK_WARN, "%s",
                       diag->text[0] != '\0' ? diag->text : ft_err_text(err));
    if (denied) {
        ft_check_set_fix(check, "sudo flowtrail doctor --agent %s", where->agent);
    } else {
        ft_check_set_fix(check, "systemctl start flowtraild");
    }
}

/* One row when all is well, else one for each component that is not. */
static void judge_components(const struct ft_json_value *status, struct ft_checkup *checkup)
{
    const struct ft_json_value *components = ft_json_get(status, "components");
    size_t n_ill = 0;
    for (size_t i = 0; i < ft_json_size(components); i++) {
        const struct ft_json_value *component = ft_json_at(components, i);
        const char *health = ft_cli_text_of(component, "health");
        if (strcmp(health, "ok") == 0) {
            continue;
        }
        n_ill++;
        struct ft_check *check = ft_checkup_add(
            checkup, "agent", strcmp(health, "failed") == 0 ? FT_CHECK_FAIL : FT_CHECK_WARN,
            "%s: %s", ft_cli_text_of(component, "name"), ft_cli_text_of(component, "text"));
        ft_check_set_fix(check, "journalctl -u flowtraild -n 50");
        if (n_ill == FT_CHECKS_MAX / 4) {
            return; /* Enough to look at. */
        }
    }
    const struct ft_json_value *account = ft_json_get(status, "account");
    if (account != NULL && !ft_cli_is_set(account, "balanced")) {
        ft_checkup_add(checkup, "agent", FT_CHECK_FAIL,
                       "its account does not balance: please report this");
    } else if (n_ill == 0) {
        ft_checkup_add(checkup, "agent", FT_CHECK_OK, "answers; its %zu components are well",
                       ft_json_size(components));
    }
}

static void judge_version(const struct ft_json_value *status, struct ft_checkup *checkup)
{
    const char *version = ft_cli_text_of(status, "version");
    if (strcmp(version, FT_VERSION) == 0) {
        ft_checkup_add(checkup, "version", FT_CHECK_OK, "%s, agent and command line", version);
        return;
    }
    struct ft_check *check = ft_checkup_add(checkup, "version", FT_CHECK_WARN,
                                            "the agent runs %s, this is %s", version, FT_VERSION);
    ft_check_set_fix(check, "systemctl restart flowtraild");
}

static void take(char *to, size_t size, const struct ft_json_value *object, const char *key)
{
    if (to[0] == '\0') {
        (void)snprintf(to, size, "%s", ft_cli_text_of(object, key));
    }
}

static void take_target(const struct ft_json_value *status, struct ft_doctor_target *target)
{
    const struct ft_json_value *collector = ft_json_get(status, "collector");
    /* What the agent heard is of its own collector, not of one that flags name. */
    bool other =
        target->url[0] != '\0' && strcmp(target->url, ft_cli_text_of(collector, "url")) != 0;
    if (other) {
        return;
    }
    take(target->url, sizeof target->url, collector, "url");
    take(target->token_file, sizeof target->token_file, collector, "token_file");
    take(target->ca_file, sizeof target->ca_file, collector, "ca_file");
    target->clock_skew_known =
        strcasecmp(ft_cli_text_of(collector, "state"), "active") == 0 &&
        ft_json_get_double(collector, "clock_skew_seconds", &target->clock_skew_s, NULL) == FT_OK;
}
