"""A study as command lines of this project, stage by stage.

ROOT/data/vocab.txt, shards/     of the corpus, where no shards are given
ROOT/runs/ROW/seed_N/pretrain/   a run of `electra_tf pretrain`, with its eval.json
ROOT/runs/ROW/seed_N/PROBE/      a run of `electra_tf finetune`; of other probes PROBE.json
beside each its log, *.log
"""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence

from electra_tf import objectives
from electra_tf.config import FinetuneConfig
from electra_tf.config.study import Flags, Probe, Row, Study
from electra_tf.json_files import read_json
from electra_tf.lab.compute import Plan, set_fields
from electra_tf.text import tokenization

STAGES = ("vocabulary", "shards", "pretrain", "probes")  # each needs those before it
RESULTS = "results"  # what comes after them
# What learn_vocab and build_dataset must be told alike.
_FOLDING = ("lower_case", "strip_accents", "tokenize_chinese_chars")


@dataclasses.dataclass(frozen=True)
class Task:
    """One command with its own directory or file.

    Attributes:
        name: its path in the study's root, such as runs/electra/seed_0/pretrain.
        arguments: the command's name and flags.
        log: file of what it prints.
        is_done: whether its result is there.
        needs: the task whose result it reads.
    """

    name: str
    arguments: tuple[str, ...]
    log: str
    is_done: Callable[[], bool]
    needs: "Task | None" = None

    @property
    def line(self) -> str:
        """The command for a shell."""
        return shlex.join(("electra_tf", *self.arguments))


def result_file(root: str, row: Row, seed: int, probe: Probe) -> str:
    """The JSON that has the numbers of a probe of a run."""
    folder = _folder(row, seed)
    if probe.command == "evaluate":
        return os.path.join(root, folder, "pretrain", "eval.json")
    if probe.command == "finetune":
        return os.path.join(root, folder, probe.name, "results.json")
    return os.path.join(root, folder, f"{probe.name}.json")


def applies(probe: Probe, plan: Plan) -> bool:
    """Whether the models of a row can be asked: not all can score a text."""
    served = objectives.objective_class(plan.config).served
    return probe.command != "minimal_pairs" or any(each.signature == "score" for each in served)


def build(study: Study, plans: Mapping[str, Plan], root: str) -> dict[str, list[Task]]:
    """The tasks of each stage, seed by seed, so that rows can be compared early.

    Args:
        study: a validated study.
        plans: of its rows by name.
        root: directory of the study.

    Raises:
        UserError: a flag of a fine-tuning that is no field.
    """
    stages: dict[str, list[Task]] = {name: [] for name in STAGES}
    shards = study.data_dir or _data(study, root, stages)
    made = next(iter(stages["shards"]), None)
    for seed in study.seeds:
        for row in study.rows:
            stages["pretrain"].append(_pretraining(plans[row.name], row, seed, shards, root, made))
    for probe in study.probes:
        if probe.command == "finetune":
            set_fields(FinetuneConfig.from_file(probe.config), probe.flags)
    runs = {task.name: task for task in stages["pretrain"]}
    for seed in study.seeds:
        for row in study.rows:
            run = runs[f"{_folder(row, seed)}/pretrain"]
            stages["probes"] += [
                _probe(study, plans[row.name], row, seed, probe, root, run)
                for probe in study.probes
                if applies(probe, plans[row.name])
            ]
    return stages


def _data(study: Study, root: str, stages: dict[str, list[Task]]) -> str:
    """Adds what makes the shards; returns where they will be."""
    kind = str(study.vocab_flags.get("kind", "wordpiece"))
    (file,) = tokenization.file_names({"name": kind})
    vocab, shards = (os.path.join(root, "data", name) for name in (file, "shards"))
    inputs = [f"--input={each}" for each in study.corpus]
    described = os.path.join(shards, "dataset.json")
    learn = Task(
        "data/vocab",
        (
            "learn_vocab",
            *inputs,
            *_flags({"vocab_size": study.vocab_size, "output": vocab, **study.vocab_flags}),
        ),
        os.path.join(root, "data", "vocab.log"),
        lambda: os.path.exists(vocab),
    )
    settings = {"vocab": vocab, "output_dir": shards, "seq_length": study.seq_length}
    if "kind" in study.vocab_flags:
        settings["tokenizer"] = kind
    settings |= {name: study.vocab_flags[name] for name in _FOLDING if name in study.vocab_flags}
    build = Task(
        "data/shards",
        ("build_dataset", *inputs, *_flags({**settings, **study.data_flags})),
        os.path.join(root, "data", "shards.log"),
        lambda: os.path.exists(described),
        learn,
    )
    stages["vocabulary"].append(learn)
    stages["shards"].append(build)
    return shards


def _pretraining(
    plan: Plan, row: Row, seed: int, shards: str, root: str, needs: Task | None
) -> Task:
    name = f"{_folder(row, seed)}/pretrain"
    workdir = os.path.join(root, name)
    last = os.path.join(workdir, "checkpoints", f"ckpt-{plan.steps}.index")
    own = {
        "config.data.dir": shards,
        "config.train.seed": seed,
        "workdir": workdir,
    }
    return Task(
        name,
        ("pretrain", f"--config={plan.file}", *_flags({**plan.flags, **own})),
        f"{workdir}.log",
        lambda: os.path.exists(last),
        needs,
    )


def _probe(
    study: Study, plan: Plan, row: Row, seed: int, probe: Probe, root: str, run: Task
) -> Task:
    name, workdir = f"{_folder(row, seed)}/{probe.name}", os.path.join(root, run.name)
    file = result_file(root, row, seed, probe)
    if probe.command == "evaluate":
        own: Flags = {"workdir": workdir}
    elif probe.command == "finetune":
        own = {
            "config": probe.config,
            "config.init_from": workdir,
            "config.train.seed": seed,
            "workdir": os.path.join(root, name),
        }
    else:
        own = {"model": workdir, "output": file}
    data = {flag: os.path.join(study.tasks_dir, folder) for flag, folder in probe.data.items()}

    def is_done() -> bool:
        if not os.path.exists(file):
            return False
        return probe.command != "evaluate" or read_json(file).get("step") == plan.steps

    return Task(
        name,
        (probe.command, *_flags({**own, **data, **probe.flags})),
        os.path.join(root, f"{name}.log"),
        is_done,
        run,
    )


def _folder(row: Row, seed: int) -> str:
    return f"runs/{row.name}/seed_{seed}"


def _flags(values: Flags) -> Sequence[str]:
    return [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]
