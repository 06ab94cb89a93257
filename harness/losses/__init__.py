"""The losses a recipe can name; one method a file.

A loss is an `nn.Module`. It is called with what was observed of the student and of the teacher (an `Observation` each;
the teacher's is None in a stage without one, and outside the graph) and with the labels `(B,)`, and returns a scalar, a
mean over the batch. What else it needs it declares by attributes, of the class or set from its arguments:

    needs_teacher = False       it compares with a teacher
    reads_logits = True         it reads their logits; where no loss does, the forward stops at the last tap
    student_features = ()           the features it reads (`harness.models.feature_hooks`): `student["layer1.0:output"]`
    teacher_features = ()
    needs_whole_batch = False   it compares rows with each other, so a batch cannot be taken in parts
    needs_two_rows = False      it cannot do with a batch of one
    reads_batch = False         it is called with the whole `Batch`, ids and all, instead of its labels
    inherited_parts = ()               parts that an earlier stage must have trained: its term of that name is in `keep`

One with learned parts whose shapes are the models' has a method `build_adapters(student, teacher)`. It is called once,
with what is observed of two examples, before there is an optimiser; what it sets on `self` is optimised, saved, moved.
One that needs other data than the split's rows has a method `prepare_split(split)`, which returns what to train on,
with as many rows.

No loss imports another: what several share is in `functional`.
"""

from harness.losses.abkd import ABKD
from harness.losses.activation_boundaries import ActivationBoundaries
from harness.losses.attention_transfer import AttentionTransfer
from harness.losses.binary_cross_entropy import BinaryCrossEntropy
from harness.losses.cckd import CCKD
from harness.losses.crd import CRD
from harness.losses.cross_entropy import CrossEntropy
from harness.losses.dist import DIST
from harness.losses.dist_plus import DISTPlus
from harness.losses.dkd import DKD
from harness.losses.factor_transfer import FactorTransfer, Paraphrase
from harness.losses.feature_cosine import FeatureCosine
from harness.losses.feature_mse import FeatureMSE
from harness.losses.feature_norm import FeatureNorm
from harness.losses.fsp import FSP
from harness.losses.head_network_distillation import HeadNetworkDistillation
from harness.losses.hint import Hint
from harness.losses.ickd import ICKD
from harness.losses.kd import KD
from harness.losses.kl import KL
from harness.losses.knowledge_adaptation import KnowledgeAdaptation, KnowledgeTranslation
from harness.losses.knowledge_review import KnowledgeReview
from harness.losses.logit_standardized_kd import LogitStandardizedKD
from harness.losses.mgd import MGD
from harness.losses.minilm import MiniLM
from harness.losses.mse import MSE, LogitMSE
from harness.losses.nkd import NKD
from harness.losses.ofd import OFD
from harness.losses.pad import PAD
from harness.losses.patient_kd import PatientKD
from harness.losses.pkt import PKT
from harness.losses.rkd import RKD
from harness.losses.skd import SKDDirection, SKDInstance
from harness.losses.spkd import SPKD
from harness.losses.srd import SRD
from harness.losses.sskd import SSKD, SelfSupervision
from harness.losses.tf_kd import VirtualTeacher
from harness.losses.tinybert import TinyBERT
from harness.losses.ttm import TTM
from harness.losses.vid import VID

__all__ = [
    "ABKD",
    "CCKD",
    "CRD",
    "DIST",
    "DKD",
    "FSP",
    "ICKD",
    "KD",
    "KL",
    "MGD",
    "MSE",
    "NKD",
    "OFD",
    "PAD",
    "PKT",
    "RKD",
    "SPKD",
    "SRD",
    "SSKD",
    "TTM",
    "VID",
    "ActivationBoundaries",
    "AttentionTransfer",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "DISTPlus",
    "FactorTransfer",
    "FeatureCosine",
    "FeatureMSE",
    "FeatureNorm",
    "HeadNetworkDistillation",
    "Hint",
    "KnowledgeAdaptation",
    "KnowledgeReview",
    "KnowledgeTranslation",
    "LogitMSE",
    "LogitStandardizedKD",
    "MiniLM",
    "Paraphrase",
    "PatientKD",
    "SKDDirection",
    "SKDInstance",
    "SelfSupervision",
    "TinyBERT",
    "VirtualTeacher",
]
