"""From a study's compute to the steps of each of its rows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from electra_tf import objectives
from electra_tf.config import Config, JsonConfig
from electra_tf.config.study import Flags, Row, Study
from electra_tf.errors import UserError
from electra_tf.objectives import flops, paper_flops

_COUNTS = {"products": flops.training, "paper": paper_flops.training}
_ROUNDS = 20  # of the search: a share of the steps may change what a step costs


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a row trains.

    Attributes:
        config: the experiment, for a look into it; the command gets `flags`.
        file: the experiment's file.
        flags: of `electra_tf pretrain`, but for data, seed and workdir.
        steps: of the training.
        tokens: it reads, padding included.
        flops: it costs, as the study counts.
    """

    config: Config
    file: str
    flags: Flags
    steps: int
    tokens: float
    flops: float


def plan(study: Study, row: Row) -> Plan:
    """What a row trains so that it spends its share of the study's compute.

    Raises:
        UserError: a flag that is no field, or a config that its objective does not allow.
    """
    file = row.config or study.config
    config, given = Config.from_file(file), {**study.flags, **row.flags}
    set_fields(config, given)
    config.model.vocab_size = config.model.vocab_size or study.vocab_size
    if config.model.max_positions < study.seq_length:
        raise UserError(
            f"The seq_length of a study must be at most config.model.max_positions of the row "
            f"{row.name!r}, {config.model.max_positions}. Received: {study.seq_length}"
        )
    shares = {**study.shares, **row.shares}
    sizes = config.train.batch_sizes()

    def cost(steps: int) -> tuple[Flags, float]:
        """What follows from so many steps: fields, and operations per token."""
        fields = {name: _share(config, name, share, steps) for name, share in shares.items()}
        fields["config.train.num_steps"] = steps
        set_fields(config, fields)
        config.validate()
        objective = objectives.build_objective(config)
        return fields, objective.training_flops_per_token(study.seq_length, _COUNTS[study.count])

    budget, steps = study.compute * row.compute, row.steps or 1000
    fields, per_token = cost(steps)
    for _ in range(0 if row.steps else _ROUNDS):
        price = study.seq_length * (per_token if study.equal == "flops" else 1)
        wanted = max(1, round(sizes.steps(budget / price)))
        if wanted == steps:
            break
        steps = wanted
        fields, per_token = cost(steps)
    objectives.validate(config)
    tokens = float(sizes.examples(steps) * study.seq_length)
    return Plan(config, file, {**given, **fields}, steps, tokens, per_token * tokens)


def set_fields(config: JsonConfig, fields: Mapping[str, Any]) -> None:
    """Sets fields by their full names, as flags do.

    Raises:
        UserError: there is no such field.
    """
    for name, value in fields.items():
        config.require_field(name)
        *section, field = name.split(".")[1:]
        setattr(getattr(config, section[0]) if section else config, field, value)


def _share(config: Config, name: str, share: float, steps: int) -> int:
    """A share of the steps, where one is the least of fields that may not be 0."""
    config.require_field(name)
    return max(1, round(share * steps)) if share else 0
