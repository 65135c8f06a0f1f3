"""Pre-trains a config of electra_tf for a given time, on one device, through Keras's JAX backend.

    python3 tests/device/train.py --config=configs/electra_small.py --seconds=440 \
        --config.train.batch_size=256 --config.runtime.precision=mixed_bfloat16

Run in the checkout's root. Writes to $OUT (runs/gpu/out without it): log.jsonl, a line every ten
seconds; weights-STEP-K-of-N.npz, the newest weights, at the end and every two minutes;
result.json. Needs no TensorFlow. The learning rate follows the time: --warmup share of it up,
then down to 0 (power config.optimizer.decay_power) at the end. With --num_steps it is the
config's own schedule, and --seconds is a bound only.
"""

import os
import sys
import traceback

import kit

kit.start()

from absl import app, flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Experiment, such as configs/electra_small.py. Set fields with --config.SECTION.FIELD=VALUE.",
)
_SECONDS = flags.DEFINE_float(
    "seconds",
    440.0,
    "From this program's start to its end: compiling, evaluation and the last save included.",
    lower_bound=1.0,
)
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps",
    0,
    "Stop after so many steps, with the config's "
    "schedule up to them. 0: as many as the time allows.",
)
_WARMUP = flags.DEFINE_float(
    "warmup",
    0.05,
    "Share of the training time until the learning rate is config.optimizer.learning_rate.",
    0.0,
    1.0,
)
_DATA = flags.DEFINE_string("data", kit.kit_file("data.zip"), "What pack.py wrote.")
_VOCAB = flags.DEFINE_string("vocab", kit.kit_file("vocab.txt"), "The data's vocabulary.")
_EVAL_EXAMPLES = flags.DEFINE_integer("eval_examples", 0, "Held-out examples to use; 0: all.")
_SAVE_SECONDS = flags.DEFINE_float("save_seconds", 120.0, "Time between saves.", lower_bound=1.0)
_LOG_SECONDS = flags.DEFINE_float(
    "log_seconds", 10.0, "Time between lines of the log.", lower_bound=0.1
)
_INIT_FROM = flags.DEFINE_string("init_from", None, "Folder with weights-*.npz to start from.")


def main(argv):
    if argv[1:]:
        raise app.UsageError(f"Only flags are accepted. Received: {' '.join(argv[1:])}")
    from training import Run, Settings

    Run(
        Settings(
            config=_CONFIG.value,
            seconds=_SECONDS.value,
            num_steps=_NUM_STEPS.value,
            warmup=_WARMUP.value,
            data=_DATA.value,
            vocab=_VOCAB.value,
            eval_examples=_EVAL_EXAMPLES.value,
            save_seconds=_SAVE_SECONDS.value,
            log_seconds=_LOG_SECONDS.value,
            init_from=_INIT_FROM.value,
        )
    ).run()


def leave(code: int) -> None:
    """Ends at once; taking a compiled program apart may take seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")

    def guarded(argv):
        try:
            main(argv)
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            leave(1)
        leave(0)

    app.run(guarded)
