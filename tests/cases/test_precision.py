"""What the device decides: a run's precision, a warning for an emulated one, the first line."""

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

BFLOAT16 = Device("CPU", features=("avx2", "amx_bf16"))
PLAIN = Device("CPU", features=("avx2", "avx512f"))


@pytest.fixture
def on_cpu(monkeypatch):
    """Function that gives this machine's CPU other features."""

    def be(*features: str, onednn: bool = True):
        monkeypatch.setattr(precision, "cpu_features", lambda: frozenset(features))
        monkeypatch.setattr(processor, "uses_onednn", lambda: onednn)

    return be


@pytest.fixture
def rates(monkeypatch):
    """Stands in for the trial; the list of what was tried."""
    tried = []

    def rate(dtype, compiled, on_gpu):
        tried.append(dtype)
        return {"float32": 200e9}.get(dtype, 24e9)

    monkeypatch.setattr(strategy, "quick_rate", rate)
    return tried


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
        (Device("GPU", features=("amx_bf16",)), "float32"),
        (BFLOAT16, "mixed_bfloat16"),
        (Device("CPU", features=("avx512_bf16",)), "mixed_bfloat16"),
        (Device("CPU", features=("avx512f", "avx512_fp16", "amx_int8")), "float32"),
        (PLAIN, "float32"),
        (Device("CPU"), "float32"),
    ],
)
def test_auto_is_what_the_device_computes_itself(device, expected):
    assert precision.resolve("auto", device) == expected
    for asked in ("float32", "mixed_bfloat16", "mixed_float16"):
        assert precision.resolve(asked, device) == asked


def test_features_are_those_of_linux(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: fpu sse2 amx_bf16\n"
        "vmx flags\t: vnmi\n\nprocessor\t: 1\nflags\t\t: other\n"
    )
    assert precision.cpu_features(str(path)) == {"fpu", "sse2", "amx_bf16"}
    path.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert precision.cpu_features(str(path)) == frozenset()
    assert precision.cpu_features(str(tmp_path / "none")) == frozenset()


@pytest.mark.parametrize(
    ("asked", "device", "expected"),
    [
        (
            "mixed_bfloat16",
            PLAIN,
            "config.runtime.precision=mixed_bfloat16 is emulated on this CPU: its matrix products "
            "run at 0.12 of float32's rate; float32 is quicker",
        ),
        (
            "mixed_float16",
            BFLOAT16,
            "config.runtime.precision=mixed_float16 is emulated on this CPU: its matrix products "
            "run at 0.12 of float32's rate; float32 is quicker",
        ),
        (
            "mixed_bfloat16",
            Device("GPU", (7, 5)),
            "config.runtime.precision=mixed_bfloat16 is emulated on this GPU: its matrix products "
            "run at 0.12 of float32's rate; float32 is quicker",
        ),
        ("mixed_bfloat16", BFLOAT16, None),
        ("mixed_float16", Device("GPU", (8, 6)), None),
        ("mixed_float16", Device("TPU"), None),  # whose rate is not that of this machine
        ("float32", PLAIN, None),
    ],
)
def test_an_emulated_precision_is_a_warning(asked, device, expected, logged):
    tried = []

    def rate(dtype):
        tried.append(dtype)
        return {"float32": 200e9}.get(dtype, 24e9)

    precision.warn_if_emulated(asked, device, rate)
    assert logged() == ([expected] if expected else [])
    assert sorted(tried) == (sorted((asked, "float32")) if expected else [])


def test_an_emulated_precision_that_is_as_quick_is_none(logged):
    precision.warn_if_emulated("mixed_bfloat16", PLAIN, lambda dtype: 1e9)
    assert logged() == []


def test_the_trial_measures_matrix_products():
    one = strategy.quick_rate("float32", tf.function)
    assert 1e8 < one < 1e14


def test_the_first_line_says_what_tensorflow_does(on_cpu, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "true")
    on_cpu()
    runtime = strategy.start(RuntimeConfig(), 0, num_steps=0)
    assert str(runtime) == ("1 replica on CPU (3 threads, BFC allocator, oneDNN), float32, XLA off")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "1")
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "0")
    assert processor.describe() == "3 threads, 1 operation at a time, oneDNN's allocator, oneDNN"
    on_cpu(onednn=False)
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


def test_auto_becomes_a_precision_of_the_config(on_cpu):
    for features, onednn, expected in (
        (["amx_bf16"], True, "mixed_bfloat16"),
        (["amx_bf16"], False, "float32"),  # Eigen computes it in float32
        (["avx2"], True, "float32"),
    ):
        on_cpu(*features, onednn=onednn)
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
    data, tmp_path, on_cpu, rates, monkeypatch, logged, capsys
):
    said, workdir = [], tmp_path / "run"
    monkeypatch.setattr(Progress, "message", lambda self, text: said.append(text))
    on_cpu("amx_bf16")
    pretraining.pretrain(tiny_config(data, **{"train.num_steps": 1}), str(workdir))
    first = json.loads((workdir / "config.json").read_text())["runtime"]["precision"]
    assert first == "mixed_bfloat16"
    assert said[0].startswith("Starting at step 0 of 1: 1 replica on CPU (")
    assert "oneDNN), mixed_bfloat16, XLA off." in said[0]
    assert not rates and not logged()

    on_cpu("avx2")
    said.clear()
    pretraining.pretrain(tiny_config(data, **{"train.num_steps": 2}), str(workdir))
    assert json.loads((workdir / "config.json").read_text())["runtime"]["precision"] == first
    assert said[0].startswith("Continuing at step 1 of 2: ") and "mixed_bfloat16" in said[0]
    assert [text for text in logged() if "runtime" in text] == [
        "config.runtime.precision=mixed_bfloat16 is emulated on this CPU: its matrix products run "
        "at 0.12 of float32's rate; float32 is quicker"
    ]

    on_cpu("amx_bf16")
    assert evaluation.evaluate(str(workdir))["step"] == 2
    printed = capsys.readouterr().err.splitlines()
    assert f"Evaluating step 2: {said[0].partition('of 2: ')[2]}" in printed


def test_a_fine_tuning_keeps_the_precision_that_auto_first_was(tmp_path, on_cpu, monkeypatch):
    def stands_in(config, workdir, runtime):
        return {"config": config.runtime.precision, "models": runtime.precision}

    monkeypatch.setattr(finetuning, "_finetune", stands_in)

    def precisions(asked: str) -> dict:
        config = FinetuneConfig(runtime=RuntimeConfig(precision=asked))
        return finetuning.finetune(config, str(tmp_path))

    on_cpu("avx2")
    assert precisions("auto") == {"config": "float32", "models": "float32"}
    (tmp_path / "config.json").write_text(FinetuneConfig().to_json())
    on_cpu("amx_bf16")
    assert precisions("auto") == {"config": "float32", "models": "float32"}
    assert precisions("mixed_bfloat16") == {"config": "mixed_bfloat16", "models": "mixed_bfloat16"}
    (tmp_path / "config.json").unlink()
    assert precisions("auto") == {"config": "mixed_bfloat16", "models": "mixed_bfloat16"}
