/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys as PEM text, read from files.  What is read is wiped before it is freed,
 * because it may be a key.
 *
 * Thread: any.
 */
#ifndef FT_RPC_PEM_H
#define FT_RPC_PEM_H 1

#include "base/error.h"

/* A bundle of all public roots is about 220 KiB. */
#define FT_RPC_PEM_SIZE_MAX (1024 * 1024)

/*
 * '*ret_text' ends in NUL and is for ft_rpc_pem_free().  FT_E_SYNTAX when the file holds no PEM
 * block, FT_E_RANGE when it is too large, else what open(2) or read(2) gave.  'diag' names the
 * file.
 */
FT_MUST_USE ft_err ft_rpc_pem_read(const char *path, char **ret_text, struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_rpc_pem_free(char *text);

#endif
