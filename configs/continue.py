"""More pre-training of any model on your own text: its sizes and vocabulary, a smaller rate.

Command:   electra_tf build_dataset --input='corpus/*.txt' --vocab=MODEL --output_dir=SHARDS
           electra_tf pretrain --config=configs/continue.py --config.init_from=MODEL \
               --config.data.dir=SHARDS --workdir=RUN
Data:      shards with the model's vocabulary, no longer than its positions. If MODEL has a
           spiece.model add --tokenizer=sentencepiece, if a tokenizer.json
           --tokenizer=byte_level_bpe, if it is cased --nolower_case. A vocabulary of your own means
           a model of your own: electra_small.
Hardware:  20,000 steps of 128 x 128 tokens: with ELECTRA-Small 43 hours on two cores of a Xeon at
           2,115 tokens/s; not measured on a GPU. --config.train.max_minutes=60 makes it an hour.
           `electra_tf benchmark --plan` tells what fits.
Settings:  a fifth of the rate that ELECTRA-Small is trained with, as the model has left its own
           behind; a warm-up, as the optimizer begins anew; a rate that stays, so that the run can
           be prolonged, and falls at the end. A generator that the model lacks starts fresh. Of a
           masked language model add --config.objective.name=mlm.
Expected:  not measured by us. The model is evaluated before the first step, see RUN/metrics.jsonl.
"""

from electra_tf.config import Config


def get_config() -> Config:
    config = Config()
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "warmup_stable_decay"
    config.optimizer.warmup_steps = 1_000
    config.train.num_steps, config.train.eval_steps = 20_000, 2_000
    return config
