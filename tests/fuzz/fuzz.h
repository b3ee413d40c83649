/*
 * fuzz.h - the entry point that libFuzzer and replay.c call
 */
#ifndef MILLRACE_TESTS_FUZZ_FUZZ_H
#define MILLRACE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

#endif
