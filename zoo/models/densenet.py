"""DenseNet-BC for small images: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, section 3."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CifarDenseNet(nn.Module):
    """DenseNet-BC of `depth` layers, k = `growth_rate`; images `(B, in_channels, H, W)` to logits `(B, num_classes)`.

    Three dense blocks of `(depth - 4) / 6` layers, each a bottleneck of 4k channels and a 3x3 convolution of k; between
    them transitions that halve channels and image. `dropout` follows each convolution of k channels. Raises ValueError
    where `depth` is not 6n + 4.
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
    """Layers that each see what came into the block and what all before them made."""

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
    """BN-ReLU-Conv(1x1) to `4k` channels, BN-ReLU-Conv(3x3) to k."""

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
"""The name that recipes use."""


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, stride=2),
        )
    )
