"""The Python code in a model card that answers a question, as this project scores the answers."""

from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.question_features import QuestionSplit

ANSWER = """

question, text = "A question?", "The text that has its answer."
inputs = tokenizer(
    {order}, truncation="{truncated}", max_length={max_length}, stride={stride},
    return_overflowing_tokens=True, return_offsets_mapping=True,
)  # a long text becomes several parts
answer, best{null} = "", float("-inf"){infinity}
for part, offsets in enumerate(inputs["offset_mapping"]):
    tensors = {{name: torch.tensor([inputs[name][part]]) for name in tokenizer.model_input_names if name in inputs}}
    with torch.no_grad():
        outputs = model(**tensors)
    starts, ends = outputs.start_logits[0], outputs.end_logits[0]
    is_text = torch.tensor([number == {number} for number in inputs.sequence_ids(part)])
    allowed = (is_text[:, None] & is_text).triu().tril({longest} - 1)  # an answer has at most {longest} tokens
    scores = (starts[:, None] + ends).masked_fill(~allowed, float("-inf"))
    if scores.max() > best:
        best, (start, end) = scores.max().item(), divmod(scores.argmax().item(), len(ends))
        answer = text[offsets[start][0] : offsets[end][1]]{compare}
print({printed})"""
NULL = """
    first = {position}  # its logits stand for "no answer"
    null = min(null, (starts[first] + ends[first]).item())"""


def answering_code(split: QuestionSplit, readout: AnswerReadout, max_length: int) -> str:
    """Return the lines that print the answer to a question, of all parts of its text.

    Args:
        split: A split of the task.
        readout: How the task chooses answers.
        max_length: The number of tokens of a part.
    """
    first = split.tokenizer.padding_side != "left"  # models that are padded on the left read the context first
    version_2, token = readout.version_2, readout.null_token
    position = "0" if token is None else f"(tensors['input_ids'][0] == {token}).int().argmax()"
    return ANSWER.format(
        order="question, text" if first else "text, question",
        truncated="only_second" if first else "only_first",
        number=1 if first else 0,
        max_length=max_length,
        stride=split.stride,
        longest=readout.max_answer_length,
        null=", null" if version_2 else "",
        infinity=', float("inf")' if version_2 else "",
        compare=NULL.format(position=position) if version_2 else "",
        printed=f'"" if null - best > {readout.null_threshold:g} else answer' if version_2 else "answer",
    )


def parts_text(split: QuestionSplit, readout: AnswerReadout, max_length: int) -> str:
    """Return for readers how a long text is read; the arguments are those of `answering_code`."""
    return (
        f"Longer texts are read in parts: a part has {max_length} tokens with its question, and shares {split.stride}"
        f" with the next one. The answer is the best one of all parts, of at most {readout.max_answer_length} tokens."
    )
