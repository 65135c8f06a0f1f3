"""Converts models: `electra_tf convert --input=… --input_format=… --output=DIR`.

  google        checkpoints of google-research/electra: a directory or a prefix
  huggingface   config.json, model.safetensors, tokenizer files; the discriminator in the
                directory itself, the generator in its sub-directory generator/
  electra_tf    a model directory: config.json, vocab.txt, checkpoints/; a run is one, too

for example

  electra_tf convert --input=electra_small --input_format=google \\
      --vocab=vocab.txt --output=models/small
  electra_tf convert --input=runs/mine --input_format=electra_tf \\
      --output=mine_hf --output_format=huggingface

The output is complete or absent. Numbers are copied, never rounded.
"""

from absl import flags

from electra_tf import command

_FORMATS = ["electra_tf", "google", "huggingface"]
_INPUT = command.define_path(
    "input",
    None,
    "Model to read: a directory, or for google also the "
    "prefix of a checkpoint, such as DIR/model.ckpt-1000000.",
)
_INPUT_FORMAT = flags.DEFINE_enum("input_format", None, _FORMATS, "Format of the input.")
_OUTPUT = command.define_path("output", None, "Directory to write; must be new or empty.")
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace output if it is a converted model and nothing else."
)
_OUTPUT_FORMAT = flags.DEFINE_enum("output_format", "electra_tf", _FORMATS, "Format of the output.")
_VOCAB = command.define_path("vocab", None, "vocab.txt of the model. Default: the input's.")
_LOWER_CASE = flags.DEFINE_bool(
    "lower_case",
    None,
    "Whether the vocabulary is of lower-cased "
    "text. Default: what the input says; google's checkpoints do not "
    "say, so true.",
)
_STRIP_ACCENTS = flags.DEFINE_bool(
    "strip_accents",
    None,
    "Whether accents are removed. Default: as --lower_case or --nolower_case says, else the input.",
)
_CONFIG_JSON = command.define_path(
    "config_json",
    None,
    "google: JSON file with what shapes cannot tell: num_attention_heads, "
    "generator_num_attention_heads, hidden_act, … Default: config.json beside the checkpoint, "
    "else the original's rule of 64 per head.",
)
_GENERATOR = command.define_path(
    "generator",
    None,
    "huggingface: directory of the generator. Default: INPUT/generator, if it is there.",
)
_ENCODER_ONLY = flags.DEFINE_bool(
    "encoder_only",
    False,
    "Leave out the generator and all heads, for example those of a fine-tuned model.",
)
_MAX_POSITIONS = flags.DEFINE_integer(
    "max_positions",
    None,
    "Longest row that the model takes, in tokens; only for rotary positions, which have no "
    "table. Default: the input's.",
)
_AVERAGE_CHECKPOINTS = flags.DEFINE_integer(
    "average_checkpoints",
    1,
    "electra_tf: take the mean of the weights in so many checkpoints of a pre-training run, up to "
    "the newest.",
    lower_bound=1,
)
_ALLOW_PICKLE = flags.DEFINE_bool(
    "allow_pickle",
    False,
    "huggingface: read pytorch_model.bin where there is no "
    "model.safetensors. A pickle can run any code: only for files that you trust. Needs torch.",
)


def main(argv):
    command.no_arguments(argv)
    from electra_tf import conversion  # TensorFlow starts here: --help stays quick

    pretrained = conversion.convert(
        _INPUT.value,
        _INPUT_FORMAT.value,
        _OUTPUT.value,
        _OUTPUT_FORMAT.value,
        config_json=_CONFIG_JSON.value,
        vocab=_VOCAB.value,
        lower_case=_LOWER_CASE.value,
        strip_accents=_STRIP_ACCENTS.value,
        generator=_GENERATOR.value,
        encoder_only=_ENCODER_ONLY.value,
        max_positions=_MAX_POSITIONS.value,
        average_checkpoints=_AVERAGE_CHECKPOINTS.value,
        allow_pickle=_ALLOW_PICKLE.value,
        overwrite=_OVERWRITE.value,
    )
    print(f"{_OUTPUT.value}: {_OUTPUT_FORMAT.value} model, {pretrained.summary()}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["input", "input_format", "output"])
    command.run(main)
