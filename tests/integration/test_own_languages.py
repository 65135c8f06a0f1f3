"""Japanese and Thai, from text to answers with SentencePiece."""

import json
import pathlib
import shutil
import typing

import pytest
import tensorflow as tf
import tiny_runs

import electra_tf
from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.runs.evaluation import evaluate
from electra_tf.runs.pretraining import pretrain
from electra_tf.serving.bundle import export_run
from electra_tf.serving.checking.check import check_bundle
from electra_tf.text.learn_pieces import learn_pieces
from electra_tf.text.piece_vocabulary import PieceVocabulary
from tests.conftest import REFERENCE
from tests.unit import piece_files

TEXTS = REFERENCE / "own_languages"
LENGTH = 32


def learn(language: str, output: pathlib.Path, **settings) -> PieceVocabulary:
    pytest.importorskip("sentencepiece", reason="the extra sentencepiece is not installed")
    return learn_pieces([str(TEXTS / f"{language}.txt")], output, **settings)


def tiny_config(data, **fields) -> Config:
    config = Config()
    fields = tiny_runs.TINY | {"data.dir": str(data), "model.max_positions": LENGTH} | fields
    for name, value in fields.items():
        section, _, field = name.rpartition(".")
        setattr(getattr(config, section) if section else config, field, value)
    return config


def build(model: pathlib.Path, language: str, output: pathlib.Path, **settings) -> dict:
    return build_dataset(
        [str(TEXTS / f"{language}.txt")],
        model,
        output,
        seq_length=LENGTH,
        eval_fraction=0.1,
        tokenizer="sentencepiece",
        num_workers=1,
        **settings,
    )


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=pytest.mark.slow) for each in ("japanese", "thai")],
)
def trained(request, tmp_path_factory) -> tuple[str, pathlib.Path]:
    """A language and a folder with spiece.model, shards/ and run/, of a few steps.

    Without the trainer's package it is the model of the reference data, of both languages.
    """
    folder = tmp_path_factory.mktemp(request.param)
    model = folder / "spiece.model"
    model.write_bytes(piece_files.reference("unigram" if request.param == "japanese" else "bpe"))
    build(model, request.param, folder / "shards")
    fields = {"train.num_steps": 4, "objective.span": "word"}
    pretrain(tiny_config(folder / "shards", **fields), str(folder / "run"))
    return request.param, folder


def test_text_to_answers(trained):
    language, folder = trained
    content = (folder / "spiece.model").read_bytes()
    described = json.loads((folder / "shards" / "dataset.json").read_text())
    assert described["tokenizer"] == {"name": "sentencepiece"}
    for place in ("shards", "run"):
        assert (folder / place / "spiece.model").read_bytes() == content
    assert evaluate(str(folder / "run"))["examples"] > 0
    path = export_run(str(folder / "run"), str(folder / "serving"), include_generator=True)
    assert (pathlib.Path(path) / "assets" / "spiece.model").read_bytes() == content
    report = check_bundle(path, str(folder / "run"), without_python=False)
    assert report.passed, report
    text = {"japanese": "港の魚は[MASK]です。", "thai": "ตลาดมี[MASK]มาก"}[language]
    served = tf.saved_model.load(path)
    answer = served.signatures["serving_default"](text=tf.constant([text]))
    vocabulary = PieceVocabulary(content)
    expected = piece_ids(content, text)[: LENGTH - 2]
    ids = [vocabulary.cls_id, *expected, vocabulary.sep_id]
    assert answer["token_ids"].numpy().tolist() == [ids]
    ends = answer["end_offset"].numpy()[0]
    assert (ends[1:-1] > 0).all() and ends[-2] == len(text.encode())
    loaded = electra_tf.load(str(folder / "run"))
    [tokens] = typing.cast(list, loaded.predict([text]))
    assert len(tokens) == len(expected)
    assert tokens[-1]["end"] == len(text) and text[tokens[-1]["start"] :]
    filled = served.signatures["fill_mask"](text=tf.constant([text]))
    assert filled["mask"].numpy().tolist() == [[1]]


def piece_ids(content: bytes, text: str) -> list[int]:
    from electra_tf.text.sentence_piece import SentencePiece

    [ids] = SentencePiece(PieceVocabulary(content)).tokenize([text])
    return ids


def test_a_run_goes_on_with_its_own_model_alone(trained, tmp_path):
    language, folder = trained
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    fields = {"train.num_steps": 6, "objective.span": "word"}
    assert pretrain(tiny_config(folder / "shards", **fields), str(run)) == 6
    other = tmp_path / "other.model"
    other.write_bytes(piece_files.reference("bpe" if language == "japanese" else "unigram"))
    build(other, language, tmp_path / "other")
    with pytest.raises(UserError, match="must have the vocabulary and the tokenizer settings"):
        pretrain(tiny_config(tmp_path / "other", **fields), str(run))
    shutil.copy(other, run / "spiece.model")
    with pytest.raises(UserError, match="must keep the vocabulary and the tokenizer settings"):
        electra_tf.load(str(run))


def test_a_model_of_sentencepiece_is_converted(trained, tmp_path):
    from electra_tf.conversion import convert

    tokenizers = pytest.importorskip("tokenizers")
    language, folder = trained
    text = "港の魚は 新しい です。" if language == "japanese" else "ตลาดมีปลา ผักและชาร้อน"
    there, back = tmp_path / "hf", tmp_path / "back"
    convert(str(folder / "run"), "electra_tf", str(there), "huggingface")
    theirs = tokenizers.Tokenizer.from_file(str(there / "tokenizer.json"))
    ids = piece_ids((folder / "spiece.model").read_bytes(), text)
    assert theirs.encode(text, add_special_tokens=False).ids == ids
    convert(str(there), "huggingface", str(back), "electra_tf")
    assert (back / "spiece.model").read_bytes() == (folder / "spiece.model").read_bytes()
    data = configuration.load(str(back)).data
    assert data.tokenizer == "sentencepiece"
    assert (
        data.tokenizer_fingerprint
        == configuration.load(str(folder / "run")).data.tokenizer_fingerprint
    )
    settings = there / "tokenizer_config.json"
    settings.write_text(json.dumps({"tokenizer_class": "AlbertTokenizer"}))
    with pytest.raises(UserError, match="keep_accents must be true|do_lower_case must be false"):
        convert(str(there), "huggingface", str(tmp_path / "no"), "electra_tf")
    described = json.loads((there / "config.json").read_text())
    (there / "config.json").write_text(json.dumps(described | {"model_type": "deberta-v2"}))
    with pytest.raises(UserError, match="deberta-v2"):
        convert(str(there), "huggingface", str(tmp_path / "no"), "electra_tf")
    with pytest.raises(UserError, match="must have the tokenizer wordpiece"):
        convert(str(folder / "run"), "electra_tf", str(tmp_path / "no"), "google")
    with pytest.raises(UserError, match="--lower_case must be left out"):
        convert(
            str(folder / "run"), "electra_tf", str(tmp_path / "no"), "electra_tf", lower_case=True
        )


@pytest.mark.parametrize("language", ["japanese", "thai"])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_learning(language, model_type, tmp_path):
    settings = {"vocab_size": 700, "model_type": model_type}
    learned = learn(language, tmp_path / "1", **settings)
    assert learned.tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert 100 < len(learned) <= 700
    assert PieceVocabulary.from_file(tmp_path / "1").tokens == learned.tokens
    learn(language, tmp_path / "2", **settings)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    with pytest.raises(UserError, match="The output must not exist yet"):
        learn(language, tmp_path / "2", **settings)
    with_bytes = learn(
        language, tmp_path / "3", byte_fallback=True, **settings | {"vocab_size": 900}
    )
    assert "<0x00>" in with_bytes.tokens
    assert learned.unk_id in piece_ids((tmp_path / "1").read_bytes(), "🤗")
    assert learned.unk_id not in piece_ids((tmp_path / "3").read_bytes(), "🤗")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 5}, "vocab_size must be at least 6"),
        ({"vocab_size": 30}, "vocab_size for the characters of the text"),
        ({"model_type": "word"}, "must be unigram or bpe"),
        ({"character_coverage": 0.5}, "from 0.98 to 1. Received: 0.5"),
        ({"max_bytes": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_learned(settings, message, tmp_path):
    with pytest.raises(UserError, match=message):
        learn("japanese", tmp_path / "1", **settings)
    assert not list(tmp_path.iterdir())


def test_settings_of_wordpiece_are_refused(tmp_path):
    model = tmp_path / "spiece.model"
    model.write_bytes(piece_files.content())
    for settings in ({"lower_case": False}, {"never_split": ["the"]}):
        with pytest.raises(UserError, match="must be left out for the tokenizer sentencepiece"):
            build(model, "thai", tmp_path / "shards", **settings)
