"""Byte-level BPE from text to answers, and ModernBERT's own tokenizer from and to transformers."""

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import pytest
import tensorflow as tf
import tiny_runs
from random_models import assert_same, random_electra

import electra_tf
from electra_tf import conversion
from electra_tf.config import Config
from electra_tf.conversion import huggingface
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.runs.pretraining import pretrain
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.serving.bundle import export_run
from electra_tf.serving.checking.check import check_bundle
from electra_tf.serving.graph.fill_mask import _ids_with_masks
from electra_tf.text import tokenization
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.byte_pairs import BytePairs
from electra_tf.text.framing import frame
from electra_tf.text.learn_byte_pairs import learn_byte_pairs
from tests.conftest import REFERENCE, ROOT
from tests.unit import byte_pair_files

tokenizers = pytest.importorskip("tokenizers")
MODERN = {"block": "modern", "embedding_size": 48, "local_window": 16, "global_every": 2}
NAME = {"name": "byte_level_bpe"}
CORPUS = str(REFERENCE / "wikipedia.txt.xz")
LENGTH = 32
TEXTS = [
    "The cat  sat\non the [MASK], don't it?",
    "e\u0301te\u0301 日本 😀 [MASK]",
    "  <|endoftext|> x[unused1]",
    "",
]


def modernbert(tiny_vocab_file, content: bytes) -> Pretrained:
    """A masked language model of random weights with this tokenizer.json."""
    vocabulary = BytePairVocabulary(content)
    fields: dict[str, Any] = MODERN | {"vocab_size": len(vocabulary) + 7}
    model = random_electra(tiny_vocab_file, "embeddings", "mlm", **fields)
    tokenization.put(NAME, model.config.data)
    model.vocabulary = vocabulary
    return model.check("the test")


def framed(content: bytes) -> bytes:
    """A tokenizer.json as it is published, with special tokens around texts."""
    tokenizer = tokenizers.Tokenizer.from_buffer(content)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    return tokenizer.to_str(pretty=True).encode()


@pytest.fixture
def published(tiny_vocab_file, tmp_path) -> pathlib.Path:
    """A directory as of a published ModernBERT."""
    content = framed(byte_pair_files.modernbert())
    huggingface.write(modernbert(tiny_vocab_file, content), tmp_path / "published")
    assert (tmp_path / "published" / "tokenizer.json").read_bytes() == content
    return tmp_path / "published"


def convert(source, output, *, there=False, **options) -> list[str]:
    said = []
    formats = ("electra_tf", "huggingface") if there else ("huggingface", "electra_tf")
    conversion.convert(str(source), formats[0], str(output), formats[1], say=said.append, **options)
    return said


def change(path: pathlib.Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_modernbert_brings_its_tokenizer_along(published, tmp_path):
    assert not convert(published, tmp_path / "ours")
    content = (published / "tokenizer.json").read_bytes()
    assert (tmp_path / "ours" / "tokenizer.json").read_bytes() == content
    one = model_directory.read(str(tmp_path / "ours"))
    assert one.config.data.tokenizer == "byte_level_bpe"
    assert isinstance(electra_tf.load(str(tmp_path / "ours")).tokenizer, BytePairs)
    convert(tmp_path / "ours", tmp_path / "back", there=True)
    assert (tmp_path / "back" / "tokenizer.json").read_bytes() == content
    convert(tmp_path / "back", tmp_path / "again")
    other = model_directory.read(str(tmp_path / "again"))
    assert_same(one, other)
    assert one.config.data.tokenizer_fingerprint == other.config.data.tokenizer_fingerprint


def test_a_file_without_special_tokens_around_texts_gets_them(tiny_vocab_file, tmp_path):
    content = byte_pair_files.modernbert(True)
    huggingface.write(modernbert(tiny_vocab_file, content), tmp_path / "hf")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "hf" / "tokenizer.json"))
    vocabulary = BytePairVocabulary(content)
    batch = BytePairs(vocabulary).batch(["the cat"], ["a dog"])
    assert theirs.encode("the cat", "a dog").ids == batch["input_ids"][0].numpy().tolist()
    described = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())
    assert described["add_prefix_space"] is True and described["mask_token"] == "[MASK]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer_class": "GPT2Tokenizer"}, "tokenizer_class must be one of.*GPT2"),
        ({"add_prefix_space": True}, "add_prefix_space must be false"),
        ({"split_special_tokens": True}, "split_special_tokens must be false"),
        ({"cls_token": "<|endoftext|>"}, "cls_token must be.*CLS.*endoftext"),
        ({"added_tokens_decoder": {"7": {"content": "x"}}}, "added_tokens_decoder must be as in"),
        ({"added_tokens_decoder": []}, None),
    ],
)
def test_what_the_settings_beside_it_change_is_refused(published, tmp_path, values, message):
    change(published / "tokenizer_config.json", **values)
    if message is None:
        assert not convert(published, tmp_path / "ours")
        return
    with pytest.raises(UserError, match=message):
        convert(published, tmp_path / "ours")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalizer must be NFC or null.*NFKC"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "with one token between two texts"),
    ],
)
def test_other_tokenizers_are_refused(published, tmp_path, section, message):
    change(published / "tokenizer.json", **section)
    with pytest.raises(UserError, match=message):
        convert(published, tmp_path / "ours")
    (published / "tokenizer.json").unlink()
    assert "has no vocabulary" in convert(published, tmp_path / "ours")[-1]


def test_other_frames_are_refused(published, tmp_path):
    path = published / "tokenizer.json"
    processor = json.loads(path.read_text())["post_processor"]
    change(path, post_processor=processor | {"single": processor["single"][:2]})
    with pytest.raises(UserError, match=r"post_processor.single must be \[CLS\] A \[SEP\]"):
        convert(published, tmp_path / "ours")


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [False, True])
def test_transformers_gives_the_same_ids(interop_python, tiny_vocab_file, tmp_path, prefix):
    content = byte_pair_files.modernbert(prefix)
    huggingface.write(modernbert(tiny_vocab_file, content), tmp_path / "hf")
    pairs = ["a [MASK]", "", "the\u3000end", "[MASK]"]
    arguments = {"directory": tmp_path / "hf", "texts": TEXTS, "pairs": pairs}
    tasks = [["tokenize", arguments | {"output": tmp_path / "ids.json"}]]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks, default=str))
    subprocess.run(
        [interop_python, "tests/integration/transformers_programs.py", tmp_path / "tasks.json"],
        cwd=ROOT,
        env=os.environ,
        check=True,
        timeout=300,
    )
    theirs = json.loads((tmp_path / "ids.json").read_text())
    vocabulary = BytePairVocabulary(content)
    # In texts for transformers [MASK] is the token.
    first, second = (
        _ids_with_masks(tf.constant(texts), BytePairs(vocabulary)) for texts in (TEXTS, pairs)
    )
    for batch, other in zip(theirs["batches"], (None, second)):
        ours = frame(first, other, vocabulary, 40)
        assert batch["input_ids"] == ours["input_ids"].numpy().tolist()
        assert batch["attention_mask"] == ours["input_mask"].numpy().tolist()
        assert "token_type_ids" not in batch
    assert theirs["max_length"] == 40


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> pathlib.Path:
    """A folder with tokenizer.json, shards/ and run/, of a few steps."""
    folder = tmp_path_factory.mktemp("byte_pairs")
    learn_byte_pairs([CORPUS], folder / "tokenizer.json", vocab_size=700)
    build_dataset(
        [CORPUS],
        folder / "tokenizer.json",
        folder / "shards",
        seq_length=LENGTH,
        eval_fraction=0.1,
        tokenizer="byte_level_bpe",
        num_workers=1,
    )
    pretrain(config_of(folder / "shards", 4), str(folder / "run"))
    return folder


def config_of(data, steps, **fields) -> Config:
    config = Config()
    fields = tiny_runs.TINY | {"data.dir": str(data), "model.max_positions": LENGTH} | fields
    fields |= {"train.num_steps": steps, "objective.span": "word"}
    for name, value in fields.items():
        section, _, field = name.rpartition(".")
        setattr(getattr(config, section) if section else config, field, value)
    return config


@pytest.mark.slow
def test_text_to_answers(trained):
    content = (trained / "tokenizer.json").read_bytes()
    described = json.loads((trained / "shards" / "dataset.json").read_text())
    assert described["tokenizer"] == NAME
    path = export_run(str(trained / "run"), str(trained / "serving"), include_generator=True)
    assert (pathlib.Path(path) / "assets" / "tokenizer.json").read_bytes() == content
    report = check_bundle(path, str(trained / "run"), without_python=False)
    assert report.passed, report
    text = "It was born in [MASK], e\u0301te\u0301."
    served = tf.saved_model.load(path)
    answer = served.signatures["serving_default"](text=tf.constant([text]))
    vocabulary = BytePairVocabulary(content)
    [ids] = BytePairs(vocabulary).tokenize([text])
    assert answer["token_ids"].numpy().tolist() == [[vocabulary.cls_id, *ids, vocabulary.sep_id]]
    assert answer["end_offset"].numpy()[0][-2] == len(text.encode())
    filled = served.signatures["fill_mask"](text=tf.constant([text]))
    assert filled["mask"].numpy().tolist() == [[1]]


@pytest.mark.slow
def test_detection_goes_on_from_a_modernbert_with_its_own_tokenizer(trained, tmp_path):
    fields = {"model.block": "modern", "model.local_window": 4, "model.embedding_size": 32}
    mlm = config_of(trained / "shards", 1, **fields, **{"objective.name": "mlm"})
    pretrain(mlm, str(tmp_path / "mlm"))
    convert(tmp_path / "mlm", tmp_path / "hf", there=True)
    convert(tmp_path / "hf", tmp_path / "ours", encoder_only=True)
    shutil.rmtree(tmp_path / "mlm")
    build_dataset(
        [CORPUS],
        tmp_path / "ours" / "tokenizer.json",
        tmp_path / "shards",
        seq_length=LENGTH,
        tokenizer="byte_level_bpe",
        num_workers=1,
    )
    config = config_of(tmp_path / "shards", 2, **fields)
    config.init_from = str(tmp_path / "ours")
    assert pretrain(config, str(tmp_path / "run")) == 2
    assert model_directory.read(str(tmp_path / "run")).vocabulary is not None


def test_learning(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat, the cat\n" * 20 + "\n" + "e\u0301te\u0301 \xff\n" * 3)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    vocabulary = learn_byte_pairs([str(text)], one, vocab_size=270)
    learn_byte_pairs([str(text)], other, vocab_size=270)
    assert one.read_bytes() == other.read_bytes()
    assert len(vocabulary) == 270 and vocabulary.mask_strips == (True, False)
    assert vocabulary.tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    theirs = tokenizers.Tokenizer.from_file(str(one))
    batch = BytePairs(vocabulary).batch(["the cat"], ["on mats"])
    encoding = theirs.encode("the cat", "on mats")
    assert [encoding.ids] == batch["input_ids"].numpy().tolist()
    assert [encoding.type_ids] == batch["segment_ids"].numpy().tolist()
    learned = learn_byte_pairs([str(text)], tmp_path / "prefix.json", add_prefix_space=True)
    assert learned.adds_prefix and len(learned) < 400, "there is no more in so short a text"
    assert "Ġcat" in learned and "tÃ©" in learned and "té" not in learned


def test_learning_refuses(tmp_path):
    text, output = tmp_path / "text.txt", tmp_path / "tokenizer.json"
    text.write_text("the cat\n")
    with pytest.raises(UserError, match="vocab_size must be at least 261. Received: 260"):
        learn_byte_pairs([str(text)], output, vocab_size=260)
    with pytest.raises(UserError, match="min_frequency must be at least 1. Received: 0"):
        learn_byte_pairs([str(text)], output, min_frequency=0)
    text.write_text(" \n\n")
    with pytest.raises(UserError, match="must hold at least one word"):
        learn_byte_pairs([str(text)], output)
    assert not output.exists()
    output.write_text("mine")
    text.write_text("the cat\n")
    with pytest.raises(UserError, match="must not exist yet"):
        learn_byte_pairs([str(text)], output)
    assert output.read_text() == "mine"
