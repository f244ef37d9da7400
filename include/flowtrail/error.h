/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error type of flowtrail.
 *
 * 0 is success, an error of the operating system keeps its '-errno', an error of flowtrail's own
 * starts at -1001.  What a caller may do about an error is its kind: retry loops switch on
 * ft_err_kind() and on nothing else.
 *
 * Thread: any; nothing here keeps state.
 */
#ifndef FLOWTRAIL_ERROR_H
#define FLOWTRAIL_ERROR_H 1

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FT_MUST_USE __attribute__((warn_unused_result))
#define FT_API      __attribute__((visibility("default")))
#else
#define FT_MUST_USE
#define FT_API
#endif

/* What the caller of a failed operation can do. */
enum ft_err_kind {
    FT_KIND_NONE,      /* Success. */
    FT_KIND_BLOCKED,   /* A bound is reached (queue, disk): goes away when something is freed. */
    FT_KIND_TRANSIENT, /* Worth another try after a delay. */
    FT_KIND_PERMANENT, /* Another try gives the same: repair, or go on without. */
    FT_KIND_USAGE,     /* The request itself is wrong: a person or a program must change it. */
    FT_KIND_N
};

/* X(name, number, kind, text): our own errors. Numbers are stable, they appear in logs. */
#define FT_ERRORS(X)                                                                               \
    X(OVERRUN, -1001, TRANSIENT, "the kernel dropped events")                                      \
    X(FULL, -1002, BLOCKED, "a configured bound is reached")                                       \
    X(CORRUPT, -1003, PERMANENT, "stored data failed its checksum")                                \
    X(SYNTAX, -1004, USAGE, "malformed input")                                                     \
    X(RANGE, -1005, USAGE, "value out of range")                                                   \
    X(UNKNOWN_KEY, -1006, USAGE, "unknown key")                                                    \
    X(PROTOCOL, -1007, PERMANENT, "the peer broke the protocol")                                   \
    X(AUTH, -1008, TRANSIENT, "not authenticated")                                                 \
    X(UNREACHABLE, -1009, TRANSIENT, "the peer cannot be reached")                                 \
    X(CLOSED, -1010, TRANSIENT, "closed")                                                          \
    X(CANCELLED, -1011, PERMANENT, "cancelled")                                                    \
    X(UNSUPPORTED, -1012, PERMANENT, "not supported here")                                         \
    X(NOT_FOUND, -1013, PERMANENT, "not found")                                                    \
    X(STORE, -1014, TRANSIENT, "the database refused")                                             \
    X(TLS, -1015, TRANSIENT, "TLS failed")                                                         \
    X(END, -1016, PERMANENT, "end of data")

typedef enum ft_err {
    FT_OK = 0,
#define FT_ERR_ENUM(name, number, kind, text) FT_E_##name = (number),
    FT_ERRORS(FT_ERR_ENUM)
#undef FT_ERR_ENUM
} ft_err;

/* '-errno' as an ft_err.  'errnum' is positive; 0 gives FT_OK. */
FT_API ft_err ft_err_from_errno(int errnum);

/* Never NULL, static storage; unknown numbers give "unknown error". */
FT_API const char *ft_err_text(ft_err err);

/* The enumerator's name ("FT_E_CORRUPT", "ENOSPC"), for tests and logs. Never NULL. */
FT_API const char *ft_err_name(ft_err err);

FT_API enum ft_err_kind ft_err_kind(ft_err err);

#ifdef __cplusplus
}
#endif
#endif
