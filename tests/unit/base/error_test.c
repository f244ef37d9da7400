/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "lib/test.h"

static ft_err fail_if(ft_err err, int *n_reached)
{
    FT_TRY(err);
    (*n_reached)++;
    return FT_OK;
}

TEST(own_errors_have_name_text_and_kind)
{
    CHECK_STR(ft_err_name(FT_E_CORRUPT), "FT_E_CORRUPT");
    CHECK_STR(ft_err_text(FT_E_CORRUPT), "stored data failed its checksum");
    CHECK_INT(ft_err_kind(FT_E_CORRUPT), FT_KIND_PERMANENT);
    CHECK_INT(ft_err_kind(FT_E_FULL), FT_KIND_BLOCKED);
    CHECK_INT(ft_err_kind(FT_E_SYNTAX), FT_KIND_USAGE);
    CHECK_INT(ft_err_kind(FT_E_AUTH), FT_KIND_TRANSIENT);
#define CHECK_OWN(name, number, kind, text)                                                        \
    CHECK_STR(ft_err_name(FT_E_##name), "FT_E_" #name);                                            \
    CHECK_STR(ft_err_text((ft_err)(number)), text);                                                \
    CHECK_INT(ft_err_kind(FT_E_##name), FT_KIND_##kind);
    FT_ERRORS(CHECK_OWN)
#undef CHECK_OWN
}

TEST(system_errors_keep_their_number)
{
    ft_err err = ft_err_from_errno(ENOSPC);
    CHECK_INT(err, -ENOSPC);
    CHECK_STR(ft_err_name(err), "ENOSPC");
    CHECK_STR(ft_err_text(err), "No space left on device");
    CHECK_INT(ft_err_kind(err), FT_KIND_BLOCKED);
    CHECK_INT(ft_err_kind(ft_err_from_errno(EPERM)), FT_KIND_PERMANENT);
    CHECK_INT(ft_err_kind(ft_err_from_errno(EAGAIN)), FT_KIND_TRANSIENT);
    CHECK_INT(ft_err_kind(ft_err_from_errno(EINVAL)), FT_KIND_USAGE);
    errno = EBADF;
    CHECK_INT(ft_err_last(), -EBADF);
}

TEST(success_and_unknown_numbers_have_texts)
{
    CHECK_STR(ft_err_name(FT_OK), "FT_OK");
    CHECK_STR(ft_err_text(FT_OK), "success");
    CHECK_INT(ft_err_kind(FT_OK), FT_KIND_NONE);
    CHECK_STR(ft_err_name((ft_err)-9999), "unknown");
    CHECK_STR(ft_err_text((ft_err)-9999), "unknown error");
    CHECK_INT(ft_err_from_errno(0), FT_OK);
}

TEST(try_returns_the_error_or_goes_on)
{
    int n_reached = 0;
    CHECK_OK(fail_if(FT_OK, &n_reached));
    CHECK_ERR(fail_if(FT_E_FULL, &n_reached), FT_E_FULL);
    CHECK_INT(n_reached, 1);
}

TEST(diag_names_the_place)
{
    struct ft_diag diag = {0};
    char text[256];
    CHECK_ERR(ft_diag_set(&diag, FT_E_SYNTAX, "a.yaml", 3, 7, "bad %s", "word"), FT_E_SYNTAX);
    ft_diag_format(&diag, text, sizeof text);
    CHECK_STR(text, "a.yaml:3:7: bad word");
    diag.column = 0;
    ft_diag_format(&diag, text, sizeof text);
    CHECK_STR(text, "a.yaml:3: bad word");
    diag.line = 0;
    ft_diag_format(&diag, text, sizeof text);
    CHECK_STR(text, "a.yaml: bad word");
    CHECK_ERR(ft_diag_set(&diag, FT_E_RANGE, NULL, 0, 0, "too large"), FT_E_RANGE);
    ft_diag_format(&diag, text, sizeof text);
    CHECK_STR(text, "too large");
    ft_diag_format(&diag, text, 4);
    CHECK_STR(text, "too");
    CHECK_ERR(ft_diag_set(NULL, FT_E_RANGE, NULL, 0, 0, "nobody hears"), FT_E_RANGE);
}

TEST(diag_cuts_long_text)
{
    struct ft_diag diag;
    char longer[FT_DIAG_TEXT_SIZE * 2];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_ERR(ft_diag_set(&diag, FT_E_RANGE, longer, 1, 1, "%s", longer), FT_E_RANGE);
    CHECK_INT(strlen(diag.text), FT_DIAG_TEXT_SIZE - 1);
    CHECK_INT(strlen(diag.file), FT_DIAG_FILE_SIZE - 1);
}
