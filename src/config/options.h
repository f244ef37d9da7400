/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table binds dotted names ("log.bytes_max") to the fields of a plain options struct, and from
 * it come: reading YAML files, environment and flags, defaults, the effective configuration with
 * the origin of each value, the help text and the option sections of the manual.
 *
 * Precedence, the later wins: defaults, main file, drop-ins in the order of their names, text
 * pushed by the collector, environment, flags.  A name is written
 *
 *     log: { bytes_max: 64MiB }              in a file (or "log.bytes_max: 64MiB")
 *     FLOWTRAIL_LOG_BYTES_MAX=64MiB          in the environment
 *     --log-bytes-max 64MiB                  as a flag (or --log-bytes-max=64MiB)
 *
 * An empty variable counts as not set.  Flags of a list add up; any other flag counts last.
 *
 * A load is atomic: on any error the caller's options are untouched and a diagnosis says file,
 * line, column, key, value, and what is allowed.
 *
 * Why not libcyaml: it binds YAML to structs, but one table has to serve file, environment, flags,
 * dump and help alike, with the exact line and column of each value and a suggestion for each
 * unknown key; hence libyaml's event parser (yaml_tree.h) and tables of our own.
 *
 * Tables and the strings in them are static and const.  Options of one name prefix stand next to
 * each other in their table.
 *
 * Thread: any; one options struct is written by one thread.
 */
#ifndef FT_CONFIG_OPTIONS_H
#define FT_CONFIG_OPTIONS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#define FT_OPTIONS_NAME_SIZE    128  /* A dotted name and its NUL. */
#define FT_OPTIONS_N_MAX        256  /* Options of one table. */
#define FT_OPTIONS_TEXT_MAX     4096 /* Bytes of a string whose entry sets no bound. */
#define FT_OPTIONS_LIST_MAX     1024 /* Entries of a list whose entry sets no bound. */
#define FT_OPTIONS_FLAGS_MAX    512  /* Flags on one command line. */
#define FT_OPTIONS_OPERANDS_MAX 256  /* Other words on one command line. */
#define FT_OPTIONS_DROPINS_MAX  64   /* Files of one drop-in directory. */
#define FT_OPTIONS_WARNINGS_MAX 32   /* Kept; the rest is counted. */

/* What a field is.  The type in brackets is that of the struct's member. */
enum ft_option_kind {
    FT_OPTION_BOOL,        /* [bool] true, false, yes, no, on, off */
    FT_OPTION_U64,         /* [uint64_t] */
    FT_OPTION_DURATION,    /* [int64_t, ns] "1h30m" */
    FT_OPTION_SIZE,        /* [uint64_t, bytes] "64MiB" */
    FT_OPTION_ENUM,        /* [int or an enum] one of 'names'; the value is the index */
    FT_OPTION_STRING,      /* [char *, owned, never NULL] */
    FT_OPTION_PATH,        /* [char *, owned, never NULL] absolute path, or "" for none; a leading
                              "$STATE_DIRECTORY/" (systemd) is replaced */
    FT_OPTION_SECRET_FILE, /* [char *, owned, never NULL] path of a file that holds a secret; a
                              leading "$CREDENTIALS_DIRECTORY/" (systemd) is replaced */
    FT_OPTION_SECRET,      /* [char *, owned, never NULL] the secret itself: no flag, a warning when
                              from the environment, never shown */
    FT_OPTION_STRINGS,     /* [struct ft_strings] in environment and flags: a,b,c */
    FT_OPTION_STRUCTS,     /* [struct ft_structs] a list of mappings, each as 'items' says; in
                              environment and flags as YAML: [{a: 1}, {a: 2}] */
    FT_OPTION_KIND_N
};

/* Owned strings, none NULL. */
struct ft_strings {
    char **items;
    size_t n;
};

/* Owned structs, 'n' times 'struct_size' of the option's table of items. */
struct ft_structs {
    void *items;
    size_t n;
};

/* Flags of an option. */
enum {
    FT_OPTION_RESTART = 1u << 0,  /* A change takes effect at the next start only. */
    FT_OPTION_LOCAL = 1u << 1,    /* Must not be set by text pushed by the collector. */
    FT_OPTION_REQUIRED = 1u << 2, /* Must not be empty (strings, lists). */
    FT_OPTION_ADVANCED = 1u << 3, /* Left out of the short help. */
    FT_OPTION_CLI_ONLY = 1u << 4  /* A flag, never in a file or the environment. */
};

/*
 * A further check of a string's text, or of each string of a list.  Returns false and writes what
 * is allowed ("a network such as 10.0.0.0/8") to 'why'.
 */
typedef bool ft_option_check_fn(const char *text, char *why, size_t why_size);

struct ft_option_table;

/* Fill it with the FT_OPT_… macros below, which check the member's type. */
struct ft_option {
    const char *name;         /* "log.bytes_max": [a-z0-9_] between dots. */
    const char *help;         /* One or more sentences. */
    const char *default_text; /* As written in a file; lists "a,b"; NULL as "", 0, false. */
    const char *value_name;   /* "FILE" in help; NULL: after the kind. */
    enum ft_option_kind kind;
    char letter; /* Short flag, or 0. */
    unsigned flags;
    size_t offset;
    uint64_t min; /* U64, DURATION (ns), SIZE: smallest value.  Text: fewest bytes, unless empty. */
    uint64_t max; /* Largest value.  Text: most bytes.  Lists: most entries.  0: the bound above. */
    const char *const *names; /* ENUM: ends with NULL. */
    ft_option_check_fn *check;
    const struct ft_option_table *items; /* STRUCTS */
};

/* A heading for the options whose names begin with 'prefix' and a dot. */
struct ft_option_group {
    const char *prefix;
    const char *title;
};

typedef void ft_option_tell_fn(void *ctx, const char *text);

struct ft_option_table {
    const struct ft_option *options;
    size_t n_options;
    size_t struct_size;
    const struct ft_option_group *groups; /* NULL: the prefix is the heading. */
    size_t n_groups;
    /* Checks what concerns several options; NULL: nothing.  Fills '*reterr_diag' with the text; one
     * that begins with an option's name and a colon is given the place where that was set. */
    ft_err (*check)(const void *options, struct ft_diag *reterr_diag);
    /* Behind check(): brings together what does not fit but harms nobody when one of the two gives
     * way, and tells it as a warning that names both.  NULL: nothing. */
    void (*settle)(void *options, ft_option_tell_fn *tell, void *ctx);
};

/* The member's offset; does not compile when the member is not of the type 'want'. */
#define FT_OPTION_OFFSET(type, member, want)                                                       \
    (offsetof(type, member) +                                                                      \
     0 * sizeof(                                                                                   \
             char[__builtin_types_compatible_p(__typeof__(((type *)0)->member), want) ? 1 : -1]))
#define FT_OPTION_OFFSET_ENUM(type, member)                                                        \
    (offsetof(type, member) + 0 * sizeof(char[sizeof(((type *)0)->member) == sizeof(int) ? 1 : -1]))

/* FT_OPT_X(struct, member, name, default, …, help, further designated initialisers) */
#define FT_OPT_BOOL(type, member, name_, default_, help_, ...)                                     \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_BOOL,      \
        .offset = FT_OPTION_OFFSET(type, member, bool), __VA_ARGS__                                \
    }
#define FT_OPT_U64(type, member, name_, default_, min_, max_, help_, ...)                          \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_U64,       \
        .min = (min_), .max = (max_), .offset = FT_OPTION_OFFSET(type, member, uint64_t),          \
        __VA_ARGS__                                                                                \
    }
#define FT_OPT_DURATION(type, member, name_, default_, min_, max_, help_, ...)                     \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_DURATION,  \
        .min = (min_), .max = (max_), .offset = FT_OPTION_OFFSET(type, member, int64_t),           \
        __VA_ARGS__                                                                                \
    }
#define FT_OPT_SIZE(type, member, name_, default_, min_, max_, help_, ...)                         \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_SIZE,      \
        .min = (min_), .max = (max_), .offset = FT_OPTION_OFFSET(type, member, uint64_t),          \
        __VA_ARGS__                                                                                \
    }
#define FT_OPT_ENUM(type, member, name_, default_, names_, help_, ...)                             \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_ENUM,      \
        .names = (names_), .offset = FT_OPTION_OFFSET_ENUM(type, member), __VA_ARGS__              \
    }
#define FT_OPT_TEXT_(kind_, type, member, name_, default_, help_, ...)                             \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = (kind_),             \
        .offset = FT_OPTION_OFFSET(type, member, char *), __VA_ARGS__                              \
    }
#define FT_OPT_STRING(...)      FT_OPT_TEXT_(FT_OPTION_STRING, __VA_ARGS__)
#define FT_OPT_PATH(...)        FT_OPT_TEXT_(FT_OPTION_PATH, __VA_ARGS__)
#define FT_OPT_SECRET_FILE(...) FT_OPT_TEXT_(FT_OPTION_SECRET_FILE, __VA_ARGS__)
#define FT_OPT_SECRET(...)      FT_OPT_TEXT_(FT_OPTION_SECRET, __VA_ARGS__)
#define FT_OPT_STRINGS(type, member, name_, default_, help_, ...)                                  \
    {                                                                                              \
        .name = (name_), .help = (help_), .default_text = (default_), .kind = FT_OPTION_STRINGS,   \
        .offset = FT_OPTION_OFFSET(type, member, struct ft_strings), __VA_ARGS__                   \
    }
#define FT_OPT_STRUCTS(type, member, name_, items_, help_, ...)                                    \
    {                                                                                              \
        .name = (name_), .help = (help_), .kind = FT_OPTION_STRUCTS, .items = (items_),            \
        .offset = FT_OPTION_OFFSET(type, member, struct ft_structs), __VA_ARGS__                   \
    }

/* ---- The options struct ---- */

/* Fills '*options' (any content) with the defaults.  Fails with -ENOMEM only: a default that does
 * not parse is a programmer's error. */
FT_MUST_USE ft_err ft_options_init(const struct ft_option_table *table, void *options);

/* Frees what the members own and zeroes the struct; secrets are overwritten first. */
void ft_options_deinit(const struct ft_option_table *table, void *options);

/* Makes '*copy' (any content) a deep copy. */
FT_MUST_USE ft_err ft_options_dup(const struct ft_option_table *table, const void *options,
                                  void *copy);

/* Calls 'fn' for each option whose value differs. */
typedef void ft_options_diff_fn(void *ctx, const struct ft_option *option);
void ft_options_diff(const struct ft_option_table *table, const void *a, const void *b,
                     ft_options_diff_fn *fn, void *ctx);

/*
 * Sets one option from text, as a flag does.  For tests and for programs that compute a value.
 */
FT_MUST_USE ft_err ft_options_set(const struct ft_option_table *table, void *options,
                                  const char *name, const char *text, struct ft_diag *reterr_diag);

/* The option called 'name', or NULL. */
const struct ft_option *ft_options_find(const struct ft_option_table *table, const char *name);

/* "--log-bytes-max" and "FLOWTRAIL_LOG_BYTES_MAX"; 'buf' has FT_OPTIONS_NAME_SIZE bytes more than
 * the longest prefix, 160 suffice. */
void ft_option_flag_name(const struct ft_option *option, char *buf, size_t size);
void ft_option_env_name(const struct ft_option *option, char *buf, size_t size);

/* False, and why, for a table that breaks the rules above or whose defaults do not parse. */
bool ft_options_table_ok(const struct ft_option_table *table, struct ft_diag *reterr_diag);

/* ---- The command line ---- */

struct ft_options_flag {
    const struct ft_option *option;
    const char *value; /* "true" or "false" for a bool without a value. */
};

/* A command line taken apart; the strings belong to argv. */
struct ft_options_args {
    const char *config_file;                            /* --config FILE, -c FILE, or NULL */
    bool check;                                         /* --check */
    bool dump;                                          /* --dump */
    bool help;                                          /* --help, -h */
    bool help_all;                                      /* --help-all: with the advanced options */
    bool version;                                       /* --version, -V */
    struct ft_options_flag flags[FT_OPTIONS_FLAGS_MAX]; /* In their order. */
    size_t n_flags;
    const char *operands[FT_OPTIONS_OPERANDS_MAX];
    size_t n_operands;
};

/* Which of the common flags a program has. */
enum {
    FT_ARGS_CONFIG = 1u << 0,         /* --config --check --dump */
    FT_ARGS_OPERANDS = 1u << 1,       /* Words that are no flags are allowed. */
    FT_ARGS_STOP_AT_OPERAND = 1u << 2 /* What follows the first such word is all operands: a command
                                         with flags of its own. */
};

/*
 * Takes argv[1..argc-1] apart.  "--flag value", "--flag=value", "-f value", "-fvalue", "-ab" for
 * bools, "--no-flag" for a bool, "--" ends the flags.  A long flag may not be shortened: a script
 * must not break when an option is added.  Values are not looked at yet.  Fails with
 * FT_E_UNKNOWN_KEY (with a suggestion), FT_E_SYNTAX (value missing or not wanted), FT_E_RANGE.
 */
FT_MUST_USE ft_err ft_options_parse_args(const struct ft_option_table *table, unsigned args_flags,
                                         int argc, char *const *argv,
                                         struct ft_options_args *ret_args,
                                         struct ft_diag *reterr_diag);

/* ---- Loading ---- */

/* Where values come from; NULL leaves a source out. */
struct ft_options_input {
    const char *file;
    bool file_optional;      /* A main file that does not exist is no error. */
    const char *dropin_dir;  /* Its *.yaml, sorted by name; may not exist. */
    const char *remote_text; /* YAML pushed by the collector. */
    size_t remote_size;
    char *const *environment; /* As environ. */
    const struct ft_options_args *args;
};

enum ft_options_source {
    FT_OPTIONS_DEFAULT,
    FT_OPTIONS_FILE,
    FT_OPTIONS_REMOTE,
    FT_OPTIONS_ENVIRONMENT,
    FT_OPTIONS_FLAG,
    FT_OPTIONS_SOURCE_N
};

/* Where each value came from, and what was odd but survived. */
struct ft_options_report;

/*
 * Replaces '*options', which must be initialised, by what the sources say.  On failure it is
 * untouched.  Fails with FT_E_SYNTAX, FT_E_RANGE, FT_E_UNKNOWN_KEY, -ENOMEM or the system's error
 * on a file; '*reterr_diag' is always filled then.  'ret_report' may be NULL.
 */
FT_MUST_USE ft_err ft_options_load(const struct ft_option_table *table,
                                   const struct ft_options_input *input, void *options,
                                   struct ft_options_report **ret_report,
                                   struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_options_report_destroy(struct ft_options_report *report);
FT_DEFINE_CLEANUP(struct ft_options_report, ft_options_report_destroy);

enum ft_options_source ft_options_report_source(const struct ft_options_report *report,
                                                const struct ft_option *option);
/* "/etc/flowtrail/flowtraild.yaml:12:14", "FLOWTRAIL_LOG_BYTES_MAX", "--log-bytes-max", "default".
 */
const char *ft_options_report_origin(const struct ft_options_report *report,
                                     const struct ft_option *option);
size_t ft_options_report_n_warnings(const struct ft_options_report *report);
const char *ft_options_report_warning(const struct ft_options_report *report, size_t i);

/* ---- Text made from the table; failures stay in 'out->err' ---- */

/* The effective configuration as YAML that loads again, each value with its origin ('report' may
 * be NULL: without).  Secrets are shown as "<redacted>". */
void ft_options_dump(const struct ft_option_table *table, const void *options,
                     const struct ft_options_report *report, struct ft_buf *out);

/* A file with every option under its full name, its help and its default, all commented out:
 * taking one '#' away sets one. */
void ft_options_example(const struct ft_option_table *table, struct ft_buf *out);

/* The options as `--help` shows them; 'all' with the advanced ones. */
void ft_options_help(const struct ft_option_table *table, unsigned args_flags, bool all,
                     struct ft_buf *out);

/* The options as sections of an scdoc manual: flags (man 1, 8), and keys of the file (man 5). */
void ft_options_man_flags(const struct ft_option_table *table, unsigned args_flags,
                          struct ft_buf *out);
void ft_options_man_keys(const struct ft_option_table *table, struct ft_buf *out);

#endif
