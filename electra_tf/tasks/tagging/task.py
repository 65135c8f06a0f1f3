"""Tagging of words: chunks, named entities, parts of speech, the user's own tags."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import stats

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.errors import UserError
from electra_tf.models.randomness import Dropout
from electra_tf.models.tagging_head import TaggingHead
from electra_tf.tasks import class_names
from electra_tf.tasks.base import FinetuningTask
from electra_tf.tasks.readers import tables
from electra_tf.tasks.tagging import files as conll_files
from electra_tf.tasks.tagging import schemes, spans
from electra_tf.tasks.tagging.data_sets import TaggedFiles
from electra_tf.tasks.tagging.files import Fields, TaggedSentences
from electra_tf.tasks.tagging.rows import LABELS, WordRows, encode_words
from electra_tf.tasks.tagging.schemes import PLAIN
from electra_tf.text.tokenizer import Tokenizer


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
            train; dev, valid, testa; test, testb with .txt, .conll, .conllu, .tsv, .bio or .jsonl,
            also with .gz after that.
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
        UserError: no training file, its tags are no tags, or two of them are probably one.
    """

    sequence_features = (*features.data_features(packed=False), LABELS)
    servable = "tags"

    def __init__(
        self,
        name: str,
        data_dir: str,
        train_file: str = "",
        eval_file: str = "",
        test_file: str = "",
        *,
        word_column: int = 0,
        tag_column: int = -1,
        words_field: str = "words",
        tags_field: str = "tags",
        scheme: str = "auto",
        tags: Sequence[str] = (),
        max_seq_length: int = 128,
    ):
        if scheme not in ("auto", PLAIN, *spans.SCHEMES):
            raise UserError(
                f"scheme must be one of auto, {PLAIN}, {', '.join(spans.SCHEMES)}. "
                f"Received: {scheme!r}"
            )
        if max_seq_length < 3:
            raise UserError(f"max_seq_length must be at least 3. Received: {max_seq_length}")
        self.name, self.max_seq_length = name, max_seq_length
        self._fields = Fields(word_column, tag_column, words_field, tags_field)
        self._files = self._find_files(data_dir, train_file, eval_file, test_file)
        self.splits = tuple(self._files)
        if len(set(tags)) < len(tags) or not all(map(class_names.key_of, tags)):
            raise UserError(
                "tags must be different names and not empty. "
                f"Received: {class_names.listed(map(repr, tags))}"
            )
        if tags:
            given = TaggedSentences("`tags`", [], [(tag,) for tag in tags], dict.fromkeys(tags, 0))
        elif "train" in self._files:
            given = conll_files.read_sentences(self._files["train"], self._fields, labelled=True)
        else:
            raise UserError(
                f"{name} must have a training file, for example train.txt, or be "
                f"given its tags. Received: {data_dir}"
            )
        self.tags = tuple(sorted(given.tag_lines))
        self.scheme = schemes.scheme_of(given) if scheme == "auto" else scheme
        if self.scheme == PLAIN:
            self.main_metric, self.classes = "accuracy", self.tags
        else:
            types = sorted({tag.partition("-")[2] for tag in self.tags if tag != "O"})
            self.main_metric = "f1"
            self.classes = (
                "O",
                *(
                    spans.tag_of(letter, type)
                    for type in types
                    for letter in spans.LETTERS["BIOES"]
                ),
            )
        self._class_ids = {tag: number for number, tag in enumerate(self.classes)}
        self._check_tags(given)
        if not tags:
            schemes.require_distinct(given, self.scheme)

    @classmethod
    def from_config(cls, task, data):
        return cls(
            task.name,
            data.dir,
            data.train_file,
            data.eval_file,
            data.test_file,
            word_column=task.word_column,
            tag_column=task.tag_column,
            scheme=task.scheme,
            tags=task.label_names(),
            max_seq_length=task.max_seq_length,
        )

    @classmethod
    def files_of_data_set(cls, data, task):
        return TaggedFiles(data, task)

    def remember(self, task):
        task.set_label_names(self.tags)
        task.scheme = self.scheme

    def _find_files(self, data_dir, train_file, eval_file, test_file) -> dict[str, str]:
        train = conll_files.find_tagged_file(data_dir, train_file, ("train",))
        dev = conll_files.find_tagged_file(data_dir, eval_file, ("dev", "valid", "testa"))
        test = conll_files.find_tagged_file(data_dir, test_file, ("test", "testb"))
        files = {"train": train, "dev": dev}
        if test:
            columns = 2
            if train and not conll_files.is_json(train):
                columns = conll_files.count_columns(train)
            labelled = conll_files.has_tags(test, self._fields, columns)
            files["eval_test" if labelled else "test"] = test
        return {split: path for split, path in files.items() if path}

    def _check_tags(self, sentences: TaggedSentences) -> None:
        """Raises UserError where a tag cannot be read in the scheme or is of no known type."""
        known: Collection[str] = self.classes
        if self.scheme != PLAIN:
            letters = spans.LETTERS[self.scheme]
            known = {tag for tag in self.classes if tag == "O" or tag[0] in letters}
        for tag, line in sentences.tag_lines.items():
            if tag not in known:
                place = tables.at(sentences.path, line) if line else sentences.path
                raise UserError(
                    "A tag must occur in the training file, or among the task's `tags`, and fit "
                    f"the scheme, which is {self.scheme}. Received: {tag!r} in {place}"
                )

    def read(self, split: str) -> TaggedSentences:
        if split not in self._files:
            raise UserError(f"A split must be one of {', '.join(self.splits)}. Received: {split!r}")
        labelled = not split.startswith("test")
        sentences = conll_files.read_sentences(self._files[split], self._fields, labelled)
        self._check_tags(sentences)
        if labelled:
            schemes.warn_of_breaks(sentences, self.scheme)
        return sentences

    def facts(self, examples: TaggedSentences) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "file": os.path.basename(examples.path),
            "sentences": len(examples),
            "words": sum(map(len, examples.words)),
        }
        if examples.left_out:
            facts["left out"] = dict(examples.left_out)
        is_json, fields = conll_files.is_json(examples.path), self._fields
        facts["columns"] = {"word": fields.words_field if is_json else fields.word_column}
        if examples.tags is not None:
            tags = Counter(tag for sentence in examples.tags for tag in sentence)
            facts["columns"]["tag"] = fields.tags_field if is_json else fields.tag_column
            facts |= {"scheme": self.scheme, "tags": dict(sorted(tags.items()))}
        return facts

    def read_file(self, path: str) -> TaggedSentences:
        """The words of any file; its tags, if there are any, are not looked at.

        Args:
            path: columns, or JSON lines with `{"words": […]}` or `{"text": "…"}`, which is split
                at white space.
        """
        return conll_files.read_sentences(path, self._fields, labelled=False)

    def encode(self, examples: TaggedSentences, tokenizer: Tokenizer, training: bool) -> WordRows:
        classes = None
        if training:
            classes = [self._classes_of(tags) for tags in examples.required_tags]
        return encode_words(examples.words, classes, tokenizer, self.max_seq_length)

    def _classes_of(self, tags: Sequence[str]) -> list[int]:
        if self.scheme != PLAIN:
            tags = spans.tags_of(spans.spans_of(tags), len(tags), "BIOES")
        return [self._class_ids[tag] for tag in tags]

    def new_head(self, config: ModelConfig, dtype: str | None) -> keras.layers.Layer:
        head = TaggingHead(config, len(self.classes), name="task", dtype=dtype)
        head.build()
        return head

    def losses(self, head: keras.layers.Layer, hidden, batch: dict, dropout: Dropout | None):
        """Cross-entropy, the mean over a row's words."""
        labels = batch[LABELS]
        counts = ops.cast(labels >= 0, "float32")
        log_probabilities = ops.log_softmax(head(hidden, dropout=dropout), axis=-1)
        right = ops.take_along_axis(log_probabilities, ops.maximum(labels, 0)[..., None], axis=-1)
        return -ops.sum(right[..., 0] * counts, axis=1) / ops.maximum(self.row_weights(batch), 1.0)

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
        return {
            "best": ops.cast(ops.argmax(probabilities, axis=-1), "int32"),
            "probability": ops.max(probabilities, axis=-1),
        }

    def predict(
        self, examples: TaggedSentences, encoded: WordRows, outputs: dict[str, np.ndarray]
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

    def score(
        self, examples: TaggedSentences, predictions: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        """`f1`, `precision`, `recall` of spans unless plain, and `accuracy` over words."""
        pairs = [
            pair
            for gold, predicted in zip(examples.required_tags, predictions, strict=True)
            for pair in zip(gold, predicted, strict=True)
        ]
        right = sum(gold == predicted for gold, predicted in pairs)
        scores = {}
        if self.scheme != PLAIN:
            scores = spans.span_scores(examples.required_tags, predictions)
        return scores | {"accuracy": right / max(1, len(pairs))}

    def write(
        self,
        split: str,
        examples: TaggedSentences,
        predictions: Sequence[Sequence[str]],
        directory: str,
    ) -> None:
        """Writes NAME-SPLIT.txt, `word<TAB>tag` lines; for JSON lines NAME-SPLIT.jsonl."""
        path = os.path.join(directory, f"{self.name}-{split}")
        if not conll_files.is_json(examples.path):
            conll_files.write_columns(path + ".txt", examples.words, predictions)
            return
        self.write_file(examples, predictions, path + ".jsonl")

    def examples_from_rows(self, rows: Iterable[Any]) -> TaggedSentences:
        """Of texts, which are split at white space, lists of words, or dicts as in a file."""
        return conll_files.sentences_of_rows(rows, self._fields)

    def answers(
        self, examples: TaggedSentences, predictions: Sequence[Sequence[str]]
    ) -> list[dict[str, Any]]:
        """`words`, `tags` and, unless plain, `spans`.

        A span is `{"type": "PER", "start": 3, "end": 5}`: words 3 and 4, counted from 0.
        """
        answers = []
        for words, tags in zip(examples.words, predictions, strict=True):
            answer: dict[str, Any] = {"words": list(words), "tags": list(tags)}
            if self.scheme != PLAIN:
                answer["spans"] = [span._asdict() for span in spans.spans_of(tags)]
            answers.append(answer)
        return answers
