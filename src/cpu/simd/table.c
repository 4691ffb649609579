/* table.c: the operations of one instruction set. */
#include "cpu/simd/variant.h"

const struct operations NAME(cpu_operations) = {OPERATION_ENTRIES};
