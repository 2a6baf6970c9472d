/* What this machine has to run trials on. */
#ifndef FLAMBE_EXPERIMENT_MACHINE_H
#define FLAMBE_EXPERIMENT_MACHINE_H

struct machine {
    int cpus; /* that this process may use */
    int gpus; /* NVIDIA's */
};

struct machine machine_here(void);

#endif
