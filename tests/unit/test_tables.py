"""Rows of local files by field name, and what is said of files that are not as they should be."""

import gzip
import json
import random

import pytest

from electra_tf.tasks.readers import tables

ROWS = [('a "quoted" word', "x"), ("comma, no tab", ""), ("", "y"), ("ünï \u2028 cödé", "z")]


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def quoted(field):
    return '"' + field.replace('"', '""') + '"'


def content(extension, rows, newline="\n"):
    if extension == ".jsonl":
        lines = [json.dumps({"more": 1, "second": b, "first": a}) for a, b in rows]
    elif extension == ".tsv":
        lines = ["second\tmore\tfirst"] + [f"{b}\t-\t{a}" for a, b in rows]
    else:
        lines = ["second,more,first"] + [f"{quoted(b)},-,{quoted(a)}" for a, b in rows]
    return newline.join(lines) + newline


@pytest.mark.parametrize("extension", tables.EXTENSIONS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_same_rows_in_every_format(tmp_path, extension, encoding, newline, suffix):
    path = write(tmp_path / f"file{extension}{suffix}", content(extension, ROWS, newline), encoding)
    read = list(tables.rows(path, ["first", "second"]))
    assert [row.values for row in read] == ROWS
    first_line = 1 if extension == ".jsonl" else 2
    assert [row.line for row in read] == list(range(first_line, first_line + len(ROWS)))


def test_quotes_are_characters_in_tsv_and_quotes_in_csv(tmp_path):
    tsv = write(tmp_path / "a.tsv", 'text\tlabel\n"open\t1\nend"\t0\n')
    assert [row.values for row in tables.rows(tsv, ["text"])] == [('"open',), ('end"',)]
    comma = write(tmp_path / "a.csv", 'text,label\n"two\nlines, ""here""",1\nnext,0\n')
    assert list(tables.rows(comma, ["text", "label"])) == [
        (2, ('two\nlines, "here"', "1")),
        (4, ("next", "0")),
    ]


def test_blank_lines(tmp_path):
    for extension, text in {
        ".tsv": "a\tb\n\n1\t2\n\n",
        ".csv": "a,b\n\n1,2\n\n",
        ".jsonl": '\n{"a": "1"}\n \n',
    }.items():
        path = write(tmp_path / f"many{extension}", text)
        assert [row.values for row in tables.rows(path, ["a"])] == [("1",)]
    for extension in (".tsv", ".csv"):
        path = write(tmp_path / f"one{extension}", "a\nx\n\ny\n")
        assert [row.values for row in tables.rows(path, ["a"])] == [("x",), ("",), ("y",)]


def test_json_values_keep_their_types_and_lose_half_surrogates(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": [1, "x", null], "b": "\\ud83d\\ude00 \\ud83d!"}\n')
    assert next(tables.rows(path, ["a", "b"])).values == ([1, "x", None], "\U0001f600 !")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.tsv",
            "text\tlabels\nx\t1\n",
            r"column 'label' once. Received: .*a.tsv with the columns "
            r"'text', 'labels'",
        ),
        ("a.csv", "text,label,label\n", "column 'label' once"),
        ("a.tsv", "", "column 'text' once"),
        (
            "a.jsonl",
            '{"text": "x", "label": 1}\n{"text": "x", "y": 1}\n',
            r"field 'label'. Received: .*a.jsonl, line 2 with the fields 'text', 'y'",
        ),
        ("a.tsv", "text\tlabel\na\tb\na\n", r"as the header, 2. Received: 1 in .*a.tsv, line 3"),
        ("a.csv", 'text,label\n"a\nb",c\na,b,c\n', "Received: 3 in .*a.csv, line 4"),
        ("a.csv", 'text,label\na,b\n"a"x,b\n', "well-formed. Received: .*a.csv, line 3"),
        ("a.jsonl", '{"text": "x", "label": 1}\n\n{"text"\n', "one JSON object per line.*, line 3"),
        (
            "a.jsonl",
            "[1, 2]\n",
            r"one JSON object per line. Received: \[1, 2\] in .*a.jsonl, line 1",
        ),
        (
            "a.txt",
            "text\tlabel\n",
            "must be .tsv, .csv, .jsonl, plain or with .gz. Received: .*a.txt",
        ),
        ("a.tsv.gz", None, "readable to its end. Received: .*a.tsv.gz"),
        ("missing/a.tsv", None, "readable to its end. Received: .*missing/a.tsv"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        write(path, text)
    elif path.suffix == ".gz":
        words = random.Random(0).choices("abcdefgh", k=2000)
        path.write_bytes(gzip.compress(f"text\tlabel\n{''.join(words)}\tx\n".encode())[:200])
    with pytest.raises(ValueError, match=message):
        list(tables.rows(str(path), ["text", "label"]))


def test_a_byte_that_is_not_utf8(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"text\nfine\nna\xefve\n")
    with pytest.raises(
        ValueError,
        match=r"UTF-8 text. Received: .*a.tsv, line 3, with the byte "
        r"0xef at 2",
    ):
        list(tables.rows(str(tmp_path / "a.tsv"), ["text"]))


def test_finding_files(tmp_path):
    write(tmp_path / "b.tsv.gz", "")
    write(tmp_path / "c.tsv", "")
    assert tables.find(str(tmp_path), ["a.tsv", "b.tsv", "c.tsv"]) == str(tmp_path / "b.tsv.gz")
    assert tables.find(str(tmp_path), [str(tmp_path / "c.tsv")]) == str(tmp_path / "c.tsv")
    assert tables.find(str(tmp_path), ["a.tsv"]) is None
    with pytest.raises(
        ValueError,
        match=r"The dev file must be one of a.tsv, d.csv \(or the same "
        r"with .gz\). Received: ",
    ):
        tables.require(str(tmp_path), ["a.tsv", "d.csv"], "The dev file")
