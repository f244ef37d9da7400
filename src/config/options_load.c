/* SPDX-License-Identifier: Apache-2.0 */
/* ft_options_load(): all sources into a new struct, which replaces the old one at the end. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_value.h"
#include "config/suggest.h"
#include "config/text_check.h"

#define ENV_PREFIX  "FLOWTRAIL_"
#define REMOTE_NAME "remote configuration"

struct origin {
    enum ft_options_source source;
    char *text; /* Owned; NULL: the default. */
};

struct ft_options_report {
    const struct ft_option_table *table;
    size_t n_warnings;
    size_t n_warnings_lost;
    char *warnings[FT_OPTIONS_WARNINGS_MAX + 1]; /* The last one counts those that were lost. */
    struct origin origins[];
};

/* One load under way. */
struct loader {
    const struct ft_option_table *table;
    const struct ft_options_input *input;
    void *options; /* The new struct. */
    struct ft_options_report *report;
    struct ft_diag *diag;
    enum ft_options_source source; /* What is being applied. */
    const char *file;
    ft_err err; /* No memory for an origin. */
};

static ft_err load_all(struct loader *loader);
static ft_err load_defaults(struct loader *loader);
static ft_err load_files(struct loader *loader);
static ft_err load_file(struct loader *loader, const char *path, bool optional);
static ft_err load_dropins(struct loader *loader);
static ft_err list_dropins(struct loader *loader, char **names, size_t *ret_n);
static ft_err load_remote(struct loader *loader);
static ft_err apply_tree(struct loader *loader, const struct ft_yaml_tree *tree);
static ft_err load_environment(struct loader *loader);
static void warn_unknown_variables(struct loader *loader);
static bool is_injected(const char *name, size_t len, const char *value);
static bool is_service_url(const char *name, size_t len, const char *value);
static ft_err load_flags(struct loader *loader);
static ft_err check_result(struct loader *loader);
static void tell(void *ctx, const char *text);
static void place_diag(struct loader *loader);
static void on_seen(void *ctx, const struct ft_option *option, const struct ft_yaml_node *node);
static void set_origin(struct loader *loader, const struct ft_option *option, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
static void warn(struct loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *find_variable(char *const *environment, const char *name);

ft_err ft_options_load(const struct ft_option_table *table, const struct ft_options_input *input,
                       void *options, struct ft_options_report **ret_report,
                       struct ft_diag *reterr_diag)
{
    struct ft_diag own_diag = {0};
    FT_CLEANUP(ft_options_report_destroy)
    struct ft_options_report *report =
        calloc(1, sizeof *report + table->n_options * sizeof report->origins[0]);
    void *fresh = malloc(table->struct_size);
    if (report == NULL || fresh == NULL || ft_options_init(table, fresh) != FT_OK) {
        free(fresh);
        free(FT_TAKE(report)); /* Empty still. */
        return ft_diag_set(reterr_diag, -ENOMEM, "", 0, 0, "out of memory");
    }
    report->table = table;
    struct loader loader = {.table = table,
                            .input = input,
                            .options = fresh,
                            .report = report,
                            .diag = reterr_diag != NULL ? reterr_diag : &own_diag};
    ft_err err = load_all(&loader);
    if (err != FT_OK) {
        ft_options_deinit(table, fresh);
        free(fresh);
        return err;
    }
    ft_options_deinit(table, options);
    memcpy(options, fresh, table->struct_size);
    free(fresh);
    if (ret_report != NULL) {
        *ret_report = FT_TAKE(report);
    }
    return FT_OK;
}

void ft_options_report_destroy(struct ft_options_report *report)
{
    if (report == NULL) {
        return;
    }
    for (size_t i = 0; i < report->table->n_options; i++) {
        free(report->origins[i].text);
    }
    for (size_t i = 0; i <= FT_OPTIONS_WARNINGS_MAX; i++) {
        free(report->warnings[i]);
    }
    free(report);
}

enum ft_options_source ft_options_report_source(const struct ft_options_report *report,
                                                const struct ft_option *option)
{
    return report->origins[option - report->table->options].source;
}

const char *ft_options_report_origin(const struct ft_options_report *report,
                                     const struct ft_option *option)
{
    const char *text = report->origins[option - report->table->options].text;
    return text != NULL ? text : "default";
}

size_t ft_options_report_n_warnings(const struct ft_options_report *report)
{
    return report->n_warnings;
}

const char *ft_options_report_warning(const struct ft_options_report *report, size_t i)
{
    return i < report->n_warnings ? report->warnings[i] : "";
}

static ft_err load_all(struct loader *loader)
{
    FT_TRY(load_defaults(loader));
    FT_TRY(load_files(loader));
    FT_TRY(load_remote(loader));
    FT_TRY(load_environment(loader));
    FT_TRY(load_flags(loader));
    if (loader->err != FT_OK) {
        return ft_diag_set(loader->diag, loader->err, "", 0, 0, "out of memory");
    }
    return check_result(loader);
}

/* Those that begin with a directory of systemd's: without it they are empty, which they are now. */
static ft_err load_defaults(struct loader *loader)
{
    for (size_t i = 0; loader->input->environment != NULL && i < loader->table->n_options; i++) {
        const struct ft_option *option = &loader->table->options[i];
        const char *text = option->default_text;
        if (text == NULL || text[0] != '$') {
            continue;
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 1, "/"), text + 1);
        const char *value = find_variable(loader->input->environment, name);
        if (value != NULL && value[0] != '\0') {
            struct ft_option_place place = {
                .file = "", .name = option->name, .environment = loader->input->environment};
            FT_TRY(ft_option_value_parse(option, &place, text,
                                         ft_option_member(option, loader->options), loader->diag));
        }
    }
    return FT_OK;
}

static ft_err load_files(struct loader *loader)
{
    loader->source = FT_OPTIONS_FILE;
    if (loader->input->file != NULL) {
        FT_TRY(load_file(loader, loader->input->file, loader->input->file_optional));
    }
    return loader->input->dropin_dir != NULL ? load_dropins(loader) : FT_OK;
}

static ft_err load_file(struct loader *loader, const char *path, bool optional)
{
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = NULL;
    ft_err err = ft_yaml_load(path, &tree, loader->diag);
    if (err == -ENOENT && optional) {
        return FT_OK;
    }
    FT_TRY(err);
    return apply_tree(loader, tree);
}

static ft_err load_dropins(struct loader *loader)
{
    char *names[FT_OPTIONS_DROPINS_MAX];
    size_t n = 0;
    ft_err err = list_dropins(loader, names, &n);
    for (size_t i = 0; i < n; i++) {
        char *path;
        if (err == FT_OK && asprintf(&path, "%s/%s", loader->input->dropin_dir, names[i]) < 0) {
            err = ft_diag_set(loader->diag, -ENOMEM, "", 0, 0, "out of memory");
        }
        if (err == FT_OK) {
            err = load_file(loader, path, false);
            free(path);
        }
        free(names[i]);
    }
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that end in ".yaml", sorted as bytes; '*ret_n' counts what the caller must free. */
static ft_err list_dropins(struct loader *loader, char **names, size_t *ret_n)
{
    const char *path = loader->input->dropin_dir;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        ft_err err = ft_err_last();
        if (err == -ENOENT) {
            return FT_OK;
        }
        return ft_diag_set(loader->diag, err, path, 0, 0, "cannot open: %s", ft_err_text(err));
    }
    ft_err err = FT_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            err = ft_err_last();
            if (err != FT_OK) {
                err =
                    ft_diag_set(loader->diag, err, path, 0, 0, "cannot read: %s", ft_err_text(err));
            }
            break;
        }
        size_t len = strlen(entry->d_name);
        /* Editors and package managers leave ".x.yaml", "x.yaml~" and "x.yaml.dpkg-old" behind. */
        if (entry->d_name[0] == '.' || len < 6 || strcmp(entry->d_name + len - 5, ".yaml") != 0) {
            continue;
        }
        if (*ret_n == FT_OPTIONS_DROPINS_MAX) {
            err = ft_diag_set(loader->diag, FT_E_RANGE, path, 0, 0, "too many files; allowed: %d",
                              FT_OPTIONS_DROPINS_MAX);
            break;
        }
        names[*ret_n] = strdup(entry->d_name);
        if (names[*ret_n] == NULL) {
            err = ft_diag_set(loader->diag, -ENOMEM, path, 0, 0, "out of memory");
            break;
        }
        (*ret_n)++;
    }
    (void)closedir(directory);
    qsort(names, *ret_n, sizeof *names, compare_names);
    return err;
}

static ft_err load_remote(struct loader *loader)
{
    if (loader->input->remote_text == NULL) {
        return FT_OK;
    }
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = NULL;
    loader->source = FT_OPTIONS_REMOTE;
    FT_TRY(ft_yaml_parse(loader->input->remote_text, loader->input->remote_size, REMOTE_NAME, &tree,
                         loader->diag));
    return apply_tree(loader, tree);
}

static ft_err apply_tree(struct loader *loader, const struct ft_yaml_tree *tree)
{
    const struct ft_yaml_node *root = ft_yaml_tree_get_root(tree);
    loader->file = ft_yaml_tree_get_file(tree);
    if (root->kind != FT_YAML_MAP) {
        return ft_diag_set(loader->diag, FT_E_SYNTAX, loader->file, root->line, root->column,
                           "a mapping of keys to values is wanted, not %s",
                           ft_yaml_kind_text(root->kind));
    }
    struct ft_option_apply apply = {
        .table = loader->table,
        .options = loader->options,
        .place = {.file = loader->file, .name = "", .environment = loader->input->environment},
        .remote = loader->source == FT_OPTIONS_REMOTE,
        .seen = on_seen,
        .seen_ctx = loader};
    return ft_option_apply_map(&apply, root, "", loader->diag);
}

static ft_err load_environment(struct loader *loader)
{
    loader->source = FT_OPTIONS_ENVIRONMENT;
    for (size_t i = 0; loader->input->environment != NULL && i < loader->table->n_options; i++) {
        const struct ft_option *option = &loader->table->options[i];
        char name[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_env_name(option, name, sizeof name);
        const char *value = find_variable(loader->input->environment, name);
        /* Empty counts as not set: that is all that compose files and charts can say. */
        if (value == NULL || value[0] == '\0' || (option->flags & FT_OPTION_CLI_ONLY) != 0 ||
            is_service_url(name, strlen(name), value)) {
            continue;
        }
        struct ft_option_place place = {
            .file = "", .name = name, .environment = loader->input->environment};
        FT_TRY(ft_option_value_parse(option, &place, value,
                                     ft_option_member(option, loader->options), loader->diag));
        set_origin(loader, option, "%s", name);
        if (option->kind == FT_OPTION_SECRET) {
            warn(loader,
                 "%s: a secret in the environment is seen by every child and in dumps of "
                 "the process; a file is safer",
                 name);
        }
    }
    warn_unknown_variables(loader);
    return FT_OK;
}

/*
 * A variable that no option has is a warning, not an error: the environment is shared, with other
 * programs of ours and with whatever starts us.
 */
static void warn_unknown_variables(struct loader *loader)
{
    char *const *entry = loader->input->environment;
    for (; entry != NULL && *entry != NULL; entry++) {
        size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || (*entry)[len] == '\0' ||
            len > FT_SUGGEST_LEN_MAX || is_injected(*entry, len, *entry + len + 1)) {
            continue;
        }
        char word[FT_SUGGEST_LEN_MAX + 1];
        (void)snprintf(word, sizeof word, "%.*s", (int)len, *entry);
        struct ft_suggest suggest = {.word = word};
        for (size_t i = 0; i < loader->table->n_options; i++) {
            char name[FT_OPTIONS_NAME_SIZE + 16];
            ft_option_env_name(&loader->table->options[i], name, sizeof name);
            ft_suggest_offer(&suggest, name);
        }
        char quoted[FT_TEXT_QUOTE_SIZE];
        ft_text_quote(word, quoted);
        if (suggest.best[0] == '\0') {
            warn(loader, "environment variable %s is not known, ignoring it", quoted);
        } else if (strcmp(suggest.best, word) != 0) {
            warn(loader, "environment variable %s is not known, ignoring it; did you mean \"%s\"?",
                 quoted, suggest.best);
        }
    }
}

/*
 * Kubernetes sets FLOWTRAIL_COLLECTOR_SERVICE_HOST, FLOWTRAIL_COLLECTOR_PORT_4317_TCP_ADDR and
 * their like in every pod beside a Service called flowtrail-collector.
 */
static bool is_injected(const char *name, size_t len, const char *value)
{
    static const char host[] = "_SERVICE_HOST";
    size_t host_len = sizeof host - 1;
    if (len > host_len && strncmp(name + len - host_len, host, host_len) == 0) {
        return true;
    }
    return memmem(name, len, "_SERVICE_PORT", strlen("_SERVICE_PORT")) != NULL ||
           (memmem(name, len, "_PORT_", 6) != NULL && memmem(name, len, "_TCP", 4) != NULL) ||
           is_service_url(name, len, value);
}

/* FLOWTRAIL_COLLECTOR_PORT=tcp://10.0.0.1:4317: not a port, whatever an option of that name is. */
static bool is_service_url(const char *name, size_t len, const char *value)
{
    return len > 5 && strncmp(name + len - 5, "_PORT", 5) == 0 &&
           (strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0);
}

static ft_err load_flags(struct loader *loader)
{
    const struct ft_options_args *args = loader->input->args;
    loader->source = FT_OPTIONS_FLAG;
    for (size_t i = 0; args != NULL && i < args->n_flags; i++) {
        const struct ft_option *option = args->flags[i].option;
        char name[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_flag_name(option, name, sizeof name);
        struct ft_option_place place = {
            .file = "", .name = name, .environment = loader->input->environment};
        void *member = ft_option_member(option, loader->options);
        /* "--ip A --ip B" is the list A, B; every other flag that is repeated counts last. */
        bool again = ft_options_report_source(loader->report, option) == FT_OPTIONS_FLAG;
        if (again && option->kind == FT_OPTION_STRINGS) {
            FT_TRY(
                ft_option_value_append(option, &place, args->flags[i].value, member, loader->diag));
        } else {
            FT_TRY(
                ft_option_value_parse(option, &place, args->flags[i].value, member, loader->diag));
        }
        set_origin(loader, option, "%s", name);
    }
    return FT_OK;
}

static ft_err check_result(struct loader *loader)
{
    for (size_t i = 0; i < loader->table->n_options; i++) {
        const struct ft_option *option = &loader->table->options[i];
        if ((option->flags & FT_OPTION_REQUIRED) == 0 ||
            !ft_option_value_empty(option, ft_option_member_const(option, loader->options))) {
            continue;
        }
        char flag[FT_OPTIONS_NAME_SIZE + 16];
        char variable[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_flag_name(option, flag, sizeof flag);
        ft_option_env_name(option, variable, sizeof variable);
        if ((option->flags & FT_OPTION_CLI_ONLY) != 0) {
            return ft_diag_set(loader->diag, FT_E_SYNTAX, "", 0, 0, "%s: must be given", flag);
        }
        const char *file = loader->input->file != NULL ? loader->input->file : "";
        return ft_diag_set(loader->diag, FT_E_SYNTAX, file, 0, 0,
                           "%s: must be set, here or by %s or %s", option->name, variable, flag);
    }
    struct ft_diag why = {0};
    ft_err err = FT_OK;
    if (loader->table->check != NULL) {
        err = loader->table->check(loader->options, &why);
    }
    if (err != FT_OK) {
        *loader->diag = why;
        place_diag(loader);
    } else if (loader->table->settle != NULL) {
        loader->table->settle(loader->options, tell, loader);
    }
    return err;
}

static void tell(void *ctx, const char *text) { warn(ctx, "%s", text); }

/* A text that begins with the name of an option gets the position where that was set. */
static void place_diag(struct loader *loader)
{
    struct ft_diag *diag = loader->diag;
    char name[FT_OPTIONS_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(diag->text, ": "), diag->text);
    const struct ft_option *option = ft_options_find(loader->table, name);
    if (option == NULL || diag->file[0] != '\0') {
        return;
    }
    enum ft_options_source source = ft_options_report_source(loader->report, option);
    const char *origin = ft_options_report_origin(loader->report, option);
    if (source != FT_OPTIONS_DEFAULT) {
        (void)snprintf(diag->file, sizeof diag->file, "%.*s", FT_DIAG_FILE_SIZE - 1, origin);
    }
}

static void on_seen(void *ctx, const struct ft_option *option, const struct ft_yaml_node *node)
{
    struct loader *loader = ctx;
    set_origin(loader, option, "%s:%u:%u", loader->file, node->line, node->column);
}

static void set_origin(struct loader *loader, const struct ft_option *option, const char *format,
                       ...)
{
    struct origin *origin = &loader->report->origins[option - loader->table->options];
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        loader->err = -ENOMEM;
        return;
    }
    free(origin->text);
    origin->text = text;
    origin->source = loader->source;
}

static void warn(struct loader *loader, const char *format, ...)
{
    struct ft_options_report *report = loader->report;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        loader->err = -ENOMEM;
        return;
    }
    if (report->n_warnings < FT_OPTIONS_WARNINGS_MAX) {
        report->warnings[report->n_warnings++] = text;
        return;
    }
    free(text);
    report->n_warnings_lost++;
    free(report->warnings[FT_OPTIONS_WARNINGS_MAX]);
    report->warnings[FT_OPTIONS_WARNINGS_MAX] = NULL;
    if (asprintf(&text, "%zu more warnings", report->n_warnings_lost) >= 0) {
        report->warnings[FT_OPTIONS_WARNINGS_MAX] = text;
        report->n_warnings = FT_OPTIONS_WARNINGS_MAX + 1;
    }
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (char *const *entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}
