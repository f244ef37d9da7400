/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1: C core brings no health service of its own. */
#include "grpc/health/v1/health.pb-c.h"

#include "wire/alloc.h"
#include "wire/message.h"
#include "wire/pack.h"

/* A request is one service name; anything that wants more memory is refused. */
#define HEALTH_ALLOC_BYTES_MAX 4096

ft_err ft_health_request_decode(const void *data, size_t size, char *service, size_t service_size)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, HEALTH_ALLOC_BYTES_MAX);
    Grpc__Health__V1__HealthCheckRequest *request =
        grpc__health__v1__health_check_request__unpack(&alloc.allocator, size, data);
    if (request == NULL) {
        return ft_wire_alloc_refuse(&alloc, NULL, "no valid request");
    }
    ft_err err = ft_unpack_text(request->service, service, service_size, NULL);
    grpc__health__v1__health_check_request__free_unpacked(request, &alloc.allocator);
    return err;
}

ft_err ft_health_response_encode(enum ft_serving serving, struct ft_buf *buf)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)serving;
    return ft_pack(&response.base, buf);
}
