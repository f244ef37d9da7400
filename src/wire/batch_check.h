/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of flowtrail.v1.Batch: everything that must hold before a row may be read.
 *
 * Thread: any; a pure function.
 */
#ifndef FT_WIRE_BATCH_CHECK_H
#define FT_WIRE_BATCH_CHECK_H 1

#include "base/error.h"
#include "flowtrail/v1/export.pb-c.h"

/* FT_E_PROTOCOL with the first broken rule in words. */
FT_MUST_USE ft_err ft_batch_check(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag);

#endif
