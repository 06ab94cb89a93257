"""The classes of transformers that load published models. Nothing is imported, because transformers takes seconds."""

TEXT_CLASSIFIER, IMAGE_CLASSIFIER = "AutoModelForSequenceClassification", "AutoModelForImageClassification"
QUESTION_ANSWERER = "AutoModelForQuestionAnswering"
SEGMENTATION, TOKEN_CLASSIFIER = "AutoModelForSemanticSegmentation", "AutoModelForTokenClassification"
ENCODER = "AutoModel"
"""Loads a model without the layers of any task."""
