"""Other ways to run the same model on the same inputs."""

from torch import nn

from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.variant import Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.models.text_inputs import of_transformers
from zoo.models.sentence_pooling import SentenceEncoder
from zoo.recipes.claim import Precision

BATCH_SIZES = (1, 8, 32)
TRAIN_BATCH_SIZES = (32, 128)
KERNELS = ("eager", "sdpa")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "tf32")
POOLINGS = ("mean", "cls", "max", "last")
SIMILARITIES = {
    "dot": "dot product", "euclidean": "negative Euclidean distance", "manhattan": "negative Manhattan distance",
}  # fmt: skip


def batch_sizes(runner: VariantRunner, name: str) -> Candidates:
    """Try other batch sizes. They belong to the factor `padding`, because a batch of one row has no padding."""
    current = runner.task.batch_size
    for size in BATCH_SIZES:
        if size != current:
            yield Variant(changes=(Change("padding", "batch size", str(current), str(size)),), batch_size=size)


def kernels(runner: VariantRunner, name: str) -> Candidates:
    inner = of_transformers(runner.model)
    if inner is None:
        yield Untried("attention", "the model is not one of transformers, whose attention kernel can be chosen")
        return
    current = str(inner.config._attn_implementation)
    for kernel in KERNELS:
        if kernel != current:
            yield Variant(changes=(Change("attention", "", current, kernel),), attention=kernel)


def precisions(runner: VariantRunner, name: str) -> Candidates:
    device = runner.context.accelerator.device.type
    for precision in PRECISIONS:
        if precision == "tf32" and device != "cuda":
            yield Untried("precision", f"TF32 needs a CUDA device, not {device}")
        elif precision != runner.precision:
            yield Variant(changes=(Change("precision", "", runner.precision, precision),), precision=precision)


def train_mode(runner: VariantRunner, name: str) -> Candidates:
    """Try the mode of a training. With batch normalization a row depends on its batch, so several sizes are tried."""
    sizes = [runner.task.batch_size]
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in runner.model.modules()):
        sizes += [size for size in TRAIN_BATCH_SIZES if size not in sizes]
    for size in sizes:
        change = Change("train mode", "", "eval()", f"train(), batches of {size}, seed 0")
        yield Variant(changes=(change,), train=True, batch_size=size)


def encoders(runner: VariantRunner, name: str) -> Candidates:
    """Try other embeddings of a sentence encoder, and other similarities of them."""
    model = runner.model
    if not isinstance(model, SentenceEncoder):
        return
    for pooling in POOLINGS:
        if pooling != model.pooling:
            change = Change("pooling", "", model.pooling, pooling)
            yield Variant(changes=(change,), encoder={"pooling": pooling})
    for similarity, words in SIMILARITIES.items():
        change = Change("similarity", "", "cosine", f"{words} without normalization")
        yield Variant(changes=(change,), encoder={"similarity": similarity, "normalize": False})
