"""Pre-trains by a TFX pipeline, from raw text to a version in a serving directory.

  python -m pipelines.tfx_pretrain --input='corpus/*.txt' --keep_leftovers --root=runs/tfx \\
      --config=configs/quickstart.py --config.train.num_steps=1000

The same command goes on after an interruption; what has not changed comes from the cache. A model
that is not better than the last blessed one is not pushed. --runner=kubeflow or vertex writes the
pipeline's specification for such a cluster instead of running it. Needs the packages of
requirements-tfx.txt.
"""

import sys

from absl import flags
from ml_collections import config_flags

from electra_tf import command
from pipelines import tfx_runner

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


def main(argv):
    command.no_arguments(argv)
    tfx_runner.require_tfx()
    from electra_tf.tfx import pretraining_pipeline  # TFX starts here: --help stays quick

    pipeline = pretraining_pipeline.build(
        config=_CONFIG.value, input=",".join(_INPUT.value), vocab_file=_VOCAB.value,
        seq_length=_SEQ_LENGTH.value, eval_fraction=_EVAL_FRACTION.value, packing=_PACKING.value,
        keep_leftovers=_KEEP_LEFTOVERS.value, seed=_SEED.value, text_field=_TEXT_FIELD.value,
        min_auc=_MIN_AUC.value, **tfx_runner.settings())
    tfx_runner.execute(pipeline)


if __name__ == "__main__":
    flags.adopt_module_key_flags(tfx_runner)  # for --help
    flags.mark_flags_as_required(["input", "root"])
    # As an argument and not as the flag's default, with which a wrong field is a traceback.
    if not any(argument.split("=")[0].lstrip("-") == "config" for argument in sys.argv[1:]):
        sys.argv.insert(1, f"--config={_DEFAULT_CONFIG}")
    command.run(main)
