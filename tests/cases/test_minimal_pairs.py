"""Minimal pairs by the command: of a model with random weights, about a data set of its own."""

import json
import pathlib
import sys

import numpy as np
import tiny_runs
from random_models import random_electra

from electra_tf.data.records import ShardWriter
from electra_tf.saved import model_directory
from electra_tf.text.vocabulary import Vocabulary

LENGTH = 32
TEXTS = (
    "they were in the small text . it was a large model for words . he has not the data .",
    "no . they have been at the large network . it is not trained on the text of models .",
)


def write_shards(folder: pathlib.Path, vocab_file: pathlib.Path) -> str:
    vocabulary, splits = Vocabulary.from_file(vocab_file), {}
    rows = [[vocabulary[word] for word in ("[CLS]", ".", *text.split())] for text in TEXTS]
    ids, mask = (np.zeros((len(rows), LENGTH), np.int64) for _ in range(2))
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = row, 1
    folder.mkdir()
    (folder / "vocab.txt").write_bytes(vocab_file.read_bytes())
    for split in ("train", "eval"):
        name = f"{split}-00000-of-00001.tfrecord"
        writer = ShardWriter(folder / name)
        writer.write({"input_ids": ids, "input_mask": mask, "segment_ids": np.zeros_like(ids)})
        writer.close()
        files = [{"name": name, "examples": len(rows)}]
        splits[split] = {"examples": len(rows), "files": files}
    description = {
        "format_version": 1,
        "seq_length": LENGTH,
        "packing": "none",
        "splits": splits,
        "vocab_size": len(vocabulary),
        "tokenizer": {},
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return str(folder)


def test_the_command(tmp_path, tiny_vocab_file):
    model, output = str(tmp_path / "model"), tmp_path / "pairs.json"
    model_directory.write(random_electra(tiny_vocab_file, "embeddings"), model)
    command = [sys.executable, "-m", "electra_tf", "minimal_pairs", f"--model={model}"]
    command.append(f"--output={output}")
    result = tiny_runs.run(command, code=1)
    assert result.stderr.startswith("error: --data_dir must be given for a model that is not a run")
    command.append(f"--data_dir={write_shards(tmp_path / 'shards', tiny_vocab_file)}")
    result = tiny_runs.run([*command, "--num_pairs=3"])
    found = json.loads(output.read_text())
    rules = found["rules"]
    # Of sentences of 6 words and more; "does", for negations, is no token of this vocabulary.
    assert {name: rule["n"] for name, rule in rules.items()} == {"agreement": 3, "word_order": 3}
    swaps = {"were": "was", "was": "were", "have": "has", "is": "are"}
    for pair in rules["agreement"]["examples"]:
        right, wrong = pair["right"].split(), pair["wrong"].split()
        assert wrong == [right[0], swaps[right[1]], *right[2:]]
    assert found["n"] == 6 and 0 <= found["accuracy"] <= 1
    assert result.stdout.splitlines()[-1].startswith("all pairs ")
