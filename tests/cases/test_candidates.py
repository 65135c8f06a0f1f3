"""Lines of candidates as people have them: ranked, or refused with file and line."""

import codecs
import gzip
import json
import sys

import pytest
import tiny_runs

from electra_tf.errors import UserError, one_line
from electra_tf.runs import prediction
from tests.cases.test_environment import write_model

GOOD = {"id": 7, "candidates": ["the model is small", "the small is model"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file) -> str:
    return write_model(tmp_path_factory.mktemp("electra"), tiny_vocab_file)


def written(model, source) -> list[dict]:
    output = f"{source}.ranked"
    number = prediction.predict(model, str(source), output)
    with open(output, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert len(lines) == number
    return lines


def test_the_command_ranks_a_file(model, tmp_path):
    import electra_tf

    rows = [
        GOOD,
        {"candidates": ["日 Ünï \ud83d words"], "note": {"kept": [1.5, None, "日"]}},
        {"candidates": ["a"] * 150 + ["the model"]},  # more than are scored at once
        *({"id": number, "candidates": [f"word {number}", "a text"]} for number in range(300)),
    ]
    source, output = tmp_path / "nbest.jsonl", tmp_path / "ranked.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = tiny_runs.run(
        [sys.executable, "-m", "electra_tf", "predict", f"--model={model}"]
        + [f"--input={source}", f"--output={output}"]
    )
    assert result.stdout == f"{output}: predictions for {len(rows)} examples\n"
    assert not result.stderr
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    rankings = electra_tf.load(model).rank([row["candidates"] for row in rows])
    for row, line, ranked in zip(rows, lines, rankings, strict=True):
        assert line["best"] == ranked["best"]
        assert line["scores"] == pytest.approx(ranked["scores"], abs=1e-4)
        kept = {name: line[name] for name in row if name != "candidates"}
        assert kept == {name: row[name] for name in row if name != "candidates"}
        assert list(line) == [*row, "scores", "best"]
    assert lines[1]["candidates"] == ["日 Ünï  words"]  # half a surrogate pair is no text


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("change", ["mark", "CRLF and blank lines", "no line end"])
def test_files_as_they_come(model, tmp_path, suffix, change):
    line = json.dumps(GOOD).encode()
    content = {
        "mark": codecs.BOM_UTF8 + line + b"\n" + line + b"\n",
        "CRLF and blank lines": line + b"\r\n\r\n  \r\n" + line + b"\r\n",
        "no line end": line + b"\n" + line,
    }[change]
    source = tmp_path / f"nbest.jsonl{suffix}"
    source.write_bytes(gzip.compress(content) if suffix else content)
    first, second = written(model, source)
    assert first == second and first["id"] == 7 and len(first["scores"]) == 2


@pytest.mark.parametrize(
    "line, message",
    [
        ("the model", "must have one JSON object per line."),
        ('["a", "b"]', "must have one JSON object per line."),
        ('{"candidates": ["a", "b"]', "must have one JSON object per line."),
        ('{"candidates": ["a"], "score": NaN}', "NaN is no number of JSON"),
        ('{"candidates": ["a"], "candidates": ["b"]}', "'candidates' occurs twice"),
        ('{"texts": ["a"]}', "must have the field 'candidates'. Received: "),
        ('{"candidates": "a"}', "must be a list of at least one text. Received: 'a' in "),
        ('{"candidates": {"a": 1}}', "must be a list of at least one text. Received: {'a': 1}"),
        ('{"candidates": null}', "must be a list of at least one text. Received: None in "),
        ('{"candidates": []}', "Received: an empty list in "),
        ('{"candidates": ["a", null]}', "all of them strings. Received: None in "),
        ('{"candidates": ["a", ["b"]]}', "all of them strings. Received: ['b'] in "),
        ('{"candidates": ["a", ""]}', "must not be empty. Received: '' in "),
        ('{"candidates": ["a", " \\n"]}', "must not be empty. Received: ' \\n' in "),
        ('{"candidates": ["a", "\\u0007"]}', "must have a token. Received: '\\x07' in "),
        ('{"candidates": ["a"], "scores": [1.5]}', "must not have the field 'scores', which is"),
        ('{"candidates": ["a"], "best": 0}', "must not have the field 'best', which is written"),
        ('{"candidates": ["%s", 3]}' % ("a" * 10_000), "strings. Received: 3 in "),
        ('{"candidates": "%s"}' % ("a" * 10_000), "must be a list of at least one text."),
    ],
)
def test_damaged_lines(model, tmp_path, line, message):
    source, output = tmp_path / "nbest.jsonl", tmp_path / "ranked.jsonl"
    source.write_text(f"{json.dumps(GOOD)}\n\n{line}\n{json.dumps(GOOD)}\n")
    with pytest.raises(UserError) as error:
        prediction.predict(model, str(source), str(output))
    said = str(error.value)
    assert message in said and f"{source}, line 3" in said
    assert said == one_line(said) and len(said) < 500
    assert not output.exists() and [path.name for path in tmp_path.iterdir()] == ["nbest.jsonl"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.jsonl", "\n", "must have at least one line"),
        ("a.csv", "text\na\n", "the input must be .jsonl with .*fine-tuned model"),
        ("a.jsonl.gz", "{}", "must be readable to its end"),
    ],
)
def test_files_of_something_else(model, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        prediction.predict(model, str(tmp_path / name), str(tmp_path / "out"))


def test_a_directory_is_no_file_of_lines(model, tmp_path):
    (tmp_path / "nbest.jsonl").mkdir()
    with pytest.raises(UserError, match="must be a file, as it is read twice"):
        prediction.predict(model, str(tmp_path / "nbest.jsonl"), str(tmp_path / "out"))
