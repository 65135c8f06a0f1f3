"""Settings of other tokenizers: held, with the ids of Hugging Face's tokenizers, or refused."""

import json
import os

import hostile_texts
import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from random_models import random_electra
from tokenizers import models, normalizers, pre_tokenizers

from electra_tf import Tokenizer, conversion
from electra_tf.config import Config, DataConfig
from electra_tf.conversion import huggingface
from electra_tf.errors import UserError
from electra_tf.saved import model_directory
from electra_tf.text import tokenization
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary

LETTERS = [*"abcdeT<>/1[]!,", "中", "文", "ﺏ", "é", "É"]
TOKENS = (
    *SPECIAL_TOKENS,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    "[رابط]",
    "yes",
    "<e1>",
    "</e1>",
    "<e1>b",
    "a c",
    "中文",
    "Éa",
)
TEXTS = [
    "a<e1>cab</e1>",
    "<E1>a</E1> <é1> <e\u03011> <e\u200b1> <e 1>",
    "<e1>b <e1>c <<e1>>b",
    "[رابط] a[رابط], [\u200bرابط]",
    "中文 中a文 中 文 a中文",
    "a c A C ac a\tc a  c",
    "yes Yes YES eyes yesb",
    "éa Éa e\u0301a ea EA",
    "",
    "</e1>",
    "a\U0010fffda <\U0010fffde1> \x02<e1> \x03yes",
]


def reference(never_split=(), added=(), lower_case=True, chinese=True):
    """The same tokenizer in Hugging Face's library; tokens of its own follow its vocabulary."""
    words = [token for token in TOKENS if token not in (*never_split, *added)]
    own = {token: number for number, token in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(own, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=chinese, lowercase=lower_case
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(
        [tokenizers.AddedToken(token, normalized=False, special=True) for token in never_split]
    )
    tokenizer.add_tokens([tokenizers.AddedToken(token, normalized=True) for token in added])
    return tokenizer


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"tokenize_chinese_chars": False},
        {"never_split": ["[رابط]", "<e1>", "</e1>", "<e1>b"]},
        {"added_tokens": ["<e1>", "</e1>", "a c", "中文", "yes"]},
        {"never_split": ["<e1>", "yes"], "added_tokens": ["</e1>", "<e1>b", "Éa"]},
        {"tokenize_chinese_chars": False, "added_tokens": ["中文"]},
    ],
)
def test_ids_are_those_of_tokenizers(settings, lower_case):
    theirs = reference(
        settings.get("never_split", ()),
        settings.get("added_tokens", ()),
        lower_case,
        settings.get("tokenize_chinese_chars", True),
    )
    tokenizer = Tokenizer(Vocabulary(TOKENS), lower_case, **settings)
    names = {theirs.token_to_id(token): token for token in TOKENS}
    assert len(names) == len(TOKENS)
    for text, ids in zip(TEXTS, tokenizer.tokenize(TEXTS), strict=True):
        tokens = [TOKENS[number] for number in ids]
        numbers = theirs.encode(text, add_special_tokens=False).ids
        assert tokens == [names[number] for number in numbers], text


def test_offsets_are_those_of_the_words():
    tokenizer = Tokenizer(
        Vocabulary(TOKENS), never_split=["[رابط]", "a c"], added_tokens=["<e1>", "中文"]
    )
    text = "b<E\u200b1>[رابط]a c 中文中"
    ids, starts, ends = (
        part.to_list()[0] for part in tokenizer.ids_with_offsets(tf.constant([text]))
    )
    words = [text.encode()[start:end].decode() for start, end in zip(starts, ends, strict=True)]
    assert words == ["b", "<E\u200b1>", "[رابط]", "a c", "中文", "中"]
    assert [TOKENS[number] for number in ids] == ["b", "<e1>", "[رابط]", "a c", "中文", "中"]


def test_hostile_texts_have_as_many_offsets_as_ids():
    tokenizer = Tokenizer(
        Vocabulary(TOKENS), strip_accents=False, never_split=["<e1>"], added_tokens=["</e1>", "yes"]
    )
    random = np.random.default_rng(5)
    pieces = ["<e1>", "</E1>", "YES", "yes", "\U0010fffd", "\u0130", "\u0301", " "]
    texts = [
        text + "".join(random.choice(pieces, 3)).encode() + text[::-1]
        for text in hostile_texts.texts(200)
    ]
    ids, starts, ends = tokenizer.ids_with_offsets(tf.constant(texts))
    assert ids.to_list() == tokenizer.tokenize(texts)
    assert bool(tf.reduce_all(starts.values < ends.values))


def test_the_graph_holds_the_settings(tmp_path):
    module = tf.Module()
    tokenizer = Tokenizer(Vocabulary(TOKENS), never_split=["<e1>"], added_tokens=["yes"])
    module.serve = tf.function(
        lambda text: tokenizer.ids(text).to_tensor(),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    [ids] = tf.saved_model.load(str(tmp_path)).serve(tf.constant(["a<e1>YES"])).numpy()
    assert [TOKENS[number] for number in ids] == ["a", "<e1>", "yes"]


def test_defaults_leave_settings_and_fingerprints_as_they_were():
    plain = {"name": "wordpiece", "lower_case": True, "strip_accents": True}
    assert tokenization.settings_of(DataConfig()) == plain
    tokenizer = Tokenizer(Vocabulary(TOKENS))
    assert tokenizer.settings == plain
    explicit = Tokenizer(
        Vocabulary(TOKENS), tokenize_chinese_chars=True, never_split=(), added_tokens=[]
    )
    assert explicit.fingerprint() == tokenizer.fingerprint()
    assert (
        Tokenizer(Vocabulary(TOKENS), never_split=["yes"]).fingerprint() != tokenizer.fingerprint()
    )


def test_settings_through_files():
    settings = {
        "name": "wordpiece",
        "lower_case": True,
        "strip_accents": False,
        "tokenize_chinese_chars": False,
        "never_split": ["[رابط]", 'q"'],
    }
    config = Config()
    tokenization.put(json.loads(json.dumps(settings)), config.data)  # of dataset.json
    config = Config.from_json(config.to_json())
    assert tokenization.settings_of(config.data) == settings
    built = tokenization.build(Vocabulary([*TOKENS, 'q"']), tokenization.settings_of(config.data))
    assert built.settings == settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lower_case": "false"}, "lower_case of a tokenizer must be a bool.*'false'"),
        ({"tokenize_chinese_chars": 0}, "tokenize_chinese_chars of a tokenizer must be a bool.*0"),
        ({"never_split": "yes"}, 'never_split must be a JSON list of tokens.*"yes"'),
        ({"added_tokens": [1]}, "added_tokens must be a JSON list of tokens"),
        ({"never_split": ["nowhere"]}, "never_split must hold tokens of the vocabulary.*'nowhere'"),
        ({"never_split": ["[MASK]"]}, "other tokens than .*'\\[MASK\\]'"),
        ({"never_split": ["yes"], "added_tokens": ["yes"]}, "each token once"),
    ],
)
def test_settings_that_are_none(settings, message):
    plain = {"name": "wordpiece", "lower_case": True, "strip_accents": True}
    data = DataConfig()
    with pytest.raises(UserError, match=message):
        tokenization.put(plain | settings, data)
        tokenization.build(Vocabulary(TOKENS), tokenization.settings_of(data))


@pytest.fixture
def written(tmp_path, tiny_vocab_file):
    """A Hugging Face directory without tokenizer.json: vocab.txt and what a test puts beside it."""
    model = random_electra(tiny_vocab_file, "embeddings", parts=("discriminator_head/",))
    model.config.model.layer_norm_epsilon = 1e-12
    huggingface.write(model, tmp_path / "written")
    (tmp_path / "written/tokenizer.json").rename(tmp_path / "tokenizer.json")
    (tmp_path / "written/special_tokens_map.json").unlink()
    write_json(tmp_path / "written/tokenizer_config.json", {"do_lower_case": True})
    return tmp_path / "written"


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def converted(directory, **arguments):
    """The model directory made of it, with the lines said."""
    said, output = [], f"{directory}_converted"
    conversion.convert(
        str(directory), "huggingface", output, "electra_tf", say=said.append, **arguments
    )
    return output, said


def tokens_of(directory, *texts):
    tokenizer = model_directory.load_network(directory).tokenizer
    return [
        [tokenizer.vocabulary.tokens[number] for number in ids]
        for ids in tokenizer.tokenize([*texts])
    ]


def test_chinese_characters_as_letters(written):
    write_json(
        written / "tokenizer_config.json", {"do_lower_case": True, "tokenize_chinese_chars": False}
    )
    output, said = converted(written)
    assert tokens_of(output, "the文") == [["[UNK]"]] and not said
    conversion.convert(output, "electra_tf", f"{output}_back", "huggingface")
    with open(os.path.join(f"{output}_back", "tokenizer_config.json"), encoding="utf-8") as file:
        assert json.load(file)["tokenize_chinese_chars"] is False
    fast = tokenizers.Tokenizer.from_file(os.path.join(f"{output}_back", "tokenizer.json"))
    assert fast.encode("the文", add_special_tokens=False).tokens == ["[UNK]"]
    with pytest.raises(UserError, match="tokenize_chinese_chars must be True.*Received: False"):
        conversion.convert(output, "electra_tf", f"{output}_google", "google")


def added(token, number, **flags):
    flags = {"lstrip": False, "rstrip": False, "single_word": False} | flags
    return {"content": token, "id": number, "special": False, "normalized": True} | flags


@pytest.mark.parametrize("form", ["added_tokens.json", "decoder", "special", "tokenizer.json"])
def test_added_tokens(written, form):
    """After the vocabulary, as every kind of file has them; then back into Hugging Face's files."""
    size = len((written / "vocab.txt").read_text(encoding="utf-8").splitlines())
    is_special = form == "special"
    config = {"do_lower_case": True}
    if form == "added_tokens.json":
        write_json(written / form, {"<e1>": size, "</e1>": size + 1})
    elif form == "decoder":
        config["added_tokens_decoder"] = {
            str(number): added(token, number)
            for token, number in (("</e1>", size + 1), ("<e1>", size))
        }
    elif is_special:
        config["additional_special_tokens"] = ["<e1>", {"content": "</e1>"}]
    else:
        fast = json.loads((written.parent / form).read_text(encoding="utf-8"))
        fast["added_tokens"] += [added("<e1>", size), added("</e1>", size + 1)]
        write_json(written / form, fast)
    write_json(written / "tokenizer_config.json", config)
    output, _ = converted(written)
    texts = ["the<e1>word</e1>", "<E1>the"]
    expected = [["the", "<e1>", "word", "</e1>"]]
    expected += [["<", "e", "##1", ">", "the"] if is_special else ["<e1>", "the"]]
    assert tokens_of(output, *texts) == expected
    conversion.convert(output, "electra_tf", f"{output}_back", "huggingface")
    fast = tokenizers.Tokenizer.from_file(os.path.join(f"{output}_back", "tokenizer.json"))
    assert [fast.encode(text, add_special_tokens=False).tokens for text in texts] == expected
    assert fast.token_to_id("</e1>") == size + 1
    again, _ = converted(f"{output}_back")
    assert tokens_of(again, *texts) == expected


def test_tokens_of_the_vocabulary_that_are_never_split(written):
    config = {"do_lower_case": True, "never_split": ["models", "[CLS]"]}
    write_json(written / "tokenizer_config.json", config)
    output, said = converted(written)
    assert tokens_of(output, "themodels") == [["the", "models"]]
    assert "models of never_split" in said[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, 'tokenizer_class.*"BertJapaneseTokenizer"'),
        ({"word_tokenizer_type": "mecab"}, 'word_tokenizer_type must be "basic".*"mecab"'),
        ({"subword_tokenizer_type": "character"}, "subword_tokenizer_type"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize must be true.*false"),
        ({"split_special_tokens": True}, "split_special_tokens must be false.*true"),
        ({"auto_map": {"AutoTokenizer": ["own.Own", None]}}, "auto_map must be null"),
        ({"unk_token": "<unk>"}, r'unk_token must be \[UNK\].*"<unk>"'),
        ({"cls_token": {"content": "<s>"}}, r'cls_token must be \[CLS\].*"<s>"'),
        ({"do_lower_case": "false"}, 'do_lower_case of a tokenizer must be true or false.*"false"'),
        ({"strip_accents": "false"}, "strip_accents of a tokenizer must be true or false"),
        ({"tokenize_chinese_chars": "false"}, "tokenize_chinese_chars of a tokenizer must be true"),
        ({"never_split": ["<e1>"]}, "never_split must hold tokens of the vocabulary.*'<e1>'"),
        ({"never_split": "<e1>"}, "never_split must be a list"),
        ({"additional_special_tokens": [[]]}, "A special token must be a string"),
        ({"added_tokens_decoder": []}, None),
        ({"added_tokens_decoder": [{}]}, "added_tokens_decoder must hold objects"),
        ({"added_tokens_decoder": {"7": added("<e1>", 7)}}, "The id of an added token.*'<e1>'"),
        (
            {"added_tokens_decoder": {"999": added("the", 999, single_word=True)}},
            "single_word=false.*'the'",
        ),
    ],
)
def test_another_tokenizer_is_refused_by_name(written, config, message):
    write_json(written / "tokenizer_config.json", {"do_lower_case": True} | config)
    if message is None:
        converted(written)
        return
    with pytest.raises(UserError, match=message) as error:
        converted(written)
    assert str(written) in str(error.value) and "\n" not in str(error.value)
    assert not os.path.exists(f"{written}_converted")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}]}},
            "normalizer.type must be .BertNormalizer.*NFKC",
        ),
        ({"normalizer": {"type": "BertNormalizer", "clean_text": False}}, "normalizer.clean_text"),
        ({"normalizer": None}, "normalizer must be there"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer.type.*Whitespace"),
        ({"post_processor": {"type": "TemplateProcessing", "single": []}}, "post_processor.single"),
        ({"normalizer": []}, None),
        ({"normalizer": [1]}, "normalizer must be an object"),
        ({"added_tokens": {"a": 1}}, "added_tokens must be a list of objects"),
        ({"added_tokens": [{"id": 3}]}, "An added token must have its content"),
    ],
)
def test_another_tokenizer_json_is_refused_by_name(written, change, message):
    fast = json.loads((written.parent / "tokenizer.json").read_text(encoding="utf-8"))
    write_json(written / "tokenizer.json", fast | change)
    general = {"tokenizer_class": "PreTrainedTokenizerFast"} if message else {}
    write_json(written / "tokenizer_config.json", {"do_lower_case": True} | general)
    if message is None:
        converted(written)
        return
    with pytest.raises(UserError, match=message):
        converted(written)


def test_files_that_hold_other_tokens(written):
    (written.parent / "tokenizer.json").rename(written / "tokenizer.json")
    lines = (written / "vocab.txt").read_text(encoding="utf-8").splitlines()
    lines[7] = "changed"
    (written / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="must hold the same tokens.*'changed' on line 8"):
        converted(written)


def test_accents_by_a_flag_for_every_format(written, tmp_path):
    output, _ = converted(written, strip_accents=False)
    data = model_directory.read(output).config.data
    assert data.lower_case and not data.strip_accents
    conversion.convert(output, "electra_tf", str(tmp_path / "google"), "google", strip_accents=True)
    back = str(tmp_path / "back")
    conversion.convert(
        str(tmp_path / "google"),
        "google",
        back,
        "electra_tf",
        strip_accents=False,
        say=lambda _: None,
    )
    data = model_directory.read(back).config.data
    assert data.lower_case and not data.strip_accents
