"""Compare a predicted answer with the answers that people gave, as the official scripts of SQuAD do.

Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016, section 6.1; and Rajpurkar et
al., Know What You Don't Know, ACL 2018, for questions without an answer.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
COLUMNS = (
    "exact", "f1", "has_answer", "null_odds", "exact_of_span", "f1_of_span", "is_span", "start", "end",
)  # fmt: skip
"""The columns of the array `answers`, one row a question.

`exact` and `f1` are the scores of the chosen answer, which may be none. `has_answer` is 1 if people gave an answer.
`null_odds` is the score of no answer minus that of the best span; with a null threshold t, no answer is chosen if it is
above t. `exact_of_span` and `f1_of_span` are the scores of the best span, `is_span` is 0 if there is none, and `start`
and `end` are the characters of the chosen answer in the context, -1 for none.
"""


def normalized(text: str) -> str:
    """Return a text in lower case without punctuation and articles, its words separated by single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def answer_scores(answer: str, truths: Sequence[str], *, version_2: bool) -> tuple[float, float]:
    """Return the exact match and F1 of an answer: of the person's answer that fits best, each for itself.

    Args:
        answer: The predicted answer; empty for none.
        truths: The answers that people gave; none if the question has no answer.
        version_2: Whether to score as for SQuAD 2.0. There, two texts without a word agree, and answers without a word
            do not count; in version 1.1 the F1 of texts without a common word is 0.
    """
    if version_2:
        truths = [truth for truth in truths if normalized(truth)] or [""]
    exact = max((float(normalized(answer) == normalized(truth)) for truth in truths), default=0.0)
    return exact, max((_f1(answer, truth, version_2=version_2) for truth in truths), default=0.0)


def _f1(answer: str, truth: str, *, version_2: bool) -> float:
    """Return the F1 of the words of two texts, each word as often as it occurs in both."""
    predicted, true = normalized(answer).split(), normalized(truth).split()
    if version_2 and not (predicted and true):
        return float(predicted == true)
    common = sum((Counter(predicted) & Counter(true)).values())
    return 2 * common / (len(predicted) + len(true)) if common else 0.0
