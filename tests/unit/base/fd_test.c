/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <sys/resource.h>

#include "lib/test.h"

TEST(the_limit_of_descriptors_is_raised_as_far_as_it_may_be)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 100;
    limit.rlim_max = 200;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(ft_fd_raise_limit(50), 100); /* Never lowered. */
    CHECK_INT(ft_fd_raise_limit(150), 150);
    CHECK_INT(ft_fd_raise_limit(1000), 200);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(limit.rlim_cur, 200);
}
