"""ELECTRA's joint step with transformers on PyTorch, as good as it is without new kernels.

Embeddings are shared as in ELECTRA, the vocabulary is projected at the masked positions only (plain
ElectraForMaskedLM would project all), attention is SDPA and gets no mask where there is no padding,
AdamW is the fused one, and with `compiled` both networks and the losses go through torch.compile.
"""

import time

import torch
import transformers

MASK_FRACTION = 0.15
transformers.logging.set_verbosity_error()


def _network(kind, sizes):
    # Not in the constructor: the class has a default of its own for each.
    return kind(transformers.ElectraConfig(attn_implementation="sdpa", **sizes))


class JointStep:
    """Generator, sampling, discriminator, backward pass, clipping and update.

    Args:
        discriminator: fields of its ElectraConfig.
        generator: fields of the generator's.
        device: "cpu" or "cuda".
        bfloat16: autocast; else all in float32.
        compiled: by torch.compile.
        shared: whether the generator has the discriminator's embeddings.
        mask_id: id of [MASK].
        special: ids that are never masked, where there is padding.
        varying: whether calls differ in their shapes.
    """

    def __init__(
        self,
        discriminator,
        generator,
        device,
        bfloat16,
        compiled,
        shared=True,
        mask_id=4,
        special=(),
        varying=False,
    ):
        self._discriminator = _network(transformers.ElectraForPreTraining, discriminator)
        self._generator = _network(transformers.ElectraForMaskedLM, generator)
        if shared:
            embeddings = self._discriminator.electra.embeddings
            self._generator.electra.embeddings = embeddings
            self._generator.generator_lm_head.weight = embeddings.word_embeddings.weight
        networks = [self._generator.to(device).train(), self._discriminator.to(device).train()]
        self.weights = list(
            {id(weight): weight for network in networks for weight in network.parameters()}.values()
        )
        self._optimizer = torch.optim.AdamW(
            self.weights, lr=1e-5, weight_decay=0.01, eps=1e-6, fused=True
        )
        self._device, self._bfloat16, self._mask_id = device, bfloat16, mask_id
        self._special = torch.tensor(special, device=device)
        self._losses = (
            torch.compile(self._loss, dynamic=varying or None) if compiled else self._loss
        )

    def __call__(self, ids, mask=None, segments=None):
        """One update on int64 [B, L] ids; returns the loss.

        Without a mask, int64 [B, L], all rows are full and all places may be masked.
        """
        places = self._masked_places(ids, mask)
        with torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._bfloat16):
            loss = self._losses(ids, places, mask, segments)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _masked_places(self, ids, mask):
        """Where to mask, as places in the flattened batch."""
        most = max(1, int((MASK_FRACTION + 0.005) * ids.shape[1]))
        noise = torch.rand(ids.shape, device=self._device)
        if mask is not None:
            noise = noise.masked_fill((mask == 0) | torch.isin(ids, self._special), -1.0)
        top = torch.topk(noise, most, dim=-1)
        rows = torch.arange(len(ids), device=self._device)[:, None]
        places = top.indices + rows * ids.shape[1]
        if mask is None:
            return places.flatten()
        number = (mask.sum(-1, keepdim=True) * MASK_FRACTION).round().clamp(min=1)
        wanted = torch.arange(most, device=self._device) < number
        return places[wanted & (top.values >= 0)]

    def _loss(self, ids, places, mask, segments):
        flat = ids.flatten()
        labels = flat[places]
        shown = torch.where(
            torch.rand_like(labels, dtype=torch.float) < 0.85, self._mask_id, labels
        )
        masked = flat.scatter(0, places, shown).view_as(ids)
        hidden = self._generator.electra(masked, attention_mask=mask, token_type_ids=segments)[0]
        hidden = hidden.flatten(0, 1).index_select(0, places)
        hidden = self._generator.generator_predictions(hidden)
        logits = self._generator.generator_lm_head(hidden).float()
        generator_loss = torch.nn.functional.cross_entropy(logits, labels)
        with torch.no_grad():
            noise = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-9, 1 - 1e-7)))
            sampled = (logits + noise).argmax(-1)
        replaced = flat.scatter(0, places, sampled).view_as(ids)
        hidden = self._discriminator.electra(
            replaced, attention_mask=mask, token_type_ids=segments
        )[0]
        logits = self._discriminator.discriminator_predictions(hidden).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, (replaced != ids).float(), reduction="none"
        )
        loss = loss.mean() if mask is None else (loss * mask).sum() / mask.sum()
        return generator_loss + 50.0 * loss


def matmul_peak(device, dtype, seconds=0.3):
    """Best rate of a large matrix product, operations per second; as electra_tf/train/peak.py."""
    size, repeats = (8192, 8) if device == "cuda" else (1536, 4)
    left = torch.randn(size, size, device=device).to(dtype)
    best, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end or not best:
        wait(device)
        begin = time.perf_counter()
        product = left
        for _ in range(repeats):
            product = left @ product * (1.0 / size)
        wait(device)
        best = max(best, repeats * 2.0 * size**3 / (time.perf_counter() - begin))
    return best


def wait(device):
    """Returns when the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
