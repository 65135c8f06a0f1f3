"""Times the step of torch_step.py: bfloat16, plain first, then with torch.compile.

Matrix products outside of bfloat16 use TF32.
"""

import statistics
import time

SIZES = {
    "small": {
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    "base": {
        "embedding_size": 768,
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
}
GENERATORS = {
    "small": {"hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 256},
    "base": {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
}
VOCAB_SIZE = 30_522


def measure(size, batches, length, timed, report, left):
    import os

    import torch
    import transformers
    from torch_step import JointStep, matmul_peak, wait

    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    report(
        who=f"torch {size}",
        torch=torch.__version__,
        transformers=transformers.__version__,
        device=name,
    )
    peak = matmul_peak(device, torch.bfloat16)
    layers = int(os.environ.get("MEASURE_LAYERS") or 12)
    for mode in ("plain", "compiled"):
        for batch in batches:
            if left() < 5:
                return
            line = {
                "who": f"torch {size} {mode}",
                "batch_size": batch,
                "seq_length": length,
                "peak_flops_per_second": peak,
            }
            try:
                joint_step = JointStep(
                    _config(SIZES[size], layers),
                    _config(SIZES[size] | GENERATORS[size], layers),
                    device,
                    bfloat16=True,
                    compiled=mode == "compiled",
                )
                ids = torch.randint(5, VOCAB_SIZE, (batch, length), device=device)
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                begin = time.monotonic()
                joint_step(ids)
                wait(device)
                line["ready_after"] = time.monotonic() - begin
                for _ in range(3):
                    joint_step(ids)
                wait(device)
                took, end = [], time.monotonic() + timed
                while len(took) < 3 or time.monotonic() < end:
                    begin = time.perf_counter()
                    for _ in range(4):
                        joint_step(ids)
                    wait(device)
                    took.append((time.perf_counter() - begin) / 4)
                seconds = statistics.median(took)
                speed = batch * length / seconds
                line |= {
                    "step_ms": seconds * 1e3,
                    "tokens_per_second": speed,
                    "examples_per_second": batch / seconds,
                    "mfu": speed * _flops(size, layers, length) / peak,
                    "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
                }
            except Exception as error:
                line["error"] = f"{type(error).__name__}: {error}"[:500]
            report(**line)


def _config(sizes, layers):
    """Fields of an ElectraConfig; its dropout is 0.1 unless told otherwise."""
    return {"vocab_size": VOCAB_SIZE, "num_hidden_layers": layers, **sizes}


def _flops(size, layers, length):
    """As electra_tf/objectives/flops.py counts them: 6 x multiply-adds per token."""

    def encoder(config, embedding):
        hidden = config["hidden_size"]
        layer = 4 * hidden**2 + 2 * hidden * config["intermediate_size"] + 2 * length * hidden
        return layers * layer + (embedding * hidden if embedding != hidden else 0)

    one, two = SIZES[size], SIZES[size] | GENERATORS[size]
    masked = max(1, int((0.15 + 0.005) * length)) / length
    head = one["embedding_size"] * (two["hidden_size"] + VOCAB_SIZE)
    return 6.0 * (
        encoder(one, one["embedding_size"])
        + encoder(two, one["embedding_size"])
        + masked * head
        + one["hidden_size"] * (one["hidden_size"] + 1)
    )
