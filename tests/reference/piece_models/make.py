"""Makes what lies here by the package sentencepiece: `python tests/reference/piece_models/make.py`.

Two models of the paragraphs of Wikipedia and the two texts of own_languages, and what the package
makes of those and of some difficult strings.
"""

import importlib
import io
import json
import lzma
from typing import Any

from tests.unit import piece_files

SETTINGS = {
    "unigram": {"normalization_rule_name": "nmt_nfkc_cf"},
    "bpe": {"normalization_rule_name": "nmt_nfkc", "byte_fallback": True},
}


def write(name: str, content: bytes) -> None:
    packed = lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
    (piece_files.FOLDER / f"{name}.xz").write_bytes(packed)


def main() -> None:
    sentencepiece: Any = importlib.import_module("sentencepiece")  # has no types
    texts, expected = piece_files.texts(), {}
    for name, settings in SETTINGS.items():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts[len(piece_files.HARD) :]),
            model_writer=model,
            model_type=name,
            vocab_size=2400,
            hard_vocab_limit=False,
            pad_id=0,
            pad_piece="[PAD]",
            unk_id=1,
            unk_piece="[UNK]",
            bos_id=-1,
            eos_id=-1,
            control_symbols=["[CLS]", "[SEP]", "[MASK]"],
            num_threads=4,
            max_sentence_length=1 << 20,
            minloglevel=2,
            **settings,
        )
        write(f"{name}.model", model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        expected[name] = processor.encode(texts)
    write("ids.json", json.dumps(expected).encode())


if __name__ == "__main__":
    main()
