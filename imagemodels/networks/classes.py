"""How the class of an image enters a network that looks at it."""

from torch import Tensor, nn


def with_classes(head: nn.Linear, embedding: nn.Embedding | None, features_NF: Tensor, labels: Tensor | None) -> Tensor:
    """Return the outputs (N, O) of ``head`` for features (N, F) and the labels (N,) of a conditional network.

    Classes enter by projection when O is 1 (Miyato & Koyama, arXiv 1802.05637): the inner product of the features and
    an embedding is added to the logit. Otherwise the embedding is added to the features.
    """
    if embedding is None:
        outputs: Tensor = head(features_NF)
        return outputs
    embedded_NF: Tensor = embedding(labels)
    if head.out_features == 1:
        projected: Tensor = head(features_NF) + (features_NF * embedded_NF).sum(1, keepdim=True)
        return projected
    shifted: Tensor = head(features_NF + embedded_NF)
    return shifted
