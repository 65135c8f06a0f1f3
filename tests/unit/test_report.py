"""Reports from files alone: what is escaped, what is left out, what is drawn; no network runs."""

import html.parser
import json
import pathlib
import re

import numpy as np
import pytest

from electra_tf.config import Config, FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.objectives.counts import NUM_BINS, area_under_curve
from electra_tf.runs import results
from electra_tf.runs.report import detector, numbers, page, write_report
from electra_tf.runs.report.charts import Series, chart, dots, tick_label, ticks
from electra_tf.runs.report.markup import Html, element

VOID = ("meta", "circle", "line", "polyline", "rect", "wbr")


class Outline(html.parser.HTMLParser):
    """Checks that elements are closed in order, and keeps names, attributes and text."""

    def __init__(self, content: str):
        super().__init__()
        self.open, self.names, self.attributes, self.text = [], [], [], []
        self.feed(content)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline_of(path) -> Outline:
    """The page, which must need nothing from outside."""
    content = pathlib.Path(path).read_text(encoding="utf-8")
    found = Outline(content)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(found.names)
    assert not {"src", "href", "srcset", "onload", "onclick"} & {
        name for name, _ in found.attributes
    }
    assert "http://" not in content and "https://" not in content
    assert "url(" not in content and "@import" not in content
    return found


def notes_of(path) -> list[str]:
    """The lines that tell what is left out."""
    content = pathlib.Path(path).read_text(encoding="utf-8")
    found = re.findall(r'<p class="note">(.*?)</p>', content)
    return [re.sub("<.*?>", "", note) for note in found]


@pytest.fixture
def run(tmp_path):
    """A pre-training run without data or weights, of three lines, whose names need escaping."""
    folder = tmp_path / "a <b> & run"
    folder.mkdir()
    config = Config()
    config.data.dir = str(tmp_path / "none <i>")
    config.model.vocab_size, config.train.num_steps, config.train.batch_size = 100, 20, 4
    (folder / "config.json").write_text(config.to_json())
    lines = [
        {"step": 10, "split": "train", "loss": 9.5, "disc_auc": 0.5, "tokens_per_second": 2048.0},
        {"step": 20, "split": "train", "loss": 9.0, "disc_auc": None, "tokens_per_second": 2048.0},
        {"step": 20, "split": "eval", "loss": 9.25, "disc_auc": 0.6, "learning_rate": 0.5},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def finetuning(tmp_path):
    """Three trials of a task with a hostile name, the last of them stuck."""
    folder = tmp_path / "tuned"
    folder.mkdir()
    config = FinetuneConfig()
    config.task.name, config.init_from = "<script>alert(1)</script>", "random:models/a&b"
    config.num_trials = 3
    (folder / "config.json").write_text(config.to_json())
    trials = [
        {
            "seed": seed,
            "stuck": seed == 2,
            "metrics": {"dev": {"f1": f1, "accuracy": 0.5}},
            "calibration": {},
        }
        for seed, f1 in enumerate((0.25, 0.75, 0.625))
    ]
    summary = results.summarize(config.task.name, "f1", trials)
    facts = {"file": "train.tsv", "examples": 7, "labels": {"<good>": 3, "bad": 4}}
    (folder / "results.json").write_text(json.dumps({**summary, "data": {"train": facts}}))
    (folder / "trial_0").mkdir()
    (folder / "trial_0" / "metrics.jsonl").write_text(
        '{"step": 5, "split": "train", "loss": 0.7, "learning_rate": 0.1}\n'
        '{"step": 10, "split": "train", "loss": 0.5, "learning_rate": 0.0}\n'
    )
    return folder


def test_text_is_escaped_and_markup_is_not():
    made = element("p", "1 < 2 & 3", element("b", Html("<i>x</i>")), class_="a", title='"<')
    assert made == '<p class="a" title="&quot;&lt;">1 &lt; 2 &amp; 3<b><i>x</i></b></p>'
    assert element("circle", r=1, fill_opacity=None) == '<circle r="1"/>'
    assert page.with_code("see `a<b` or `c") == "see `a&lt;b` or `c"
    assert page.with_code("see `a<b`") == "see <code>a&lt;b</code>"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1500, "1,500"), (0.80344, "0.8034"), (3.2e-5, "3.2e-05"), (12345.6, "12,346")]
    + [(2.5e15, "2.5e15"), (3.0, "3"), (float("nan"), "not finite"), ("a", "a"), (True, "True")],
)
def test_numbers_are_short(value, text):
    assert numbers.short(value) == text


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 1500), (-0.3, 7e-5), (21.7, 26.4), (5e-7, 6e-7), (1e6, 1e9)]
)
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 5
    assert all(low <= value <= high for value in found)
    assert all(len(tick_label(value)) <= 8 for value in found)


def test_charts_draw_what_they_are_given():
    one, same = Series("a<", [(0, 1.0), (5, 2.0)]), Series("b", [(5, 1.5)], dots=True)
    drawn = chart("loss & more", [one, same], "step")
    assert drawn == chart("loss & more", [one, same], "step")
    assert drawn.count("<polyline") == 1 and drawn.count("<circle") == 1
    assert "a&lt;" in drawn and "loss &amp; more" in drawn
    Outline(drawn)
    flat = chart("flat", [Series("", [(1, 3.0)], dots=True)], "step")  # no range at all
    assert 'cx="nan"' not in flat and 'cy="nan"' not in flat
    assert chart("long", [Series("", [(x, x) for x in range(10_000)])], "").count(",") < 700
    assert dots([0.5, 0.5], 0.5, 0.5, 0.5).count("<circle") == 2


def test_roc_and_calibration_of_a_histogram():
    random = np.random.default_rng(0)
    original = random.integers(0, 3, NUM_BINS).astype(float)
    replaced = random.integers(0, 3, NUM_BINS) * np.linspace(0, 1, NUM_BINS) ** 2
    curve = np.array(detector.roc(original, replaced))
    assert tuple(curve[0]) == (0, 0) and tuple(curve[-1]) == (1, 1) and len(curve) <= 121
    area = np.trapezoid(curve[:, 1], curve[:, 0])
    auc = area_under_curve(np.concatenate([original, replaced]))
    assert area == pytest.approx(auc, abs=1e-3)
    found = detector.intervals(original, replaced)
    assert len(found) == 10
    assert sum(each.number for each in found) == pytest.approx((original + replaced).sum(), abs=10)
    assert all(place / 10 <= each.predicted <= (place + 1) / 10 for place, each in enumerate(found))
    # A model whose probabilities are right: what is replaced follows them.
    width = 32 / NUM_BINS
    right = 1 / (1 + np.exp(-((np.arange(NUM_BINS) + 0.5) * width - 16)))
    for each in detector.intervals(1 - right, right):
        assert each.observed == pytest.approx(each.predicted, abs=1e-9)


def test_what_a_run_lacks_is_left_out_with_a_line(run):
    path = write_report(str(run))
    assert path == f"{run}/report.html"
    found = outline_of(path)
    text = "".join(found.text)
    assert "a <b> & run" in text and "<b>" not in found.names
    # 20 steps of 4 rows; without the data nobody knows of how many tokens, 512 at most.
    assert "electra: 20 of 20 steps, at most 40,960 tokens" in text and "20 s" in text
    assert found.names.count("polyline") == 2 and found.names.count("circle") == 3
    notes = notes_of(path)
    for part, fix in (
        ("Number of weights", "which training and conversion write"),
        ("Held-out metrics", "electra_tf evaluate --workdir="),
        ("Norm of the gradient", "does not record it"),
        ("Data statistics", "electra_tf build_dataset"),
        ("ROC, calibration and examples", "which training and conversion write"),
        ("Device", "electra_tf benchmark"),
    ):
        assert [note for note in notes if note.startswith(part) and fix in note], part
    first = pathlib.Path(path).read_bytes()
    assert write_report(str(run)) == path and pathlib.Path(path).read_bytes() == first
    assert sorted(each.name for each in run.iterdir()) == [
        "config.json",
        "metrics.jsonl",
        "report.html",
    ]


def test_a_run_without_lines_and_without_a_detector(run):
    config = Config.from_json((run / "config.json").read_text())
    config.objective.name = "mlm"
    (run / "config.json").write_text(config.to_json())
    (run / "metrics.jsonl").unlink()
    evaluation = {"step": 0, "examples": 3, "masked_lm_loss": None, "masked_lm_accuracy": 0.125}
    (run / "eval.json").write_text(json.dumps(evaluation | {"most_frequent_token_share": 0.05}))
    path = write_report(str(run), str(run.parent / "other.html"))
    text, notes = "".join(outline_of(path).text), notes_of(path)
    assert "0.1250" in text and "0.0500" in text and "ROC" not in text
    assert any(note.startswith("Curves: ") for note in notes)
    assert any(
        note.startswith("Simple baselines: left out. A data set must hold") for note in notes
    )


def test_a_model_of_the_package_needs_an_output_and_tells_where_its_card_is(tmp_path):
    model = "pretrained:small-wiki-novels"
    with pytest.raises(UserError, match=r"pass --output=FILE.html\. Received: none for .*novels"):
        write_report(model)
    path = write_report(model, str(tmp_path / "card.html"))
    text, notes = "".join(outline_of(path).text), notes_of(path)
    assert "electra: 25,715 of" in text and "weights" in text and "config.optimizer." in text
    [note] = notes  # nothing that cannot be done with it
    card = re.search(r"\S+/README\.md", note)
    assert card and pathlib.Path(card[0]).is_file()


def test_a_converted_model_names_the_data_that_it_needs(run):
    config = Config.from_json((run / "config.json").read_text())
    config.data.dir = ""
    (run / "config.json").write_text(config.to_json())
    notes = notes_of(write_report(str(run)))
    assert any("--data_dir=SHARDS --random_words measures them" in note for note in notes)


def test_a_damaged_evaluation_is_left_out(run):
    for content, told in (("{", "must be valid"), ('{"step": 3}', "without examples")):
        (run / "eval.json").write_text(content)
        notes = notes_of(write_report(str(run)))
        assert any(note.startswith("Held-out metrics: ") and told in note for note in notes)


def test_a_fine_tuning(finetuning):
    path = write_report(str(finetuning))
    found = outline_of(path)
    text = "".join(found.text)
    assert "<script>alert(1)</script>: dev f1 0.6250, median of 3 trials" in text
    assert "from random weights in the sizes of models/a&b" in text
    assert "0.2500–0.7500" in text and "0.5000–0.5000" in text
    assert "that of seed 1, the best one by f1" in text
    assert "'<good>' 3, 'bad' 4" in text
    assert found.names.count("circle") == 6 and found.names.count("polyline") == 2
    assert [note[:14] for note in notes_of(path)] == ["Stuck: seed 2 "]
    first = pathlib.Path(path).read_bytes()
    assert pathlib.Path(write_report(str(finetuning))).read_bytes() == first


def test_an_unfinished_fine_tuning(finetuning):
    (finetuning / "results.json").unlink()
    notes = notes_of(write_report(str(finetuning)))
    assert "the same command continues it" in notes[0]
    (finetuning / "results.json").write_text('{"trials": [{"seed": 1}]}')
    assert "as electra_tf finetune writes it" in notes_of(write_report(str(finetuning)))[0]


def test_errors_name_rule_value_and_fix(run, tmp_path):
    with pytest.raises(UserError, match="A run must contain config.json.*which is not there"):
        write_report(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(UserError, match="A run must contain config.json.*config.json, a file"):
        write_report(f"{run}/config.json")
    with pytest.raises(UserError, match="The output must leave the inputs alone. .*metrics.jsonl"):
        write_report(str(run), f"{run}/metrics.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="The output must be a file. Received: .*a directory"):
        write_report(str(run), str(tmp_path / "folder"))
    (run / "metrics.jsonl").write_text('{"step": "3"}\n')
    with pytest.raises(UserError, match="A metrics.jsonl must have .*Received: .*metrics.jsonl"):
        write_report(str(run))
    assert not (run / "report.html").exists()
    (run / "config.json").write_text('{"train": {"num_step": 3}}')
    with pytest.raises(UserError, match="did you mean num_steps"):
        write_report(str(run))
