"""GLUE's files by hand: the layouts and oddities of the real ones, whose texts are not free.

Each split begins as the real one does. Labels follow a rule that a small model can learn.
"""

import gzip
import pathlib

NOUNS = ["boat", "cook", "engine", "garden", "letter", "painter", "river", "singer", "teacher"]
VERBS = ["left", "carried", "saw", "built", "followed", "liked", "moved", "found"]
GOOD = ["a gripping", "a warm", "one bright", "some funny"]
BAD = ["a dull", "an empty", "one tired", "some clumsy"]
# What real files hold, too: a lone quote, marks that Unicode calls line ends, other alphabets.
ODD = ['the "old', "the caf\u00e9's", "the \u0421\u0435\u0440\u0433\u0435\u0439", "the n\x85ext"]
# Rows of train, dev and test.
COUNTS = {
    "CoLA": (400, 200, 31),
    "SST-2": (400, 200, 31),
    "MRPC": (90, 30, 31),
    "STS-B": (90, 30, 31),
    "RTE": (90, 30, 31),
}
SPLITS = ("train", "dev", "test")


def write(name: str, directory: pathlib.Path) -> str:
    """Writes the three files of a task; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for split, count in zip(SPLITS, COUNTS[name], strict=True):
        lines = ["\t".join(row) for row in _WRITERS[name](split, count)]
        _WRITE.get((name, split), _plain)(directory / f"{split}.tsv", "\n".join(lines) + "\n")
    return str(directory)


def _plain(path, text):
    path.write_text(text, encoding="utf-8", newline="")


def _marked(path, text):
    path.write_text(text, encoding="utf-8-sig", newline="")


def _compressed(path, text):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))


# Microsoft's byte-order mark, a last line without its end, and a compressed file.
_WRITE = {
    ("MRPC", "train"): _marked,
    ("MRPC", "dev"): _marked,
    ("CoLA", "dev"): lambda path, text: _plain(path, text[:-1]),
    ("SST-2", "train"): _compressed,
}


def _sentence(number: int) -> str:
    first = (ODD if number % 7 == 3 else ["the"])[number % 4 if number % 7 == 3 else 0]
    noun, other = NOUNS[number % 9], NOUNS[number * 4 % 9]
    return f"{first} {noun} {VERBS[number % 8]} the {other} {number} times ."


def _cola(split, count):
    first = {
        "train": "Our friends won't buy this .",
        "dev": "The sailors rode the boat .",
        "test": "Bill whistled past the house.",
    }[split]
    if split == "test":
        yield "index", "sentence"
        yield from ((str(n), _sentence(n) if n else first) for n in range(count))
        return
    yield "gj04", "1", "", first
    for number in range(1, count):
        words, wrong = _sentence(number).split(), number % 3 == 1
        text = " ".join(sorted(words, reverse=True) if wrong else words)
        wrong ^= number % 5 == 0  # people disagree: no model gets them all
        yield "gj04", "01"[not wrong], "*" if wrong else "", text


def _sst(split, count):
    yield ("index", "sentence") if split == "test" else ("sentence", "label")
    for number in range(count):
        good = number % 2
        text = f"{(GOOD if good else BAD)[number % 4]} film about {_sentence(number)} "
        if number == 0:
            text = {"train": "hide new secretions ", "test": "uneasy mishmash "}.get(split, text)
        yield (str(number), text) if split == "test" else (text, str(good))


def _pairs(name, split, count, firsts):
    """(number, first, second, whether they say the same) of a task's split."""
    for number in range(count):
        same = number % 2 == 0
        second = _sentence(number if same else number + 5)
        pair = firsts.get((name, split), ("", "")) if number == 0 else ("", "")
        yield number, pair[0] or _sentence(number), pair[1] or f"It is said that {second}", same


_FIRST_PAIRS = {
    ("MRPC", "train"): ("Amrozi accused his brother", "Referring to him as"),
    ("MRPC", "dev"): ("He said the foodservice", '"The foodservice pie'),
    ("MRPC", "test"): ("PCCW's chief operating", "Current Chief Operating"),
    ("STS-B", "train"): ("A plane is taking off.", "An air plane is taking off."),
    ("STS-B", "dev"): ("A man with a hard hat", "A man wearing a hard hat"),
    ("STS-B", "test"): ("A girl is styling", "A girl is brushing"),
    ("RTE", "train"): ("No Weapons of Mass", "Weapons of Mass"),
    ("RTE", "test"): ("Mangla was summoned", "Shukla is related"),
}


def _mrpc(split, count):
    test = split == "test"
    yield ("index" if test else "Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
    base = {"train": 1000, "dev": 5000, "test": 8000}[split]
    for number, first, second, same in _pairs("MRPC", split, count, _FIRST_PAIRS):
        numbers = str(base + 2 * number), str(base + 2 * number + 1)
        yield (str(number) if test else "01"[same], *numbers, first, second)


def _sts(split, count):
    header = ("index", "genre", "filename", "year", "old_index", "source1", "source2")
    header += ("sentence1", "sentence2")
    yield header if split == "test" else (*header, "score")
    for number, first, second, same in _pairs("STS-B", split, count, _FIRST_PAIRS):
        row = (str(number), "main-news", "made", "2012", f"{number:04}", "none", "none")
        row += (first, second)
        yield row if split == "test" else (*row, f"{5 if same else number % 10 / 2.5 - 0.4:.3f}")


def _rte(split, count):
    header = ("index", "sentence1", "sentence2")
    yield header if split == "test" else (*header, "label")
    for number, first, second, same in _pairs("RTE", split, count, _FIRST_PAIRS):
        # The real training file begins with a pair of which the second does not follow.
        row = (str(number), first, second)
        label = "not_entailment" if same else "entailment"
        yield row if split == "test" else (*row, label)


_WRITERS = {"CoLA": _cola, "SST-2": _sst, "MRPC": _mrpc, "STS-B": _sts, "RTE": _rte}
