"""Tagging of words: chunks, named entities, parts of speech, the user's own tags."""

import dataclasses
import math
import os
import re
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import stats

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.randomness import DropoutRandom
from electra_tf.models.tagging_head import TaggingHead
from electra_tf.tasks import conll_files, spans, tables
from electra_tf.tasks.conll_files import Layout, Sentences
from electra_tf.tasks.finetuning import Encoded, FinetuningTask
from electra_tf.text.wordpiece import Tokenizer

PLAIN = "plain"  # tags that make up no spans, such as parts of speech
LABELS = "labels"  # int32 [B, L], the class of each word at its first piece, -1 elsewhere
_TYPED = re.compile(r"[BI]-.+")


@dataclasses.dataclass
class WordRows(Encoded):
    """Encoded sentences.

    Attributes:
        starts: bool [N, L], true at the first piece of each word. Read row by row, these are the
            words of all sentences in their order, each exactly once.
    """

    starts: np.ndarray


class TaggingTask(FinetuningTask):
    """One tag for every word.

    The splits are "train", "dev", and "eval_test" for a test file that has tags, which is scored
    like any other, or "test" for one that has none. Not all need to be there.

    Where tags mark spans (see `spans`), the network learns them as BIOES, as in the original,
    whatever the scheme of the files. Predictions become spans again and then tags of the files'
    scheme, so they always keep to it.

    A word's tag is learnt and predicted at its first piece; a word without any, of characters
    that the tokenizer removes, is shown as [UNK]. A sentence of more than `max_seq_length` tokens
    becomes several rows of about the same length, cut between words, which do not see each other.
    A word that alone is longer is cut. Rows are as long as the longest, rounded up to a multiple
    of 8, at most `max_seq_length`.

    Differs from the original: it cuts long sentences, so their last words count neither in
    training nor in the scores; it predicts a word without pieces at the word after it; its
    segment ids are 1; its loss sums over the words of a sentence, where this is the mean over all
    words of a batch; it collects the tags of all splits.

    Args:
        name: of the task.
        data_dir: where the files are.
        train_file, eval_file, test_file: their names; `.gz` may be left out. Empty: the first of
            train; dev, valid, testa; test, testb with .txt, .conll, .tsv, .bio or .jsonl, also
            with .gz after that.
        word_column, tag_column: of column files, counted from 0, or from the end if below.
        words_field, tags_field: of JSON lines.
        scheme: BIO, IOB1, BIOES; "plain" for tags that make up no spans; "auto" recognises it in
            the training file: spans if every tag is `O` or B, I, E or S with a type or without,
            and which scheme by `spans.recognise`.
        tags: all tags; empty: those of the training file. With them the task needs no training
            file to predict; "auto" then takes BIO for IOB1, unless there is no B at all.
        max_seq_length: tokens of the longest row, [CLS] and [SEP] included.

    Attributes:
        tags: sorted; with `scheme` all that `tags=…, scheme=…` need to make the same task.
        scheme: never "auto".
        classes: what the network's outputs stand for.

    Raises:
        ValueError: no training file, or its tags are no tags.
    """

    sequence_features = (*features.data_features(packed=False), LABELS)

    def __init__(self, name: str, data_dir: str, train_file: str = "", eval_file: str = "",
                 test_file: str = "", *, word_column: int = 0, tag_column: int = -1,
                 words_field: str = "words", tags_field: str = "tags", scheme: str = "auto",
                 tags: Sequence[str] = (), max_seq_length: int = 128):
        if scheme not in ("auto", PLAIN, *spans.SCHEMES):
            raise ValueError(f"scheme must be one of auto, {PLAIN}, {', '.join(spans.SCHEMES)}. "
                             f"Received: {scheme!r}")
        if max_seq_length < 3:
            raise ValueError(f"max_seq_length must be at least 3. Received: {max_seq_length}")
        self.name, self.max_seq_length = name, max_seq_length
        self._layout = Layout(word_column, tag_column, words_field, tags_field)
        self._files = self._find_files(data_dir, train_file, eval_file, test_file)
        self.splits = tuple(self._files)
        if tags:
            given = Sentences("`tags`", [], [(tag,) for tag in tags], dict.fromkeys(tags, 0))
        elif "train" in self._files:
            given = conll_files.read_sentences(self._files["train"], self._layout, labelled=True)
        else:
            raise ValueError(f"{name} must have a training file, for example train.txt, or be "
                             f"given its tags. Received: {data_dir}")
        self.tags = tuple(sorted(given.tag_lines))
        self.scheme = _scheme_of(given) if scheme == "auto" else scheme
        if self.scheme == PLAIN:
            self.main_metric, self.classes = "accuracy", self.tags
        else:
            types = sorted({tag.partition("-")[2] for tag in self.tags if tag != "O"})
            self.main_metric = "f1"
            self.classes = ("O", *(spans.tag_of(letter, type) for type in types
                                   for letter in spans.LETTERS["BIOES"]))
        self._class_ids = {tag: number for number, tag in enumerate(self.classes)}
        self._check_tags(given)

    def _find_files(self, data_dir, train_file, eval_file, test_file) -> dict[str, str]:
        train = conll_files.find_file(data_dir, train_file, ("train",))
        dev = conll_files.find_file(data_dir, eval_file, ("dev", "valid", "testa"))
        test = conll_files.find_file(data_dir, test_file, ("test", "testb"))
        files = {"train": train, "dev": dev}
        if test:
            columns = 2
            if train and not conll_files.is_json(train):
                columns = conll_files.count_columns(train)
            labelled = conll_files.has_tags(test, self._layout, columns)
            files["eval_test" if labelled else "test"] = test
        return {split: path for split, path in files.items() if path}

    def _check_tags(self, sentences: Sentences) -> None:
        """Raises ValueError where a tag cannot be read in the scheme or is of no known type."""
        known: Collection[str] = self.classes
        if self.scheme != PLAIN:
            letters = spans.LETTERS[self.scheme]
            known = {tag for tag in self.classes if tag == "O" or tag[0] in letters}
        for tag, line in sentences.tag_lines.items():
            if tag not in known:
                place = tables.at(sentences.path, line) if line else sentences.path
                raise ValueError(
                    "A tag must occur in the training file, or among the task's `tags`, and fit "
                    f"the scheme, which is {self.scheme}. Received: {tag!r} in {place}")

    def read(self, split: str) -> Sentences:
        if split not in self._files:
            raise ValueError(f"A split must be one of {', '.join(self.splits)}. "
                             f"Received: {split!r}")
        labelled = not split.startswith("test")
        sentences = conll_files.read_sentences(self._files[split], self._layout, labelled)
        self._check_tags(sentences)
        return sentences

    def read_file(self, path: str) -> Sentences:
        """The words of any file; its tags, if there are any, are not looked at.

        Args:
            path: columns, or JSON lines with `{"words": […]}` or `{"text": "…"}`, which is split
                at white space.
        """
        return conll_files.read_sentences(path, self._layout, labelled=False)

    def encode(self, examples: Sentences, tokenizer: Tokenizer, training: bool) -> WordRows:
        room, vocabulary = self.max_seq_length - 2, tokenizer.vocabulary
        pieces = _pieces_of_words(examples.words, tokenizer, room)
        tokens, starts, rows, labels = [], [], [], []
        for number, words in enumerate(examples.words):
            if training and not words:
                continue  # nothing to learn from
            for window in windows([len(pieces[word]) for word in words], room):
                row, first = [vocabulary.cls_id], []
                for word in words[window]:
                    first.append(len(row))
                    row += pieces[word]
                tokens.append([*row, vocabulary.sep_id])
                starts.append(first)
                rows.append(number)
            if training:
                labels += self._classes_of(examples.tags[number])
        longest = max(map(len, tokens), default=2)
        shape = len(tokens), min(self.max_seq_length, longest + -longest % 8)
        encoded = WordRows({
            features.INPUT_IDS: np.full(shape, vocabulary.pad_id, np.int32),
            features.INPUT_MASK: np.zeros(shape, np.int32),
            features.SEGMENT_IDS: np.zeros(shape, np.int32),
        }, np.array(rows, np.int32), np.zeros(shape, bool))
        for number, (row, first) in enumerate(zip(tokens, starts)):
            encoded.features[features.INPUT_IDS][number, :len(row)] = row
            encoded.features[features.INPUT_MASK][number, :len(row)] = 1
            encoded.starts[number, first] = True
        if training:
            encoded.features[LABELS] = np.full(shape, -1, np.int32)
            encoded.features[LABELS][encoded.starts] = labels
        return encoded

    def _classes_of(self, tags: Sequence[str]) -> list[int]:
        if self.scheme != PLAIN:
            tags = spans.tags_of(spans.spans_of(tags), len(tags), "BIOES")
        return [self._class_ids[tag] for tag in tags]

    def new_head(self, config: ModelConfig, dtype: str | None) -> keras.layers.Layer:
        head = TaggingHead(config, len(self.classes), name="task", dtype=dtype)
        head.build()
        return head

    def losses(self, head: keras.layers.Layer, hidden, batch: dict, rng: DropoutRandom | None):
        """Cross-entropy, the mean over a row's words."""
        labels = batch[LABELS]
        counts = ops.cast(labels >= 0, "float32")
        log_probabilities = ops.log_softmax(head(hidden, rng=rng), axis=-1)
        right = ops.take_along_axis(log_probabilities, ops.maximum(labels, 0)[..., None], axis=-1)
        return (-ops.sum(right[..., 0] * counts, axis=1)
                / ops.maximum(self.row_weights(batch), 1.0))

    def row_weights(self, batch: dict):
        """The number of words."""
        return ops.sum(ops.cast(batch[LABELS] >= 0, "float32"), axis=1)

    def chance_loss(self, encoded: WordRows) -> float:
        """Entropy of the classes."""
        labels = encoded.features[LABELS]
        return float(stats.entropy(np.bincount(labels[labels >= 0])))

    def outputs(self, head: keras.layers.Layer, hidden, batch: dict) -> dict[str, Any]:
        """`best` int32 [B, L], the likeliest class of each token, and its `probability`."""
        probabilities = ops.softmax(head(hidden), axis=-1)
        return {"best": ops.cast(ops.argmax(probabilities, axis=-1), "int32"),
                "probability": ops.max(probabilities, axis=-1)}

    def predict(self, examples: Sentences, encoded: WordRows, outputs: dict[str, np.ndarray]
                ) -> list[tuple[str, ...]]:
        """A tag per word of each sentence, in the scheme of the files."""
        best = iter(outputs["best"][encoded.starts])
        predictions = []
        for words in examples.words:
            tags = tuple(self.classes[next(best)] for _ in words)
            if self.scheme != PLAIN:
                tags = spans.tags_of(spans.spans_of(tags), len(tags), self.scheme)
            predictions.append(tags)
        return predictions

    def score(self, examples: Sentences, predictions: Sequence[Sequence[str]]) -> dict[str, float]:
        """`f1`, `precision`, `recall` of spans unless plain, and `accuracy` over words."""
        pairs = [pair for gold, predicted in zip(examples.tags, predictions, strict=True)
                 for pair in zip(gold, predicted, strict=True)]
        right = sum(gold == predicted for gold, predicted in pairs)
        by_span = {} if self.scheme == PLAIN else spans.span_scores(examples.tags, predictions)
        return by_span | {"accuracy": right / max(1, len(pairs))}

    def write(self, split: str, examples: Sentences, predictions: Sequence[Sequence[str]],
              directory: str) -> None:
        """Writes NAME-SPLIT.txt, `word<TAB>tag` lines; for JSON lines NAME-SPLIT.jsonl."""
        path = os.path.join(directory, f"{self.name}-{split}")
        if not conll_files.is_json(examples.path):
            conll_files.write_columns(path + ".txt", examples.words, predictions)
            return
        self.write_file(examples, predictions, path + ".jsonl")

    def write_file(self, examples: Sentences, predictions: Sequence[Sequence[str]], path: str
                   ) -> None:
        """Writes JSON lines: words, tags and, unless plain, spans."""
        found = None if self.scheme == PLAIN else [spans.spans_of(tags) for tags in predictions]
        conll_files.write_json(path, examples.words, predictions, found)


def windows(lengths: Sequence[int], room: int) -> list[slice]:
    """Cuts a sentence between words into windows of similar length.

    Args:
        lengths: tokens of each word, at most `room` each.
        room: tokens of the longest window.

    Returns:
        Slices of the words; one empty slice where there are none. As many as the tokens need,
        or some more where words of many tokens leave gaps.
    """
    total = sum(lengths)
    target = total / max(1, math.ceil(total / room))
    cuts, used = [0], 0
    for word, length in enumerate(lengths):
        if used and (used >= target or used + length > room):
            cuts.append(word)
            used = 0
        used += length
    return [slice(*pair) for pair in zip(cuts, [*cuts[1:], len(lengths)])]


def _scheme_of(sentences: Sentences) -> str:
    tags = sentences.tag_lines
    others = [tag for tag in tags if not spans.is_span_tag(tag)]
    if not others and set(tags) != {"O"}:
        return spans.recognise(sentences.tags)
    typed = [tag for tag in tags if _TYPED.fullmatch(tag)]
    if typed:
        raise ValueError(
            f"The tags of spans must be O or begin with B-, I-, E- or S-, as {typed[0]!r} does; "
            f"scheme={PLAIN} takes any tags. Received: {others[0]!r} in "
            f"{tables.at(sentences.path, tags[others[0]])}")
    return PLAIN


def _pieces_of_words(sentences: Sequence[Sequence[str]], tokenizer: Tokenizer, room: int
                     ) -> dict[str, list[int]]:
    """The ids of every distinct word, 1 to `room` of them."""
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence))
    return {word: ids[:room] or [tokenizer.vocabulary.unk_id]
            for word, ids in zip(words, tokenizer.tokenize(words))}
