"""What keeps a control network listening to its picture under cross normalisation."""

from torch import nn

__all__ = ["listen_only"]


def listen_only(control: nn.Module) -> None:
    """Take away a control network's constants, for good: biases become 0 and stay so.

    Cross normalisation scales a control map as a whole. A constant in it is a bias that the main
    branch can use at once, and while it grows the normalisation shrinks what depends on the pose:
    after 200 steps with biases a thousandth of the map's variance was left to the poses, and the
    model ignored them.
    """
    for name, parameter in control.named_parameters():
        if name.endswith("bias") and not name.startswith("time_embedding"):
            nn.init.zeros_(parameter)
            parameter.requires_grad_(False)
