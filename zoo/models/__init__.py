"""The models a recipe can name; one family a file."""

from zoo.models.bert import bert_classifier
from zoo.models.cifar_resnet import cifar_resnet

__all__ = ["bert_classifier", "cifar_resnet"]
