"""Files of tasks as people have them: of every format, taken as written or refused in one line."""

import codecs
import gzip
import json
import re

import pytest

from electra_tf.errors import UserError, one_line
from electra_tf.tasks.readers import tables
from electra_tf.tasks.squad.files import questions_of_rows, read_questions
from electra_tf.tasks.tagging import files as tagged_files
from electra_tf.tasks.tagging.files import Fields

CONTEXT = "The tower was built in 1889."
CONLLU = (
    "# sent_id = 1\n# text = The cat sat on the mat .\n#glued\n"
    "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n2\t10 000\tcat\tNUM\tCD\t_\t3\tnsubj\t_\t_\n"
    "3\t#\t#\tSYM\tSYM\t_\t0\troot\t_\t_\n\n"
    "# text = Du pain\n1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tDe\tde\tADP\tIN\t_\t3\tcase\t_\t_\n"
    "2\tle\tle\tDET\tDT\t_\t3\tdet\t_\t_\n2.1\tx\tx\tVERB\tVB\t_\t_\t_\t_\t_\n"
)


def question(**more):
    answer = {"text": "1889", "answer_start": 23}
    return {"id": "q", "question": "When?", "answers": [answer]} | more


def squad(*questions):
    paragraph = {"context": CONTEXT, "qas": list(questions)}
    return json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}]})


def mrqa(**more):
    detected = [{"text": "1889", "char_spans": [[23, 26]]}]
    entry = {"qid": "q", "question": "When?", "answers": ["1889"], "detected_answers": detected}
    return json.dumps({"context": CONTEXT, "qas": [entry | more]})


def table(path):
    return [row.values for row in tables.rows(path, ["text", "label"])]


def words(path, labelled=True, **columns):
    return tagged_files.read_sentences(path, Fields(**columns), labelled)


def asked(path):
    return [
        (each.id, each.target, each.is_impossible) for each in read_questions(path, 2).questions
    ]


# By the name of a good file: its text, what reads it, and what is read.
GOOD = {
    "a.csv": ("text,label\none,x\ntwo,y\n", table, [("one", "x"), ("two", "y")]),
    "a.tsv": ("text\tlabel\none\tx\ntwo\ty\n", table, [("one", "x"), ("two", "y")]),
    "a.jsonl": ('{"text": "one", "label": "x"}\n', table, [("one", "x")]),
    "a.txt": ("one X\ntwo Y\n", lambda path: words(path).words, [("one", "two")]),
    "words.jsonl": (
        '{"words": ["one", "two"], "tags": ["X", "Y"]}\n',
        lambda path: words(path).words,
        [("one", "two")],
    ),
    "a.json": (squad(question()), asked, [("q", ("1889", 23), False)]),
    "mrqa.jsonl": (mrqa() + "\n", asked, [("q", ("1889", 23), False)]),
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        content = content if isinstance(content, bytes) else content.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write


def refusal(function, *args, **settings) -> str:
    """What a refused file is told: one line of bounded length."""
    with pytest.raises(UserError) as error:
        function(*args, **settings)
    message = str(error.value)
    assert message == one_line(message) and len(message) < 500
    return message


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("change", ["as it is", "mark", "CRLF", "no line end"])
def test_what_every_reader_takes(write, name, suffix, change):
    text, read, expected = GOOD[name]
    content = {
        "as it is": text.encode(),
        "mark": codecs.BOM_UTF8 + text.encode(),
        "CRLF": text.replace("\n", "\r\n").encode(),
        "no line end": text.rstrip("\n").encode(),
    }[change]
    assert read(write(name + suffix, content)) == expected


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text.encode("utf-16"), "UTF-16.* iconv -f UTF-16"),
        (lambda text: text.encode("utf-16-le"), "NUL byte.*UTF-16"),
        (lambda text: text.replace("e", "\0", 1).encode(), "with a NUL byte"),
        (lambda text: gzip.compress(text.encode()), r"gzip|\.gz"),
        (
            lambda text: text.encode().replace(b"e", b"\xe9", 1),
            r"line 1, with the byte 0xe9 at \d+; if it is Latin-1, iconv -f LATIN1",
        ),
    ],
    ids=["utf-16", "utf-16 without a mark", "NUL", "gzip", "latin-1"],
)
def test_what_no_reader_takes(write, name, change, message):
    text, read, _ = GOOD[name]
    path = write(name, change(text))
    said = refusal(read, path)
    assert path in said and re.search(message, said), said


@pytest.mark.parametrize("name", [name for name in GOOD if name != "a.json"])
def test_carriage_returns_end_no_lines(write, name):
    text, read, _ = GOOD[name]
    said = refusal(read, write(name, (text * 2).replace("\n", "\r")))
    assert "carriage returns in " in said and "line 1" in said and "tr '\\r' '\\n'" in said


@pytest.mark.parametrize("name", GOOD)
def test_a_cut_off_gzip_file(write, name, tmp_path):
    text, read, _ = GOOD[name]
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(text.encode())[:-9])
    assert "must be readable to its end" in refusal(read, str(path))


@pytest.mark.parametrize("name", GOOD)
def test_an_empty_file(write, name):
    _, read, _ = GOOD[name]
    path = write(name, "")
    if name in ("a.jsonl", "mrqa.jsonl"):
        assert read(path) == []  # which its task refuses
    else:
        assert path in refusal(read, path)


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_feeds_end_lines(write, mark):
    text = f"one{mark}still one"
    for name, content in {
        "a.csv": f"text,label\n{text},x\n",
        "a.tsv": f"text\tlabel\n{text}\tx\n",
        "a.jsonl": json.dumps({"text": text, "label": "x"}, ensure_ascii=False),
    }.items():
        assert table(write(name, content)) == [(text, "x")]
    assert words(write("a.txt", f"a{mark}b X\nc Y\n")).words == [(f"a{mark}b", "c")]
    assert len(asked(write("m.jsonl", mrqa(question=text) + "\n"))) == 1


@pytest.mark.parametrize("length", [131_073, 3_000_000])
@pytest.mark.parametrize("quote", ["", '"'])
def test_fields_of_any_length(write, length, quote):
    text = "long words " * (length // 11)
    assert table(write("a.csv", f"text,label\n{quote}{text}{quote},x\n")) == [(text, "x")]
    assert table(write("a.tsv", f"text\tlabel\n{text}\tx\n")) == [(text, "x")]


def test_memory_is_bounded(write, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LENGTH", 1 << 20)
    path = write("a.tsv", f"text\tlabel\n{'x' * (1 << 20)}\ty\n")
    assert f"shorter than 1 MiB. Received: {path}, line 2" in refusal(table, path)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.csv", 'text,label\na,x\n"b,y\nc,z\n', "line 3 (a quote is not closed)"),
        ("a.csv", 'text,label\n"a" b,x\n', "line 2 ("),
        ("a.csv", "text,label\na\rb,x\n", "line 2 (a carriage return outside quotes)"),
        ("a.csv", "text,label\na,b,x\n", "as the header, 2. Received: 3 in "),
        ("a.csv", "text;label\na;x\n", "with the columns 'text;label'"),
        ("a.csv", "good film,pos\nbad film,neg\n", "with the columns 'good film', 'pos'"),
        ("a.csv", "text,label,text\na,x,b\n", "the column 'text' once"),
        ("a.csv", ",".join(f"c{number}" for number in range(999)), "'c19' and 979 more"),
        ("a.jsonl", '{"content": "a", "stars": 1}\n', "with the fields 'content', 'stars'"),
        ("a.jsonl", '{"text": "a", "label": NaN}\n', "line 1 (NaN is no number of JSON: line 1"),
        ("a.jsonl", '{"text": "a", "label": 1e400}\n', "line 1 (1e400 is no number"),
        ("a.jsonl", '{"text": "a", "label": 1, "label": 2}\n', "field 'label' occurs twice"),
        ("a.jsonl", "[" * 100_000, "line 1 (it is nested too deeply)"),
        ("a.jsonl", '[{"text": "a",\n"label": 1}]\n', "one JSON object per line"),
    ],
)
def test_damaged_tables(write, name, text, message):
    path = write(name, text)
    said = refusal(table, path)
    assert message in said and path in said


@pytest.mark.parametrize("text", ["[" * 100_000, '{"data": ' * 100_000])
@pytest.mark.parametrize("name", ["train.json", "train.jsonl", "train.json.gz"])
def test_questions_nested_too_deeply(write, name, text):
    assert "must be JSON. Received: it is nested too deeply" in refusal(asked, write(name, text))


def test_a_value_nested_too_deeply_for_a_message():
    value = []
    for _ in range(100_000):
        value = [value]
    assert refusal(questions_of_rows, [{"context": value}]) == (
        "rows[0] must have the field 'context', a text. Received: a list"
    )


STRANGE = ["false", "true", 0, 1, 0.0, None, [], {}, ""]


@pytest.mark.parametrize("value", STRANGE)
def test_truth_values_are_json_booleans(write, value):
    said = refusal(asked, write("a.json", squad(question(id="x0"), question(is_impossible=value))))
    assert "a.json: article 0, paragraph 0, question 1 ('q'): is_impossible must be true or" in said


def test_what_truth_values_mean(write):
    text = squad(
        question(id="yes", is_impossible=False),
        question(id="no", answers=[], is_impossible=True),
        question(id="unmarked", answers=[]),
    )
    assert asked(write("a.json", text)) == [
        ("yes", ("1889", 23), False),
        ("no", None, True),
        ("unmarked", None, False),
    ]
    said = refusal(asked, write("b.json", squad(question(is_impossible=True))))
    assert "question 0 ('q'): a question that is_impossible must have no answers" in said


PLACES = ["23", 23.0, 23.5, True, False, None, [23], 1 << 31, 10**30]


@pytest.mark.parametrize("value", PLACES)
def test_places_are_whole_numbers(write, value):
    answers = [{"text": "1889", "answer_start": 23}, {"text": "1889", "answer_start": value}]
    for some in (answers, answers[::-1]):
        said = refusal(asked, write("a.json", squad(question(answers=some))))
        assert "question 0 ('q'): answer_start must be a whole number" in said
    detected = [{"text": "1889", "char_spans": [[value, 26]]}]
    said = refusal(asked, write("a.jsonl", mrqa(detected_answers=detected)))
    assert "line 1, question 0 ('q'): char_spans must be a whole number" in said


@pytest.mark.parametrize("value", [7, 7.5, True, None, ["q"], {"q": 1}])
@pytest.mark.parametrize("field", ["id", "question", "context"])
def test_ids_and_texts_are_strings(write, field, value):
    record = {"context": CONTEXT, **question(), field: value}
    said = refusal(questions_of_rows, [record])
    assert said.startswith(f"rows[0] ('q') must have the field {field!r}, a text") or (
        said.startswith(f"rows[0] must have the field {field!r}, a text")
    )
    if field != "context":
        said = refusal(asked, write("a.json", squad(question(**{field: value}))))
        assert "question 0" in said and f"must have the field {field!r}, a text" in said
        name = {"id": "qid"}.get(field, field)
        said = refusal(asked, write("a.jsonl", mrqa(**{name: value})))
        assert "line 1, question 0" in said and f"the field {name!r}, a text" in said


@pytest.mark.parametrize(
    "more",
    [
        {"answers": {"text": ["1889"], "answer_start": [23]}},
        {"answers": None},
        {"answers": ["1889"]},
        {"answers": [{"text": 1889, "answer_start": 23}]},
    ],
)
def test_answers_are_a_list(write, more):
    said = refusal(asked, write("a.json", squad(question(**more))))
    assert "question 0 ('q') must have the field" in said


@pytest.mark.parametrize("value", [{"text": "1889"}, None, "1889", [5], [{"text": "1889"}]])
def test_detected_answers_are_a_list(write, value):
    said = refusal(asked, write("a.jsonl", mrqa(detected_answers=value)))
    assert "line 1, question 0 ('q') must have the field" in said


def test_a_record_with_a_header_and_a_context_is_no_header(write):
    text = '{"header": {"dataset": "x"}}\n' + mrqa()[:-1] + ', "header": 1}\n'
    assert asked(write("a.jsonl", text)) == [("q", ("1889", 23), False)]


@pytest.mark.parametrize("name", ["a.conll", "a.conllu", "a.txt.gz"])
def test_conllu(write, name):
    read = words(write(name, CONLLU), word_column=1, tag_column=3)
    assert read.words == [("The", "10 000", "#"), ("De", "le")]
    assert read.tags == [("DET", "NUM", "SYM"), ("ADP", "DET")]
    assert read.tag_lines == {"DET": 4, "NUM": 5, "SYM": 6, "ADP": 10}
    assert read.left_out == {"comments": 4, "multiword and empty nodes": 2}
    assert words(write(name, CONLLU), False, word_column=1).words == read.words


def test_conllu_with_blanks_for_tabs(write):
    text = CONLLU.replace("10 000", "10000").replace("\t", " ")
    read = words(write("a.conll", text.replace("#glued\n", "")), word_column=1, tag_column=3)
    assert read.words == [("The", "10000", "#"), ("De", "le")]


def test_conllu_that_begins_with_a_multiword(write):
    text = CONLLU[CONLLU.index("1-2") :]
    assert words(write("a.txt", text), word_column=1, tag_column=3).words == [("De", "le")]


@pytest.mark.parametrize(
    "change, columns, message",
    [
        (("", ""), {}, "word_column of a CoNLL-U file must be 1"),
        (("", ""), {"word_column": -10, "tag_column": 3}, "word_column of a CoNLL-U file"),
        (
            ("2\t10 000\t", "2\t"),
            {"word_column": 1},
            "file's first, 10. Received: 9",
        ),
        (("2\t10 000\t", "two\tx\t"), {"word_column": 1}, "number. Received: 'two' in "),
        (("2\t10 000\t", "2\t\t"), {"word_column": 1}, "must not be empty. Received: '' in "),
    ],
)
def test_damaged_conllu(write, change, columns, message):
    path = write("a.conllu", CONLLU.replace(*change))
    said = refusal(words, path, **({"tag_column": 3} | columns))
    assert message in said and path in said
    assert change[0] == "" or said.endswith("line 5")


@pytest.mark.parametrize(
    "text, expected",
    [
        # By blanks, as CoNLL-2000 and CoNLL-2003: the word `#` is one wherever it stands.
        ("# # B-NP O\n1 CD I-NP O\n\nat IN B-PP O\n# # B-NP O\n", [("#", "1"), ("at", "#")]),
        ("# id = 7\nat IN B-PP O\n# id = 8\n", [("at", "#")]),
        ("# text = on and on\nat IN\n# #\n", [("at", "#")]),
        # By tabs: what has none is a comment.
        ("# a\nat\tIN\n#\t#\n# b\n", [("at", "#")]),
        ("-DOCSTART- -X- O\n\nat IN O\n-DOCSTART- -X- O\non IN O\n", [("at",), ("on",)]),
        ("New York\tNNP\nis\tVBZ\n", [("New York", "is")]),
        ("New  York \tNNP\nin\tIN\n", [("New  York", "in")]),
        ("1\tCD\n2\tCD\n", [("1", "2")]),
        ("1.5\tCD\n1-2\tCD\n", [("1.5", "1-2")]),
        ("#begin document (a); part 0\nat IN\n\n#end document\n", [("at",)]),
    ],
)
def test_number_signs_and_tabs(write, text, expected):
    assert words(write("a.txt", text)).words == expected


@pytest.mark.parametrize(
    "text, line",
    [("a X\nb\n", 2), ("a\tX\nb c d\n", 2), ("a X\n\nb Y Z\n", 3), ("#a X Y\na X\n", 1)],
)
def test_ragged_columns(write, text, line):
    path = write("a.txt", text)
    assert refusal(words, path).endswith(f"in {path}, line {line}")


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"words": ["a", 1], "tags": ["X", "Y"]}', "'words' must be a list of strings"),
        ('{"words": ["a"], "tags": [true]}', "'tags' must be a list of strings"),
        ('{"words": ["a"], "tags": [""]}', "tag must not be empty"),
        ('{"words": ["a"], "tags": ["X"], "tags": ["Y"]}', "'tags' occurs twice"),
        ('{"words": ["a"], "tags": ["X"], "score": NaN}', "NaN is no number"),
        ('{"text": ["a"], "tags": ["X"]}', "'words' must be a list of strings"),
    ],
)
def test_damaged_words(write, line, message):
    path = write("words.jsonl", GOOD["words.jsonl"][0] + line + "\n")
    said = refusal(words, path)
    assert message in said and f"{path}, line 2" in said
