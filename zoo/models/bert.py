"""Small BERT classifiers of any size, from scratch: Devlin et al., BERT, NAACL 2019, on transformers' own modules."""

from transformers import BertConfig, BertForSequenceClassification


def bert_classifier(
    *,
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    vocab_size: int,
    num_labels: int,
    max_length: int = 128,
    dropout: float = 0.1,
    initializer_range: float = 0.02,
) -> BertForSequenceClassification:
    """A BERT encoder with a classifier on its pooled first token; randomly initialised."""
    config = BertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        vocab_size=vocab_size,
        num_labels=num_labels,
        max_position_embeddings=max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=initializer_range,
    )
    return BertForSequenceClassification(config)
