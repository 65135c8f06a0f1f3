"""Makes a model directory of electra_tf of the weights of a run.

    .venv/bin/python tests/device/to_model.py --pieces=FOLDER --output=runs/gpu/model

`electra_tf evaluate`, `finetune`, `convert` and `export` take it.
"""

import argparse
import json
import os
import sys

sys.path.insert(0, os.getcwd())
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pieces  # noqa: E402

from electra_tf.config import Config  # noqa: E402
from electra_tf.saved import model_directory  # noqa: E402
from electra_tf.text.vocabulary import Vocabulary  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pieces", required=True, help="folder with weights-STEP-K-of-N.npz")
    parser.add_argument("--vocab", default=".gpu/vocab.txt")
    parser.add_argument("--output", required=True, help="a new directory")
    parser.add_argument("--float16", action="store_true", help="half the size")
    args = parser.parse_args()
    weights, about = pieces.read(args.pieces)
    config = Config.from_json(json.dumps(about["config"]))
    config.runtime.strategy = "auto"
    model = model_directory.Pretrained(
        config, weights, Vocabulary.from_file(args.vocab), about["step"]
    )
    model.check(args.pieces)
    model_directory.write(model, args.output, dtype="float16" if args.float16 else "float32")
    again = model_directory.read(args.output)
    assert again.weights.keys() == weights.keys()
    print(
        f"{args.output}: {again.summary()}"
        + ("" if about["final"] else "; NOT the end of the run, which was stopped")
    )


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
