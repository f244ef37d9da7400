/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted bugs, which the simulation must find: each changes what one module sees of another, at
 * link time (--wrap) or in a disk between the log and the simulated disk.  The programs know
 * nothing of them.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_MUTANT_H
#define FT_TESTS_SIM_MUTANT_H 1

#define SIM_MUTANTS(X) X(NONE, "none")

enum sim_mutant {
#define SIM_MUTANT_ENUM(id, name) SIM_MUTANT_##id,
    SIM_MUTANTS(SIM_MUTANT_ENUM)
#undef SIM_MUTANT_ENUM
        SIM_MUTANT_N
};

#endif
