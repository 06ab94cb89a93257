"""Notes of `zoo check`: a recipe that is correct, with something that a reader should know."""

import json

from tests.helpers.project import TINY, Write, Zoo

NETWORK = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
BAG = "{use: torch.nn.EmbeddingBag, num_embeddings: 8, embedding_dim: 4, mode: max}"


def test_check_notes_an_operation_without_a_deterministic_kernel_on_cuda(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY.replace(NETWORK, BAG))
    completed = zoo("check", path)
    assert completed.code == 0
    note = "note: the gradient of torch.nn.EmbeddingBag with mode: max has no deterministic kernel on a CUDA device"
    assert completed.err.startswith(f"{path}:3:")
    assert note in completed.err
    assert f"{path}: ok" in completed.out
    (listed,) = json.loads(zoo("check", path, "--json").out)["recipes"]
    assert listed["ok"] and note in listed["notes"][0] and not listed["problems"]
