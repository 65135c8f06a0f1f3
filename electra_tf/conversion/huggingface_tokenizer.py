"""Vocabulary and tokenizer settings in the files of Hugging Face's tokenizers.

What is read is what BertTokenizer makes of them, and of a general tokenizer.json what is the same.
Another tokenizer is refused, by the setting that makes it another: its model would see other
tokens than those that it was trained with.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from electra_tf import extras
from electra_tf.conversion import (
    huggingface_added,
    huggingface_byte_pairs,
    huggingface_pieces,
)
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.saved.model_directory import Pretrained
from electra_tf.text import tokenization
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.piece_vocabulary import PieceVocabulary
from electra_tf.text.vocabulary import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, UNK, Vocabulary
from electra_tf.text.wordpiece import MAX_CHARACTERS_PER_WORD, WordPiece

_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"
_BERTS = ("BertTokenizer", "ElectraTokenizer")
_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")  # tokenizer.json as it is
_SPECIAL = {
    "unk_token": UNK,
    "sep_token": SEP,
    "pad_token": PAD,
    "cls_token": CLS,
    "mask_token": MASK,
}
# Settings of tokenizer_config.json with the only value, beside null, with which ours is the same.
_REQUIRED = {
    "do_basic_tokenize": True,
    "do_word_tokenize": True,
    "do_subword_tokenize": True,
    "word_tokenizer_type": "basic",
    "subword_tokenizer_type": "wordpiece",
    "split_special_tokens": False,
    "auto_map": None,
}
# Of tokenizer.json, by section; a section that is not there is as BertTokenizer makes it.
_REQUIRED_PARTS = {
    "normalizer": {"type": "BertNormalizer", "clean_text": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"unk_token": UNK},
}
_FRAMES = {
    "single": [(CLS, 0), ("A", 0), (SEP, 0)],
    "pair": [(CLS, 0), ("A", 0), (SEP, 0), ("B", 1), (SEP, 1)],
}


def read(directory: str, say: Callable[[str], None]) -> tuple[Vocabulary | None, dict[str, Any]]:
    """The tokenizer of a model.

    Differs from transformers: [MASK] in a text is no token, words of 101 to 200 characters are
    split, as in the original, and `never_split` is heeded.

    Args:
        directory: of the model.
        say: receives what the user should know.

    Returns:
        The vocabulary: of a SentencePiece model, else of a byte-level BPE's tokenizer.json, else of
        vocab.txt, else of tokenizer.json, else None. The settings, as `text.tokenization` takes
        them.

    Raises:
        UserError: there is a tokenizer that cannot be read, or one that ours is not.
    """
    config, fast = _json_or_nothing(directory, _SETTINGS), _json_or_nothing(directory, _TOKENIZER)
    # Older tokenizers are named beside the model.
    named = config.get("tokenizer_class") or _json_or_nothing(directory, "config.json").get(
        "tokenizer_class"
    )
    config = config | {"tokenizer_class": named}
    pieces = huggingface_pieces.path_of(directory)
    if pieces is not None:
        return huggingface_pieces.read(pieces, config, say), huggingface_pieces.SETTINGS
    if huggingface_byte_pairs.is_one(fast):
        path = os.path.join(directory, _TOKENIZER)
        return huggingface_byte_pairs.read(path, config, fast), huggingface_byte_pairs.SETTINGS
    _check_config(config, os.path.join(directory, _SETTINGS))
    vocabulary, added = None, {}
    if not fast or _is_wordpiece(fast, directory, say):
        is_general = str(config.get("tokenizer_class")).removesuffix("Fast") in _GENERAL
        if fast:
            _check_fast(fast, is_general, os.path.join(directory, _TOKENIZER))
        vocabulary, added = _vocabulary(directory, config, fast, say)
    return vocabulary, {"name": WordPiece.name, **_folding(directory, config, fast, say), **added}


def _vocabulary(directory, config, fast, say) -> tuple[Vocabulary | None, dict[str, list[str]]]:
    """The vocabulary with the tokens added to it, and the settings that these make."""
    path = os.path.join(directory, *Vocabulary.FILES)
    tokens = Vocabulary.from_file(path).tokens if os.path.exists(path) else None
    base = _fast_tokens(fast, os.path.join(directory, _TOKENIZER)) if fast else tokens
    if base is None:
        return None, {}
    new, settings = huggingface_added.read(directory, config, fast, base, say)
    if tokens not in (None, base, base + new):
        pairs = enumerate(zip((*tokens, ""), (*base, *new, "")), 1)
        line, (one, other) = next(each for each in pairs if each[1][0] != each[1][1])
        raise UserError(
            f"vocab.txt and {_TOKENIZER} must hold the same tokens; remove the one that is not the "
            f"model's. Received: {one!r} on line {line} and {other!r} in {directory}"
        )
    return Vocabulary(base + new, path if tokens else os.path.join(directory, _TOKENIZER)), settings


def _check_config(config: dict, path: str) -> None:
    """Raises UserError if tokenizer_config.json is of another tokenizer."""
    name = config.get("tokenizer_class")
    if name is not None and str(name).removesuffix("Fast") not in (*_BERTS, *_GENERAL):
        raise _other("tokenizer_class", f"one of {', '.join((*_BERTS, *_GENERAL))}", name, path)
    for name, value in _REQUIRED.items():
        if config.get(name) not in (None, value):
            raise _other(name, json.dumps(value), config[name], path)
    for name, value in _SPECIAL.items():
        token = config.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        if token not in (None, value):
            raise _other(name, value, token, path)


def _is_wordpiece(fast: dict, directory: str, say: Callable[[str], None]) -> bool:
    model = _part(fast, "model", directory)
    if model.get("type") == "WordPiece" and model.get("continuing_subword_prefix") == "##":
        return True
    say(
        f"{os.path.join(directory, _TOKENIZER)} is no WordPiece tokenizer with ## before "
        "continuations, so there is no vocabulary that electra_tf can use."
    )
    return False


def _check_fast(fast: dict, is_general: bool, path: str) -> None:
    """Raises UserError if tokenizer.json is of another tokenizer."""
    for section, required in _REQUIRED_PARTS.items():
        part = _part(fast, section, path)
        if is_general and not part:
            raise _other(section, "there", fast.get(section), path)
        for name, value in required.items():
            if part.get(name, value) != value:
                raise _other(f"{section}.{name}", json.dumps(value), part, path)
    longest = _part(fast, "model", path).get("max_input_chars_per_word", 100)
    if longest not in (100, MAX_CHARACTERS_PER_WORD):
        limits = f"100 or {MAX_CHARACTERS_PER_WORD}"
        raise _other("model.max_input_chars_per_word", limits, longest, path)
    frame = _part(fast, "post_processor", path)
    for name, wanted in _FRAMES.items() if frame.get("type") == "TemplateProcessing" else ():
        try:
            there = [
                (piece["id"], piece["type_id"]) for each in frame[name] for piece in each.values()
            ]
        except (AttributeError, KeyError, TypeError):
            there = None
        if there != wanted:
            shown = " ".join(f"{token}:{number}" for token, number in wanted)
            raise _other(f"post_processor.{name}", shown, frame.get(name), path)


def _fast_tokens(fast: dict, path: str) -> tuple[str, ...]:
    """The vocabulary of tokenizer.json, without added tokens."""
    ids = _part(_part(fast, "model", path), "vocab", path)
    if {type(number) for number in ids.values()} - {int}:
        raise UserError(f"A vocabulary must hold ids by tokens. Received: {path} with others")
    tokens = tuple(sorted(ids, key=ids.__getitem__))
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise UserError(
            f"The ids of a vocabulary must be 0 to {len(tokens) - 1}, each once. "
            f"Received: {path} with others"
        )
    return tokens


def _folding(directory: str, config: dict, fast: dict, say: Callable[[str], None]) -> dict:
    """Whether text is lower-cased, accents are stripped and Chinese characters are words."""
    normalizer = _part(fast, "normalizer", os.path.join(directory, _TOKENIZER))
    values = {name: config.get(name) for name in ("do_lower_case", "strip_accents")}
    if values["do_lower_case"] is None:
        values["do_lower_case"] = normalizer.get("lowercase")
        if values["strip_accents"] is None:
            values["strip_accents"] = normalizer.get("strip_accents")
    chinese = config.get("tokenize_chinese_chars")
    chinese = normalizer.get("handle_chinese_chars") if chinese is None else chinese
    values["tokenize_chinese_chars"] = True if chinese is None else chinese
    for name, value in values.items():
        if value is not None and not isinstance(value, bool):
            raise UserError(
                f"{name} of a tokenizer must be true or false. Received: {json.dumps(value):.60} "
                f"in {directory}"
            )
    if values["do_lower_case"] is None:
        say(
            f"{directory} does not say whether text is lower-cased: taken as lower-cased; "
            "--nolower_case says otherwise."
        )
        values["do_lower_case"] = True
    lower_case, strip_accents = values["do_lower_case"], values["strip_accents"]
    return {
        "lower_case": lower_case,
        "strip_accents": lower_case if strip_accents is None else strip_accents,
        "tokenize_chinese_chars": values["tokenize_chinese_chars"],
    }


def _other(name: str, rule: str, value: Any, path: str) -> UserError:
    return UserError(
        f"{name} must be {rule}: the model would see other tokens than its own. Received: "
        f"{json.dumps(value, ensure_ascii=False):.160} in {path}; a copy of the directory without "
        "the tokenizer's files converts as weights alone"
    )


def _part(content: dict, name: str, path: str) -> dict:
    """An object in one of JSON, empty where it is not there."""
    part = content.get(name) or {}
    if not isinstance(part, dict):
        raise UserError(f"{name} must be an object. Received: {part!r:.60} in {path}")
    return part


def write(pretrained: Pretrained, directory: str) -> None:
    """Writes the vocabulary's files and what AutoTokenizer reads; of no vocabulary nothing.

    Args:
        pretrained: whose tokenizer it is.
        directory: where to.
    """
    vocabulary, config = pretrained.vocabulary, pretrained.config
    if vocabulary is None:
        return
    settings = tokenization.settings_of(config.data)
    folding = {}
    if isinstance(vocabulary, BytePairVocabulary):
        fast, special = huggingface_byte_pairs.fast_tokenizer(vocabulary)
        folding = {"add_prefix_space": vocabulary.adds_prefix}
    elif isinstance(vocabulary, PieceVocabulary):
        fast, special = huggingface_pieces.fast_tokenizer(vocabulary)
    else:
        fast, special = _fast_wordpiece(vocabulary, settings)
        folding = {
            "do_lower_case": settings["lower_case"],
            "strip_accents": settings["strip_accents"],
            "tokenize_chinese_chars": settings.get("tokenize_chinese_chars", True),
        }
    types = ["token_type_ids"] if config.model.elements().token_types else []
    # The general class takes tokenizer.json as it is; BERT's own would make its normalizer and its
    # WordPiece again, with a lower limit of characters per word.
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **folding,
        "model_max_length": config.model.max_positions,
        "model_input_names": ["input_ids", *types, "attention_mask"],
        **special,
    }
    vocabulary.save(directory)
    write_text(os.path.join(directory, _TOKENIZER), fast)
    for name, content in ((_SETTINGS, described), ("special_tokens_map.json", special)):
        write_text(os.path.join(directory, name), json.dumps(content, indent=2) + "\n")


def _fast_wordpiece(vocabulary: Vocabulary, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What transformers runs, a tokenizer.json, and its special tokens by role.

    The ids are those of `text.wordpiece.WordPiece` with three exceptions, all of that library: a
    special token that stands in a text, such as [MASK], becomes that token; a capital sigma at
    the end of a word is lower-cased as if it stood elsewhere; and some characters that one of the
    two versions of Unicode does not assign are kept by one and removed by the other.
    """
    with extras.needed("interop"):
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
    written, folded = (settings.get(name, []) for name in ("never_split", "added_tokens"))
    tokens = list(vocabulary.tokens)
    while tokens[-1] in (*written, *folded):  # they follow the vocabulary there
        tokens.pop()
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(
        models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings["strip_accents"],
        lowercase=settings["lower_case"],
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])],
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    for token in sorted([*written, *folded], key=vocabulary.__getitem__):
        is_special = token in written
        added = tokenizers.AddedToken(token, normalized=not is_special, special=is_special)
        (tokenizer.add_special_tokens if is_special else tokenizer.add_tokens)([added])
    others = {"additional_special_tokens": written} if written else {}
    return tokenizer.to_str(pretty=True) + "\n", _SPECIAL | others


def _json_or_nothing(directory: str, name: str) -> dict[str, Any]:
    path = os.path.join(directory, name)
    return read_json(path) if os.path.exists(path) else {}
