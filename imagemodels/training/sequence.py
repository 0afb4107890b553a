"""Training a network that predicts the frames of sequences."""

import torch
from torch import Tensor, nn

from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import SequenceSpec
from imagemodels.objectives import RECONSTRUCTION
from imagemodels.options import SequenceOptions
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import Batch
from imagemodels.training.task import Task, new_optimizer

EVEN = 0.5  # chance of a true frame where reverse sampling begins


class SequenceTask(Task):
    """One recurrent network that predicts every frame of a sequence from those before it."""

    def __init__(self, config: TrainConfig, options: SequenceOptions, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.options = options
        self.predictor = SequencePredictor(sequence_spec(config, options))
        self.networks = {"predictor": self.predictor}
        runtime.place(self.predictor).train()
        self.optimizers = {"predictor": new_optimizer(self.predictor, options, options.learning_rate)}

    @property
    def product(self) -> nn.Module:
        """The network itself."""
        return self.predictor

    def step(self, batch: Batch, micro_batch: int | None = None) -> dict[str, Tensor]:
        """Minimise the reconstruction of all frames but the first, as a mean over frames and sequences."""
        return self.descend("predictor", batch.parts(micro_batch or len(batch.images)), self._losses)

    def _losses(self, part: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        frames_NTCSS = part.images
        steps = frames_NTCSS.shape[1] - 1
        with self.runtime.autocast():
            predicted_NTCSS = self.predictor(frames_NTCSS, steps, self._seen(part))
        loss = RECONSTRUCTION[self.options.reconstruction](
            frames_NTCSS[:, 1:].flatten(0, 1), predicted_NTCSS.float().flatten(0, 1)
        )
        return loss, {"reconstruction": loss}

    def _seen(self, part: Batch) -> Tensor:
        """Draw which true frames (N, T) are looked at in this step."""
        frames = part.images.shape[1]
        chances_T = chances_of_truth(self.options, part.images_seen, frames).to(part.images.device)
        return self.uniforms(part, frames, "truth") < chances_T


def chances_of_truth(options: SequenceOptions, images_seen: int, frames: int) -> Tensor:
    """Return the chance (T,) of each frame that the network looks at it rather than at its prediction.

    ``linear`` scheduled sampling (Bengio et al., arXiv 1506.03099) weans it of the frames after those given. The
    ``reverse`` one (arXiv 2103.09504, section 3.5) also hides some of those given at first, so that the network learns
    to look far back. Both end, after ``sampling_images`` sequences, where ``none`` begins: as the model is used.
    """
    share = min(1.0, images_seen / options.sampling_images) if options.sampling_images else 1.0
    given, later = {
        "none": (1.0, 0.0),
        "linear": (1.0, 1.0 - share),
        "reverse": (EVEN + (1.0 - EVEN) * share, EVEN * (1.0 - share)),
    }[options.sampling]
    chances_T = torch.full((frames,), later)
    chances_T[: options.given_frames] = given
    return chances_T


def sequence_spec(config: TrainConfig, options: SequenceOptions) -> SequenceSpec:
    """Return what the network of this run is made of."""
    return SequenceSpec(
        image_size=config.image_size,
        channels=config.channels,
        width=options.width,
        layers=options.layers,
        given_frames=options.given_frames,
        cell=options.cell,
        patch=options.patch,
        reach=options.reach,
    )
