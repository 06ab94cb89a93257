"""The losses that a recipe can name, one method per file.

`harness.losses.base.Loss` documents how the trainer calls a loss and how a loss declares its needs. The docstring of
each loss states its equation, in which s is the student, t the teacher and B the batch size, and its paper.

No loss imports another loss; `functional` holds the code that several share.
"""

from harness.losses.abkd import ABKD
from harness.losses.activation_boundaries import ActivationBoundaries
from harness.losses.attention_transfer import AttentionTransfer
from harness.losses.binary_cross_entropy import BinaryCrossEntropy
from harness.losses.cckd import CCKD
from harness.losses.crd import CRD
from harness.losses.cross_entropy import CrossEntropy
from harness.losses.detector_loss import DetectorLoss
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
    "DetectorLoss",
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
