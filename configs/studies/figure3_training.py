"""How both networks are trained, the right part of Figure 3: configs/studies/figure3_training.py.

Command:   electra_tf lab --study=configs/studies/figure3_training.py:tiny --corpus=TEXT \
               --tasks_dir=TASKS --root=runs/figure3_training
Rows:      jointly; jointly with a generator of the discriminator's size, which two stages need;
           the generator first, half of the steps; adversarially (appendix F); BERT's masked LM.
Expected:  the paper: joint training is best, two stages and adversarial training are above BERT.
           :tiny or :paper.
"""

import os

from electra_tf.config.study import Row, Study

SAME_SIZE = {"config.generator.hidden_fraction": 1.0, "config.model.sharing": "none"}


def get_config(size: str = "tiny") -> Study:
    study = Study.from_file(os.path.join(os.path.dirname(__file__), f"sizes.py:{size}"))
    study.title = "Joint, two-stage and adversarial training (Figure 3, right)"
    study.rows = [
        Row("joint"),
        Row("joint_same_size", SAME_SIZE),
        Row(
            "two_stage",
            {**SAME_SIZE, "config.objective.name": "two_stage"},
            {"config.objective.generator_steps": 0.5},
        ),
        Row("adversarial", {"config.objective.name": "adversarial"}),
        *study.rows,
    ]
    return study
