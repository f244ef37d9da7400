/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `flowtrail observe` was asked (observe.c), and showing it (observe_show.c).
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_OBSERVE_H
#define FT_CLI_OBSERVE_H 1

#include "cli/filters.h"
#include "cli/names.h"
#include "cli/rows.h"
#include "cli/where.h"

enum ft_observe_output {
    FT_OBSERVE_COMPACT,
    FT_OBSERVE_TABLE,
    FT_OBSERVE_DICT,
    FT_OBSERVE_JSON,
    FT_OBSERVE_JSONPB /* Hubble's name for the same. */
};

/* Rows when nothing says how many. */
#define FT_OBSERVE_LAST_DEFAULT 20

struct ft_observe_options {
    struct ft_cli_where where;
    char *input_file;
    bool follow;
    uint64_t last;
    uint64_t first;
    bool all;
    char *since;
    char *until;
    int output;      /* enum ft_observe_output */
    int time_format; /* enum ft_text_time */
    int colour;      /* enum ft_cli_colour */
    bool not ;
    struct ft_strings ip, from_ip, to_ip, port, from_port, to_port, protocol, type, direction,
        node_name, process, filter;
    bool ipv4;
    bool ipv6;
};

/* Shows the rows; the exit code. */
int ft_observe(const struct ft_observe_options *options, struct ft_cli_filters *filters,
               struct ft_cli_names *names);

#endif
