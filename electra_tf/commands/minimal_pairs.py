"""Tests which sentence a model prefers: `electra_tf minimal_pairs --model=RUN --output=FILE`.

The right sentences are those of the held-out part of the run's data, the wrong ones differ from
them by a rule: the verb in the wrong number, two words swapped, the wrong auxiliary of a negation.
Chance is 0.5. The model must be able to score, see `electra_tf predict --help`.
"""

import json

from absl import flags

from electra_tf import command

_MODEL = command.define_path("model", None, "A pre-trained run or model directory.")
_DATA_DIR = command.define_path(
    "data_dir", None, "Shards whose held-out part is taken; default: those of the run."
)
_NUM_PAIRS = flags.DEFINE_integer("num_pairs", 200, "Pairs of each rule at most.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed for choosing pairs.", lower_bound=0)
_OUTPUT = command.define_path("output", None, "JSON file to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf import files  # TensorFlow starts here: --help stays quick
    from electra_tf.errors import UserError
    from electra_tf.probes import minimal_pairs
    from electra_tf.runs import loaded

    output = files.output(_OUTPUT.value, inputs=[_MODEL.value], overwrite=_OVERWRITE.value)
    model = loaded.load_pretrained(_MODEL.value)
    data_dir = _DATA_DIR.value or model.config.data.dir
    if not data_dir:
        raise UserError(
            "--data_dir must be given for a model that is not a run, and for a run on a mixture. "
            "Received: nothing"
        )
    results = minimal_pairs.probe(model, data_dir, _NUM_PAIRS.value, _SEED.value)
    files.write_text(output, json.dumps(results, indent=2) + "\n")
    for name, part in {**results["rules"], "all pairs": results}.items():
        print(f"{name:18} {part['accuracy']:.3f} ± {part['standard_error']:.3f} (n = {part['n']})")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "output"])
    command.run(main)
