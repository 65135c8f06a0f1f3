"""Files of fine-tuning tasks as the tasks read them: rows to labels that can be trained on."""

import json

import numpy as np
import pytest
from damage import can_be_written, changed, damaged, damaged_json, damaged_json_lines, few, read
from hypothesis import given
from hypothesis import strategies as st
from test_fuzzed_task_files import COLUMNS, CSV, MRQA, ROWS, SENTENCES, SQUAD, TSV

from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.tasks import registry

SCORES = ({"text": "a small text", "label": 1.5}, {"text": "the network", "label": -2})
LISTS = ({"text": "a small text", "label": ["a", "b"]}, {"text": "the network", "label": []})
RTE = b"index\tsentence1\tsentence2\tlabel\n0\tone\ttwo\tentailment\n1\tone\ttwo\tnot_entailment\n"
STSB = b"index\tx\ty\tsentence1\tsentence2\tscore\n0\t\t\tone\ttwo\t3.2\n1\t\t\tone\ttwo\t5\n"


def read_task(folder, file_name: str, content: bytes, **settings):
    """The training split of a task of one file; the task must know its labels then."""
    (folder / file_name).write_bytes(content)
    config = FinetuneConfig()
    config.data.train_file = str(folder / file_name)
    for setting, value in settings.items():
        setattr(config.task, setting, value)

    def task_and_examples():
        task = registry.build_task(config)
        examples = task.read("train")
        task.remember(config.task)
        return task, examples

    result = read(task_and_examples)
    if result is not None:
        assert can_be_written(config.to_json())
        again = FinetuneConfig.from_json(config.to_json())  # what a run writes and reads
        assert again == config
        assert read(registry.task_of_model, again) is not None
    return result or (None, None)


def check_sentences(task, examples) -> None:
    if examples is None:
        return
    assert len(examples.texts) == len(examples.required_labels) == len(examples.ids) > 0
    assert np.isfinite(examples.labels).all()
    assert can_be_written(*examples.texts, *task.output.labels)
    for values in task.output.loss_features(examples.labels).values():
        assert np.isfinite(values).all() and values.ndim == 2


@pytest.mark.parametrize("kind, valid", [
    ("classification", ROWS[:2]), ("regression", SCORES), ("multi_label", LISTS)
])  # fmt: skip
@few
@given(data=st.data())
def test_json_lines(folder, kind, valid, data):
    content = data.draw(damaged_json_lines(*valid))
    check_sentences(*read_task(folder, "train.jsonl", content, kind=kind))


@pytest.mark.parametrize("kind", ["classification", "regression", "multi_label"])
@few
@given(data=st.data())
def test_tables(folder, kind, data):
    suffix, valid = data.draw(st.sampled_from(((".csv", CSV), (".tsv", TSV))))
    check_sentences(*read_task(folder, f"train{suffix}", data.draw(damaged(valid)), kind=kind))


@pytest.mark.parametrize("name", ["rte", "stsb"])
@few
@given(data=st.data())
def test_glue(folder, name, data):
    content = data.draw(damaged({"rte": RTE, "stsb": STSB}[name]))
    check_sentences(*read_task(folder, "train.tsv", content, kind="glue", name=name))


@pytest.mark.parametrize("scheme", ["auto", "plain", "BIO"])
@few
@given(content=damaged(COLUMNS))
def test_tagged_columns(folder, scheme, content):
    read_task(folder, "train.txt", content, kind="tagging", scheme=scheme)


@few
@given(content=damaged_json_lines(*SENTENCES))
def test_tagged_json_lines(folder, content):
    read_task(folder, "train.jsonl", content, kind="tagging")


@pytest.mark.parametrize("version", [1, 2])
@few
@given(data=st.data())
def test_questions(folder, version, data):
    name, contents = data.draw(st.sampled_from((("train.json", SQUAD), ("train.jsonl", MRQA))))
    if name.endswith("l"):
        content = data.draw(damaged_json_lines(*contents))
    else:
        content = data.draw(damaged_json(contents))
    read_task(folder, name, content, kind="squad", version=version)


@few
@given(rows=st.lists(changed(ROWS[0]), max_size=3), kind=st.sampled_from(("glue", "tagging")))
def test_rows_of_the_wrong_kind_of_file(folder, rows, kind):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    read_task(folder, "train.tsv", content, kind=kind, name="rte")
