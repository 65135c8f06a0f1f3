"""What the studies share at each size: configs/studies/sizes.py:tiny, :paper.

tiny:      configs/electra_tiny.py:16, 3e13 FLOPs a row (objectives/flops.py), three seeds. Hours
           on 2 CPU cores. Length 16, as longer examples leave such networks at token frequencies at
           this compute (docs/experiments.md). Only learning_rate.py has been run to its end.
paper:     configs/electra_base.py, 6.4e19 FLOPs a row as the paper counts; GLUE by Table 7. For
           many GPUs or a TPU, and days.
Data:      --corpus=TEXT, or --data_dir=SHARDS of length 16 (paper: 512). --tasks_dir=DIR has
           glue/STS-B and conll/conll2000 (paper: all of GLUE). Fine-tunings on GLUE are no part of
           tiny: at this compute they barely leave chance (docs/finetuning.md).
Row:       BERT's masked language model, for the studies that compare with it; tiny: at its own
           best learning rate of those that learning_rate.py tries, others keep the config's.
"""

from electra_tf.config.study import Probe, Row, Study
from electra_tf.errors import UserError

# By GLUE's folder: config, and where results.json has the paper's metric.
GLUE = {
    "CoLA": ("cola", "median.dev.matthews"),
    "SST-2": ("sst-2", "median.dev.accuracy"),
    "MRPC": ("mrpc", "median.dev.accuracy"),
    "STS-B": ("sts-b", "median.dev.spearman"),
    "QQP": ("qqp", "median.dev.accuracy"),
    "MNLI": ("mnli", "median.dev_matched.accuracy"),
    "QNLI": ("qnli", "median.dev.accuracy"),
    "RTE": ("rte", "median.dev.accuracy"),
}
MLM = {"config.objective.name": "mlm"}
HELD_OUT = {"masked accuracy": "masked_lm_accuracy", "detection AUC": "disc_auc"}


def get_config(size: str = "tiny") -> Study:
    if size not in ("tiny", "paper"):
        raise UserError(
            f"The name of a study must be followed by :tiny or :paper. Received: {size}"
        )
    held_out = Probe("held_out", "evaluate", HELD_OUT)
    if size == "paper":
        return Study(
            rows=[Row("mlm", MLM)],
            config="configs/electra_base.py",
            compute=6.4e19,
            count="paper",
            seq_length=512,
            probes=[*glue(GLUE, {"config.num_trials": 10}), held_out],
            averages={"GLUE": tuple(GLUE)},
        )
    chunks = Probe(
        "chunks",
        "finetune",
        {"chunks, F1": "median.eval_test.f1"},
        config="configs/tagging.py:chunk",
        data={"config.data.dir": "conll/conll2000"},
        flags={"config.task.max_seq_length": 16},  # sentences in pieces, at positions it knows
    )
    frozen = Probe(
        "frozen",
        "linear_probe",
        {"frozen chunks, F1": "chunks.f1", "frozen STS-B": "similarity.spearman"},
        data={"chunks": "conll/conll2000", "similarity": "glue/STS-B"},
        flags={"max_seq_length": 16},
    )
    return Study(
        rows=[Row("mlm", {**MLM, "config.optimizer.learning_rate": 2e-3})],
        config="configs/electra_tiny.py:16",
        flags={"config.train.eval_steps": 0},
        shares={"config.optimizer.warmup_steps": 0.05, "config.train.checkpoint_steps": 0.25},
        compute=3e13,
        seq_length=16,
        vocab_size=8_192,
        data_flags={"eval_fraction": 0.02, "packing": "documents"},
        probes=[chunks, frozen, held_out],
    )


def glue(tasks, flags) -> list[Probe]:
    return [
        Probe(
            task.lower(),
            "finetune",
            {task: GLUE[task][1]},
            config=f"configs/glue.py:{GLUE[task][0]}",
            data={"config.data.dir": f"glue/{task}"},
            flags=flags,
        )
        for task in tasks
    ]
