/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines of the programs.  One record is one line: control bytes are escaped.
 *
 * Form: on a terminal "12:34:56.789 WARN  agent: text key=value"; under systemd (JOURNAL_STREAM)
 * the same without time, behind the "<N>" priority that journald reads; else JSON, one object a
 * line.  Folders of level 0 to 3 log nothing above DEBUG: they return errors.
 *
 * Thread: any; a record is one write(2).
 */
#ifndef FT_BASE_LOG_H
#define FT_BASE_LOG_H 1

#include <stdbool.h>

#include "base/error.h"

enum ft_log_level { FT_LOG_ERROR, FT_LOG_WARN, FT_LOG_INFO, FT_LOG_DEBUG, FT_LOG_LEVEL_N };
enum ft_log_form { FT_LOG_FORM_AUTO, FT_LOG_FORM_TTY, FT_LOG_FORM_JOURNAL, FT_LOG_FORM_JSON };

/* Before any other thread starts.  'fd' is borrowed (2 in the programs). */
void ft_log_setup(int fd, enum ft_log_form form, enum ft_log_level level);
void ft_log_set_level(enum ft_log_level level);

/* False for a name that is none of error, warn, info, debug. */
bool ft_log_level_parse(const char *name, enum ft_log_level *ret_level);

/*
 * Writes one record.  'module' is the folder ("agent").  The text is cut at 1,000 bytes.
 */
void ft_log(enum ft_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
