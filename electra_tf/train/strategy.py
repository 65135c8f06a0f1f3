"""Devices: which `tf.distribute` strategy, which precision, compiled or not."""

import dataclasses
import functools
import os

import tensorflow as tf

from electra_tf.config import RuntimeConfig


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What the training step needs to know about the devices.

    Attributes:
        strategy: where variables live and replicas run.
        xla: whether the step is compiled.
        precision: Keras dtype policy of the models.
        device: "CPU", "GPU" or "TPU".
    """

    strategy: tf.distribute.Strategy
    xla: bool
    precision: str
    device: str

    @property
    def num_replicas(self) -> int:
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files; exactly one of all workers does."""
        resolver = self.strategy.cluster_resolver
        if resolver is None or resolver.task_type in (None, "chief"):
            return True
        has_chief = "chief" in resolver.cluster_spec().jobs
        return not has_chief and resolver.task_type == "worker" and resolver.task_id == 0

    def __str__(self):
        plural = "s" if self.num_replicas > 1 else ""
        return (f"{self.num_replicas} replica{plural} on {self.device}, {self.precision}, "
                f"XLA {'on' if self.xla else 'off'}")

    def least(self, number: int) -> int:
        """The smallest of all workers' numbers; every worker must ask at the same point."""
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return number
        return int(self._least(tf.constant(number, tf.int64)))

    @functools.cached_property
    def _least(self):
        def of_replica(number):
            context = tf.distribute.get_replica_context()
            return tf.reduce_min(context.all_gather(number[None], axis=0))

        def least(number):
            results = self.strategy.run(of_replica, args=(number,))
            return self.strategy.experimental_local_results(results)[0]

        return tf.function(least)


def share_gpus() -> None:
    """Has TensorFlow take memory of GPUs as it needs it; before anything else touches them."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def start(config: RuntimeConfig, seed: int) -> Runtime:
    """Sets up the devices. Must run before anything else touches TensorFlow's devices.

    Raises:
        ValueError: the strategy asks for what this machine or environment does not have.
    """
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise ValueError("Training runs on Keras's TensorFlow backend: unset KERAS_BACKEND. "
                         f"Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']}")
    tf.random.set_seed(seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    if config.num_virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * config.num_virtual_devices)
    share_gpus()
    strategy = _strategy(config)
    if isinstance(strategy, tf.distribute.TPUStrategy):
        device = "TPU"
    else:
        device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    xla = device != "CPU" if config.xla == "auto" else config.xla == "true"
    return Runtime(strategy, xla, config.precision, device)


def _strategy(config: RuntimeConfig) -> tf.distribute.Strategy:
    name = config.strategy
    gpus = tf.config.list_physical_devices("GPU")
    cpus = config.num_virtual_devices
    if name == "auto":
        if config.tpu:
            name = "tpu"
        elif "TF_CONFIG" in os.environ:
            name = "multi_worker"
        else:
            name = "mirrored" if max(len(gpus), cpus) > 1 else "one_device"
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=config.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise ValueError("config.runtime.strategy=multi_worker needs the environment variable "
                             "TF_CONFIG with the cluster and this process's task. "
                             "Received: no TF_CONFIG")
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        if cpus:
            return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(cpus)])
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus and not cpus else "CPU:0")
