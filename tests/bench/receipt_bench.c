/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a receipt costs: signing at the collector, once for each commit of an instance, and checking
 * at the agent, once for each acknowledgement that frees something.
 *
 *   bench_receipt [COUNT]
 */
#include <stdio.h>
#include <stdlib.h>

#include "auth/receipt.h"
#include "base/clock.h"

static int64_t now(void) { return ft_clock_mono_ns(ft_clock_system()); }

static void demand(bool condition)
{
    if (!condition) {
        perror("bench_receipt");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
    static const uint8_t seed[FT_RECEIPT_SEED_SIZE] = {1};
    struct ft_receipt_signer *signer = NULL;
    demand(n > 0 && ft_receipt_signer_create(seed, &signer) == FT_OK);
    struct ft_receipt receipt = {.durable_seq = 1};
    uint8_t signature[FT_RECEIPT_SIGNATURE_SIZE];
    int64_t begin_ns = now();
    for (unsigned i = 0; i < n; i++) {
        receipt.durable_seq++;
        demand(ft_receipt_sign(signer, &receipt, signature) == FT_OK);
    }
    int64_t signed_ns = now();
    for (unsigned i = 0; i < n; i++) {
        demand(ft_receipt_verify(ft_receipt_signer_key(signer), &receipt, signature,
                                 sizeof signature));
    }
    int64_t verified_ns = now();
    double sign_us = (double)(signed_ns - begin_ns) / n / 1000;
    double verify_us = (double)(verified_ns - signed_ns) / n / 1000;
    printf("{\"sign_us\": %.1f, \"verify_us\": %.1f, \"count\": %u}\n", sign_us, verify_us, n);
    (void)fprintf(stderr, "sign   %6.1f us\nverify %6.1f us\n", sign_us, verify_us);
    ft_receipt_signer_destroy(signer);
    return 0;
}
