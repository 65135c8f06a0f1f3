"""Windows and offsets: every token, every answer, any alphabet, long documents."""

import json
import random
import unicodedata

import numpy as np
import pytest

from electra_tf import Tokenizer
from electra_tf.tasks.squad import metrics as squad_metrics
from electra_tf.tasks.squad.files import Question, Questions
from electra_tf.tasks.squad.task import QuestionAnsweringTask
from electra_tf.tasks.squad.windows import (
    answer_tokens,
    best_windows,
    encode_windows,
    tokenize_contexts,
    window_spans,
)
from tests.conftest import SHARED, where_shared

SETTINGS = {"max_seq_length": 32, "max_query_length": 8, "doc_stride": 10}


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def questions_of(contexts, *questions):
    return Questions(
        "made",
        contexts,
        [
            Question(
                f"q{index}",
                context,
                text,
                (target[0],) if target else (),
                target,
                is_impossible=target is None,
            )
            for index, (context, text, target) in enumerate(questions)
        ],
    )


def shown_text(examples, encoded, row, first, last):
    """What positions `first` to `last` of a row are in the context."""
    context = examples.questions[encoded.rows[row]].context
    tokens = encoded.contexts.tokens_of(context)
    begin, end = (
        position - encoded.offsets[row] + encoded.first_tokens[row] for position in (first, last)
    )
    return examples.contexts[context][
        encoded.contexts.starts[tokens][begin] : encoded.contexts.ends[tokens][end]
    ]


def test_windows_against_brute_force():
    generator = random.Random(0)
    for longest in [30] * 300 + [300] * 60:  # in long windows their length decides, too
        tokens, room = generator.randint(1, 3 * longest), generator.randint(1, longest)
        stride = generator.randint(1 + longest // 30, longest)
        first, lengths = window_spans(tokens, room, stride)
        windows = [range(begin, begin + length) for begin, length in zip(first, lengths)]
        assert max(map(len, windows)) <= room
        assert all(windows[-1][-1] not in window for window in windows[:-1])
        owners = best_windows(first, lengths)
        for token in range(tokens):
            seen = [index for index, window in enumerate(windows) if token in window]
            context = {
                index: min(token - windows[index][0], windows[index][-1] - token)
                + 0.01 * len(windows[index])
                for index in seen
            }
            assert owners[token] == max(seen, key=lambda index: (context[index], -index))
        assert len(owners) == tokens
    assert len(window_spans(0, 10, 5)[0]) == 0


def test_rows(tokenizer):
    context = "the model is trained on a large text, that is all we know of it: words and words"
    examples = questions_of(
        [context, "of it"],
        (1, "the words", ("it", 3)),
        (0, "is it a large network not " * 2, ("trained", 13)),
        (0, "?", None),
    )
    encoded, _ = encode_windows(examples, tokenizer, training=True, **SETTINGS)
    ids = {text: tokenizer.tokenize([text])[0] for text in (context, "of it", "the words", "?")}
    query = tokenizer.tokenize([examples.questions[1].text])[0][:8]
    assert encoded.rows.tolist() == [0, 1, 1, 2]
    pieces = len(ids[context])
    assert 22 < pieces < 29  # two windows after a long question, one after a short one
    expected = [
        ([2, *ids["the words"], 3], [*ids["of it"], 3]),
        ([2, *query, 3], [*ids[context][:21], 3]),
        ([2, *query, 3], [*ids[context][10:], 3]),
        ([2, *ids["?"], 3], [*ids[context], 3]),
    ]
    for row, (first, second) in enumerate(expected):
        length = len(first) + len(second)
        padding = [0] * (32 - length)
        assert encoded.features["input_ids"][row].tolist() == first + second + padding
        assert encoded.features["input_mask"][row].tolist() == [1] * length + padding
        assert encoded.features["segment_ids"][row].tolist() == (
            [0] * len(first) + [1] * len(second) + padding
        )
    starts, ends = (encoded.features[name][:, 0] for name in ("start_positions", "end_positions"))
    assert shown_text(examples, encoded, 0, starts[0], ends[0]) == "it"
    assert shown_text(examples, encoded, 1, starts[1], ends[1]) == "trained"
    assert (starts[2:] == 0).all() and (ends[2:] == 0).all()  # [CLS]
    assert encoded.features["is_impossible"].tolist() == [[0], [0], [0], [1]]
    prediction, _ = encode_windows(examples, tokenizer, training=False, **SETTINGS)
    assert set(prediction.features) == {"input_ids", "input_mask", "segment_ids"}


def test_rows_are_no_longer_than_needed(tokenizer):
    examples = questions_of(["the model"], (0, "the", None))
    encoded, _ = encode_windows(examples, tokenizer, training=False, **SETTINGS)
    assert encoded.features["input_ids"].shape == (1, 8)


@pytest.mark.parametrize(
    "context, answer, expected",
    [
        ("battle (1066) in Hastings.", "1066", "1066"),
        ("Dürer’s “Melencolia I” (1514)", "Melencolia I", "Melencolia I"),
        ("Ein Ko\u0308nig in Mu\u0308nchen.", "Mu\u0308nchen", "Mu\u0308nchen"),
        ("😀😀 the 👩‍🔬 won 3 of 4 🏅🏅 games", "3 of 4", "3 of 4"),
        ("名古屋は大きい都市です、東京も。", "東京", "東京"),
        ("Ελλάδα και Κύπρος", "Κύπρος", "Κύπρος"),
        ("the Japanese export", "Japan", "Japanese"),
        ("caf\u00e9\u00a0noir\u3000served", "noir", "noir"),
        ("zero\u200bwidth and \ufeffmark here", "mark", "mark"),
        ("half \ud83d pair then word", "word", "word"),
    ],
)
def test_offsets_are_characters_of_any_text(tokenizer, context, answer, expected):
    # Many contexts in one call must not move each other's offsets.
    contexts = tokenize_contexts(["é the", context, "ü"], tokenizer)
    tokens = contexts.tokens_of(1)
    starts, ends = contexts.starts[tokens], contexts.ends[tokens]
    first, last = answer_tokens(context, starts, ends, (answer, context.index(answer)))
    assert context[starts[first] : ends[last]] == expected
    assert starts[0] == next(
        index
        for index, letter in enumerate(context)
        if not letter.isspace() and unicodedata.category(letter) != "Cf"
    )
    assert ends[-1] <= len(context)


@pytest.mark.parametrize(
    "context, answer, expected",
    [
        ("it was in 1895 here", ("1895", 10), "1895"),
        ("it was in (1895-1943) here", ("1895", 10), "1895"),  # one off, in the same word
        ("it was New\n York here", ("New York", 7), "New\n York"),
        ("it was NEW York here", ("new york", 7), "NEW York"),
        ("it was in 1895 here", ("1896", 10), None),
        ("it was in 1895 here", ("1895", 0), None),
        ("it was in 1895 here", ("1895", 400), None),
        ("it was in 1895", ("1895 here", 10), None),
        ("it was in 1895 here", ("", 3), None),
        ("it was in 1895 here", ("1895", -1), None),
    ],
)
def test_answers_that_are_not_where_they_should_be(tokenizer, context, answer, expected):
    contexts = tokenize_contexts([context], tokenizer)
    found = answer_tokens(context, contexts.starts, contexts.ends, answer)
    if expected is None:
        assert found is None
    else:
        assert context[contexts.starts[found[0]] : contexts.ends[found[1]]] == expected


def test_training_leaves_lost_answers_out_and_says_so(tokenizer, tmp_path, caplog):
    qas = [
        {"id": str(index), "question": "who", "answers": [{"text": text, "answer_start": 0}]}
        for index, text in enumerate(["the", "all", "network"])
    ]
    (tmp_path / "train.json").write_text(
        json.dumps(
            {
                "data": [
                    {
                        "paragraphs": [
                            {"context": "the model", "qas": qas},
                            {"context": "", "qas": [qas[0] | {"id": "9"}]},
                        ]
                    }
                ]
            }
        )
    )
    task = QuestionAnsweringTask("x", str(tmp_path))
    examples = task.read("train")
    assert task.encode(examples, tokenizer, training=True).rows.tolist() == [0]
    assert "3 of 4 questions are left out" in caplog.text
    assert task.encode(examples, tokenizer, training=False).rows.tolist() == [0, 1, 2]
    examples.questions = examples.questions[1:]
    with pytest.raises(ValueError, match="must hold a question whose context has words"):
        task.encode(examples, tokenizer, training=True)


@pytest.mark.parametrize(
    "path, whole, total",
    [
        ("dev-v1.1.json", 765, 768),
        *where_shared((SHARED / "data" / "squad" / "train-mini-v1.1.json", 2140, 2142)),
    ],
)
def test_real_answers_survive(squad_directory, uncased_vocab_file, path, whole, total):
    """All but those that are a part of a word: Japan of Japanese, 90 of 90°, 180 of 180°."""
    path = squad_directory / path
    task = QuestionAnsweringTask("squad", str(path.parent), train_file=path.name)
    examples = task.read("train")
    encoded = task.encode(examples, Tokenizer(uncased_vocab_file), training=True)
    texts = {}
    for row, (start, end) in enumerate(
        zip(encoded.features["start_positions"][:, 0], encoded.features["end_positions"][:, 0])
    ):
        if start:
            texts[encoded.rows[row]] = shown_text(examples, encoded, row, start, end)
    assert len(texts) == len(examples)
    right = sum(
        squad_metrics.f1(examples.questions[index].target[0], text, False) == 1.0
        for index, text in texts.items()
    )
    assert (right, len(examples)) == (whole, total)
    assert all(examples.questions[index].target[0] in text for index, text in texts.items())


def test_a_long_document_is_tokenized_once(tokenizer):
    document = "the model " * 50_000
    examples = questions_of([document], *((0, "which", ("model", 4)) for _ in range(5)))
    calls = []

    class Counting:
        vocabulary, ids_of_lines = tokenizer.vocabulary, tokenizer.ids_of_lines

        def ids_with_offsets(self, texts):
            calls.append(len(texts))
            return tokenizer.ids_with_offsets(texts)

    encoded, _ = encode_windows(
        examples, Counting(), training=True, max_seq_length=512, max_query_length=64, doc_stride=128
    )
    assert calls == [1]
    contexts = encoded.contexts
    assert len(contexts.ids) == 100_000
    windows = 5 * (1 + -(-(100_000 - (512 - 3 - len(tokenizer.tokenize(["which"])[0]))) // 128))
    assert len(encoded.rows) == windows
    assert contexts.ids.nbytes + contexts.starts.nbytes + contexts.ends.nbytes == 10 * 100_000
    # Ids in two bytes, masks in one, and a few numbers for each row.
    in_rows = sum(part.nbytes for part in encoded.features.values())
    assert in_rows <= windows * (512 * 4 + 12)
    assert np.count_nonzero(encoded.features["start_positions"]) == 5
