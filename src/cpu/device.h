/* device.h: what a CPU "device" is, for the files of this folder. */
#ifndef CPU_DEVICE_H
#define CPU_DEVICE_H

#include "backend.h"
#include "cpu/processors.h"

struct device {
    int threads;
    bool poison;                         /* poison.h */
    const struct operations *operations; /* those of the best instruction set that this CPU has */
    const char *instructions;            /* the name of that set */
    char description[128];
    char why_threads[sizeof((struct processors *)0)->why];
};

/* The operations, compiled once for each instruction set from src/cpu/simd. */
extern const struct operations cpu_operations_baseline;
#ifdef CPU_X86
extern const struct operations cpu_operations_avx2;   /* x86-64-v3: AVX2, FMA */
extern const struct operations cpu_operations_avx512; /* x86-64-v4: AVX-512 F, BW, CD, DQ, VL */
#endif

#endif
