"""The batch contract: what a batch holds between the shards and the objective.

Dimension letters here and everywhere: B examples, L tokens per example, M masked positions per
example, H hidden size, E embedding size, N attention heads, V vocabulary size.

| name             | dtype   | shape  | written by        | meaning                              |
| ---------------- | ------- | ------ | ----------------- | ------------------------------------ |
| input_ids        | int32   | [B, L] | data              | token ids, 0 in padding              |
| input_mask       | int32   | [B, L] | data              | 1 for a token, 0 for padding         |
| segment_ids      | int32   | [B, L] | data              | 0 first, 1 second segment            |
| document_ids     | int32   | [B, L] | data, if packed   | 1, 2, … per document, 0 in padding   |
| masked_positions | int32   | [B, M] | objective masking | positions to predict, 0 where unused |
| masked_ids       | int32   | [B, M] | objective masking | original ids at those positions      |
| masked_weights   | float32 | [B, M] | objective masking | 1 where used, 0 elsewhere            |
| masked_input_ids | int32   | [B, L] | objective masking | input_ids with [MASK] at positions   |
| crop_starts      | int32   | [B, 1] | contrastive loss  | tokens left out behind [CLS]         |
"""

INPUT_IDS = "input_ids"
INPUT_MASK = "input_mask"
SEGMENT_IDS = "segment_ids"
DOCUMENT_IDS = "document_ids"
MASKED_POSITIONS = "masked_positions"
MASKED_IDS = "masked_ids"
MASKED_WEIGHTS = "masked_weights"
MASKED_INPUT_IDS = "masked_input_ids"
CROP_STARTS = "crop_starts"


def data_features(packed: bool) -> tuple[str, ...]:
    """Names of the int32 [B, L] features that a data set provides."""
    return (INPUT_IDS, INPUT_MASK, SEGMENT_IDS) + ((DOCUMENT_IDS,) if packed else ())
