"""Vocabulary and tokenizer settings in the files of Hugging Face's tokenizers."""

import json
import os
from collections.abc import Callable

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from electra_tf.conversion.huggingface_tensors import read_json
from electra_tf.files import write_text
from electra_tf.text.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, UNK, Vocabulary
from electra_tf.text.wordpiece import MAX_CHARACTERS_PER_WORD
from electra_tf.train.model_directory import VOCABULARY, write_vocabulary

_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"


def read_tokens(directory: str, say: Callable[[str], None]) -> tuple[str, ...] | None:
    """The vocabulary: of vocab.txt, else of tokenizer.json, else None.

    Raises:
        ValueError: there is one that cannot be read.
    """
    path = os.path.join(directory, VOCABULARY)
    if os.path.exists(path):
        return Vocabulary.from_file(path).tokens
    path = os.path.join(directory, _TOKENIZER)
    if not os.path.exists(path):
        return None
    content = read_json(path)
    model = content.get("model") or {}
    if model.get("type") != "WordPiece" or model.get("continuing_subword_prefix") != "##":
        say(f"{path} is no WordPiece tokenizer with ## before continuations, so there is no "
            "vocabulary that electra_tf can use.")
        return None
    ids = model["vocab"]
    tokens = tuple(sorted(ids, key=ids.get))
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError(f"The ids of a vocabulary must be 0 to {len(tokens) - 1}, each once. "
                         f"Received: {path} with others")
    added = [entry["content"] for entry in content.get("added_tokens") or ()
             if entry["content"] not in ids]
    if added:
        say(f"{path}: tokens added to the vocabulary are left out: {', '.join(added)}")
    return Vocabulary(tokens, path).tokens


def read_case(directory: str, say: Callable[[str], None]) -> tuple[bool, bool]:
    """Whether text is lower-cased, and whether accents are stripped."""
    settings = _json_or_nothing(os.path.join(directory, _SETTINGS))
    lower_case, strip_accents = settings.get("do_lower_case"), settings.get("strip_accents")
    if lower_case is None:
        normalizer = _json_or_nothing(os.path.join(directory, _TOKENIZER)).get("normalizer") or {}
        lower_case, strip_accents = normalizer.get("lowercase"), normalizer.get("strip_accents")
    if lower_case is None:
        say(f"{directory} does not say whether text is lower-cased: taken as lower-cased; "
            "--nolower_case says otherwise.")
        lower_case, strip_accents = True, None
    return bool(lower_case), bool(lower_case if strip_accents is None else strip_accents)


def write(tokens: tuple[str, ...], lower_case: bool, strip_accents: bool, max_positions: int,
          directory: str) -> None:
    """Writes vocab.txt and what AutoTokenizer reads.

    The ids are those of `text.wordpiece.Tokenizer` with three exceptions, all of that library: a
    special token that stands in a text, such as [MASK], becomes that token; a capital sigma at
    the end of a word is lower-cased as if it stood elsewhere; and some characters that one of the
    two versions of Unicode does not assign are kept by one and removed by the other.

    Args:
        tokens: in the order of their ids.
        lower_case, strip_accents: how text is folded.
        max_positions: tokens of the longest example.
        directory: where to.
    """
    write_vocabulary(tokens, directory)
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(
        ids, unk_token=UNK, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=strip_accents,
        lowercase=lower_case)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0", pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    special = {"unk_token": UNK, "sep_token": SEP, "pad_token": PAD, "cls_token": CLS,
               "mask_token": MASK}
    # The general class takes tokenizer.json as it is; BERT's own would make its normalizer and its
    # WordPiece again, with a lower limit of characters per word.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": lower_case,
                "strip_accents": strip_accents, "tokenize_chinese_chars": True,
                "model_max_length": max_positions,
                "model_input_names": ["input_ids", "token_type_ids", "attention_mask"], **special}
    write_text(os.path.join(directory, _TOKENIZER), tokenizer.to_str(pretty=True) + "\n")
    for name, content in ((_SETTINGS, settings), ("special_tokens_map.json", special)):
        write_text(os.path.join(directory, name), json.dumps(content, indent=2) + "\n")


def _json_or_nothing(path):
    return read_json(path) if os.path.exists(path) else {}
