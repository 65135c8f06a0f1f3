"""Measures the training step of a config: `electra_tf benchmark --config=FILE`.

Prints tokens/s, where the time of a step goes, its share of the matrix-product peak measured on
the same device in the same run, and peak memory. Batches are made up unless the config has data.
With KERAS_BACKEND=jax the same models and objective run on one device through JAX; that needs no
TensorFlow.

With --plan no step is run: it prints weights, operations, the memory of a step by batch size, and
for common devices how long the whole training takes and which batches fit.
"""

import json
import os

from absl import flags

from electra_tf import command, extras, files
from electra_tf.config import Config
from electra_tf.speed import PEAK_SHARE

_CONFIG = command.define_config(
    "Experiment, such as configs/electra_small.py. Set fields with "
    "--config.SECTION.FIELD=VALUE, for example train.batch_size, runtime.precision, "
    "runtime.xla, runtime.strategy.",
    Config,
)
_SEQ_LENGTH = flags.DEFINE_integer(
    "seq_length", 128, "Tokens per example, synthetic or planned.", lower_bound=8
)
_SECONDS = flags.DEFINE_float(
    "seconds",
    20.0,
    "How long each variant of the step is timed, without tracing.",
    lower_bound=0.1,
)
_PLAN = flags.DEFINE_bool(
    "plan", False, "Print what the training will need, without running a step."
)
_PEAK_SHARE = flags.DEFINE_float(
    "peak_share",
    PEAK_SHARE,
    "With --plan: share of a device's peak that the step reaches, as a benchmark there prints it.",
    lower_bound=0.001,
    upper_bound=1.0,
)
_OUTPUT = command.define_path("output", None, "Also write the figures to this file, as JSON.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")

_USES_JAX = os.environ.get("KERAS_BACKEND") == "jax"


def main(argv):
    command.no_arguments(argv)
    if _USES_JAX:
        with extras.needed("jax"):
            from electra_tf.speed import jax_step as backend
    else:
        from electra_tf.speed import tensorflow_step as backend
    from electra_tf import objectives

    output = _OUTPUT.value and files.output(_OUTPUT.value, overwrite=_OVERWRITE.value)
    config = objectives.validate(_CONFIG.value)
    figures = _plan(config, backend) if _PLAN.value else _measure(config, backend)
    if output:
        files.write_text(output, json.dumps(figures, indent=2) + "\n")


def _plan(config, backend):
    from electra_tf.speed import plan
    from electra_tf.speed.devices import DEVICES, this_machine

    compiled = backend.cpu_compiler()
    here = [this_machine(compiled)] if compiled else []
    figures = plan.plan(config, _SEQ_LENGTH.value, _PEAK_SHARE.value, [*here, *DEVICES])
    print("\n".join(plan.lines(figures)))
    return figures


def _measure(config, backend):
    from electra_tf import objectives

    figures = backend.measure(config, _SEQ_LENGTH.value, _SECONDS.value)
    tokens = config.train.batch_size * _SEQ_LENGTH.value
    objective = objectives.build_objective(config)
    flops = objective.training_flops_per_token(_SEQ_LENGTH.value)
    speed = tokens / figures["step_seconds"]["total"]
    figures |= {
        "batch_size": config.train.batch_size,
        "seq_length": _SEQ_LENGTH.value,
        "tokens_per_second": speed,
        "flops_per_token": flops,
        "peak_share": speed * flops / figures["peak_flops_per_second"],
    }
    _show(figures)
    return figures


def _show(figures):
    print(
        f"{figures['backend']} on {figures['replicas']} x {figures['device']}, "
        f"{figures['precision']}, XLA {figures['xla']}; "
        f"batch {figures['batch_size']} x {figures['seq_length']} tokens"
    )
    share = figures["peak_share"]
    print(
        f"{figures['tokens_per_second']:,.0f} tokens/s  "
        f"{figures['flops_per_token'] / 1e6:.1f} MFLOP/token  "
        # Above 1 it is no share: something else was running while the peak was measured.
        f"{f'{share:.1%} of' if share <= 1 else 'more than'} the measured peak of "
        f"{figures['peak_flops_per_second'] / 1e9:,.0f} GFLOP/s"
    )
    for part, seconds in figures["step_seconds"].items():
        print(f"  {part:17}", "not measured" if seconds is None else f"{seconds * 1e3:9.1f} ms")
    memory = figures["peak_memory_bytes"]
    print("  peak memory      ", "not measured" if memory is None else f"{memory / 2**30:9.2f} GiB")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main, tensorflow=not _USES_JAX, backends=("tensorflow", "jax"))
