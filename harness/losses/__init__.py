"""The losses a recipe can name; one method a file.

A loss is an `nn.Module`. It is called with what was observed of the student and of the teacher (an `Observation` each;
the teacher's is None in a stage without one, and outside the graph) and with the labels `(B,)`, and returns a scalar, a
mean over the batch. What else it needs it declares by attributes, of the class or set from its arguments:

    needs_teacher = False       it compares with a teacher
    reads_logits = True         it reads their logits; where no loss does, the forward stops at the last tap
    student_taps = ()           the taps it reads of either (`harness.taps`): `student["layer1.0:output"]`
    teacher_taps = ()
    needs_whole_batch = False   it compares rows with each other, so a batch cannot be taken in parts

One with learned parts whose shapes are the models' has a method `build_adapters(student, teacher)`. It is called once,
with what is observed of two examples, before there is an optimiser; what it sets on `self` is optimised, saved, moved.
"""

from harness.losses.binary_cross_entropy import BinaryCrossEntropy
from harness.losses.cross_entropy import CrossEntropy
from harness.losses.hint import Hint
from harness.losses.kd import KD
from harness.losses.kl import KL
from harness.losses.knowledge_adaptation import KnowledgeAdaptation, Paraphrase
from harness.losses.knowledge_review import KnowledgeReview
from harness.losses.mse import MSE, LogitMSE

__all__ = [
    "KD",
    "KL",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Hint",
    "KnowledgeAdaptation",
    "KnowledgeReview",
    "LogitMSE",
    "Paraphrase",
]
