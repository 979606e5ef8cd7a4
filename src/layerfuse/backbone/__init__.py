"""Frozen transformers: load, tokenise, batch, hook, pool, cut. Only here is transformers used."""

from layerfuse.backbone.again import load_again, load_included
from layerfuse.backbone.backbone import Backbone
from layerfuse.backbone.costs import measure_costs
from layerfuse.backbone.gradients import ProbeLoss
from layerfuse.backbone.kernels import fastest_kernel, gemm_gflops
from layerfuse.backbone.packaged import fetch_packaged, remove_unfinished
from layerfuse.backbone.prompt import Prompt
from layerfuse.backbone.signals import attention_entropy, backbone_gradient, model_signals
from layerfuse.backbone.weights import digest as weights_digest

__all__ = [
    "Backbone",
    "ProbeLoss",
    "Prompt",
    "attention_entropy",
    "backbone_gradient",
    "fastest_kernel",
    "fetch_packaged",
    "gemm_gflops",
    "load_again",
    "load_included",
    "measure_costs",
    "model_signals",
    "remove_unfinished",
    "weights_digest",
]
