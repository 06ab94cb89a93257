"""The losses a recipe can name; one method a file.

A loss is an `nn.Module`. It is called with what was observed of the student and of the teacher (None in a stage without
one) and with the labels, and returns a scalar. One that compares with a teacher says so: `needs_teacher = True`.
"""

from harness.losses.cross_entropy import CrossEntropy
from harness.losses.kd import KD
from harness.losses.kl import KL
from harness.losses.mse import MSE, LogitMSE

__all__ = ["KD", "KL", "MSE", "CrossEntropy", "LogitMSE"]
