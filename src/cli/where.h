/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a command asks: the agent of this host or a collector.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_WHERE_H
#define FT_CLI_WHERE_H 1

#include <stdbool.h>

#include "config/options.h"
#include "http/client.h"
#include "json/reader.h"

#define FT_CLI_AGENT_SOCKET "/run/flowtrail/agent.sock"
/* The environment variable that --server is taken from. */
#define FT_CLI_SERVER_VARIABLE "FLOWTRAIL_SERVER"

/* The first member of the options struct of a command that asks. */
struct ft_cli_where {
    char *server;  /* A collector, or "". */
    char *agent;   /* An agent's socket. */
    char *ca_file; /* For https. */
};

/* The options of struct ft_cli_where, for tables. */
#define FT_CLI_WHERE_OPTIONS(type)                                                                 \
    FT_OPT_STRING(type, where.server, "server", NULL,                                              \
                  "Ask the collector at this address instead of the agent of this host; also "     \
                  "from FLOWTRAIL_SERVER.",                                                        \
                  .value_name = "HOST:PORT"),                                                      \
        FT_OPT_PATH(type, where.agent, "agent", FT_CLI_AGENT_SOCKET, "Socket of the agent.",       \
                    .value_name = "SOCKET"),                                                       \
        FT_OPT_PATH(type, where.ca_file, "ca_file", NULL,                                          \
                    "Certificates (PEM) to trust for https.", .flags = FT_OPTION_ADVANCED)

/* Is a collector asked? */
bool ft_cli_is_collector(const struct ft_cli_where *where);

/* A client for where the options say, which Ctrl-C cancels (terminal.h); prints why not and returns
 * NULL. */
struct ft_http_client *ft_cli_connect(const struct ft_cli_where *where);
void ft_cli_disconnect(struct ft_http_client *client);
FT_DEFINE_CLEANUP(struct ft_http_client, ft_cli_disconnect);

/* GET of one JSON document, within ten seconds.  '*ret_doc' is the caller's. */
FT_MUST_USE ft_err ft_cli_get_json(struct ft_http_client *client, const char *path,
                                   struct ft_json_doc **ret_doc, struct ft_diag *reterr_diag);

/* Members of an answer; "", 0 and false when they are not there. */
const char *ft_cli_text_of(const struct ft_json_value *object, const char *key);
uint64_t ft_cli_number_of(const struct ft_json_value *object, const char *key);
bool ft_cli_is_set(const struct ft_json_value *object, const char *key);

/* Prints why a request failed, and what to look at. */
void ft_cli_tell_failure(const struct ft_cli_where *where, ft_err err, const struct ft_diag *diag);

#endif
