"""Pre-trains by a TFX pipeline, from raw text to a version in a serving directory.

  python -m pipelines.tfx_pretrain --input='corpus/*.txt' --keep_leftovers --root=runs/tfx \\
      --config=configs/quickstart.py --config.train.num_steps=1000

The same command goes on after an interruption; what has not changed comes from the cache. A model
that is not better than the last blessed one is not pushed. --runner=kubeflow or vertex writes the
pipeline's specification for such a cluster instead of running it. Needs the packages of
requirements-tfx.txt.
"""

import os
import sys

from absl import flags
from ml_collections import config_flags

from electra_tf import command

_DEFAULT_CONFIG = "configs/quickstart.py"
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment: a Python file with get_config(), such as "
    f"configs/electra_small.py; default: {_DEFAULT_CONFIG}. Set fields with "
    "--config.SECTION.FIELD=VALUE.")
_INPUT = flags.DEFINE_multi_string(
    "input", None, "Text; repeat the flag or separate by commas. Files or globs of .txt and "
    ".jsonl, tfds:NAME[:SPLIT], docs:installed; see pipelines.build_dataset.")
_VOCAB = flags.DEFINE_string(
    "vocab", None, "Vocabulary, one token per line; without it one of config.model.vocab_size "
    "tokens is learned from the text.")
_ROOT = flags.DEFINE_string(
    "root", None, "Directory (or gs:// bucket) of what the pipeline writes: pipeline/COMPONENT/… "
    "and, for local runs, metadata.sqlite.")
_SERVING_DIR = flags.DEFINE_string(
    "serving_dir", None, "Where blessed versions are pushed; default: ROOT/serving.")
_RUNNER = flags.DEFINE_enum(
    "runner", "local", ["local", "kubeflow", "vertex"],
    "local: run it here. kubeflow, vertex: write the specification to --output.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File of the specification: .yaml for kubeflow, .json for vertex.")
_IMAGE = flags.DEFINE_string(
    "image", None, "Container image with electra_tf[tfx], for the steps on a cluster.")
_SEQ_LENGTH = flags.DEFINE_integer(
    "seq_length", None, "Tokens per example; default: config.model.max_positions.")
_EVAL_FRACTION = flags.DEFINE_float(
    "eval_fraction", 0.01, "Share of the documents held out, by a hash of their text.")
_PACKING = flags.DEFINE_enum(
    "packing", "none", ["none", "documents"], "How examples are filled; see build_dataset.")
_KEEP_LEFTOVERS = flags.DEFINE_bool(
    "keep_leftovers", False, "Begin the next example with the tokens that did not fit into one, "
    "instead of dropping them as the original does; matters where seq_length is short.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the examples; config.train.seed is training's.")
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")
_MIN_AUC = flags.DEFINE_float("min_auc", 0.5, "What the first model's disc_auc must be above.")
_BEAM_ARGS = flags.DEFINE_multi_string(
    "beam_args", [], "An option for Apache Beam, such as --beam_args=--direct_num_workers=1; "
    "repeat the flag for more.")


def main(argv):
    command.no_arguments(argv)
    command.require_package("tfx", "make venv-tfx, then use .venv-tfx/bin/python")
    from electra_tf.tfx import pretraining_pipeline  # TFX starts here: --help stays quick

    serving_dir = _SERVING_DIR.value or os.path.join(_ROOT.value, "serving")
    pipeline = pretraining_pipeline.build(
        _ROOT.value, serving_dir, _CONFIG.value, ",".join(_INPUT.value), vocab_file=_VOCAB.value,
        seq_length=_SEQ_LENGTH.value, eval_fraction=_EVAL_FRACTION.value, packing=_PACKING.value,
        keep_leftovers=_KEEP_LEFTOVERS.value, seed=_SEED.value, text_field=_TEXT_FIELD.value,
        min_auc=_MIN_AUC.value, beam_args=_BEAM_ARGS.value, runner=_RUNNER.value)
    if _RUNNER.value == "local":
        from electra_tf.tfx import local_runner

        local_runner.run(pipeline, _ROOT.value)
    else:
        from electra_tf.tfx import cluster_runner

        cluster_runner.compile(pipeline, _RUNNER.value, _OUTPUT.value or "", _IMAGE.value or "")
        print(f"{_OUTPUT.value}: specification for {_RUNNER.value}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["input", "root"])
    # As an argument and not as the flag's default, with which a wrong field is a traceback.
    if not any(argument.split("=")[0].lstrip("-") == "config" for argument in sys.argv[1:]):
        sys.argv.insert(1, f"--config={_DEFAULT_CONFIG}")
    command.run(main)
