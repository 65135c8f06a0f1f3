"""What the device decides: a run's precision, a warning for a slow one, the first line."""

import json
import os

import pytest
import tensorflow as tf
import tiny_runs

from electra_tf.config import Config, FinetuneConfig, RuntimeConfig
from electra_tf.runs import evaluation, finetuning, pretraining
from electra_tf.train import precision, processor, strategy
from electra_tf.train.precision import Device
from electra_tf.train.progress import Progress

CPU = Device("CPU")


class Rates:
    """Stands in for the trial of matrix products.

    Attributes:
        bfloat16: its rate, in times float32's.
        tried: precisions, as they were asked for.
    """

    def __init__(self):
        self.bfloat16, self.tried = 0.12, []

    def __call__(self, dtype, **_):
        self.tried.append(dtype)
        return 200e9 * {"float32": 1.0, "mixed_bfloat16": self.bfloat16}.get(dtype, 0.12)


@pytest.fixture
def rates(monkeypatch):
    """What this machine's CPU reaches."""
    rates = Rates()
    monkeypatch.setattr(strategy, "quick_rate", rates)
    return rates


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Device("TPU"), "mixed_bfloat16"),
        (Device("GPU", (9, 0)), "mixed_bfloat16"),
        (Device("GPU", (8, 0)), "mixed_bfloat16"),
        (Device("GPU", (7, 5)), "mixed_float16"),
        (Device("GPU", (7, 0)), "mixed_float16"),
        (Device("GPU", (6, 1)), "float32"),
        (Device("GPU"), "float32"),
    ],
)
def test_auto_is_what_the_device_computes_itself(device, expected):
    rates = Rates()
    assert precision.resolve("auto", device, rates) == expected
    for asked in ("float32", "mixed_bfloat16", "mixed_float16"):
        assert precision.resolve(asked, device, rates) == asked
    assert not rates.tried


@pytest.mark.parametrize(
    ("bfloat16", "expected"),
    [
        (0.12, "float32"),  # emulated
        (0.58, "float32"),  # a Xeon that has avx512_bf16 but not AMX
        (1.1, "float32"),  # what is not a matrix product would cost more
        (1.5, "mixed_bfloat16"),
        (6.0, "mixed_bfloat16"),
    ],
)
def test_auto_on_a_cpu_is_what_is_quicker(bfloat16, expected):
    rates = Rates()
    rates.bfloat16 = bfloat16
    assert precision.resolve("auto", CPU, rates) == expected
    assert set(rates.tried) == {"float32", "mixed_bfloat16"}
    for asked in ("float32", "mixed_bfloat16", "mixed_float16"):
        assert precision.resolve(asked, CPU, rates) == asked
    assert len(rates.tried) == 2


@pytest.mark.parametrize(
    ("asked", "device", "expected"),
    [
        (
            "mixed_bfloat16",
            CPU,
            "config.runtime.precision=mixed_bfloat16 is slow on this CPU: its matrix products run "
            "at 0.12 of float32's rate; float32 is quicker",
        ),
        (
            "mixed_float16",
            CPU,
            "config.runtime.precision=mixed_float16 is slow on this CPU: its matrix products run "
            "at 0.12 of float32's rate; float32 is quicker",
        ),
        (
            "mixed_bfloat16",
            Device("GPU", (7, 5)),
            "config.runtime.precision=mixed_bfloat16 is slow on this GPU: its matrix products run "
            "at 0.12 of float32's rate; float32 is quicker",
        ),
        ("mixed_float16", Device("GPU", (8, 6)), None),
        ("mixed_float16", Device("TPU"), None),  # whose rate is not that of this machine
        ("float32", CPU, None),
        ("auto", CPU, None),  # `resolve` measures
    ],
)
def test_a_slower_precision_is_a_warning(asked, device, expected, logged):
    rates = Rates()
    precision.warn_if_slower(asked, device, rates)
    assert logged() == ([expected] if expected else [])
    assert sorted(rates.tried) == (sorted((asked, "float32")) if expected else [])


def test_a_precision_that_is_as_quick_is_none(logged):
    precision.warn_if_slower("mixed_bfloat16", CPU, lambda dtype: 1e9)
    assert logged() == []


def test_the_trial_measures_matrix_products():
    one = strategy.quick_rate("float32", tf.function)
    assert 1e8 < one < 1e14


def test_the_first_line_says_what_tensorflow_does(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "true")
    monkeypatch.setattr(processor, "uses_onednn", lambda: True)
    runtime = strategy.start(RuntimeConfig(), 0, num_steps=0)
    assert str(runtime) == ("1 replica on CPU (3 threads, BFC allocator, oneDNN), float32, XLA off")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "0")
    assert processor.describe() == "3 threads, 1 operation at a time, oneDNN's allocator, oneDNN"
    monkeypatch.setattr(processor, "uses_onednn", lambda: False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    assert processor.describe() == "1 thread, the system's allocator, no oneDNN"


def test_onednn_is_told_as_it_is():
    """By the operations that a graph runs: oneDNN's matrix product has another name."""
    metadata = tf.compat.v1.RunMetadata()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        matrix = tf.compat.v1.placeholder(tf.float32, [64, 64])
        session.run(
            tf.matmul(matrix, matrix),
            {matrix: [[1.0] * 64] * 64},
            options=tf.compat.v1.RunOptions(output_partition_graphs=True),
            run_metadata=metadata,
        )
    operations = {node.op for graph in metadata.partition_graphs for node in graph.node}
    assert processor.uses_onednn() == ("_MklMatMul" in operations)


def test_auto_becomes_a_precision_of_the_config(rates):
    for rates.bfloat16, expected in ((6.0, "mixed_bfloat16"), (0.12, "float32")):
        config = RuntimeConfig(precision="auto")
        assert strategy.start(config, 0, num_steps=0).precision == expected
        assert config.precision == expected


def tiny_config(data, **fields) -> Config:
    config = Config()
    own = {"data.dir": data, "runtime.precision": "auto", "optimizer.warmup_steps": 0}
    changes = {**tiny_runs.TINY, **own, **fields}
    for name, value in changes.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return config


def test_a_run_keeps_the_precision_that_auto_first_was(
    data, tmp_path, rates, monkeypatch, logged, capsys
):
    said, workdir = [], tmp_path / "run"
    monkeypatch.setattr(Progress, "message", lambda self, text: said.append(text))
    rates.bfloat16 = 6.0
    pretraining.pretrain(tiny_config(data, **{"train.num_steps": 1}), str(workdir))
    first = json.loads((workdir / "config.json").read_text())["runtime"]["precision"]
    assert first == "mixed_bfloat16"
    assert said[0].startswith("Starting at step 0 of 1: 1 replica on CPU (")
    assert "oneDNN), mixed_bfloat16, XLA off." in said[0]
    assert not logged()

    rates.bfloat16 = 0.12
    said.clear()
    pretraining.pretrain(tiny_config(data, **{"train.num_steps": 2}), str(workdir))
    assert json.loads((workdir / "config.json").read_text())["runtime"]["precision"] == first
    assert said[0].startswith("Continuing at step 1 of 2: ") and "mixed_bfloat16" in said[0]
    assert [text for text in logged() if "runtime" in text] == [
        "config.runtime.precision=mixed_bfloat16 is slow on this CPU: its matrix products run at "
        "0.12 of float32's rate; float32 is quicker"
    ]

    rates.bfloat16 = 6.0
    assert evaluation.evaluate(str(workdir))["step"] == 2
    printed = capsys.readouterr().err.splitlines()
    assert f"Evaluating step 2: {said[0].partition('of 2: ')[2]}" in printed


def test_a_fine_tuning_keeps_the_precision_that_auto_first_was(tmp_path, rates, monkeypatch):
    def stands_in(config, workdir, runtime):
        return {"config": config.runtime.precision, "models": runtime.precision}

    monkeypatch.setattr(finetuning, "_finetune", stands_in)

    def precisions(asked: str) -> dict:
        config = FinetuneConfig(runtime=RuntimeConfig(precision=asked))
        return finetuning.finetune(config, str(tmp_path))

    rates.bfloat16 = 0.12
    assert precisions("auto") == {"config": "float32", "models": "float32"}
    (tmp_path / "config.json").write_text(FinetuneConfig().to_json())
    rates.bfloat16 = 6.0
    assert precisions("auto") == {"config": "float32", "models": "float32"}
    assert precisions("mixed_bfloat16") == {"config": "mixed_bfloat16", "models": "mixed_bfloat16"}
    (tmp_path / "config.json").unlink()
    assert precisions("auto") == {"config": "mixed_bfloat16", "models": "mixed_bfloat16"}
