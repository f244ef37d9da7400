/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a manual in scdoc's language, made from the tables of options: `manual PAGE`.  Run by the
 * build; not installed.
 */
#include <stdio.h>
#include <string.h>

#include "agent/options.h"
#include "cli/cli.h"
#include "collector/options.h"

struct page {
    const char *name;
    unsigned section;
    const char *summary;
    const char *description; /* In scdoc's language. */
    const struct ft_option_table *table;
    const char *config_file;
    const char *dropin_dir;
    const char *see_also;
};

#define CONFIGURED                                                                                 \
    "The configuration is read from a file, the drop-ins beside it, the environment and flags, "   \
    "the later wins; *--check* says what is wrong with it, *--dump* shows what holds and where "   \
    "each value comes from.\n\n"

static const struct page pages[] = {
    {"flowtraild", 8, "report every network connection of this host, losing none silently",
     "*flowtraild* listens to the kernel's connection tracking, keeps each flow event until a "
     "collector, *flowtrail-collector*(8), has confirmed that it is stored, and streams them "
     "there. What could not be kept is reported as a loss with its time, number and cause.\n\n"
     "It needs the capability CAP\\_NET\\_ADMIN and nothing else. *flowtrail doctor* finds what a "
     "host lacks.\n\n" CONFIGURED,
     &ft_agent_option_table, FT_AGENT_CONFIG_FILE, FT_AGENT_CONFIG_DIR,
     "*flowtraild.yaml*(5), *flowtrail*(1), *flowtrail-collector*(8)"},
    {"flowtrail-collector", 8, "store the flow events of many agents, each exactly once",
     "*flowtrail-collector* takes the flow events of many agents, *flowtraild*(8), writes them to "
     "a log on disk before it confirms them, stores each exactly once in DuckDB, and answers "
     "questions about them over HTTP.\n\n" CONFIGURED,
     &ft_collector_option_table, FT_COLLECTOR_CONFIG_FILE, FT_COLLECTOR_CONFIG_DIR,
     "*flowtrail-collector.yaml*(5), *flowtrail*(1), *flowtraild*(8)"},
    {"flowtraild.yaml", 5, "configuration of flowtraild", NULL, &ft_agent_option_table,
     FT_AGENT_CONFIG_FILE, FT_AGENT_CONFIG_DIR, "*flowtraild*(8)"},
    {"flowtrail-collector.yaml", 5, "configuration of flowtrail-collector", NULL,
     &ft_collector_option_table, FT_COLLECTOR_CONFIG_FILE, FT_COLLECTOR_CONFIG_DIR,
     "*flowtrail-collector*(8)"},
};

static void add_program(const struct page *page, struct ft_buf *out)
{
    ft_buf_addf(out, "# SYNOPSIS\n\n*%s* [_OPTION_]...\n\n# DESCRIPTION\n\n%s", page->name,
                page->description);
    ft_options_man_flags(page->table, FT_ARGS_CONFIG, out);
    ft_buf_addf(out,
                "# SIGNALS\n\n*SIGTERM*, *SIGINT*\n\tDeliver what is there, and stop.\n\n"
                "*SIGHUP*\n\tRead the configuration and the tokens again; what is wrong with them "
                "leaves the old ones in place.\n\n"
                "# EXIT STATUS\n\n*0*\n\tStopped as asked.\n\n*1*\n\tFailed; standard error says "
                "why.\n\n*64*\n\tThe command line is wrong.\n\n*78*\n\tThe configuration is "
                "wrong.\n\n# FILES\n\n_%s_\n\tThe configuration.\n\n_%s/\\*.yaml_\n\tDrop-ins, in "
                "the order of their names.\n\n",
                page->config_file, page->dropin_dir);
}

static void add_file(const struct page *page, struct ft_buf *out)
{
    ft_buf_addf(
        out,
        "# SYNOPSIS\n\n_%s_, _%s/\\*.yaml_\n\n# DESCRIPTION\n\n"
        "YAML. A key is written with dots or nested: \"logging.level: info\" is the same as "
        "\"logging: { level: info }\". A key that is not known, or a value that is not "
        "allowed, is an error that names the line; nothing of a wrong file is used. "
        "Drop-ins are read behind the file, in the order of their names, and win.\n\n",
        page->config_file, page->dropin_dir);
    ft_options_man_keys(page->table, out);
}

static void add_page(const struct page *page, struct ft_buf *out)
{
    ft_buf_addf(out, "%s(%u) \"\" \"flowtrail manual\"\n\n# NAME\n\n%s - %s\n\n", page->name,
                page->section, page->name, page->summary);
    if (page->description != NULL) {
        add_program(page, out);
    } else {
        add_file(page, out);
    }
    ft_buf_addf(out, "# SEE ALSO\n\n%s\n", page->see_also);
}

static bool find_page(const char *wanted, struct ft_buf *out)
{
    if (strcmp(wanted, "flowtrail.1") == 0) {
        ft_cli_man(out);
        return true;
    }
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s.%u", pages[i].name, pages[i].section);
        if (strcmp(name, wanted) == 0) {
            add_page(&pages[i], out);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    bool found = argc == 2 && find_page(argv[1], &out);
    bool good = found && out.err == FT_OK && fwrite(out.data, 1, out.size, stdout) == out.size &&
                fflush(stdout) == 0;
    ft_buf_deinit(&out);
    return good ? 0 : 1;
}
