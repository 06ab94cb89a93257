"""DenseNet-BC for small images: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, section 3."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CifarDenseNet(nn.Module):
    """A DenseNet-BC of three dense blocks with `(depth - 4) / 6` dense layers each.

    The input is images `(B, in_channels, H, W)`, the output logits `(B, num_classes)`. A dense layer is a bottleneck of
    4k channels and a 3x3 convolution to k channels. The transitions between blocks halve channels and image.

    Args:
        depth: The number of layers with weights, 6n + 4.
        growth_rate: The channels that every dense layer adds, k in the paper.
        num_classes: The number of outputs.
        in_channels: The channels of the images.
        dropout: The dropout probability after each 3x3 convolution of a dense layer.

    Raises:
        ValueError: `depth` is not 6n + 4.
    """

    def __init__(
        self, *, depth: int, growth_rate: int, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n + 4 (10, 16, 22, ..., 100), not {depth}")
        layers, channels = (depth - 4) // 6, 2 * growth_rate
        parts = OrderedDict[str, nn.Module](conv0=nn.Conv2d(in_channels, channels, 3, padding=1, bias=False))
        for block in (1, 2, 3):
            if block > 1:
                parts[f"transition{block - 1}"] = _transition(channels)
                channels //= 2
            parts[f"denseblock{block}"] = DenseBlock(layers, channels, growth_rate, dropout)
            channels += layers * growth_rate
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.classifier = nn.Linear(channels, num_classes)
        nn.init.zeros_(self.classifier.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(F.relu(self.features(images)).mean(dim=(2, 3)))
        return logits


class DenseBlock(nn.Module):
    """Dense layers, each with the input of the block and the outputs of all earlier layers as its input."""

    def __init__(self, layers: int, channels: int, growth_rate: int, dropout: float) -> None:
        super().__init__()
        for number in range(layers):
            layer = DenseLayer(channels + number * growth_rate, growth_rate, dropout)
            self.add_module(f"denselayer{number + 1}", layer)

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.children():
            features = torch.cat([features, layer(features)], dim=1)
        return features


class DenseLayer(nn.Module):
    """BN-ReLU-Conv(1x1) to 4k channels, then BN-ReLU-Conv(3x3) to k channels."""

    def __init__(self, channels: int, growth_rate: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth_rate)
        self.conv2 = nn.Conv2d(4 * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.norm1(features)))
        new: Tensor = self.dropout(self.conv2(F.relu(self.norm2(out))))
        return new


cifar_densenet = CifarDenseNet
"""The name in recipes."""


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, stride=2),
        )
    )
