"""Models between file formats: ours, the original's, Hugging Face's.

Each format is a module with `read(...) -> Pretrained` and `write(pretrained, directory)`; what
lies between is always a `Pretrained`, checked in full before anything is written.
"""

import glob
import os
import re
from collections.abc import Callable

from electra_tf import files, objectives
from electra_tf.config import ModelConfig
from electra_tf.config.checks import at_least
from electra_tf.conversion import google, huggingface, huggingface_finetuned
from electra_tf.errors import UserError
from electra_tf.saved import finetuned, model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.text import tokenization
from electra_tf.text.wordpiece import WordPiece

FORMATS = ("electra_tf", "google", "huggingface")
CONVERTED = files.Kind(
    "a converted model",
    "config.json",
    (
        *map(re.escape, tokenization.ALL_FILES),
        r"checkpoints/(checkpoint|ckpt-\d+\.(index|data-\d+-of-\d+))",
        r"checkpoint|model\.ckpt-\d+\.(index|data-\d+-of-\d+)",
        r"(generator/)?(config|tokenizer|tokenizer_config|special_tokens_map)\.json",
        r"(generator/)?(model\.safetensors|vocab\.txt)",
    ),
)


def convert(
    source: str,
    source_format: str,
    output: str,
    output_format: str,
    *,
    config_json: str | None = None,
    vocab: str | None = None,
    lower_case: bool | None = None,
    strip_accents: bool | None = None,
    generator: str | None = None,
    encoder_only: bool = False,
    max_positions: int | None = None,
    average_checkpoints: int = 1,
    allow_pickle: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Pretrained:
    """Converts a model; writes `output` complete or not at all.

    Args:
        source: what to read: a directory, or for google the prefix of a checkpoint.
        source_format, output_format: out of FORMATS.
        output: new or empty directory; see `files.output`.
        config_json: google: what shapes cannot tell, see `google.read`.
        vocab: vocab.txt to take instead of the source's.
        lower_case: whether the vocabulary is of lower-cased text, instead of what the source says;
            accents are then stripped as well, or kept.
        strip_accents: whether accents are stripped, instead of all this.
        generator: huggingface: directory of the generator, if not `source`/generator.
        encoder_only: leaves out generator and heads.
        max_positions: the longest row that the model takes, for one with rotary positions, which
            have no table; whether it is good at longer ones than in training is another question.
        average_checkpoints: electra_tf: of how many checkpoints, up to the newest, the weights are
            the means; a run keeps `config.train.keep_checkpoints`.
        allow_pickle: huggingface: permits to read pytorch_model.bin.
        overwrite: replace an output that is a converted model and nothing else.
        say: receives what the user should know, line by line.

    Returns:
        The model.

    Raises:
        UserError: tensors are missing, extra or of another shape, a file cannot be read, the
            output exists, or the output's format cannot hold the model.
    """
    source = files.expand(source)
    config_json, vocab, generator = (
        each and files.expand(each) for each in (config_json, vocab, generator)
    )
    output = files.output(
        output,
        CONVERTED,
        inputs=[
            *([source] if os.path.exists(source) else glob.glob(f"{glob.escape(source)}.*")),
            *filter(None, (config_json, vocab, generator)),
        ],
        overwrite=overwrite,
    )
    if average_checkpoints > 1 and (
        source_format != "electra_tf" or finetuned.is_finetuned(source)
    ):
        raise UserError(
            "--average_checkpoints is for pre-training runs, --input_format=electra_tf. "
            f"Received: {source}, {source_format}"
        )
    if source_format == "google":
        pretrained = google.read(source, config_json, encoder_only=encoder_only, say=say)
    elif (
        source_format == "huggingface"
        and not encoder_only
        and huggingface_finetuned.holds_head(source, allow_pickle)
    ):
        if output_format != "electra_tf":
            raise UserError(
                "A fine-tuned model can only become an electra_tf one; --encoder_only "
                f"converts its encoder. Received: --output_format={output_format}"
            )
        pretrained = huggingface_finetuned.read(source, allow_pickle=allow_pickle, say=say)
    elif source_format == "huggingface":
        pretrained = huggingface.read(
            source, generator, encoder_only=encoder_only, allow_pickle=allow_pickle, say=say
        )
    elif encoder_only and finetuned.is_finetuned(source):
        pretrained = finetuned.read_encoder(source)
    else:
        pretrained = model_directory.read(source, average_checkpoints)
    if encoder_only:
        pretrained = pretrained.encoder_only()
    if max_positions is not None:
        _set_max_positions(pretrained.config.model, max_positions)
    if vocab is not None:
        settings = tokenization.settings_of(pretrained.config.data)
        pretrained.vocabulary = tokenization.read_vocabulary(vocab, settings)
    data = pretrained.config.data
    for name, value in (("lower_case", lower_case), ("strip_accents", strip_accents)):
        if value is not None and name not in tokenization.settings_of(data):
            raise UserError(
                f"--{name} must be left out for the tokenizer {data.tokenizer}, which has no such "
                f"setting. Received: {name}={value}"
            )
    if lower_case is not None:
        data.lower_case = data.strip_accents = lower_case
    if strip_accents is not None:
        data.strip_accents = strip_accents
    pretrained.check(source)
    if pretrained.vocabulary is not None:  # can it have all the settings?
        tokenization.build(pretrained.vocabulary, tokenization.settings_of(data))
    tokenizer = data.tokenizer
    if output_format == "google" and tokenizer != WordPiece.name:
        raise UserError(
            f"A model for {output_format} must have the tokenizer {WordPiece.name}. "
            f"Received: {tokenizer}"
        )
    if output_format != "electra_tf":
        pretrained = _without_training_only(pretrained.published(), output_format, say)
    _WRITERS[output_format](pretrained, output, CONVERTED if overwrite else None)
    if pretrained.vocabulary is None:
        say(
            f"{output} has no vocabulary: {source} has none; give --vocab=vocab.txt to be able to "
            "evaluate, export or go on training."
        )
    return pretrained


def _set_max_positions(model: ModelConfig, number: int) -> None:
    if model.elements().positions != "rotary":
        raise UserError(
            "--max_positions is for models with rotary positions: others have a table of "
            f"{model.max_positions}. Received: {number}"
        )
    at_least("--max_positions", number, 1)
    model.max_positions = number


def _without_training_only(pretrained, output_format, say) -> Pretrained:
    known = objectives.objective_class(pretrained.config).training_only
    left_out = sorted({path.split("/")[0] for path in pretrained.weights}.intersection(known))
    if left_out:
        say(f"Left out {', '.join(left_out)}, which only training needs: {output_format} has none.")
    return pretrained.without(left_out)


_WRITERS = {
    "electra_tf": model_directory.write,
    "google": google.write,
    "huggingface": huggingface.write,
}
