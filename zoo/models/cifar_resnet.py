"""ResNets for small images: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2."""

from torch import Tensor, nn
from torch.nn import functional as F


class CifarResNet(nn.Module):
    """A ResNet of three stages with `(depth - 2) / 6` basic blocks each.

    The input is images `(B, in_channels, H, W)`, the output logits `(B, num_classes)`. The second and the third stage
    halve the image and double the channels.

    Args:
        depth: The number of layers with weights, 6n + 2.
        num_classes: The number of outputs.
        in_channels: The channels of the images.
        width: The channels of the first stage.
        shortcut: How the shortcut changes its shape: "projection" (a 1x1 convolution, option B of the paper) or
            "padding" (option A, without parameters).
        head: The name of the last layer. Some published checkpoints call it "linear".

    Raises:
        ValueError: `depth` is not 6n + 2, or `shortcut` is unknown.
    """

    def __init__(
        self,
        *,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        width: int = 16,
        shortcut: str = "projection",
        head: str = "fc",
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), not {depth}")
        if shortcut not in ("projection", "padding"):
            raise ValueError(f"shortcut must be 'projection' or 'padding', not {shortcut!r}")
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks, 1, shortcut)
        self.layer2 = _stage(width, 2 * width, blocks, 2, shortcut)
        self.layer3 = _stage(2 * width, 4 * width, blocks, 2, shortcut)
        self.head = head
        self.add_module(head, nn.Linear(4 * width, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.get_submodule(self.head)(features.mean(dim=(2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: `relu(F(x) + shortcut(x))`."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, shortcut)
        self.relu2 = nn.ReLU()  # a module, so that feature hooks can read its input

    def forward(self, features: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        activated: Tensor = self.relu2(out + self.downsample(features))
        return activated


class PaddedShortcut(nn.Module):
    """The shortcut of option A: take every `stride`-th pixel and add `extra` channels of zeros, half on either side."""

    def __init__(self, stride: int, extra: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, extra

    def forward(self, features: Tensor) -> Tensor:
        before, after = self.extra // 2, self.extra - self.extra // 2
        return F.pad(features[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, after))


cifar_resnet = CifarResNet
"""The name in recipes."""


def _stage(inputs: int, outputs: int, blocks: int, stride: int, shortcut: str) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1, shortcut) for _ in range(blocks - 1)))


def _shortcut(inputs: int, outputs: int, stride: int, shortcut: str) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if shortcut == "padding":
        return PaddedShortcut(stride, outputs - inputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
