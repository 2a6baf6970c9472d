/* What a fuzz target defines, and how it says that something is wrong. */
#ifndef FLAMBE_TEST_FUZZ_H
#define FLAMBE_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry point: reads one input, returns 0. Called many times in one process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Must hold for every input; the process ends, and the input is kept, where it does not. */
#define FUZZ_CHECK(condition)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

#endif
