"""A byte-level BPE in the files of Hugging Face's tokenizers.

Most of it is in tokenizer.json, which `BytePairVocabulary` reads. What the other files say must be
the same; else it depends on the version of transformers which of them rules.
"""

import json
import os
from typing import Any

from electra_tf.errors import UserError
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary

SETTINGS = {"name": "byte_level_bpe"}
_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")  # tokenizer.json as it is
_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
# Settings of tokenizer_config.json with the only value, beside null, with which ours is the same.
_REQUIRED = {"split_special_tokens": False, "auto_map": None}


def is_one(fast: dict[str, Any]) -> bool:
    """Whether the content of a tokenizer.json is a BPE of bytes, of whatever settings."""
    model = fast.get("model")
    is_bpe = isinstance(model, dict) and model.get("type") == "BPE"
    return is_bpe and '"ByteLevel"' in json.dumps(fast.get("pre_tokenizer"))


def read(path: str, config: dict[str, Any], fast: dict[str, Any]) -> BytePairVocabulary:
    """The vocabulary of a model.

    Args:
        path: of its tokenizer.json.
        config: content of the tokenizer_config.json beside it.
        fast: content of tokenizer.json.

    Raises:
        UserError: it cannot be read, or transformers would give other ids.
    """
    vocabulary = BytePairVocabulary.from_file(path)
    name = config.get("tokenizer_class")
    if name is not None and str(name).removesuffix("Fast") not in _CLASSES:
        raise _other("tokenizer_class", f"one of {', '.join(_CLASSES)}", name, path)
    required = _REQUIRED | {"add_prefix_space": vocabulary.adds_prefix}
    required |= dict(zip(_ROLES, vocabulary.SPECIAL))
    for setting, value in required.items():
        there = config.get(setting)
        there = there.get("content") if isinstance(there, dict) else there
        if there not in (None, value):
            raise _other(setting, json.dumps(value), there, path)
    listed = {each["id"]: each for each in fast.get("added_tokens") or []}
    decoder = config.get("added_tokens_decoder") or {}
    for number, entry in decoder.items() if isinstance(decoder, dict) else [("", decoder)]:
        same = listed.get(int(number)) if str(number).isdecimal() else None
        if not isinstance(entry, dict) or same is None or same | entry != same:
            raise _other("added_tokens_decoder", f"as in {os.path.basename(path)}", entry, path)
    _check_frame(fast.get("post_processor"), vocabulary, path)
    return vocabulary


def fast_tokenizer(vocabulary: BytePairVocabulary) -> tuple[str, dict[str, str]]:
    """What transformers runs, a tokenizer.json, and its special tokens by role.

    It is the vocabulary's own file with special tokens around a text. The ids are those of
    `text.byte_pairs.BytePairs`, except that a special token that stands in a text becomes itself.
    """
    [text] = (each.decode("utf-8-sig") for each in vocabulary.contents().values())
    fast = json.loads(text)
    cls, sep = vocabulary.tokens[vocabulary.cls_id], vocabulary.tokens[vocabulary.sep_id]
    if _template(fast.get("post_processor")) is None:

        def special(token, kind):
            return {"SpecialToken": {"id": token, "type_id": kind}}

        def sequence(name, kind):
            return {"Sequence": {"id": name, "type_id": kind}}

        single = [special(cls, 0), sequence("A", 0), special(sep, 0)]
        ids = ((cls, vocabulary.cls_id), (sep, vocabulary.sep_id))
        fast["post_processor"] = {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, sequence("B", 1), special(sep, 1)],
            "special_tokens": {
                token: {"id": token, "ids": [number], "tokens": [token]} for token, number in ids
            },
        }
        text = json.dumps(fast, ensure_ascii=False, indent=2) + "\n"
    return text, dict(zip(_ROLES, vocabulary.SPECIAL))


def _check_frame(processor: Any, vocabulary: BytePairVocabulary, path: str) -> None:
    """Raises UserError if a text gets other special tokens around it than ours."""
    if isinstance(processor, dict) and processor.get("type") == "RobertaProcessing":
        raise _other("post_processor", "with one token between two texts", "two", path)
    template = _template(processor)
    if template is None:
        return
    cls, sep = vocabulary.tokens[vocabulary.cls_id], vocabulary.tokens[vocabulary.sep_id]
    for name, wanted in (("single", [cls, "A", sep]), ("pair", [cls, "A", sep, "B", sep])):
        try:
            there = [piece["id"] for each in template[name] for piece in each.values()]
        except (AttributeError, KeyError, TypeError):
            there = None
        if there != wanted:
            raise _other(f"post_processor.{name}", " ".join(wanted), template.get(name), path)


def _template(processor: Any) -> dict[str, Any] | None:
    """The part of a post-processor that puts special tokens around a text; None without one."""
    if not isinstance(processor, dict):
        return None
    steps = [processor]
    if processor.get("type") == "Sequence" and isinstance(processor.get("processors"), list):
        steps = [each for each in processor["processors"] if isinstance(each, dict)]
    return next((each for each in steps if each.get("type") == "TemplateProcessing"), None)


def _other(name: str, rule: str, value: Any, path: str) -> UserError:
    return UserError(
        f"{name} must be {rule}: the model would see other tokens than its own. Received: "
        f"{json.dumps(value, ensure_ascii=False):.160} in or beside {path}; a copy of the "
        "directory without the tokenizer's files converts as weights alone"
    )
