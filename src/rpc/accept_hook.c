/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/accept_hook.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/thread.h"
#include "rpc/peers.h"

/* How often an address at its limit may make us look which of its connections are closed. */
#define SWEEP_INTERVAL_NS (100 * FT_NS_PER_MS)

/* A connection that was accepted; 'key.family' 0: none. */
struct connection {
    struct ft_rpc_peer_key key;
    in_port_t port;
};

static struct ft_mutex lock = {PTHREAD_MUTEX_INITIALIZER};
/* Guarded by 'lock'. */
static int reserve_fd = -1;
static struct connection *connections; /* By descriptor. */
static struct ft_rpc_peers peers;
static struct {
    struct ft_rpc_peer_key key;
    int64_t until_mono_ns;
} quarantine[FT_RPC_ACCEPT_QUARANTINE_MAX];
static unsigned quarantine_next;
static uint32_t per_address_max_now;
static struct {
    uint64_t address;     /* A hash of it. */
    int64_t paid_mono_ns; /* When what it opened is paid for, as time. */
} rates[FT_RPC_ACCEPT_RATE_PLACES];
static int64_t next_sweep_mono_ns;
/* 0: the place is free. */
static _Atomic uint16_t ports[FT_RPC_ACCEPT_PORTS_MAX];
static _Atomic uint64_t n_accepted;
static _Atomic uint64_t n_dropped_no_fd;
static _Atomic uint64_t n_dropped_address;
static _Atomic uint64_t n_dropped_rate;
static _Atomic uint64_t n_dropped_quarantine;

/*
 * The interposed function.  It has a name of its own because libc declares accept4 with a union
 * instead of a pointer.
 */
int ft_rpc_accept4(int fd, struct sockaddr *address, socklen_t *address_size,
                   int flags) __asm__("accept4") __attribute__((visibility("default")));

static ft_err prepare_locked(void) FT_REQUIRES(lock);
static int accept_raw(int fd, struct sockaddr *address, socklen_t *address_size, int flags);
static bool is_watched(int listen_fd);
static bool drop_one(int listen_fd);
static bool admit(int fd);
static bool add_locked(const struct ft_rpc_peer_key *key) FT_REQUIRES(lock);
static void forget_locked(struct connection *connection) FT_REQUIRES(lock);
static void sweep_locked(const struct ft_rpc_peer_key *key) FT_REQUIRES(lock);
static bool is_quarantined_locked(const struct ft_rpc_peer_key *key) FT_REQUIRES(lock);
static bool take_rate_locked(const struct ft_rpc_peer_key *key) FT_REQUIRES(lock);
static bool peer_of(int fd, struct connection *ret_connection);

ft_err ft_rpc_accept_hook_watch(uint16_t port, uint32_t per_address_max)
{
    ft_mutex_lock(&lock);
    ft_err err = prepare_locked();
    per_address_max_now = per_address_max;
    ft_mutex_unlock(&lock);
    FT_TRY(err);
    for (unsigned i = 0; i < FT_RPC_ACCEPT_PORTS_MAX; i++) {
        uint16_t none = 0;
        if (atomic_compare_exchange_strong(&ports[i], &none, port)) {
            return FT_OK;
        }
    }
    return FT_E_FULL;
}

void ft_rpc_accept_hook_unwatch(uint16_t port)
{
    for (unsigned i = 0; i < FT_RPC_ACCEPT_PORTS_MAX; i++) {
        uint16_t expected = port;
        if (port != 0 && atomic_compare_exchange_strong(&ports[i], &expected, 0)) {
            return;
        }
    }
}

void ft_rpc_accept_hook_quarantine(const struct ft_rpc_peer_key *key, uint16_t port,
                                   int64_t duration_ns)
{
    ft_mutex_lock(&lock);
    quarantine[quarantine_next].key = *key;
    quarantine[quarantine_next].until_mono_ns = ft_clock_mono_ns(ft_clock_system()) + duration_ns;
    quarantine_next = (quarantine_next + 1) % FT_RPC_ACCEPT_QUARANTINE_MAX;
    for (int fd = 0; connections != NULL && fd < FT_RPC_ACCEPT_FDS_MAX; fd++) {
        struct connection current;
        if (memcmp(&connections[fd].key, key, sizeof *key) == 0 &&
            connections[fd].port == htons(port) && peer_of(fd, &current) &&
            current.port == htons(port) && memcmp(&current.key, key, sizeof *key) == 0) {
            (void)shutdown(fd, SHUT_RDWR);
        }
    }
    ft_mutex_unlock(&lock);
}

bool ft_rpc_accept_hook_is_active(void)
{
    void *found = dlsym(RTLD_DEFAULT, "accept4");
    int (*own)(int, struct sockaddr *, socklen_t *, int) = ft_rpc_accept4;
    return memcmp(&found, &own, sizeof found) == 0;
}

void ft_rpc_accept_hook_get_stats(struct ft_rpc_accept_stats *ret_stats)
{
    ret_stats->accepted = atomic_load(&n_accepted);
    ret_stats->dropped_no_fd = atomic_load(&n_dropped_no_fd);
    ret_stats->dropped_address = atomic_load(&n_dropped_address);
    ret_stats->dropped_rate = atomic_load(&n_dropped_rate);
    ret_stats->dropped_quarantine = atomic_load(&n_dropped_quarantine);
}

/*
 * gRPC's listener is edge-triggered: EAGAIN may be reported only when the kernel's queue is empty,
 * or else what waits there would wait for the next connection.
 */
int ft_rpc_accept4(int fd, struct sockaddr *address, socklen_t *address_size, int flags)
{
    socklen_t room = address_size != NULL ? *address_size : 0;
    for (;;) {
        if (address_size != NULL) {
            *address_size = room;
        }
        int accepted = accept_raw(fd, address, address_size, flags);
        int errnum = accepted < 0 ? errno : 0;
        if (errnum == EAGAIN || errnum == EINTR || !is_watched(fd)) {
            errno = errnum;
            return accepted;
        }
        if (accepted >= 0) {
            if (admit(accepted)) {
                return accepted;
            }
            (void)close(accepted);
            continue;
        }
        switch (errnum) {
        case EMFILE:
        case ENFILE:
            if (!drop_one(fd)) {
                errno = EAGAIN;
                return -1;
            }
            continue;
        case ENOBUFS:
        case ENOMEM:
            errno = EAGAIN;
            return -1;
        /* accept(2): errors of the new connection, not of the listener. */
        case ECONNABORTED:
        case ENETDOWN:
        case EPROTO:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
        case EPERM:
            continue;
        default:
            errno = errnum;
            return -1;
        }
    }
}

static ft_err prepare_locked(void)
{
    if (connections == NULL) {
        FT_TRY(ft_rpc_peers_init(&peers, FT_RPC_ACCEPT_FDS_MAX));
        connections = calloc(FT_RPC_ACCEPT_FDS_MAX, sizeof *connections);
        if (connections == NULL) {
            ft_rpc_peers_deinit(&peers);
            return ft_err_from_errno(ENOMEM);
        }
    }
    if (reserve_fd < 0) {
        reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return reserve_fd >= 0 ? FT_OK : ft_err_last();
}

static int accept_raw(int fd, struct sockaddr *address, socklen_t *address_size, int flags)
{
    return (int)syscall(SYS_accept4, fd, address, address_size, flags);
}

static bool is_watched(int listen_fd)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (getsockname(listen_fd, (struct sockaddr *)&own, &size) != 0) {
        return false;
    }
    in_port_t port = 0;
    if (own.ss_family == AF_INET) {
        port = ((const struct sockaddr_in *)&own)->sin_port;
    } else if (own.ss_family == AF_INET6) {
        port = ((const struct sockaddr_in6 *)&own)->sin6_port;
    }
    for (unsigned i = 0; port != 0 && i < FT_RPC_ACCEPT_PORTS_MAX; i++) {
        if (atomic_load(&ports[i]) == ntohs(port)) {
            return true;
        }
    }
    return false;
}

/* Takes one connection out of the kernel's queue and closes it.  False when there was none. */
static bool drop_one(int listen_fd)
{
    ft_mutex_lock(&lock);
    ft_fd_close(&reserve_fd);
    int dropped = accept_raw(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (dropped >= 0) {
        atomic_fetch_add(&n_dropped_no_fd, 1);
        (void)close(dropped);
    }
    reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ft_mutex_unlock(&lock);
    return dropped >= 0;
}

static bool admit(int fd)
{
    struct connection connection;
    if (fd >= FT_RPC_ACCEPT_FDS_MAX || !peer_of(fd, &connection)) {
        atomic_fetch_add(&n_accepted, 1);
        return true;
    }
    ft_mutex_lock(&lock);
    if (reserve_fd < 0) {
        /* Lost to another thread in drop_one(). */
        reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    /* The number is free again, so what had it is closed. */
    forget_locked(&connections[fd]);
    _Atomic uint64_t *count = &n_accepted;
    if (is_quarantined_locked(&connection.key)) {
        count = &n_dropped_quarantine;
    } else if (!take_rate_locked(&connection.key)) {
        count = &n_dropped_rate;
    } else if (!add_locked(&connection.key)) {
        count = &n_dropped_address;
    } else {
        connections[fd] = connection;
    }
    ft_mutex_unlock(&lock);
    atomic_fetch_add(count, 1);
    return count == &n_accepted;
}

static bool add_locked(const struct ft_rpc_peer_key *key)
{
    if (ft_rpc_peers_add(&peers, key, per_address_max_now) == FT_OK) {
        return true;
    }
    sweep_locked(key);
    return ft_rpc_peers_add(&peers, key, per_address_max_now) == FT_OK;
}

static void forget_locked(struct connection *connection)
{
    if (connection->key.family != 0) {
        ft_rpc_peers_remove(&peers, &connection->key);
        connection->key.family = 0;
    }
}

/* gRPC closes descriptors without telling: asks the kernel which of the address's are still its. */
static void sweep_locked(const struct ft_rpc_peer_key *key)
{
    int64_t now = ft_clock_mono_ns(ft_clock_system());
    if (now < next_sweep_mono_ns) {
        return;
    }
    next_sweep_mono_ns = now + SWEEP_INTERVAL_NS;
    for (int fd = 0; fd < FT_RPC_ACCEPT_FDS_MAX; fd++) {
        struct connection *connection = &connections[fd];
        struct connection current;
        if (memcmp(&connection->key, key, sizeof *key) == 0 &&
            (!peer_of(fd, &current) || current.port != connection->port ||
             memcmp(&current.key, key, sizeof *key) != 0)) {
            forget_locked(connection);
        }
    }
}

static bool is_quarantined_locked(const struct ft_rpc_peer_key *key)
{
    int64_t now = ft_clock_mono_ns(ft_clock_system());
    for (unsigned i = 0; i < FT_RPC_ACCEPT_QUARANTINE_MAX; i++) {
        if (quarantine[i].until_mono_ns > now &&
            memcmp(&quarantine[i].key, key, sizeof *key) == 0) {
            return true;
        }
    }
    return false;
}

/* A token bucket, in its form without tokens (GCRA): a connection above the rate costs nothing, so
 * that others behind the address get their share as soon as there is one. */
static bool take_rate_locked(const struct ft_rpc_peer_key *key)
{
    int64_t now = ft_clock_mono_ns(ft_clock_system());
    uint64_t address = ft_hash64(key, sizeof *key, peers.seed);
    int64_t burst = per_address_max_now > FT_RPC_ACCEPT_BURST_MIN ? per_address_max_now
                                                                  : FT_RPC_ACCEPT_BURST_MIN;
    int64_t *paid = &rates[address % FT_RPC_ACCEPT_RATE_PLACES].paid_mono_ns;
    if (rates[address % FT_RPC_ACCEPT_RATE_PLACES].address != address ||
        *paid < now - FT_RPC_ACCEPT_RATE_NS) {
        rates[address % FT_RPC_ACCEPT_RATE_PLACES].address = address;
        *paid = now - FT_RPC_ACCEPT_RATE_NS;
    }
    if (*paid + FT_RPC_ACCEPT_RATE_NS / burst > now) {
        return false;
    }
    *paid += FT_RPC_ACCEPT_RATE_NS / burst;
    return true;
}

static bool peer_of(int fd, struct connection *ret_connection)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) {
        return false;
    }
    ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&peer, &ret_connection->key);
    ret_connection->port = peer.ss_family == AF_INET6
                               ? ((const struct sockaddr_in6 *)&peer)->sin6_port
                               : ((const struct sockaddr_in *)&peer)->sin_port;
    return ret_connection->key.family != 0;
}
