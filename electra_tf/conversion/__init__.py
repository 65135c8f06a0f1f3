"""Models between file formats: ours, the original's, Hugging Face's.

Each format is a module with `read(...) -> Pretrained` and `write(pretrained, directory)`; what
lies between is always a `Pretrained`, checked in full before anything is written.
"""

from collections.abc import Callable

from electra_tf import files
from electra_tf.conversion import google, huggingface, huggingface_finetuned
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import model_directory
from electra_tf.train.model_directory import Pretrained

FORMATS = ("electra_tf", "google", "huggingface")


def convert(source: str, source_format: str, output: str, output_format: str, *,
            config_json: str | None = None, vocab: str | None = None,
            lower_case: bool | None = None, generator: str | None = None,
            encoder_only: bool = False, allow_pickle: bool = False,
            say: Callable[[str], None] = print) -> Pretrained:
    """Converts a model; writes `output` complete or not at all.

    Args:
        source: what to read: a directory, or for google the prefix of a checkpoint.
        source_format, output_format: out of FORMATS.
        output: new directory.
        config_json: google: what shapes cannot tell, see `google.read`.
        vocab: vocab.txt to take instead of the source's.
        lower_case: whether the vocabulary is of lower-cased text, instead of what the source says.
        generator: huggingface: directory of the generator, if not `source`/generator.
        encoder_only: leaves out generator and heads.
        allow_pickle: huggingface: permits to read pytorch_model.bin.
        say: receives what the user should know, line by line.

    Returns:
        The model.

    Raises:
        ValueError: tensors are missing, extra or of another shape, a file cannot be read, the
            output exists, or the output's format cannot hold the model.
    """
    files.require_new(output)
    if source_format == "google":
        pretrained = google.read(source, config_json, encoder_only=encoder_only, say=say)
    elif source_format == "huggingface" and not encoder_only and huggingface_finetuned.holds_head(
            source, allow_pickle):
        if output_format != "electra_tf":
            raise ValueError("A fine-tuned model can only become an electra_tf one; --encoder_only "
                             f"converts its encoder. Received: --output_format={output_format}")
        pretrained = huggingface_finetuned.read(source, allow_pickle=allow_pickle, say=say)
    elif source_format == "huggingface":
        pretrained = huggingface.read(source, generator, encoder_only=encoder_only,
                                      allow_pickle=allow_pickle, say=say)
    else:
        pretrained = model_directory.read(source)
    if encoder_only:
        pretrained = pretrained.encoder_only()
    if vocab is not None:
        pretrained.tokens = Vocabulary.from_file(vocab).tokens
    if lower_case is not None:
        pretrained.config.data.lower_case = pretrained.config.data.strip_accents = lower_case
    pretrained.check(source)
    _WRITERS[output_format](pretrained, output)
    if pretrained.tokens is None:
        say(f"{output} has no vocabulary: {source} has none; give --vocab=vocab.txt to be able to "
            "evaluate, export or go on training.")
    return pretrained


_WRITERS = {"electra_tf": model_directory.write, "google": google.write,
            "huggingface": huggingface.write}
