"""BERT classifiers of any size with random weights: Devlin et al., BERT, NAACL 2019. The modules are transformers'."""

from transformers import BertConfig, BertForSequenceClassification

from zoo.models.attention import Attention, check_attention


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
    attn_implementation: Attention | None = None,
) -> BertForSequenceClassification:
    """Return a randomly initialized BERT encoder with a classifier on the pooled output of its first token.

    Args:
        layers: The number of encoder layers.
        hidden: The width of the encoder.
        heads: The number of attention heads.
        intermediate: The width of the feed-forward layers.
        vocab_size: The number of tokens in the vocabulary.
        num_labels: The number of outputs.
        max_length: The largest number of tokens in a row.
        dropout: The dropout probability of hidden states and of attention.
        initializer_range: The standard deviation of the initial weights.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        UsageError: This kind of attention cannot be used here.
    """
    check_attention(attn_implementation)
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
        attn_implementation=attn_implementation,
    )
    return BertForSequenceClassification(config)
