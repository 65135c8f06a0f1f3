"""Measures the training step of a config: `python -m electra_tf.benchmark --config=FILE`.

Prints tokens/s, where the time of a step goes, its share of the matrix-product peak measured on
the same device in the same run, and peak memory. Batches are made up unless config.data.dir is
set. With KERAS_BACKEND=jax the same models and objective run on one device through JAX; that
needs no TensorFlow.
"""

import json
import os

from absl import flags
from ml_collections import config_flags

from electra_tf import command

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment, such as configs/electra_small.py. Set fields with "
    "--config.SECTION.FIELD=VALUE; usual ones are train.batch_size, runtime.precision, "
    "runtime.xla, runtime.strategy.")
_SEQ_LENGTH = flags.DEFINE_integer("seq_length", 128, "Tokens per made-up example.",
                                   lower_bound=8)
_SECONDS = flags.DEFINE_float("seconds", 20.0, "How long each variant of the step is timed; "
                              "tracing comes on top.", lower_bound=0.1)
_OUTPUT = flags.DEFINE_string("output", None, "Also write the figures to this file, as JSON.")

_USES_JAX = os.environ.get("KERAS_BACKEND") == "jax"


def main(argv):
    command.no_arguments(argv)
    if _USES_JAX:
        from electra_tf import benchmark_jax as backend
    else:
        from electra_tf import benchmark_tensorflow as backend
    from electra_tf.objectives.flops import training_flops_per_token

    config = _CONFIG.value.validate()
    figures = backend.measure(config, _SEQ_LENGTH.value, _SECONDS.value)
    tokens = config.train.batch_size * _SEQ_LENGTH.value
    flops = training_flops_per_token(config, _SEQ_LENGTH.value)
    speed = tokens / figures["step_seconds"]["total"]
    figures |= {"batch_size": config.train.batch_size, "seq_length": _SEQ_LENGTH.value,
                "tokens_per_second": speed, "flops_per_token": flops,
                "peak_share": speed * flops / figures["peak_flops_per_second"]}
    _show(figures)
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


def _show(figures):
    print(f"{figures['backend']} on {figures['replicas']} x {figures['device']}, "
          f"{figures['precision']}, XLA {'on' if figures['xla'] else 'off'}; "
          f"batch {figures['batch_size']} x {figures['seq_length']} tokens")
    print(f"{figures['tokens_per_second']:,.0f} tokens/s  "
          f"{figures['flops_per_token'] / 1e6:.1f} MFLOP/token  "
          f"{figures['peak_share']:.1%} of the measured peak of "
          f"{figures['peak_flops_per_second'] / 1e9:,.0f} GFLOP/s")
    for part, seconds in figures["step_seconds"].items():
        print(f"  {part:17}", "not measured" if seconds is None else f"{seconds * 1e3:9.1f} ms")
    memory = figures["peak_memory_bytes"]
    print("  peak memory      ", "not measured" if memory is None else f"{memory / 2**30:9.2f} GiB")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main, tensorflow=not _USES_JAX)
