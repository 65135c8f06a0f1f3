"""What a config will need, before anything runs: memory, operations, time on common devices."""

from collections.abc import Sequence
from typing import Any

from electra_tf.config import Config
from electra_tf.config.sections import MAX_ROWS
from electra_tf.errors import UserError
from electra_tf.objectives import build_objective, flops, paper_flops
from electra_tf.objectives.phases import Timeline
from electra_tf.speed import synthetic
from electra_tf.speed.devices import DataSheet
from electra_tf.speed.memory import MemoryModel


def plan(config: Config, seq_length: int, peak_share: float, devices: Sequence[DataSheet]) -> dict:
    """The figures of a training, on one device each.

    Args:
        config: a validated config; its vocabulary's size is set if it was left open.
        seq_length: tokens of an example.
        peak_share: share of a device's peak that the step reaches.
        devices: where.

    Returns:
        `weights` by network; `flops_per_token`, `tokens` and `flops` of the run, `phases`; of them
        `paper_flops_per_token` and `paper_flops` as the paper counts (`objectives/paper_flops.py`);
        `memory`, a list with `batch_size`, `precision` and the bytes of a `Memory` by name and in
        all; `devices`, a list with `name`, `precision`, `hours`, `largest_batch_size` without
        accumulation (0: not one row fits) and `accumulation_steps`, the fewest with which the
        config's batch fits (None: none do).

    Raises:
        UserError: the examples are longer than the model's positions.
    """
    if seq_length > config.model.max_positions:
        raise UserError(
            "seq_length must be at most config.model.max_positions, "
            f"{config.model.max_positions}. Received: {seq_length}"
        )
    synthetic.vocabulary(config)  # sets the size
    objective, train = build_objective(config), config.train
    model = MemoryModel(objective, seq_length)
    tokens = train.batch_sizes().examples(train.num_steps) * seq_length
    per_token = objective.training_flops_per_token(seq_length)
    paper_per_token = objective.training_flops_per_token(seq_length, paper_flops.training)
    return {
        "batch_size": train.batch_size,
        "accumulation_steps": train.accumulation_steps,
        "seq_length": seq_length,
        "num_steps": train.num_steps,
        "peak_share": peak_share,
        "weights": model.numbers,
        "flops_per_token": per_token,
        "tokens": tokens,
        "flops": per_token * tokens,
        "paper_flops_per_token": paper_per_token,
        "paper_flops": paper_per_token * tokens,
        "phases": [
            {
                "name": phase.name,
                "num_steps": steps,
                "flops_per_token": flops.training(objective.passes(), phase, seq_length),
                "paper_flops_per_token": paper_flops.training(
                    objective.passes(), phase, seq_length
                ),
            }
            for phase, steps in Timeline(objective.phases()).lengths(train.num_steps)
        ],
        "memory": [
            _memory(model, size, train.accumulation_steps, precision)
            for precision in ("float32", "mixed")
            for size in _sizes_around(train.batch_size)
        ],
        "devices": [
            _on_device(model, train, device, precision, per_token * tokens / peak_share)
            for device in devices
            for precision in ("float32", device.precision)
        ],
    }


def _sizes_around(batch_size):
    """The batch size, and powers of two around it."""
    power = 1 << (batch_size.bit_length() - 1)
    sizes = {power >> 2, power >> 1, power, power << 1, power << 2, batch_size} - {0}
    return sorted(size for size in sizes if size <= MAX_ROWS)


def _memory(model, batch_size, accumulation_steps, precision) -> dict[str, Any]:
    steps = min(accumulation_steps, batch_size)
    memory = model.of(batch_size, steps, precision != "float32")
    return {
        "batch_size": batch_size,
        "precision": precision,
        **vars(memory),
        "total": memory.total,
    }


def _on_device(model, train, device, precision, operations):
    mixed = precision != "float32"

    def fits(batch_size, steps):
        return model.of(batch_size, steps, mixed).total <= device.usable_bytes

    least, beyond = 0, MAX_ROWS + 1
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if fits(middle, 1) else (least, middle)
    steps = (
        steps
        for steps in range(1, train.batch_size + 1)
        if train.batch_size % steps == 0 and fits(train.batch_size, steps)
    )
    return {
        "name": device.name,
        "memory_gib": device.gib,
        "precision": precision,
        "hours": operations / (device.mixed if mixed else device.float32) / 3600,
        "largest_batch_size": least,
        "accumulation_steps": next(steps, None),
    }


def lines(figures: dict) -> list[str]:
    """The figures of `plan` as text to print."""
    weights = figures["weights"]
    width = max(map(len, weights))
    text = [f"{sum(weights.values()):,} weights"]
    text += [f"  {network:{width}}  {number:>13,}" for network, number in weights.items()]
    text += [
        f"{figures['flops_per_token'] / 1e6:,.1f} MFLOP/token, {figures['flops']:.3g} FLOP in "
        f"{figures['num_steps']:,} steps of {figures['batch_size']} x {figures['seq_length']} "
        "tokens",
        f"{figures['paper_flops_per_token'] / 1e6:,.1f} MFLOP/token, "
        f"{figures['paper_flops']:.3g} FLOP as the paper counts: look-ups as products, 2 x the "
        "forward pass",
    ]
    if len(figures["phases"]) > 1:
        text += [
            f"  {phase['name']}: {phase['flops_per_token'] / 1e6:,.1f} MFLOP/token "
            f"({phase['paper_flops_per_token'] / 1e6:,.1f}) in {phase['num_steps']:,} steps"
            for phase in figures["phases"]
        ]
    parts = ("weights", "optimizer", "gradients", "activations", "workspace", "total")
    steps = figures["accumulation_steps"]
    text += [
        "",
        "Memory of a step in GiB"
        + (f", {steps} micro-batches per update" if steps > 1 else "")
        + "; gradients and workspace at the moment that needs most:",
        f"{'precision':9} {'batch':>7}" + "".join(f" {part:>11}" for part in parts),
    ]
    text += [
        f"{row['precision']:9} {row['batch_size']:>7,}"
        + "".join(f" {row[part] / 2**30:>11,.2f}" for part in parts)
        for row in figures["memory"]
    ]
    width = max(len(row["name"]) for row in figures["devices"])
    text += [
        "",
        f"On one device, at {figures['peak_share']:.0%} of its peak of dense matrix products:",
        f"{'device':{width}} {'precision':14} {'hours':>10}  a batch of {figures['batch_size']}",
    ]
    for row in figures["devices"]:
        start = f"{row['name']:{width}} {row['precision']:14} {_hours(row['hours']):>10}"
        text.append(f"{start}  {_fit(row, steps)}")
    return text


def _hours(hours):
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _fit(row, steps):
    """Whether the config's batch fits, and what does."""
    largest, fewest = row["largest_batch_size"], row["accumulation_steps"]
    if not largest:
        return "does not fit: not even one row"
    most = f"up to {largest:,} rows at once"
    if fewest is None:  # the gradients are there twice, and the noise of all rows
        return f"does not fit in micro-batches either; {most}"
    if fewest == 1:
        return f"fits; {most}"
    if steps >= fewest:
        return f"fits with accumulation_steps={steps}; {most}"
    return f"does not fit; does with accumulation_steps={fewest}; {most}"
