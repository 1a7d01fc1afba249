"""Control networks without biases, for cross normalisation."""

from torch import nn

__all__ = ["remove_biases"]


def remove_biases(control: nn.Module) -> None:
    """Set a control network's biases, but those of the time embedding, to 0 and freeze them.

    Cross normalisation scales a control map as a whole. A constant in it is a bias that the main
    branch can use at once, and while it grows the normalisation shrinks what depends on the pose:
    after 200 steps with biases a thousandth of the map's variance was left to the poses, and the
    model ignored them.
    """
    for name, parameter in control.named_parameters():
        if name.endswith("bias") and not name.startswith("time_embedding"):
            nn.init.zeros_(parameter)
            parameter.requires_grad_(False)
