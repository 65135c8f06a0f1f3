"""Texts that nobody means well with, as bytes."""

import random

_PARTS = (
    "the",
    "models",
    "naïve",
    "Über",
    "日本",
    "ﬁ½…",
    "don't",
    "[MASK]",
    "[SEP]",
    "[CLS]",
    "##ed",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👍🏽",
    "\u200d",
    "\ufe0f",  # emoji, joined and coloured
    "שלום",
    "مرحبا",
    "\u202eabc\u202c",
    "\u2066x\u2069",  # right to left, and told to be
    "e\u0301",
    "a" + "\u0300" * 40,
    "\u0301",
    "\u0345",
    "ΑΣ",
    "ΑΣ\u0301Α",
    "İI",
    "ẞß",
    "ǅ",
    "\x00",
    "\x01\x02",
    "\x7f",
    "\x85",
    "\u2028",
    "\u00a0",
    "\u3000",
    "\ufeff",
    "\ufffd",
    "\ufffe",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "!",
    "?!?",
    "$^`",
    "。",
    "؟",
    "\u037e",
    "\U0010ffff",
    "\U000e0041",
    "x" * 199,
    "x" * 200,
    "x" * 201,
    "ж" * 250,
    "a-" * 60,
)
_INVALID = (
    b"\xff",
    b"\xc3",
    b"\xe4\xb8",
    b"\xf0\x9f\x91",
    b"\xc0\x80",
    b"\xf5\x80\x80\x80",
    "\ud800".encode(errors="surrogatepass"),
    "\udfff".encode(errors="surrogatepass"),
    b"\xed\xa0\xbd\xed\xb8\x80",
)  # the last: a pair of surrogates, each on its own


def texts(number: int, seed: int = 0) -> list[bytes]:
    """So many texts: empty ones, random bytes, characters of any kind and joined curiosities."""
    generator = random.Random(seed)
    kinds = (_empty, _any_bytes, _any_characters, _joined_parts, _joined_parts, _broken_parts)
    return [generator.choice(kinds)(generator) for _ in range(number)]


def huge(size: int = 1_000_000) -> list[bytes]:
    """A few lines of a megabyte each."""
    return [
        b"the models of a network are trained. " * (size // 37),
        b"a" * size,
        b"!" * size,
        "日".encode() * (size // 3),
        b"\x01" * size,
        ("e" + "\u0301" * (size // 2)).encode(),
        b"\xff" * size,
        b" " * size + b"the end",
        b"\x00 a" * (size // 3),
        b"x" * (size - 10) + b" the end",
        b"[MASK]" * (size // 6),
    ]


def _empty(generator):
    return b""


def _any_bytes(generator):
    return generator.randbytes(generator.randrange(1, 120))


def _any_characters(generator):
    return "".join(
        chr(
            generator.choice(
                (
                    generator.randrange(0x300),
                    generator.randrange(0xD800),
                    generator.randrange(0xE000, 0x110000),
                )
            )
        )
        for _ in range(generator.randrange(1, 60))
    ).encode()


def _joined_parts(generator):
    separator = generator.choice(("", " "))
    return separator.join(generator.choices(_PARTS, k=generator.randrange(1, 30))).encode()


def _broken_parts(generator):
    parts = [part.encode() for part in generator.choices(_PARTS, k=generator.randrange(1, 15))]
    parts += generator.choices(_INVALID, k=generator.randrange(1, 5))
    generator.shuffle(parts)
    return b"".join(parts)
