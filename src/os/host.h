/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent and `flowtrail doctor` ask about the machine they run on.
 *
 * Thread: any; each call reads afresh.
 */
#ifndef FT_OS_HOST_H
#define FT_OS_HOST_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* utsname's fields have 65 bytes in Linux; a machine id has 32 digits, a boot id 36. */
#define FT_HOST_TEXT_SIZE 65

struct ft_host {
    char hostname[FT_HOST_TEXT_SIZE];
    char kernel_release[FT_HOST_TEXT_SIZE]; /* "6.1.0-18-amd64" */
    unsigned kernel_major;
    unsigned kernel_minor;
    char machine[FT_HOST_TEXT_SIZE]; /* "x86_64" */
};

FT_MUST_USE ft_err ft_host_read(struct ft_host *ret_host);

/*
 * /etc/machine-id: 32 hexadecimal digits in lower case.  -ENOENT when there is none or it says
 * "uninitialized"; FT_E_SYNTAX when it is anything else.  Secret (machine-id(5)): publish only
 * what is derived from it.
 */
FT_MUST_USE ft_err ft_host_machine_id(char ret_id[FT_HOST_TEXT_SIZE]);

/* A UUID that changes with each boot. */
FT_MUST_USE ft_err ft_host_boot_id(char ret_id[FT_HOST_TEXT_SIZE]);

/* Capabilities by number, as in linux/capability.h. */
#define FT_CAP_NET_ADMIN  12U
#define FT_CAP_NET_RAW    13U
#define FT_CAP_SYS_PTRACE 19U
#define FT_CAP_SYS_ADMIN  21U
#define FT_CAP_BPF        39U

/*
 * True when the calling thread has it in effect.  In a container this may be the capability over
 * the container's own user namespace only.
 */
FT_MUST_USE ft_err ft_host_has_cap(unsigned cap, bool *ret_has);

/* True when the module is loaded or built in with parameters or a version (/sys/module). */
bool ft_host_module_loaded(const char *name);

/* True when this network namespace has conntrack: its sysctls are there. */
bool ft_host_has_conntrack(void);

/* net.core.rmem_max: what SO_RCVBUF is capped by without CAP_NET_ADMIN. */
FT_MUST_USE ft_err ft_host_rmem_max(uint64_t *ret_bytes);

/* Whether net.netfilter.* could be written: -EROFS, -EACCES, -ENOENT when not.  Writes nothing. */
FT_MUST_USE ft_err ft_host_sysctl_writable(void);

/* The network namespace of the calling thread: the inode of its /proc/…/ns/net. */
FT_MUST_USE ft_err ft_host_netns(uint64_t *ret_inode);

#endif
