"""Which model a new one has to beat: the last blessed one before it.

TFX's LatestBlessedModelStrategy gives the last blessed model of all. In a second run with nothing
changed that is the current model itself: it would be compared with itself, lose its blessing, and
nothing after it could come from the cache.
"""

import ml_metadata
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import ResolverStrategy


class LatestBlessedBefore(ResolverStrategy):
    """The strategy of a Resolver with these channels:

        Resolver(strategy_class=LatestBlessedBefore, current_model=trainer.outputs["model"],
                 model=Channel(type=Model), model_blessing=Channel(type=ModelBlessing))

    Only for local runs: Kubeflow and Vertex pipelines can compile TFX's own strategies only.
    """

    def resolve_artifacts(self, store: ml_metadata.MetadataStore,
                          input_dict: dict[str, list[types.Artifact]]
                          ) -> dict[str, list[types.Artifact]]:
        """Keeps the newest model that is older than `current_model` and blessed, if any."""
        del store
        resolved = {key: [] for key in input_dict} | {
            "current_model": input_dict["current_model"]}
        if not input_dict["current_model"]:
            return resolved
        current = input_dict["current_model"][0]
        blessings = {
            blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY):
                blessing
            for blessing in sorted(input_dict["model_blessing"], key=lambda artifact: artifact.id)}
        blessed = [
            model for model in input_dict["model"]
            if model.id < current.id and model.id in blessings
            and blessings[model.id].get_int_custom_property(
                constants.ARTIFACT_PROPERTY_BLESSED_KEY) == constants.BLESSED_VALUE]
        if blessed:
            latest = max(blessed, key=lambda model: model.id)
            resolved |= {"model": [latest], "model_blessing": [blessings[latest.id]]}
        return resolved
