"""Learning of a byte-level BPE, by the trainer of Hugging Face's `tokenizers`."""

import os
from collections.abc import Iterator, Sequence

from electra_tf import extras, files
from electra_tf.errors import UserError
from electra_tf.text.byte_pair_vocabulary import ALPHABET, BytePairVocabulary
from electra_tf.text.corpus import Document, find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.sample import sample
from electra_tf.text.vocabulary import CLS, MASK, SEP, SPECIAL_TOKENS, UNK

with extras.needed("data"):
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers


def learn_byte_pairs(
    inputs: Sequence[str],
    output: str | os.PathLike,
    *,
    vocab_size: int = 30522,
    min_frequency: int = 2,
    add_prefix_space: bool = False,
    max_bytes: int = 1 << 30,
    text_field: str = "text",
    overwrite: bool = False,
) -> BytePairVocabulary:
    """Learns the merges and writes a tokenizer.json, the special tokens first.

    The same input gives the same file. It has fewer than `vocab_size` tokens if the text is too
    small to give more. [MASK] takes the place of a word with the blank before it, as in ModernBERT.

    Args:
      inputs, output, max_bytes, text_field, overwrite: as of `learn.learn_vocab`.
      vocab_size: tokens wanted, the special ones and 256 bytes included.
      min_frequency: pairs that occur less often do not merge.
      add_prefix_space: a text's first word gets a blank, so that it is the same token as elsewhere.

    Returns:
      The vocabulary.

    Raises:
      UserError: an argument or an input is not usable.
    """
    least = len(SPECIAL_TOKENS) + len(ALPHABET)
    for name, value, lowest in (
        ("vocab_size", vocab_size, least),
        ("min_frequency", min_frequency, 1),
        ("max_bytes", max_bytes, 1),
    ):
        if value < lowest:
            raise UserError(f"{name} must be at least {lowest}. Received: {value}")
    sources = find_sources(inputs, text_field)
    output = files.output(
        output, inputs=[each.name for each in sources if each.is_file], overwrite=overwrite
    )
    reading = Reading()
    tokenizer = _untrained(add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[
            *SPECIAL_TOKENS[:-1],
            tokenizers.AddedToken(MASK, lstrip=True, special=True),
        ],
        initial_alphabet=list(ALPHABET),
        show_progress=False,
    )
    lines = _Lines(sample(sources, max_bytes, reading))
    tokenizer.train_from_iterator(lines, trainer)
    reading.require_healthy(sources)
    if not lines.found:
        raise UserError(f"The input must hold at least one word. Received: {', '.join(inputs)}")
    ends = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=ends,
    )
    content = tokenizer.to_str(pretty=True).encode() + b"\n"
    vocabulary = BytePairVocabulary(content, source=output)
    with files.work_folder(output) as work_dir:
        vocabulary.save(work_dir)
        os.replace(os.path.join(work_dir, *BytePairVocabulary.FILES), os.path.realpath(output))
    return vocabulary


class _Lines:
    """Lines with text; `found` once there was one."""

    def __init__(self, documents: Iterator[Document]):
        self._documents, self.found = documents, False

    def __iter__(self) -> Iterator[str]:
        for document in self._documents:
            for line in document:
                text = line.decode(errors="ignore")
                if text.strip():
                    self.found = True
                    yield text


def _untrained(add_prefix_space: bool) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
