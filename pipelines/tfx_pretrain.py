"""Pre-trains by a TFX pipeline, from raw text to a version in a serving directory.

  electra_tf tfx_pretrain --input='corpus/*.txt' --root=runs/tfx \\
      --config=configs/quickstart.py --config.train.num_steps=1000

The same command continues after an interruption; what has not changed comes from the cache. A model
that is not better than the last blessed one is not pushed. --runner=kubeflow or vertex writes the
pipeline's specification for such a cluster instead of running it. Needs electra_tf[tfx].
"""

from absl import flags

from electra_tf import command
from electra_tf.config import Config

from . import tfx_runner  # relative: an installed package has this folder elsewhere

_CONFIG = command.define_config(
    "Experiment: a Python file with get_config(), such as configs/electra_small.py. Set fields "
    "with --config.SECTION.FIELD=VALUE.",
    Config,
    default="configs/quickstart.py",
)
_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "Text; repeat the flag or separate by commas. Files or globs of .txt and "
    ".jsonl, tfds:NAME[:SPLIT], docs:novels, docs:installed; see electra_tf build_dataset.",
)
_VOCAB = command.define_path(
    "vocab",
    None,
    "Vocabulary, one token per line; without it one of config.model.vocab_size "
    "tokens is learned from the text.",
)
_SEQ_LENGTH = flags.DEFINE_integer(
    "seq_length", None, "Tokens per example; default: config.model.max_positions."
)
_EVAL_FRACTION = flags.DEFINE_float(
    "eval_fraction", 0.01, "Share of the documents held out, by a hash of their text."
)
_PACKING = flags.DEFINE_enum(
    "packing", "none", ["none", "documents"], "How examples are filled; see build_dataset."
)
_KEEP_LEFTOVERS = flags.DEFINE_bool(
    "keep_leftovers",
    True,
    "Begin the next example with the tokens that did not fit into one; --nokeep_leftovers drops "
    "them, as the original does.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the examples; config.train.seed is training's.")
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")
_MIN_AUC = flags.DEFINE_float("min_auc", 0.5, "What the first model's disc_auc must be above.")


def main(argv):
    command.no_arguments(argv)
    tfx_runner.require_tfx()
    # TFX starts here: --help stays quick.
    from electra_tf.tfx.pipelines import pretraining as pretraining_pipeline

    pipeline = pretraining_pipeline.build(
        config=_CONFIG.value,
        input=",".join(_INPUT.value),
        vocab_file=_VOCAB.value,
        seq_length=_SEQ_LENGTH.value,
        eval_fraction=_EVAL_FRACTION.value,
        packing=_PACKING.value,
        keep_leftovers=_KEEP_LEFTOVERS.value,
        seed=_SEED.value,
        text_field=_TEXT_FIELD.value,
        min_auc=_MIN_AUC.value,
        **tfx_runner.settings(),
    )
    tfx_runner.execute(pipeline)


if __name__ == "__main__":
    flags.adopt_module_key_flags(tfx_runner)  # for --help
    flags.mark_flags_as_required(["input", "root"])
    command.run(main)
