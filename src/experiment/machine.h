/* What this machine has to run trials on. */
#ifndef FLAMBE_EXPERIMENT_MACHINE_H
#define FLAMBE_EXPERIMENT_MACHINE_H

#include "base/str.h"
#include "os/loop.h"

struct machine {
    int cpus;            /* that this process may use */
    int gpus;            /* NVIDIA's, of those that CUDA_VISIBLE_DEVICES leaves to this process */
    struct strv gpu_ids; /* one for each, as CUDA_VISIBLE_DEVICES takes it: an index or a UUID */
};

#define MACHINE_GPUS_MAX 1024

/* Waits for nvidia-smi, at most MACHINE_PATIENCE, where there is one; where there is none, and no
 * driver of NVIDIA's either, it costs two looks at the file system. Free it with machine_done(). */
#define MACHINE_PATIENCE (10 * USEC_PER_SEC)
struct machine machine_here(struct loop *loop);
void machine_done(struct machine *m);

/* The lines that nvidia-smi answers with to --query-gpu=FIELDS, one a GPU; false where it is not
 * there, fails, or takes too long. */
bool machine_ask_nvidia(struct loop *loop, const char *fields, struct strv *lines) MUST_CHECK;

#endif
