"""May training begin with the weights of that model? Free of torch, so that a job can be refused at once."""

from dataclasses import fields

from imagemodels.presets import Preset

# The options by which networks are built: of two models that are to have the same weights they are the same.
NETWORK_OPTIONS = frozenset(
    {"backbone", "depth", "width", "latent_size", "class_size", "upsample", "norm", "residual", "feature_size"}
    | {"discriminator_width", "discriminator_norm", "spectral_norm", "patch_halvings"}
    | {"halvings", "blocks", "levels", "skips", "cell", "layers", "patch", "reach"}
    | {"degradation", "given_frames"}  # the damage that a network repairs, and what it was shown, are inputs of it
)


def differences(mine: Preset, theirs: Preset) -> list[str]:
    """Return one phrase for each setting in which the networks of two models differ: `width 16, and not 32`."""
    if mine.name != theirs.name:
        return [f"preset {mine.name}, and not {theirs.name}"]
    names = [entry.name for entry in fields(mine.options) if entry.name in NETWORK_OPTIONS]
    pairs = [(name, getattr(mine.options, name), getattr(theirs.options, name)) for name in names]
    return [f"{name} {asked}, and not {theirs}" for name, asked, theirs in pairs if asked != theirs]
