"""The tasks that recipes can name, one per file. `zoo/tasks/base.py` describes what a task is."""

from typing import TYPE_CHECKING

from zoo.lazy_package import make_lazy

if TYPE_CHECKING:
    from zoo.tasks.cifar import cifar
    from zoo.tasks.digits import digits
    from zoo.tasks.entailment import entailment
    from zoo.tasks.glue import glue
    from zoo.tasks.image_classification import image_classification
    from zoo.tasks.image_folder import image_folder
    from zoo.tasks.object_detection import object_detection
    from zoo.tasks.question_answering import question_answering
    from zoo.tasks.segmentation import coco_segmentation, voc_segmentation
    from zoo.tasks.semantic_similarity import semantic_similarity
    from zoo.tasks.text_classification import text_classification
    from zoo.tasks.token_classification import token_classification

__all__ = [
    "cifar",
    "coco_segmentation",
    "digits",
    "entailment",
    "glue",
    "image_classification",
    "image_folder",
    "object_detection",
    "question_answering",
    "semantic_similarity",
    "text_classification",
    "token_classification",
    "voc_segmentation",
]
MODULES = {name: name for name in __all__}
MODULES |= dict.fromkeys(("coco_segmentation", "voc_segmentation"), "segmentation")
"""Task -> the module that defines it."""
make_lazy(__name__)
