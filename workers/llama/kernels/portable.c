/*
 * portable.c - the kernels in plain C: for every machine, and the measure of the others
 */
#include "workers/llama/kernels/lanes_portable.h"
#include "workers/llama/kernels/table.h"

const kernels kernels_portable = KERNELS_TABLE("portable");
