"""The models a recipe can name; one family a file."""

from zoo.models.bert import bert_classifier
from zoo.models.cifar_resnet import cifar_resnet
from zoo.models.sequence_classifier import sequence_classifier

__all__ = ["bert_classifier", "cifar_resnet", "sequence_classifier"]
