"""Devices: which `tf.distribute` strategy, which precision, compiled or not."""

import contextlib
import dataclasses
import functools
import os

import tensorflow as tf

from electra_tf import keras_backend
from electra_tf.config import RuntimeConfig
from electra_tf.errors import UserError
from electra_tf.train import cluster, precision, processor
from electra_tf.train.peak import quick_rate

# Steps from which on compiling blocks on a CPU, some seconds of it, is repaid.
LONG_TRAINING = 2000


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What the training step needs to know about the devices.

    Attributes:
        strategy: where variables live and replicas run.
        xla: whether the step is compiled as a whole.
        compiles_blocks: whether of it only the element-wise blocks are, see `models/blocks.py`, and
            the update.
        precision: Keras dtype policy of the models.
        device: "CPU", "GPU" or "TPU".
    """

    strategy: tf.distribute.Strategy
    xla: bool
    precision: str
    device: str
    compiles_blocks: bool = False

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
        details = f" ({processor.describe()})" if self.device == "CPU" else ""
        return (
            f"{self.num_replicas} replica{plural} on {self.device}{details}, {self.precision}, "
            f"XLA {self.compiled}"
        )

    @property
    def compiled(self) -> str:
        """What XLA compiles, in words."""
        return "on" if self.xla else "in blocks" if self.compiles_blocks else "off"

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
    """Has TensorFlow take memory of GPUs as it needs it, unless this process uses them already."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def start(
    config: RuntimeConfig, seed: int, former: RuntimeConfig | None = None, *, num_steps: int
) -> Runtime:
    """Sets up the devices. Must run before anything else touches TensorFlow's devices.

    Args:
        config: its precision, where that is auto, becomes what auto stands for here.
        seed: of TensorFlow's own random numbers.
        former: of the run that is continued, which decides what auto stands for.
        num_steps: of a training whose batches have one shape, which blocks may be compiled for;
            0 for everything else.

    Raises:
        UserError: the strategy asks for what this machine or environment does not have.
    """
    keras_backend.require()
    tf.random.set_seed(seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    if config.num_virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * config.num_virtual_devices
        )
    share_gpus()
    strategy = _strategy(config)
    if isinstance(strategy, tf.distribute.TPUStrategy):
        kind = "TPU"
    else:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    xla = kind != "CPU" if config.xla == "auto" else config.xla == "true"
    if former is not None and config.precision == precision.AUTO:
        config.precision = former.precision
    device = _device(kind)
    rate = functools.partial(quick_rate, compiled=tf.function, on_gpu=kind == "GPU")
    precision.warn_if_slower(config.precision, device, rate)
    runtime = Runtime(
        strategy,
        xla,
        precision.resolve(config.precision, device, rate),
        kind,
        compiles_blocks=config.xla == "blocks"
        or (config.xla == "auto" and not xla and num_steps >= LONG_TRAINING),
    )
    if config.precision == precision.AUTO:  # all workers the same
        rank = runtime.least(precision.CHOICES.index(runtime.precision))
        runtime = dataclasses.replace(runtime, precision=precision.CHOICES[rank])
        config.precision = runtime.precision
    return runtime


def _device(kind: str) -> precision.Device:
    gpus = tf.config.list_physical_devices("GPU") if kind == "GPU" else []
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return precision.Device(
        kind,
        min((each.get("compute_capability", (0, 0)) for each in details), default=(0, 0)),
    )


def name_of(config: RuntimeConfig) -> str:
    """What `config.runtime.strategy` stands for here."""
    if config.strategy != "auto":
        return config.strategy
    if config.tpu:
        return "tpu"
    return "multi_worker" if "TF_CONFIG" in os.environ else local_name(config)


def local_name(config: RuntimeConfig) -> str:
    """The strategy for all devices of this machine."""
    number = max(len(tf.config.list_physical_devices("GPU")), config.num_virtual_devices)
    return "mirrored" if number > 1 else "one_device"


def _strategy(config: RuntimeConfig) -> tf.distribute.Strategy:
    name, cpus = name_of(config), config.num_virtual_devices
    if name == "tpu":
        return _tpu_strategy(config.tpu)
    if name == "multi_worker":
        cluster.find()
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        if cpus:
            return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(cpus)])
        return tf.distribute.MirroredStrategy()
    has_gpu = tf.config.list_physical_devices("GPU") and not cpus
    return tf.distribute.OneDeviceStrategy("GPU:0" if has_gpu else "CPU:0")


def _tpu_strategy(name: str) -> tf.distribute.Strategy:
    rule = (
        "config.runtime.strategy=tpu needs config.runtime.tpu, the name or address of a TPU that "
        "can be reached (local on a TPU's own machine)"
    )
    try:
        # Without a name it looks into the environment.
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name or None)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, ImportError, OSError, tf.errors.OpError) as error:
        raise UserError(f"{rule}. Received: {name or 'nothing'} ({error})") from error
    return tf.distribute.TPUStrategy(resolver)
