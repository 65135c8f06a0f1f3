"""Two-stage training (section 3.2 of the paper): first the generator, then the discriminator."""

from electra_tf.errors import UserError
from electra_tf.objectives import generators
from electra_tf.objectives.phases import Phase
from electra_tf.objectives.rtd import ReplacedTokenDetection


class TwoStage(ReplacedTokenDetection):
    """The generator learns alone; then it stands still, and the discriminator starts as its copy.

    Both are of one size and share nothing: what they shared would not stand still. There is one
    learning-rate schedule for the whole run. Metrics of both networks are logged in both phases.
    """

    generators = ("trained",)

    @classmethod
    def check(cls, config):
        super().check(config)
        steps, generator = config.objective.generator_steps, config.generator_model()
        others = [
            f"{name} {value} instead of {getattr(config.model, name)}"
            for name, value in vars(generator).items()
            if value != getattr(config.model, name)
        ]
        if config.model.sharing != "none" or others:
            raise UserError(
                "config.objective.name=two_stage copies the generator into the discriminator, so "
                "config.model.sharing must be none and config.generator make it of the "
                "discriminator's sizes. Received: "
                + ", ".join([f"config.model.sharing={config.model.sharing}", *others])
            )
        if not 0 < steps < config.train.num_steps:
            raise UserError(
                "config.objective.generator_steps must be at least 1 and less than "
                f"config.train.num_steps, {config.train.num_steps}. Received: {steps}"
            )

    def phases(self):
        return (
            Phase(
                "generator",
                self.config.objective.generator_steps,
                terms=("masked_lm",),
                trains=generators.WEIGHTS,
            ),
            Phase(
                "discriminator",
                terms=tuple(term for term in self.terms if term != "masked_lm"),
                trains=self.detector_weights,
                copies={
                    "embeddings/": "generator_embeddings/",
                    "discriminator/": "generator/",
                },
            ),
        )
