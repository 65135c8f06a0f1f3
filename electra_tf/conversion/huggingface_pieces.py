"""A SentencePiece model in the files of Hugging Face's tokenizers.

What is read is a model whose text is given to SentencePiece as it is. What transformers does to a
text before it, other than the model itself does, is refused: its model would see other tokens.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from electra_tf import extras
from electra_tf.errors import UserError
from electra_tf.text import piece_model
from electra_tf.text.piece_vocabulary import BLANK, PieceVocabulary

NAMES = (*PieceVocabulary.FILES, "tokenizer.model")
SETTINGS = {"name": "sentencepiece"}
_CLASSES = ("AlbertTokenizer", "PreTrainedTokenizer", "TokenizersBackend")
_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def path_of(directory: str) -> str | None:
    """The SentencePiece model of a directory, None where there is none."""
    paths = (os.path.join(directory, name) for name in NAMES)
    return next((path for path in paths if os.path.isfile(path)), None)


def read(path: str, config: dict[str, Any], say: Callable[[str], None]) -> PieceVocabulary:
    """The vocabulary of a SentencePiece model.

    Args:
        path: the model's.
        config: content of the tokenizer_config.json beside it.
        say: receives what the user should know.

    Raises:
        UserError: it cannot be read, or the tokenizer is more than the model.
    """
    vocabulary = PieceVocabulary.from_file(path)
    name = str(config.get("tokenizer_class") or _CLASSES[0]).removesuffix("Fast")
    is_albert = name == _CLASSES[0]
    folds = vocabulary.folds_case
    wanted = {"do_lower_case": folds, "keep_accents": True, "remove_space": True}
    usual = {"do_lower_case": True, "keep_accents": False, "remove_space": True}
    if name not in _CLASSES:
        raise _other("tokenizer_class", f"one of {', '.join(_CLASSES)}", name, path)
    for setting, value in wanted.items():
        there = config.get(setting, usual[setting] if is_albert else value)
        if there not in (None, value) and not (setting == "do_lower_case" and folds):
            raise _other(setting, json.dumps(value), there, path)
    for role, token in zip(_ROLES, vocabulary.SPECIAL):
        named = config.get(role, token)
        named = named.get("content") if isinstance(named, dict) else named
        if named not in (None, token):
            raise _other(role, token, named, path)
    if is_albert:
        say(f"{path}: the quotes `` and '' stay as they are; AlbertTokenizer makes \" of them.")
    return vocabulary


def fast_tokenizer(vocabulary: PieceVocabulary) -> tuple[str, dict[str, str]]:
    """What transformers runs, a tokenizer.json, and its special tokens by role.

    The ids are those of `text.sentence_piece.SentencePiece` but for what that library does in
    another way: a special token that stands in a text, such as [MASK], becomes that token, and a
    word begins behind it; some marks and jamo are not composed; of equally likely ways to cut a
    text it takes another one.
    """
    with extras.needed("interop"):
        import tokenizers
        from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
    model = piece_model.parse(vocabulary.processed, PieceVocabulary.FILES[0])
    pieces = [(piece.piece.decode(), piece.score) for piece in model.pieces]
    byte_fallback = bool(model.trainer_spec.byte_fallback)
    if model.trainer_spec.model_type == piece_model.UNIGRAM:
        algorithm = models.Unigram(pieces, vocabulary.unk_id, byte_fallback)
    else:
        ids = {piece: number for number, (piece, _) in enumerate(pieces)}
        algorithm = models.BPE(
            ids,
            _merges(model),
            unk_token=vocabulary.SPECIAL[1],
            fuse_unk=True,
            byte_fallback=byte_fallback,
        )
    tokenizer = tokenizers.Tokenizer(algorithm)
    steps: list[Any] = []
    if model.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap))
    if vocabulary.strips_blanks:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme = "always" if vocabulary.adds_prefix else "never"
    split = not vocabulary.blanks_in_pieces
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(BLANK, prepend_scheme=scheme, split=split)
    tokenizer.decoder = decoders.Metaspace(BLANK, prepend_scheme=scheme)
    cls, sep = vocabulary.tokens[vocabulary.cls_id], vocabulary.tokens[vocabulary.sep_id]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary.cls_id), (sep, vocabulary.sep_id)],
    )
    tokenizer.add_special_tokens(list(vocabulary.SPECIAL))
    return tokenizer.to_str(pretty=True) + "\n", dict(zip(_ROLES, vocabulary.SPECIAL))


def _merges(model) -> list[tuple[str, str]]:
    """The merges of a BPE model in their order: each way to make a piece of two others."""
    normal = [piece for piece in model.pieces if piece.type == piece_model.NORMAL]
    scores = {piece.piece.decode(): piece.score for piece in normal}
    merges = []
    for piece in sorted(scores, key=scores.__getitem__, reverse=True):
        halves = ((piece[:place], piece[place:]) for place in range(1, len(piece)))
        merges += [pair for pair in halves if pair[0] in scores and pair[1] in scores]
    return merges


def _other(name: str, rule: str, value: Any, path: str) -> UserError:
    return UserError(
        f"{name} must be {rule}: the model would see other tokens than its own. Received: "
        f"{json.dumps(value, ensure_ascii=False):.160} beside {path}; a copy of the directory "
        "without the tokenizer's files converts as weights alone"
    )
