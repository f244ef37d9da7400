/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs seeds of the simulation.
 *
 *   sim --seeds FROM:COUNT [--seconds N] [--jobs N] [--min-faults] [--no-damage] [--mutant NAME]
 *   sim --seed N [--trace] [--no-damage] [--mutant NAME]
 *   sim --find-mutants COUNT
 *
 * --no-damage has no silent faults on the agents' disks.  Each seed that breaks a promise, aborts
 * or hangs is printed with what it broke, the end of its trace and the command that repeats it;
 * exit code 1.  --find-mutants runs each planted bug until it is found, in COUNT seeds at most.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define JOBS_MAX    16
#define TRACE_LINES 40
#define LINE_SIZE   256
/* Real seconds; a run takes milliseconds, with sanitizers some hundred. */
#define HANG_S 60

struct arguments {
    const char *program;
    uint64_t from;
    uint64_t count;
    unsigned seconds; /* 0: no bound. */
    unsigned jobs;
    bool trace;
    bool min_faults;
    bool find_mutants;
    bool no_damage;
    enum sim_mutant mutant;
};

/* What a worker tells the parent, in memory that they share. */
struct worker {
    uint64_t seed; /* The one that runs. */
    uint64_t n_seeds;
    struct sim_result total;
    bool failed;
    char text[SIM_TEXT_SIZE];
};

static const char *const fault_names[SIM_FAULT_N] = {
#define FAULT_NAME(id, name, weight, least) [SIM_FAULT_##id] = name,
    SIM_FAULTS(FAULT_NAME)
#undef FAULT_NAME
};
static const char *const mutant_names[SIM_MUTANT_N] = {
#define MUTANT_NAME(id, name) [SIM_MUTANT_##id] = name,
    SIM_MUTANTS(MUTANT_NAME)
#undef MUTANT_NAME
};

static _Noreturn void usage(const char *why)
{
    (void)fprintf(stderr,
                  "%s\nsim --seeds FROM:COUNT [--seconds N] [--jobs N] [--min-faults] "
                  "[--no-damage] [--mutant NAME]\n"
                  "sim --seed N [--trace] [--no-damage] [--mutant NAME]\n"
                  "sim --find-mutants COUNT\n",
                  why);
    exit(64);
}

static uint64_t number(const char *text, char end, const char **ret_rest)
{
    char *rest;
    errno = 0;
    uint64_t value = strtoull(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != end) {
        usage("not a number");
    }
    if (ret_rest != NULL) {
        *ret_rest = rest + 1;
    }
    return value;
}

static enum sim_mutant mutant_of(const char *name)
{
    for (unsigned i = 0; i < SIM_MUTANT_N; i++) {
        if (strcmp(mutant_names[i], name) == 0) {
            return (enum sim_mutant)i;
        }
    }
    usage("no such mutant");
}

static void parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'},   {"seed", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'}, {"jobs", required_argument, NULL, 'j'},
        {"trace", no_argument, NULL, 'v'},         {"min-faults", no_argument, NULL, 'f'},
        {"mutant", required_argument, NULL, 'm'},  {"find-mutants", required_argument, NULL, 'a'},
        {"no-damage", no_argument, NULL, 'd'},     {NULL, 0, NULL, 0}};
    *arguments = (struct arguments){.program = argv[0], .jobs = 1};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's': {
            const char *rest;
            arguments->from = number(optarg, ':', &rest);
            arguments->count = number(rest, '\0', NULL);
            break;
        }
        case 'n':
            arguments->from = number(optarg, '\0', NULL);
            arguments->count = 1;
            break;
        case 't':
            arguments->seconds = (unsigned)number(optarg, '\0', NULL);
            break;
        case 'j':
            arguments->jobs = (unsigned)number(optarg, '\0', NULL);
            break;
        case 'v':
            arguments->trace = true;
            break;
        case 'f':
            arguments->min_faults = true;
            break;
        case 'd':
            arguments->no_damage = true;
            break;
        case 'a':
            arguments->find_mutants = true;
            arguments->from = 1;
            arguments->count = number(optarg, '\0', NULL);
            break;
        case 'm':
            arguments->mutant = mutant_of(optarg);
            break;
        default:
            usage("");
        }
    }
    if (optind != argc || arguments->count == 0 || arguments->jobs == 0 ||
        arguments->jobs > JOBS_MAX) {
        usage("which seeds?");
    }
}

static void add(struct sim_result *total, const struct sim_result *result)
{
    total->steps += result->steps;
    total->events += result->events;
    total->stored += result->stored;
    total->virtual_ns += result->virtual_ns;
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        total->faults[i] += result->faults[i];
    }
}

/* Every jobs-th seed, until one fails anywhere. */
static void run_worker(const struct arguments *arguments, struct worker *workers, unsigned index)
{
    struct worker *worker = &workers[index];
    struct timespec begin;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t i = index; i < arguments->count; i += arguments->jobs) {
        for (unsigned k = 0; k < arguments->jobs; k++) {
            if (workers[k].failed) {
                return;
            }
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if (arguments->seconds != 0 && now.tv_sec - begin.tv_sec >= (time_t)arguments->seconds) {
            return;
        }
        worker->seed = arguments->from + i;
        (void)alarm(HANG_S);
        struct sim_options options = {
            .seed = worker->seed, .mutant = arguments->mutant, .no_damage = arguments->no_damage};
        struct sim_result result;
        worker->failed = !sim_run(&options, &result);
        (void)alarm(0);
        memcpy(worker->text, result.text, sizeof worker->text);
        if (worker->failed) {
            return;
        }
        add(&worker->total, &result);
        worker->n_seeds++;
    }
}

static pid_t start(void)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    return pid;
}

/* Runs the seed once more, for the end of its trace. */
static void print_trace_end(const struct arguments *arguments, uint64_t seed)
{
    FILE *file = tmpfile();
    if (file == NULL) {
        return;
    }
    pid_t pid = start();
    if (pid == 0) {
        (void)setvbuf(file, NULL, _IOLBF, 0);
        (void)alarm(HANG_S);
        struct sim_options options = {.seed = seed,
                                      .trace = file,
                                      .mutant = arguments->mutant,
                                      .no_damage = arguments->no_damage};
        struct sim_result result;
        (void)sim_run(&options, &result);
        (void)fflush(file);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    static char lines[TRACE_LINES][LINE_SIZE];
    size_t n = 0;
    rewind(file);
    while (fgets(lines[n % TRACE_LINES], LINE_SIZE, file) != NULL) {
        n++;
    }
    for (size_t i = n > TRACE_LINES ? n - TRACE_LINES : 0; i < n; i++) {
        (void)fputs(lines[i % TRACE_LINES], stdout);
    }
    (void)fclose(file);
}

static void tell_failure(const struct arguments *arguments, const struct worker *worker)
{
    print_trace_end(arguments, worker->seed);
    (void)printf("seed %" PRIu64 ": %s\nrepeat with: %s --seed %" PRIu64 " --trace%s%s%s\n",
                 worker->seed, worker->text, arguments->program, worker->seed,
                 arguments->no_damage ? " --no-damage" : "",
                 arguments->mutant != SIM_MUTANT_NONE ? " --mutant " : "",
                 arguments->mutant != SIM_MUTANT_NONE ? mutant_names[arguments->mutant] : "");
}

/* False when a kind of fault came about too seldom for this many seeds. */
static bool tell_total(const struct arguments *arguments, const struct sim_result *total,
                       uint64_t n_seeds, double seconds)
{
    bool enough = true;
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        uint64_t least = sim_fault_kinds[i].least * n_seeds / 20000;
        least = n_seeds < 10000 ? least / 4 : least; /* Few seeds vary. */
        bool few = total->faults[i] < least;
        enough = enough && !few;
        (void)printf("  %-24s %10" PRIu64 "%s\n", fault_names[i], total->faults[i],
                     few ? "  too few" : "");
    }
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " events, %" PRIu64
                 " stored, %" PRIu64 " hours of virtual time, %.1f s, %.0f seeds/s\n",
                 n_seeds, total->steps, total->events, total->stored,
                 (uint64_t)(total->virtual_ns / (3600 * FT_NS_PER_S)), seconds,
                 (double)n_seeds / seconds);
    return enough || !arguments->min_faults;
}

struct outcome {
    struct sim_result total;
    uint64_t n_seeds;
    double seconds;
    unsigned n_failed;
    struct worker failed[JOBS_MAX];
};

static void collect(struct worker *worker, int status, struct outcome *outcome)
{
    if (status != 0 && !worker->failed) {
        worker->failed = true;
        (void)snprintf(worker->text, sizeof worker->text, "the program ended: %s",
                       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit code");
    }
    if (worker->failed) {
        outcome->failed[outcome->n_failed++] = *worker;
    }
    add(&outcome->total, &worker->total);
    outcome->n_seeds += worker->n_seeds;
}

static void run_seeds(const struct arguments *arguments, struct outcome *ret_outcome)
{
    struct worker *workers = mmap(NULL, JOBS_MAX * sizeof *workers, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (workers == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    memset(ret_outcome, 0, sizeof *ret_outcome);
    struct timespec begin;
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    pid_t pids[JOBS_MAX];
    for (unsigned i = 0; i < arguments->jobs; i++) {
        pids[i] = start();
        if (pids[i] == 0) {
            run_worker(arguments, workers, i);
            exit(0); /* Not _exit: the leak checker looks at the end. */
        }
    }
    for (unsigned i = 0; i < arguments->jobs; i++) {
        int status = 0;
        (void)waitpid(pids[i], &status, 0);
        collect(&workers[i], status, ret_outcome);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    ret_outcome->seconds = (double)(end.tv_sec - begin.tv_sec) +
                           (double)(end.tv_nsec - begin.tv_nsec) / (double)FT_NS_PER_S;
    (void)munmap(workers, JOBS_MAX * sizeof *workers);
}

/* For tools/test_matrix.py. */
static void tell_matrix(const struct sim_result *total, uint64_t n_seeds)
{
    uint64_t n_faults = 0;
    uint64_t n_kinds = 0;
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        n_faults += total->faults[i];
        n_kinds += total->faults[i] > 0 ? 1 : 0;
    }
    (void)printf("matrix: R4 %" PRIu64 " seeds, %" PRIu64 " faults of %" PRIu64
                 " kinds, each often enough, %" PRIu64 " events; 0 violations\n",
                 n_seeds, n_faults, n_kinds, total->events);
    (void)printf("matrix: R18 %" PRIu64 " jumps of the clock back a day, %" PRIu64
                 " forward ten years, in %" PRIu64 " seeds; order by number, no stall\n",
                 total->faults[SIM_FAULT_CLOCK_BACK], total->faults[SIM_FAULT_CLOCK_FORWARD],
                 n_seeds);
}

static bool run_all(const struct arguments *arguments)
{
    static struct outcome outcome;
    run_seeds(arguments, &outcome);
    for (unsigned i = 0; i < outcome.n_failed; i++) {
        tell_failure(arguments, &outcome.failed[i]);
    }
    bool good = tell_total(arguments, &outcome.total, outcome.n_seeds, outcome.seconds) &&
                outcome.n_failed == 0;
    if (good && arguments->min_faults) {
        tell_matrix(&outcome.total, outcome.n_seeds);
    }
    return good;
}

/* Each planted bug must be found, or finding none means nothing. */
static bool find_mutants(struct arguments *arguments)
{
    static struct outcome outcome;
    bool all = true;
    uint64_t n_seeds_max = 0;
    for (unsigned i = 1; i < SIM_MUTANT_N; i++) {
        arguments->mutant = (enum sim_mutant)i;
        run_seeds(arguments, &outcome);
        all = all && outcome.n_failed > 0;
        (void)printf("%-20s %s", mutant_names[i], outcome.n_failed > 0 ? "found" : "NOT FOUND");
        (void)printf(" after %" PRIu64 " seeds%s%s\n", outcome.n_seeds,
                     outcome.n_failed > 0 ? ": " : "",
                     outcome.n_failed > 0 ? outcome.failed[0].text : "");
        n_seeds_max = outcome.n_seeds > n_seeds_max ? outcome.n_seeds : n_seeds_max;
    }
    if (all) {
        (void)printf("matrix: R30 %d bugs planted in the simulation; all found, the last after "
                     "%" PRIu64 " seeds\n",
                     SIM_MUTANT_N - 1, n_seeds_max + 1);
    }
    return all;
}

static bool run_traced(const struct arguments *arguments)
{
    struct sim_options options = {.seed = arguments->from,
                                  .trace = stdout,
                                  .mutant = arguments->mutant,
                                  .no_damage = arguments->no_damage};
    struct sim_result result;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    bool good = sim_run(&options, &result);
    (void)printf("seed %" PRIu64 ": %s\n", arguments->from, good ? "good" : result.text);
    return good;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    parse(argc, argv, &arguments);
    if (arguments.trace) {
        return run_traced(&arguments) ? 0 : 1;
    }
    if (arguments.find_mutants) {
        return find_mutants(&arguments) ? 0 : 1;
    }
    return run_all(&arguments) ? 0 : 1;
}
