"""Probes a model's frozen hidden states: `electra_tf linear_probe --model=RUN --output=FILE`.

  electra_tf linear_probe --model=runs/mine --chunks=conll2000 --similarity=glue/STS-B \\
      --output=frozen.json

Nothing of the model is trained, so it takes seconds and depends on no seed. --chunks predicts the
tag of each word by ridge regression on the last layer's state of its first piece; --similarity
compares the sentences of STS-B by the cosine of their mean states.
"""

import json

from absl import flags

from electra_tf import command

_MODEL = command.define_path("model", None, "A pre-trained run or model directory.")
_CHUNKS = command.define_path(
    "chunks", None, "Directory of tagged words, as for --config=configs/tagging.py:chunk."
)
_SIMILARITY = command.define_path("similarity", None, "Directory of STS-B, as GLUE has it.")
_MAX_SEQ_LENGTH = flags.DEFINE_integer(
    "max_seq_length", 128, "Tokens of a row of --chunks; longer sentences are cut.", lower_bound=3
)
_OUTPUT = command.define_path("output", None, "JSON file to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf import files  # TensorFlow starts here: --help stays quick
    from electra_tf.errors import UserError
    from electra_tf.probes import linear
    from electra_tf.runs import loaded

    tags = {"max_seq_length": _MAX_SEQ_LENGTH.value}
    asked = {
        name: (probe, flag.value, settings)
        for name, probe, flag, settings in (
            ("chunks", linear.tags, _CHUNKS, tags),
            ("similarity", linear.similarity, _SIMILARITY, {}),
        )
        if flag.value
    }
    if not asked:
        raise UserError("--chunks or --similarity must be given. Received: neither")
    inputs = [_MODEL.value, *(directory for _, directory, _ in asked.values())]
    output = files.output(_OUTPUT.value, inputs=inputs, overwrite=_OVERWRITE.value)
    model = loaded.load_pretrained(_MODEL.value)
    results = {
        name: probe(model, directory, **settings)
        for name, (probe, directory, settings) in asked.items()
    }
    files.write_text(output, json.dumps(results, indent=2) + "\n")
    for name, metrics in results.items():
        print(name, *(f"{metric} {value:.4g}" for metric, value in metrics.items()))


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "output"])
    command.run(main)
