"""Which model a new one has to beat: the last blessed one before it.

TFX's LatestBlessedModelStrategy gives the last blessed model of all. In a second run with nothing
changed that is the current model itself: it would be compared with itself, lose its blessing, and
nothing after it could come from the cache.
"""

from typing import Any

import ml_metadata
from absl import logging
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.types.standard_artifacts import Model, ModelBlessing


class LatestBlessedBefore(ResolverStrategy):
    """The strategy of a Resolver with these channels:

        Resolver(strategy_class=LatestBlessedBefore, current_model=trainer.outputs["model"],
                 model=Channel(type=Model), model_blessing=Channel(type=ModelBlessing))

    Only for local runs: Kubeflow and Vertex pipelines can compile TFX's own strategies only.
    """

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Keeps the newest model that is older than `current_model` and blessed, if any.

        A model whose files are gone is not among those given; see `runners/outputs.py`.
        """
        del store
        resolved = {key: [] for key in input_dict} | {"current_model": input_dict["current_model"]}
        if not input_dict["current_model"]:
            return resolved
        current = input_dict["current_model"][0]
        blessings = {
            blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            ): blessing
            for blessing in sorted(input_dict["model_blessing"], key=lambda artifact: artifact.id)
        }
        blessed = [
            number
            for number, blessing in blessings.items()
            if number < current.id
            and blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
            == constants.BLESSED_VALUE
        ]
        models = {model.id: model for model in input_dict["model"]}
        there = [number for number in blessed if number in models]
        if there:
            latest = max(there)
            resolved |= {"model": [models[latest]], "model_blessing": [blessings[latest]]}
        if blessed and max(blessed) not in models:
            logging.warning(
                "The last blessed model must be as it was left, to be compared with. Received: "
                "%s, removed or changed; the baseline is %s",
                blessings[max(blessed)].get_string_custom_property(
                    constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY
                ),
                resolved["model"][0].uri if there else "none",
            )
        return resolved


def resolver(current_model: types.BaseChannel, runner: str) -> Resolver | None:
    """The node `baseline` of a pipeline; its output `model` is what the current one has to beat.

    Args:
        current_model: channel of the Model that is to be judged.
        runner: "local"; "vertex", which compiles TFX's own strategy only; or "kubeflow", which has
            no resolvers: None.
    """
    if runner == "kubeflow":
        return None
    channels: dict[str, Any] = {
        "model": types.Channel(type=Model),
        "model_blessing": types.Channel(type=ModelBlessing),
    }
    strategy = LatestBlessedModelStrategy
    if runner == "local":
        strategy, channels["current_model"] = LatestBlessedBefore, current_model
    return Resolver(strategy_class=strategy, **channels).with_id("baseline")
