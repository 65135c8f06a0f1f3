"""What the tests of conversion do with transformers, in its own environment; offline.

Usage: transformers_programs.py TASKS.json

Does the tasks of a JSON list, [[function below, {argument: value}], ...], in one process: starting
PyTorch takes seconds.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import transformers  # noqa: E402  only after the variable above is set


def make(
    directory, architecture, config, old_pickle=False, config_class="ElectraConfig", scale=0.3
):
    """Saves a model with random weights, biases and LayerNorms too; `scale` is what they vary by.

    With `old_pickle` as older versions did: a pickle with the old names of LayerNorms' weights.
    """
    import torch

    torch.manual_seed(len(architecture))
    model = getattr(transformers, architecture)(getattr(transformers, config_class)(**config))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_norm = name.endswith(("LayerNorm.weight", "norm.weight"))
            torch.nn.init.normal_(weight, float(is_norm), scale)
    model.save_pretrained(directory)
    if old_pickle:
        os.remove(os.path.join(directory, "model.safetensors"))
        state = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in model.state_dict().items()
        }
        state["electra.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])
        torch.save(state, os.path.join(directory, "pytorch_model.bin"))


def compute(directory, loader, inputs, output):
    """Writes logits (where the model has a head) and last hidden states, float32, to a .npz."""
    import numpy as np
    import torch

    model, loading = getattr(transformers, loader).from_pretrained(
        directory, output_loading_info=True
    )
    batch = {name: torch.tensor(value, dtype=torch.long) for name, value in np.load(inputs).items()}
    with torch.no_grad():
        outputs = model.eval()(**batch, output_hidden_states=True)
    arrays = {"hidden": outputs.hidden_states[-1]}
    arrays |= {"logits": outputs.logits} if "logits" in outputs else {}
    np.savez(
        output,
        **arrays,
        missing=sorted(loading["missing_keys"]),
        unexpected=sorted(loading["unexpected_keys"]),
        architecture=type(model).__name__,
    )


def tokenize(directory, texts, pairs, output):
    """Writes what AutoTokenizer makes of texts, and of texts with pairs."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    batches = [tokenizer(texts, padding=True), tokenizer(texts, pairs, padding=True)]
    with open(output, "w", encoding="utf-8") as file:
        json.dump(
            {
                "batches": [dict(batch) for batch in batches],
                "max_length": tokenizer.model_max_length,
                "decoded": tokenizer.decode(batches[0]["input_ids"][0], skip_special_tokens=True),
            },
            file,
        )


def fill_mask(directory, text, output):
    """Writes the id that the pipeline finds most probable."""
    fill = transformers.pipeline("fill-mask", model=directory)
    with open(output, "w", encoding="utf-8") as file:
        json.dump(fill(text)[0]["token"], file)


def main(tasks):
    with open(tasks, encoding="utf-8") as file:
        for name, arguments in json.load(file):
            globals()[name](**arguments)
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
