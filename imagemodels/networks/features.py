"""What all networks that look at images share: features, and a head on them that classes enter.

Shapes: N images, C channels, S side in pixels, F features, O outputs, K classes.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from imagemodels.networks.blocks import initialise
from imagemodels.networks.specs import EncoderSpec
from imagemodels.networks.spectral import apply_spectral_norm


class FeatureEncoder(nn.Module, ABC):
    """Map images (N, C, S, S) in [-1, 1] to features (N, F), and those to outputs (N, O).

    Classes enter by projection when O is 1 (Miyato & Koyama, arXiv 1802.05637): the inner product of the features and
    an embedding is added to the logit. Otherwise the embedding is added to the features.
    """

    spec: EncoderSpec
    feature_size: int
    head: nn.Linear
    embedding: nn.Embedding | None

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) in front of the output layer."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return outputs (N, O) for images (N, C, S, S) in [-1, 1] and labels (N,) of a conditional encoder."""
        features_NF = self.features(images)
        if self.embedding is None:
            outputs: Tensor = self.head(features_NF)
            return outputs
        embedded_NF: Tensor = self.embedding(labels)
        if self.spec.outputs == 1:
            projected: Tensor = self.head(features_NF) + (features_NF * embedded_NF).sum(1, keepdim=True)
            return projected
        shifted: Tensor = self.head(features_NF + embedded_NF)
        return shifted

    def _complete(self, feature_size: int) -> None:
        """Put the head on the layers that give the features, and draw all weights."""
        self.feature_size = feature_size
        self.head = nn.Linear(feature_size, self.spec.outputs)
        self.embedding = nn.Embedding(self.spec.num_classes, feature_size) if self.spec.num_classes else None
        initialise(self, self.spec.initialisation)
        if self.spec.spectral:
            apply_spectral_norm(self)
