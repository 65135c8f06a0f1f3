"""The workers of a training on several machines: from TF_CONFIG, or from Slurm's variables."""

import dataclasses
import json
import os

from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
    expand_hostlist,
    expand_tasks_per_node,
)

from electra_tf.errors import UserError

_TRAINING = ("chief", "worker")  # the jobs whose tasks train
_SLURM = ("JOB_ID", "PROCID", "STEP_NODELIST", "STEP_NUM_TASKS", "STEP_TASKS_PER_NODE")
# Ports by the number of the job, so that two jobs on a node differ; clients get higher ones.
_FIRST_PORT, _PORTS = 20_000, 10_000


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The tasks that train together.

    Attributes:
        tasks: "host:port" by (job, index), the chief first; empty where this process is alone.
        own: job and index of this process.
    """

    tasks: dict[tuple[str, int], str]
    own: tuple[str, int]

    @property
    def num_workers(self) -> int:
        """Processes that train."""
        return max(1, len(self.tasks))

    def others(self) -> dict[str, str]:
        """Addresses of the other tasks, by their names in words."""
        return {
            f"{job} {index}": address
            for (job, index), address in self.tasks.items()
            if (job, index) != self.own
        }


def find() -> Cluster:
    """The cluster that the environment describes.

    A step of Slurm without TF_CONFIG gets one, because that is what TensorFlow reads.

    Raises:
        UserError: the environment describes none, or a garbled one.
    """
    if "TF_CONFIG" not in os.environ:
        if "SLURM_JOB_ID" not in os.environ:
            raise UserError(
                "config.runtime.strategy=multi_worker needs the environment variable "
                "TF_CONFIG with the cluster and this process's task, or a step of Slurm. "
                "Received: no TF_CONFIG; set it, or start the command with srun"
            )
        os.environ["TF_CONFIG"] = json.dumps(_of_slurm())
    return _read(os.environ["TF_CONFIG"])


def _read(text: str) -> Cluster:
    """Raises UserError unless TF_CONFIG is as TensorFlow reads it."""
    try:
        given = json.loads(text)
        if not given.get("cluster"):
            return Cluster({}, ("worker", 0))
        job, index = given["task"]["type"], int(given["task"]["index"])
        given["cluster"][job][index]
        tasks = {
            (each, number): address
            for each in _TRAINING
            for number, address in enumerate(given["cluster"].get(each, ()))
        }
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The environment variable TF_CONFIG must be JSON with a cluster and this process's "
            f"task in it. Received: {text:.200}"
        ) from error
    return Cluster(tasks, (job, index))


def _of_slurm() -> dict:
    """TF_CONFIG of a task of Slurm.

    TensorFlow's SlurmClusterResolver sorts host names as text, so that task 1 of n2 and n10 gets
    the address of the other one, needs GPUs, and has one port for all jobs; only its parsers are
    taken.
    """
    missing = [f"SLURM_{name}" for name in _SLURM if f"SLURM_{name}" not in os.environ]
    if missing:
        raise UserError(
            "In a job of Slurm srun must start every worker, which sets the variables of a step. "
            f"Received: no {', '.join(missing)}; put srun before the command, or set TF_CONFIG"
        )
    job, rank, hosts, number, per_node = (os.environ[f"SLURM_{name}"] for name in _SLURM)
    try:
        names, tasks = expand_hostlist(hosts), expand_tasks_per_node(per_node)
        port = _FIRST_PORT + int(job) % _PORTS
        index, num_tasks = int(rank), int(number)
    except ValueError as error:
        raise UserError(
            "Slurm's variables must be lists of hosts and whole numbers, as srun sets them. "
            f"Received: {error}; set TF_CONFIG instead"
        ) from error
    if set(tasks) != {1}:
        raise UserError(
            "A step of Slurm must have one task per node, which uses all its GPUs. "
            f"Received: SLURM_STEP_TASKS_PER_NODE={per_node}; pass --ntasks-per-node=1"
        )
    if not len(names) == len(tasks) == num_tasks or not 0 <= index < num_tasks:
        raise UserError(
            "Slurm's variables must agree on the number of tasks. Received: SLURM_STEP_NODELIST="
            f"{hosts}, SLURM_STEP_TASKS_PER_NODE={per_node}, SLURM_STEP_NUM_TASKS={number}, "
            f"SLURM_PROCID={rank}; let srun set them, or set TF_CONFIG"
        )
    here = os.environ.get("SLURMD_NODENAME", names[index])
    if here != names[index]:
        raise UserError(
            "The tasks of Slurm must be in the order of the nodes. Received: task "
            f"{index} of {hosts} on {here}; pass --distribution=block to srun"
        )
    return {
        "cluster": {"worker": [f"{name}:{port}" for name in names]},
        "task": {"type": "worker", "index": index},
    }
