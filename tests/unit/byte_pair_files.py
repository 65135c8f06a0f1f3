"""Files of byte-level BPEs for tests: small ones made here, and one that `tokenizers` learns."""

import functools
import json
import random

from electra_tf.text.byte_pair_vocabulary import ALPHABET
from tests.conftest import SPECIAL_TOKENS
from tests.unit import piece_files

# Texts on which words, composition, blanks or special tokens could go wrong.
HARD = [
    *piece_files.HARD,
    "don't 's  's \n's ''s 'll'lla 'rest 'S '",
    "a\r\nb\r\n\r\n c \t\t d\u00a0e\u3000\u3000f \u2028 g\u2003 \u2003h\x85 \x1c\u180e\u200b",
    " " * 30 + "x" + " " * 5,
    "١٢٣ ४५ Ⅷ ½ ²x3",
    "a\u0323\u0307 \u212b\u2126 \u0958 1\u0344",
    "<|endoftext|>x[unused3]  [unused0] |||IP_ADDRESS|||",
    "\U0010fffc\U0010fffd\ufdd0",
    "".join(map(chr, range(1, 0x500))),
    "\U0001c489\u1c89 \U00010d4a\U00010d40 \U0002ebf0",
]


def added(content: str, number: int, **changes) -> dict:
    """An added token that is special, if nothing else is said."""
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": content, **usual, "special": True, **changes}


def small(merges=(), *, tokens=SPECIAL_TOKENS, prefix=False, others=(), **changes) -> bytes:
    """A tokenizer.json of the special tokens, the bytes and what these merges make.

    Args:
        merges: pairs of tokens.
        tokens: the special tokens.
        prefix: add_prefix_space.
        others: more added tokens, as `added` makes them of (content, changes).
        changes: sections that are replaced.
    """
    vocab = {token: number for number, token in enumerate((*tokens, *ALPHABET))}
    for pair in merges:
        vocab.setdefault("".join(pair), len(vocab))
    specials = [added(token, vocab[token]) for token in tokens]
    more = [added(token, len(vocab) + n, **what) for n, (token, what) in enumerate(others)]
    model = {"type": "BPE", "vocab": vocab, "merges": [list(pair) for pair in merges]}
    content = {
        "version": "1.0",
        "added_tokens": [*specials, *more],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": prefix,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    return json.dumps(content | changes).encode()


def any_merges(seed: int, number: int = 40) -> list[tuple[str, str]]:
    """Merges in no order that a trainer would make: of few letters, some to the same token."""
    draw = random.Random(seed)
    tokens, merges = [*"abcd"], []
    while len(merges) < number:
        pair = draw.choice(tokens), draw.choice(tokens)
        if pair not in merges and len("".join(pair)) < 7:
            merges.append(pair)
            tokens.append("".join(pair))
    draw.shuffle(merges)
    return merges


@functools.cache
def modernbert(prefix: bool = False) -> bytes:
    """As ModernBERT's: what `tokenizers` learns of `piece_files.texts`, and its added tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=["|||IP_ADDRESS|||", "<|padding|>"],
        initial_alphabet=list(ALPHABET),
        show_progress=False,
    )
    tokenizer.train_from_iterator(piece_files.texts(), trainer)
    content = json.loads(tokenizer.to_str())
    plain = {"normalized": True, "special": False}
    content["added_tokens"][0] |= plain
    tokens = [(" " * length, plain) for length in range(24, 1, -1)]
    tokens += [("<|endoftext|>", {})]
    tokens += [(token, {"lstrip": token == "[MASK]"}) for token in SPECIAL_TOKENS]
    tokens += [(f"[unused{number}]", plain) for number in range(9)]
    content["added_tokens"] += [
        added(token, 3000 + number, **changes) for number, (token, changes) in enumerate(tokens)
    ]
    return json.dumps(content, ensure_ascii=False).encode()
