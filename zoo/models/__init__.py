"""The models that recipes can name, one family per file. A model is a callable that returns a `torch.nn.Module`."""

from typing import TYPE_CHECKING

from zoo.lazy_package import make_lazy

if TYPE_CHECKING:
    from zoo.models.bert import bert_classifier
    from zoo.models.cifar_resnet import cifar_resnet
    from zoo.models.densenet import cifar_densenet
    from zoo.models.detector import bottleneck_detector, detector
    from zoo.models.image_classifier import image_classifier
    from zoo.models.pretrained import pretrained
    from zoo.models.question_answerer import question_answerer
    from zoo.models.sentence_encoder import sentence_encoder
    from zoo.models.sequence_classifier import sequence_classifier
    from zoo.models.token_classifier import token_classifier
    from zoo.models.wide_resnet import wide_resnet

__all__ = [
    "bert_classifier",
    "bottleneck_detector",
    "cifar_densenet",
    "cifar_resnet",
    "detector",
    "image_classifier",
    "pretrained",
    "question_answerer",
    "sentence_encoder",
    "sequence_classifier",
    "token_classifier",
    "wide_resnet",
]
MODULES = {
    "bert_classifier": "bert",
    "bottleneck_detector": "detector",
    "cifar_densenet": "densenet",
    "cifar_resnet": "cifar_resnet",
    "detector": "detector",
    "image_classifier": "image_classifier",
    "pretrained": "pretrained",
    "question_answerer": "question_answerer",
    "sentence_encoder": "sentence_encoder",
    "sequence_classifier": "sequence_classifier",
    "token_classifier": "token_classifier",
    "wide_resnet": "wide_resnet",
}
"""Model -> the module that defines it."""
make_lazy(__name__)
