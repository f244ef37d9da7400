/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of its corpus, so that every build keeps what was found. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A file of a corpus is small; a larger one is a mistake. */
#define INPUT_SIZE_MAX (4u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    uint8_t *data = malloc(INPUT_SIZE_MAX);
    size_t size = data != NULL ? fread(data, 1, INPUT_SIZE_MAX, file) : 0;
    (void)fclose(file);
    /* An exact copy, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (data == NULL || exact == NULL) {
        abort();
    }
    for (size_t i = 0; i < size; i++) {
        exact[i] = data[i];
    }
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay_directory(const char *path, unsigned *n)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return 1;
    }
    int failed = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        char name[4096];
        int len = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && len > 0 && (size_t)len < sizeof name) {
            failed |= replay_file(name);
            ++*n;
        }
    }
    (void)closedir(directory);
    return failed;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed |= replay_directory(argv[i], &n);
    }
    (void)printf("%u inputs\nmatrix: R19 %s, %u inputs of the corpus; nothing broke\n", n,
                 program_invocation_short_name, n);
    /* An empty corpus tests nothing. */
    return failed != 0 || n == 0 ? 1 : 0;
}
