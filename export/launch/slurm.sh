#!/usr/bin/env bash
# A pre-training on several nodes of a Slurm cluster:
#
#   CONFIG=configs/electra_small.py DATA=/shared/shards WORKDIR=/shared/runs/small \
#       sbatch --nodes=4 slurm.sh --config.train.batch_size=1024
#
# One task per node uses all its GPUs. Two minutes before the time limit Slurm asks the workers to
# stop: they save, and the job queues again, to continue from there. The first srun checks the set-up
# on all nodes and ends the job where something is wrong.
#SBATCH --job-name=electra_tf
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
set -euo pipefail

: "${CONFIG:?CONFIG must name an experiment, such as configs/electra_small.py}"
: "${DATA:?DATA must be a folder with shards that all nodes see}"
: "${WORKDIR:?WORKDIR must be a folder that all nodes see}"

start=(srun --kill-on-bad-exit=1 --distribution=block)
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then # a step does not get it from the job
    start+=(--cpus-per-task="$SLURM_CPUS_PER_TASK")
fi
command=(
    electra_tf pretrain
    --config="$CONFIG"
    --config.data.dir="$DATA"
    --config.runtime.strategy=multi_worker
    --workdir="$WORKDIR"
    "$@"
)
"${start[@]}" "${command[@]}" --check

code=0
"${start[@]}" "${command[@]}" || code=$?
if [ "$code" -eq 143 ]; then # stopped by SIGTERM, and saved
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
