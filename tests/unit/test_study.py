"""Studies: their checks, what their rows train, the command lines they become."""

import dataclasses
import math
import pathlib
import shlex

import pytest

from electra_tf.config.study import Probe, Row, Study
from electra_tf.errors import UserError
from electra_tf.lab import stages
from electra_tf.lab.compute import plan
from electra_tf.objectives import build_objective

ROOT = pathlib.Path(__file__).resolve().parents[2]
STUDIES = sorted(
    path.stem for path in (ROOT / "configs" / "studies").glob("*.py") if path.stem != "sizes"
)
MLM = {"config.objective.name": "mlm"}
EVALUATE = Probe("held_out", "evaluate", {"accuracy": "masked_lm_accuracy"})


def study(**changes) -> Study:
    fields = {
        "title": "toy",
        "rows": [Row("electra"), Row("mlm", MLM)],
        "seeds": (0, 1),
        "config": "configs/electra_tiny.py:16",
        "compute": 3e12,
        "seq_length": 16,
        "vocab_size": 8192,
        "corpus": ["corpus.txt"],
        "probes": [EVALUATE],
    }
    return Study(**(fields | changes))


def plans_of(of: Study) -> dict:
    return {row.name: plan(of, row) for row in of.validate().rows}


@pytest.mark.parametrize("size", ["tiny", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_that_come_along(name, size):
    of = Study.from_file(f"configs/studies/{name}.py:{size}").validate()
    plans = plans_of(of)
    for row in of.rows:
        if row.compute and not row.steps:
            spent = plans[row.name].flops if of.equal == "flops" else plans[row.name].tokens
            step = spent / plans[row.name].steps
            assert abs(spent - of.compute * row.compute) <= 0.51 * step
    tasks = stages.build(dataclasses.replace(of, corpus=["x"], tasks_dir="t"), plans, "root")
    assert len(tasks["pretrain"]) == len(of.rows) * len(of.seeds)
    if name == "learning_rate":
        assert len(of.seeds) == 1 and len({row.name for row in of.rows}) == 9
        configs = [plans[row.name].config for row in of.rows]
        assert [each.model.block for each in configs] == ["bert"] * 6 + ["modern"] * 3
        assert [each.objective.name for each in configs][3:6] == ["mlm"] * 3
    elif size == "tiny":
        assert min(plans[row.name].flops for row in of.rows if row.compute) >= 2.99e13
        assert {"frozen chunks, F1", "frozen STS-B", "chunks, F1"} <= set(of.columns)
    elif name in ("table1_small", "table2"):
        assert all(row.steps and row.paper for row in of.rows)


def test_the_papers_rows_have_the_papers_numbers():
    by_row = {
        row.name: row.paper for row in Study.from_file("configs/studies/table5.py:paper").rows
    }
    assert by_row == {
        "electra": 85.0,
        "all_tokens_mlm": 84.3,
        "replace_mlm": 82.4,
        "electra_15": 82.4,
        "mlm": 82.2,
        "mlm_30": None,
    }
    base = Study.from_file("configs/studies/table5.py:paper").validate()
    assert plan(base, base.rows[0]).steps == pytest.approx(766_000, rel=0.01)
    small = Study.from_file("configs/studies/table1_small.py:paper").validate()
    steps = [plan(small, row).steps for row in small.rows]
    assert steps == [1_000_000, 500_000, 250_000, 125_000, 62_500, 1_450_000]


def test_an_unknown_size_is_refused():
    with pytest.raises(UserError, match="must be followed by :tiny or :paper. Received: huge"):
        Study.from_file("configs/studies/table5.py:huge")


def test_another_kind_of_config_is_refused():
    with pytest.raises(UserError, match="must be a Study here, .* returns a Config"):
        Study.from_file("configs/electra_tiny.py:16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "rows of a study must be at least one, .* Received: none"),
        ({"rows": [Row("a"), Row("a")]}, "rows of a study must be .* different. Received: a, a"),
        ({"rows": [Row("a/b")]}, "'a/b' must be named by letters, .* Received: 'a/b'"),
        ({"rows": [Row("a", compute=-1.0)]}, "'a''s compute must be in .* Received: -1.0"),
        ({"rows": [Row("a", shares={"x": 2.0})]}, "share x must be in .* Received: 2.0"),
        ({"compute": 0.0}, "'electra' must have steps, or its study compute above 0"),
        ({"compute": math.inf}, "or its study compute above 0. Received: inf"),
        ({"seeds": ()}, "seeds of a study must be at least one"),
        ({"seeds": (1, 1)}, "seeds of a study must be .* different. Received: 1, 1"),
        ({"seeds": (-1,)}, "A seed must be an integer from 0 on. Received: -1"),
        ({"reference": "bert"}, "reference of a study must be one of electra, mlm. .*'bert'"),
        ({"equal": "hours"}, "must be one of flops, tokens. Received: 'hours'"),
        ({"count": "adds"}, "must be one of products, paper. Received: 'adds'"),
        ({"config": ""}, "'electra' must have a config, or its study one. Received: neither"),
        ({"probes": [EVALUATE, EVALUATE]}, "probes of a study must be .* different"),
        ({"probes": [Probe("a", "predict", {"x": "y"})]}, "command must be one of evaluate, "),
        ({"probes": [Probe("a", "evaluate", {})]}, "'a' must have columns. Received: none"),
        ({"probes": [Probe("a", "finetune", {"x": "y"})]}, "must have a config if it is a fine"),
        ({"averages": {"mean": ("CoLA",)}}, "'mean' must be one of accuracy. Received: 'CoLA'"),
    ],
)
def test_what_a_study_must_be(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        study(**changes).validate()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("a", {"config.train.num_step": 1}), "did you mean config.train.num_steps?"),
        (Row("a", {"config.objective.name": "gan"}), "config.objective.name must be one of"),
        (Row("a", {"config.model.num_heads": 3}), "config.model.num_heads must divide"),
        (Row("a", {"config.model.max_positions": 8}), "'a', 8. Received: 16"),
        (Row("a", {"config.objective.name": "two_stage"}), "config.model.sharing must be none"),
        (Row("a", shares={"config.trian.seed": 0.5}), "Received: config.trian.seed, unknown"),
    ],
)
def test_what_a_row_must_be(row, message):
    of = study(rows=[row]).validate()
    with pytest.raises(UserError, match=message):
        plan(of, row)


def test_equal_tokens_are_equal_steps():
    of = study(equal="tokens", compute=128 * 16 * 50.4)  # batch 128, length 16
    plans = plans_of(of)
    assert {each.steps for each in plans.values()} == {50}
    assert {each.tokens for each in plans.values()} == {16 * 128 * 50.0}
    assert plans["electra"].flops > plans["mlm"].flops


def test_equal_operations_follow_from_the_objective():
    of = study()
    plans = plans_of(of)
    for name, row in plans.items():
        per_token = build_objective(row.config).training_flops_per_token(16)
        assert row.steps == round(3e12 / (per_token * 16 * 128)), name
    assert plans["mlm"].steps > plans["electra"].steps
    double = plan(of, Row("twice", compute=2.0))
    assert double.flops == pytest.approx(2 * plans["electra"].flops, rel=0.01)


def test_shares_of_the_steps():
    two_stage = Row(
        "two_stage",
        {"config.objective.name": "two_stage", "config.generator.hidden_fraction": 1.0},
        {"config.objective.generator_steps": 0.5},
    )
    of = study(rows=[two_stage], shares={"config.optimizer.warmup_steps": 0.1}).validate()
    found = plan(of, two_stage)
    assert found.flags["config.objective.generator_steps"] == round(found.steps / 2)
    assert found.flags["config.optimizer.warmup_steps"] == round(found.steps / 10)
    assert found.flops == pytest.approx(3e12, rel=0.01)


def test_no_compute_is_an_untrained_control():
    of = study(shares={"config.optimizer.warmup_steps": 0.1}).validate()
    assert plan(of, Row("control", compute=0.0)).steps == 1


def test_commands():
    of = study(
        seeds=(7,),
        probes=[
            EVALUATE,
            Probe(
                "rte",
                "finetune",
                {"RTE": "median.dev.accuracy"},
                config="configs/glue.py:rte",
                data={"config.data.dir": "glue/RTE"},
                flags={"config.train.num_epochs": 1.0, "config.runtime.deterministic": True},
            ),
            Probe("pairs", "minimal_pairs", {"pairs": "accuracy"}, flags={"num_pairs": 5}),
        ],
        tasks_dir="my tasks",
        data_flags={"eval_fraction": 0.1},
        rows=[Row("electra", steps=10), Row("replace", {"config.objective.name": "replace_mlm"})],
    )
    tasks = stages.build(of, plans_of(of), "out")
    lines = {name: [task.line for task in tasks[name]] for name in tasks}
    assert lines["vocabulary"] == [
        "electra_tf learn_vocab --input=corpus.txt --vocab_size=8192 --output=out/data/vocab.txt"
    ]
    assert lines["shards"] == [
        "electra_tf build_dataset --input=corpus.txt --vocab=out/data/vocab.txt "
        "--output_dir=out/data/shards --seq_length=16 --eval_fraction=0.1"
    ]
    run = "out/runs/electra/seed_7/pretrain"
    assert lines["pretrain"][0] == (
        "electra_tf pretrain --config=configs/electra_tiny.py:16 --config.train.num_steps=10 "
        f"--config.data.dir=out/data/shards --config.train.seed=7 --workdir={run}"
    )
    assert lines["probes"][:3] == [
        f"electra_tf evaluate --workdir={run}",
        f"electra_tf finetune --config=configs/glue.py:rte --config.init_from={run} "
        "--config.train.seed=7 --workdir=out/runs/electra/seed_7/rte "
        "'--config.data.dir=my tasks/glue/RTE' --config.train.num_epochs=1.0 "
        "--config.runtime.deterministic=true",
        f"electra_tf minimal_pairs --model={run} --output=out/runs/electra/seed_7/pairs.json "
        "--num_pairs=5",
    ]
    # What reads samples and predicts tokens cannot score a text.
    assert [shlex.split(line)[1] for line in lines["probes"][3:]] == ["evaluate", "finetune"]


def test_a_study_with_another_tokenizer():
    of = study(vocab_flags={"kind": "sentencepiece", "character_coverage": 1.0})
    tasks = stages.build(of, plans_of(of), "out")
    model = "out/data/spiece.model"
    assert tasks["vocabulary"][0].line == (
        f"electra_tf learn_vocab --input=corpus.txt --vocab_size=8192 --output={model} "
        "--kind=sentencepiece --character_coverage=1.0"
    )
    assert f"--vocab={model}" in tasks["shards"][0].arguments
    assert "--tokenizer=sentencepiece" in tasks["shards"][0].arguments
    with pytest.raises(UserError, match="The tokenizer must be one of wordpiece, sentencepiece"):
        of = study(vocab_flags={"kind": "words"})
        stages.build(of, plans_of(of), "out")


def test_given_shards_need_no_corpus():
    of = study(corpus=[], data_dir="shards")
    of.validate().require_data()
    tasks = stages.build(of, plans_of(of), "out")
    assert not tasks["vocabulary"] and not tasks["shards"]
    assert all("--config.data.dir=shards" in task.arguments for task in tasks["pretrain"])


def test_what_a_study_needs_is_asked_for():
    with pytest.raises(UserError, match="must have a corpus or shards: .* Received: neither"):
        study(corpus=[]).validate().require_data()
    probe = Probe("a", "linear_probe", {"x": "y"}, data={"chunks": "conll/conll2000"})
    with pytest.raises(UserError, match="--tasks_dir must be the directory that has conll/conll2"):
        study(probes=[probe]).validate().require_data()


def test_fields_of_finetunings_are_checked_before_any_work():
    probe = Probe(
        "rte", "finetune", {"x": "y"}, "configs/glue.py:rte", flags={"config.num_trial": 1}
    )
    of = study(probes=[probe])
    with pytest.raises(UserError, match="did you mean config.num_trials?"):
        stages.build(of, plans_of(of), "out")
