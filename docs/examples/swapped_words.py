"""Makes pairs of sentences to rank, one of them with a wrong word.

    python docs/examples/swapped_words.py --text=wiki/heldout.txt --corpus=wiki/train.txt \
        --model=runs/ranking/electra --output_dir=pairs

Sentences are taken from --text, which no model has seen. One word of each is replaced, always the
same one, in two ways:

- frequent.jsonl: by any of the 1,000 most frequent words of --corpus;
- sampled.jsonl: by a sample of the generator of --model, never the word itself.

A line is {"candidates": [two sentences], "original": index of the true one, "word": …,
"replacement": …}. The order is random. The same files, seed and model give the same lines.
"""

import argparse
import collections
import json
import pathlib
import re

import numpy as np

import electra_tf

FREQUENT = 1_000  # words
SENTENCE_END = re.compile(r"(?<=[a-z]\.) (?=[A-Z])")
SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()-]*[a-z]\.")
WORD = re.compile(r"(?<= )[a-z]+(?=[ ,;:.])")  # as it is written; no part of another
NUM_WORDS = range(8, 26)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", required=True, help="held-out text, a paragraph in each line")
    parser.add_argument("--corpus", required=True, help="text to count words in")
    parser.add_argument("--model", required=True, help="run of an ELECTRA with its generator")
    parser.add_argument("--output_dir", required=True, type=pathlib.Path)
    parser.add_argument("--number", type=int, default=200, help="of sentences")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    model = electra_tf.load(flags.model)
    random = np.random.default_rng(flags.seed)
    whole_words = {token for token in model.tokenizer.vocabulary.tokens if token.isalpha()}
    frequent = frequent_words(flags.corpus, whole_words)
    sentences = sentences_of(flags.text, whole_words, model)
    chosen = random.choice(len(sentences), flags.number, replace=False)
    lines = {"frequent": [], "sampled": []}
    for number in chosen:
        sentence = sentences[number]
        words = [found for found in WORD.finditer(sentence) if found[0] in whole_words]
        word = words[random.integers(len(words))]
        before, after = sentence[: word.start()], sentence[word.end() :]
        original = int(random.integers(2))
        other = [each for each in frequent if each != word[0]]
        for kind, replacement in (
            ("frequent", other[random.integers(len(other))]),
            ("sampled", sampled(model, before, after, whole_words - {word[0]}, random)),
        ):
            pair = [before + replacement + after]
            pair.insert(original, sentence)
            line = {"candidates": pair, "original": original}
            lines[kind].append(line | {"word": word[0], "replacement": replacement})
    flags.output_dir.mkdir(parents=True, exist_ok=True)
    for kind, rows in lines.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (flags.output_dir / f"{kind}.jsonl").write_text(text, encoding="utf-8")


def frequent_words(path: str, known: set[str]) -> list[str]:
    """The most frequent words of a file that are one token each."""
    counts = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            counts.update(WORD.findall(line))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return [word for word in ordered if word in known][:FREQUENT]


def sentences_of(path: str, known: set[str], model) -> list[str]:
    """Plain sentences of a file that are not cut and have a word to replace."""
    with open(path, encoding="utf-8") as file:
        candidates = [
            sentence
            for line in file
            for sentence in SENTENCE_END.split(line.strip())
            if len(sentence.split()) in NUM_WORDS
            and SENTENCE.fullmatch(sentence)
            and not known.isdisjoint(WORD.findall(sentence))
        ]
    longest = model.config.model.max_positions - 2
    distinct = list(dict.fromkeys(candidates))
    lengths = map(len, model.tokenizer.tokenize(distinct))
    return [sentence for sentence, length in zip(distinct, lengths) if length <= longest]


def sampled(model, before: str, after: str, allowed: set[str], random) -> str:
    """A word drawn from the generator's softmax between two parts of a text."""
    vocabulary = model.tokenizer.vocabulary
    left, right = model.tokenizer.tokenize([before, after])
    ids = [vocabulary.cls_id, *left, vocabulary.mask_id, *right, vocabulary.sep_id]
    ids = np.array([ids], np.int32)
    batch = {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    place = np.array([[1 + len(left)]], np.int32)
    logits = np.asarray(model.generator_head(model.generator(batch), place), np.float64)[0]
    may_be = np.array([token in allowed for token in vocabulary.tokens])
    logits = np.where(may_be, logits[: len(may_be)], -np.inf)
    probabilities = np.exp(logits - logits.max())
    return vocabulary.tokens[random.choice(len(may_be), p=probabilities / probabilities.sum())]


if __name__ == "__main__":
    main()
