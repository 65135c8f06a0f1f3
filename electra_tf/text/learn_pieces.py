"""Learning of a SentencePiece model, by the trainer of the package sentencepiece."""

import importlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

from electra_tf import extras, files
from electra_tf.errors import UserError
from electra_tf.text.corpus import Document, find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.piece_vocabulary import PieceVocabulary
from electra_tf.text.sample import sample
from electra_tf.text.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, UNK

MODEL_TYPES = ("unigram", "bpe")
# Sums of rounded numbers depend on the number of threads, so it is one number everywhere.
_THREADS = 4
_LONGEST_LINE = 1 << 26  # bytes; the trainer leaves longer ones out


def learn_pieces(
    inputs: Sequence[str],
    output: str | os.PathLike,
    *,
    vocab_size: int = 30522,
    model_type: str = "unigram",
    lower_case: bool = True,
    character_coverage: float = 0.9995,
    byte_fallback: bool = False,
    max_bytes: int = 1 << 27,
    text_field: str = "text",
    overwrite: bool = False,
) -> PieceVocabulary:
    """Learns a model and writes it, the special tokens first.

    The same input gives the same file. It has fewer than `vocab_size` pieces if the text is too
    small to give more. All the text is held in memory, and more: lower `max_bytes` if it is short.

    Args:
      inputs, output, max_bytes, text_field, overwrite: as of `learn.learn_vocab`.
      vocab_size: pieces wanted, special tokens included.
      model_type: unigram (https://arxiv.org/abs/1804.10959) or bpe.
      lower_case: the model folds case, beside NFKC.
      character_coverage: share of the text's characters that become pieces; the rarest others are
        [UNK], or their bytes.
      byte_fallback: unknown characters become their bytes, of which each is a piece.

    Returns:
      The vocabulary.

    Raises:
      UserError: an argument or an input is not usable.
    """
    with extras.needed("sentencepiece"):
        sentencepiece: Any = importlib.import_module("sentencepiece")  # has no types
    least = len(SPECIAL_TOKENS) + 1 + 256 * byte_fallback
    if vocab_size < least:
        raise UserError(f"vocab_size must be at least {least}. Received: {vocab_size}")
    if model_type not in MODEL_TYPES:
        raise UserError(f"model_type must be {' or '.join(MODEL_TYPES)}. Received: {model_type}")
    if not 0.98 <= character_coverage <= 1:
        raise UserError(
            f"character_coverage must be from 0.98 to 1. Received: {character_coverage}"
        )
    if max_bytes < 1:
        raise UserError(f"max_bytes must be at least 1. Received: {max_bytes}")
    sources = find_sources(inputs, text_field)
    output = files.output(
        output, inputs=[each.name for each in sources if each.is_file], overwrite=overwrite
    )
    reading, learned = Reading(), io.BytesIO()
    lines = list(_lines(sample(sources, max_bytes, reading)))
    reading.require_healthy(sources)
    if not lines:
        raise UserError(f"The input must hold at least one word. Received: {', '.join(inputs)}")
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=learned,
            model_type=model_type,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=character_coverage,
            byte_fallback=byte_fallback,
            normalization_rule_name="nmt_nfkc_cf" if lower_case else "nmt_nfkc",
            pad_id=0,
            pad_piece=PAD,
            unk_id=1,
            unk_piece=UNK,
            bos_id=-1,
            eos_id=-1,
            control_symbols=[CLS, SEP, MASK],
            max_sentence_length=_LONGEST_LINE,
            num_threads=_THREADS,
            shuffle_input_sentence=False,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(
            "The text must be enough for vocab_size, and vocab_size for the characters of the "
            f"text. Received: vocab_size={vocab_size}, with which sentencepiece says: {error}"
        ) from None
    vocabulary = PieceVocabulary(learned.getvalue(), source=output)
    with files.work_folder(output) as work_dir:
        vocabulary.save(work_dir)
        os.replace(os.path.join(work_dir, *PieceVocabulary.FILES), os.path.realpath(output))
    return vocabulary


def _lines(documents: Iterator[Document]) -> Iterator[str]:
    for document in documents:
        for line in document:
            text = line.decode(errors="ignore").strip()
            if text:
                yield text
