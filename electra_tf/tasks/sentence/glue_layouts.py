"""The tasks of the GLUE benchmark, and where their own files have what.

Columns and the order of labels are the original's. Another task in GLUE's layout is a row here.
"""

import dataclasses

from electra_tf.errors import UserError

ENTAILMENT = ("entailment", "not_entailment")
FILES = {"train": ("train.tsv",), "dev": ("dev.tsv",), "test": ("test.tsv",)}
MNLI_FILES = {
    split: (f"{split}.tsv",)
    for split in ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched")
}
MNLI_FILES["test_diagnostic"] = ("diagnostic.tsv",)
# Microsoft's own files: its training file is both train and dev, told apart by pairs of numbers.
MSR_TRAIN = "msr_paraphrase_train.txt"
MRPC_FILES = {
    "train": ("train.tsv", MSR_TRAIN),
    "dev": ("dev.tsv", MSR_TRAIN),
    "test": ("test.tsv", "msr_paraphrase_test.txt"),
}
MSR_DEV = {"dev_ids.tsv": slice(0, 2), "dev.tsv": slice(1, 3)}  # and in which columns


@dataclasses.dataclass(frozen=True)
class GlueLayout:
    """One task of GLUE.

    Attributes:
        name: as GLUE writes it; also of the submission's file.
        fields: what the texts are called where a table is to be predicted.
        columns: of the texts in train and dev; negative ones count from the end.
        label: column of the label in train and dev.
        test_columns: of the texts in test files.
        labels: names in the order of the head's outputs, as the server wants them; none: numbers
            from 0 to 5.
        metrics: the main one first.
        header: whether train and dev begin with column names; test always does.
        is_unordered: the original trains on both orders of a pair.
        files: names by split, of which the first that there is counts.
    """

    name: str
    fields: tuple[str, ...]
    columns: tuple[int, ...]
    label: int
    test_columns: tuple[int, ...]
    labels: tuple[str, ...] = ("0", "1")
    metrics: tuple[str, ...] = ("accuracy",)
    header: bool = True
    is_unordered: bool = False
    files: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=lambda: FILES)


SENTENCES = ("sentence1", "sentence2")
LAYOUTS = {
    layout.name.lower().replace("-", ""): layout
    for layout in (
        GlueLayout(
            "CoLA", ("sentence",), (3,), 1, (1,), metrics=("matthews", "accuracy"), header=False
        ),
        GlueLayout("SST-2", ("sentence",), (0,), 1, (1,)),
        GlueLayout(
            "MRPC",
            SENTENCES,
            (3, 4),
            0,
            (3, 4),
            metrics=("accuracy", "f1"),
            is_unordered=True,
            files=MRPC_FILES,
        ),
        GlueLayout(
            "STS-B",
            SENTENCES,
            (-3, -2),
            -1,
            (-2, -1),
            labels=(),
            metrics=("spearman", "pearson"),
            is_unordered=True,
        ),
        GlueLayout(
            "QQP", ("question1", "question2"), (3, 4), 5, (1, 2), metrics=("accuracy", "f1")
        ),
        GlueLayout(
            "MNLI",
            SENTENCES,
            (8, 9),
            -1,
            (8, 9),
            files=MNLI_FILES,
            labels=("contradiction", "entailment", "neutral"),
        ),
        GlueLayout("QNLI", ("question", "sentence"), (1, 2), 3, (1, 2), labels=ENTAILMENT),
        GlueLayout("RTE", SENTENCES, (1, 2), 3, (1, 2), labels=ENTAILMENT),
        GlueLayout("WNLI", SENTENCES, (1, 2), 3, (1, 2)),
    )
}
ALIASES = {"sst": "sst2", "sts": "stsb"}  # the original's names


def layout_of(name: str) -> GlueLayout:
    """The layout of a task, such as rte, SST-2 or stsb; UserError if GLUE has none."""
    key = name.lower().replace("-", "").replace("_", "")
    layout = LAYOUTS.get(ALIASES.get(key, key))
    if layout is None:
        names = ", ".join(known.name for known in LAYOUTS.values())
        raise UserError(f"The name of a GLUE task must be one of {names}. Received: {name!r}")
    return layout
