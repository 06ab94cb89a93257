"""Wide ResNets for small images: Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016, table 1."""

from torch import Tensor, nn
from torch.nn import functional as F


class WideResNet(nn.Module):
    """WRN-`depth`-`widen_factor`: three stages with `(depth - 4) / 6` pre-activation blocks each.

    The input is images `(B, in_channels, H, W)`, the output logits `(B, num_classes)`. The stages have 16, 32 and 64
    times `widen_factor` channels; the second and the third halve the image. If the shape changes in a block, its
    shortcut is a 1x1 convolution of the block's input, before the BatchNorm.

    Args:
        depth: The number of layers with weights, 6n + 4.
        widen_factor: Multiplies the channels of all stages.
        num_classes: The number of outputs.
        in_channels: The channels of the images.
        dropout: The dropout probability between the two convolutions of a block.

    Raises:
        ValueError: `depth` is not 6n + 4.
    """

    def __init__(
        self, *, depth: int, widen_factor: int, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, 28, ...), not {depth}")
        blocks = (depth - 4) // 6
        widths = [16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.layer1 = _stage(widths[0], widths[1], blocks, 1, dropout)
        self.layer2 = _stage(widths[1], widths[2], blocks, 2, dropout)
        self.layer3 = _stage(widths[2], widths[3], blocks, 2, dropout)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        logits: Tensor = self.fc(F.relu(self.bn1(features)).mean(dim=(2, 3)))
        return logits


class WideBlock(nn.Module):
    """A pre-activation block: `shortcut(x) + conv2(relu(bn2(dropout(conv1(relu(bn1(x)))))))`."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*([nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)] if changes else []))

    def forward(self, features: Tensor) -> Tensor:
        out = self.dropout(self.conv1(F.relu(self.bn1(features))))
        out = self.conv2(F.relu(self.bn2(out)))
        total: Tensor = out + self.shortcut(features)
        return total


wide_resnet = WideResNet
"""The name in recipes."""


def _stage(inputs: int, outputs: int, blocks: int, stride: int, dropout: float) -> nn.Sequential:
    first = WideBlock(inputs, outputs, stride, dropout)
    return nn.Sequential(first, *(WideBlock(outputs, outputs, 1, dropout) for _ in range(blocks - 1)))
