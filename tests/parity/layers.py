"""Every layer of the job's schema against PyTorch: its output, all gradients, ten steps of SGD, running statistics and
the evaluation after them, in float64 and in float32.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/layers.py [build]

Each option is tried by itself at all its values and together with others, on odd sizes.  What PyTorch has no module for
has its formula here.
"""
import itertools
import json
import math
import sys
import zlib

import numpy as np
import torch
from torch import nn

from driver import NARROW, WIDE, Driver, Table, all_options, array, difference, exact, numpy_of, schema

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # of such small ones
F = nn.functional

STEPS, LR, MOMENTUM = 10, 0.002, 0.9  # larger steps make attention chaotic, and rounding errors grow
SGD = {"type": "sgd", "lr": LR, "momentum": MOMENTUM}

FLAT, SEQUENCE, ROWS, IMAGES = [[3, 7], [1, 6]], [[3, 5, 6], [1, 1, 6]], [[3, 4, 11], [1, 4, 8]], [[2, 4, 9, 7], [3, 4, 6, 11]]
ANY = [[3, 7], [2, 5, 6], [2, 4, 3, 5]]


class Layer:
    """MAKE(shape, **options) gives the module; CALL(module, x, lengths, **options) its output, where it is more than a call.
    BASE: options that are always there; ONE_OF: values of each option.  LAYERS: what stands in the model in place of the one
    layer.  TRAINED: whether the training pass can be compared, not of what is drawn at random."""

    def __init__(self, shapes, make, base=None, one_of=None, call=None, layers=None, tokens=0, lengths=None, trained=None):
        self.shapes, self.make, self.base, self.one_of = shapes, make, base or {}, one_of or {}
        self.call = call or (lambda m, x, lengths, **o: m(x))
        self.layers, self.tokens, self.lengths = layers, tokens, lengths
        self.trained = trained or (lambda **o: True)


def of(cls, *axes, **renamed):
    """CLS of the sizes of some AXES, and of the options under torch's names."""
    def make(shape, **options):
        options = {renamed.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in options.items() if renamed.get(k, k)}
        return cls(*(shape[a] for a in axes), **options)
    return make


def given(name):
    return {name: None}


class Formula(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *x):
        return self.f(*x)


def formula(f):
    return lambda shape, **options: Formula(lambda x: f(x, **options))


def masks(x, keys, lengths, causal):
    steps = torch.arange(keys.shape[1])
    behind = None if lengths is None else steps[None, :] >= lengths[:, None]
    return behind, steps[None, :] > torch.arange(x.shape[1])[:, None] if causal else None


def attend(m, query, keys, values, lengths, causal=False):
    behind, later = masks(query, keys, lengths, causal)
    return m(query, keys, values, key_padding_mask=behind, attn_mask=later, need_weights=False)[0]


def encode(m, x, lengths, causal=False, **_):
    behind, later = masks(x, x, lengths, causal)
    return m(x, src_mask=later, src_key_padding_mask=behind)


def recur(m, x, lengths, **options):
    packed = x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, state = m(packed)
    if lengths is not None:
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    if options.get("return") != "last":
        return y
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat((hidden[-2], hidden[-1]), 1) if m.bidirectional else hidden[-1]


def recurrent(cls, **more):
    one_of = {"num_layers": [2, 3], "bidirectional": [True, False], "dropout": [0, 0.4], "return": ["last", "sequence"], "input_size": [6], "bias": [False], **more}

    def make(shape, **o):
        learns = o.get("recurrent_bias", True)
        module = cls(shape[2], batch_first=True, **{k: v for k, v in o.items() if k not in ("return", "input_size", "recurrent_bias")})
        for name, p in module.named_parameters():
            p.requires_grad_(learns or "bias_hh" not in name)
        return module
    return Layer([[4, 5, 6], [1, 1, 6]], make, {"hidden_size": 3}, one_of, recur, lengths=True, trained=lambda **o: o.get("num_layers", 1) == 1 or not o.get("dropout"))


def mean_step(m, x, lengths):
    if lengths is None:
        return x.mean(1)
    there = torch.arange(x.shape[1])[None, :] < lengths[:, None]
    return (x * there[:, :, None]).sum(1) / lengths[:, None]


def sinusoids(m, x, lengths):
    row, column = np.meshgrid(np.arange(x.shape[1]), np.arange(x.shape[2]), indexing="ij")
    angle = row / 10000.0 ** (2 * (column // 2) / x.shape[2])
    return x + torch.tensor(np.where(column % 2, np.cos(angle), np.sin(angle)))


class Attention(nn.Module):
    """Of an input and two linear layers on it, as the model names them."""

    def __init__(self, width, kdim, vdim, **options):
        super().__init__()
        self.keys, self.values = nn.Linear(width, kdim), nn.Linear(width, vdim)
        self.attention = nn.MultiheadAttention(width, kdim=kdim, vdim=vdim, batch_first=True, **options)


class Residual(nn.Module):
    def __init__(self, layers, shortcut=()):
        super().__init__()
        self.layers, self.shortcut = nn.Sequential(*layers), nn.Sequential(*shortcut)

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


class Branches(nn.Module):
    def __init__(self, paths, combine="concat", dim=1):
        super().__init__()
        self.paths, self.combine, self.dim = nn.ModuleList(nn.Sequential(*p) for p in paths), combine, dim

    def forward(self, x):
        out = [p(x) for p in self.paths]
        return sum(out) if self.combine == "add" else torch.cat(out, self.dim)


def contents(item):
    """Of a container: the layer that stands for an item of a list."""
    return {"linear": nn.Linear(6, 6), "tanh": nn.Tanh(), "silu": nn.SiLU()}[item if isinstance(item, str) else item["type"]]


def container(cls):
    def make(shape, **o):
        if cls is nn.Sequential:
            copies = [[contents(i) for i in o["layers"]] for _ in range(o.get("repeat", 1))]
            return nn.Sequential(*copies[0]) if len(copies) == 1 else nn.Sequential(*(nn.Sequential(*c) for c in copies))
        if cls is Residual:
            return Residual([contents(i) for i in o["layers"]], [contents(i) for i in o.get("shortcut", [])])
        return Branches([[contents(i) for i in p] for p in o["paths"]], o.get("combine", "concat"), o.get("dim", 1))
    return make


LINEAR = {"type": "linear", "out_features": 6}
PAIRS = [2, [3, 1], [1, 2]]
PADS = [1, [0, 1], [1, 0]]
MODES = {"padding_mode": ["reflect", "replicate", "circular"]}
CONV2D = {"stride": PAIRS, "padding": [*PADS, "same", "valid"], "dilation": [2, [1, 2]], "groups": [2, 4], "bias": [False], "in_channels": [4]}
CONV1D = {"stride": [2, 3], "padding": [1, 2, "same", "valid"], "dilation": [2, 3], "groups": [2, 4], "bias": [False], "in_channels": [4]}
BACK2D = {"stride": [2, [3, 1], [1, 2]], "padding": PADS, "output_padding": [1, [0, 1], [1, 0]], "dilation": [2, [1, 2]], "groups": [2, 4], "bias": [False], "in_channels": [4]}
BACK1D = {"stride": [2, 3], "padding": [1, 2], "output_padding": [1], "dilation": [2, 3], "groups": [2, 4], "bias": [False], "in_channels": [4]}
CONV = {"in_channels": None}
MAX2D = {"stride": [1, 2, [3, 2]], "padding": PADS, "ceil_mode": [True], "dilation": [2, [1, 2]]}
AVG2D = {"stride": [1, 2, [3, 2]], "padding": PADS, "ceil_mode": [True], "count_include_pad": [False], "divisor_override": [3, 7]}
MAX1D = {"stride": [1, 2, 4], "padding": [1], "ceil_mode": [True], "dilation": [2]}
AVG1D = {"stride": [1, 2, 4], "padding": [1], "ceil_mode": [True], "count_include_pad": [False]}
NORM = {"eps": [0.1, 1e-3], "momentum": [0.3, 1.0, 0], "affine": [False, True], "num_features": [4], "track_running_stats": [False], "frozen": [True]}
SIZES = {"output_size": [1, 5, [2, 3], [7, 4], [9, 7]]}
WINDOW = {"kernel_size": [3, [2, 3], [3, 2]]}
LENGTH = {"kernel_size": [3, 2, 4]}
PADDED = {"padding": [1, 2, [1, 0, 2, 1], [0, 3, 1, 2]]}
CHANNELS = [[3, 4], [3, 4, 5], [2, 4, 3, 5]]


def behind_batch(make, option):
    """Ours never touch the batch: what counts so many axes, or names one, is none of our cases where that is axis 0."""
    def checked(shape, **options):
        value = options.get(option, 1)
        if value >= len(shape) if option == "axes" else value % len(shape) == 0:
            raise ValueError("the batch")
        return make(shape, **options)
    return checked


def below_stride(make):
    """torch.nn.ConvTranspose also takes an output_padding that is below the dilation alone; ours does not."""
    def pair(x):
        return x if isinstance(x, list) else [x, x]

    def checked(shape, **options):
        if any(p >= s for p, s in zip(pair(options.get("output_padding", 0)), pair(options.get("stride", 1)))):
            raise ValueError("output_padding")
        return make(shape, **options)
    return checked


def celu(x, alpha=1.0):  # torch.nn.CELU's gradient goes through float32
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0) / alpha))


class FrozenNorm(nn.Module):
    """torchvision.ops.FrozenBatchNorm2d, of any rank."""

    def __init__(self, n, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.eps = eps
        for name, start in [("weight", 1.0), ("bias", 0.0)] * affine + [("running_mean", 0.0), ("running_var", 1.0)]:
            self.register_buffer(name, torch.full((n,), start))

    def forward(self, x):
        weight, bias = (getattr(self, name, None) for name in ("weight", "bias"))
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, eps=self.eps)


def batch_norm(shape, num_features=None, frozen=False, **o):
    if frozen and not o.pop("track_running_stats", True):
        raise ValueError("frozen without statistics")
    if frozen:
        return FrozenNorm(shape[1], **o)
    return (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], **o)


LAYERS = {
    "linear": Layer([[3, 6], [1, 6], [2, 5, 6]], of(nn.Linear, -1, in_features=None), {"out_features": 5}, {"bias": [False], "out_features": [1, 4], "in_features": [6]}),
    "conv2d": Layer(IMAGES, of(nn.Conv2d, 1, **CONV), {"out_channels": 4, "kernel_size": 3}, {**CONV2D, "kernel_size": [1, 2, [3, 2]], "out_channels": [8]}),
    "conv1d": Layer(ROWS, of(nn.Conv1d, 1, **CONV), {"out_channels": 4, "kernel_size": 3}, {**CONV1D, "kernel_size": [1, 2, 4], "out_channels": [8]}),
    "conv2d padded": Layer([[2, 4, 5, 6]], of(nn.Conv2d, 1, **CONV), {"out_channels": 4, "kernel_size": [3, 2], "padding": [2, 1]},
        {**MODES, "padding": ["same", 3, "valid"], "stride": [2], "dilation": [2], "groups": [2], "bias": [False]}),
    "conv1d padded": Layer([[2, 4, 7]], of(nn.Conv1d, 1, **CONV), {"out_channels": 4, "kernel_size": 4, "padding": 2},
        {**MODES, "padding": ["same", 1, "valid"], "stride": [2], "dilation": [2], "groups": [2], "bias": [False]}),
    "conv_transpose2d": Layer(IMAGES, below_stride(of(nn.ConvTranspose2d, 1, **CONV)), {"out_channels": 4, "kernel_size": 3},
        {**BACK2D, "kernel_size": [1, 2, [4, 3]], "out_channels": [8]}),
    "conv_transpose1d": Layer(ROWS, below_stride(of(nn.ConvTranspose1d, 1, **CONV)), {"out_channels": 4, "kernel_size": 3},
        {**BACK1D, "kernel_size": [1, 2, 4], "out_channels": [8]}),
    "conv_transpose2d strided": Layer(IMAGES, below_stride(of(nn.ConvTranspose2d, 1, **CONV)), {"out_channels": 4, "kernel_size": 3, "stride": 3},
        {"output_padding": [1, [0, 2], [2, 1]], "padding": PADS, "dilation": [2], "groups": [2], "kernel_size": [1, [4, 3]]}),
    "conv_transpose1d strided": Layer(ROWS, below_stride(of(nn.ConvTranspose1d, 1, **CONV)), {"out_channels": 4, "kernel_size": 3, "stride": 3},
        {"output_padding": [1, 2], "padding": [1], "dilation": [2], "groups": [2], "kernel_size": [1, 4]}),
    "max_pool2d": Layer(IMAGES, of(nn.MaxPool2d), {"kernel_size": 3}, {**WINDOW, **MAX2D}),
    "avg_pool2d": Layer(IMAGES, of(nn.AvgPool2d), {"kernel_size": 3}, {**WINDOW, **AVG2D}),
    "max_pool1d": Layer(ROWS, of(nn.MaxPool1d), {"kernel_size": 3}, {**LENGTH, **MAX1D}),
    "avg_pool1d": Layer(ROWS, of(nn.AvgPool1d), {"kernel_size": 3}, {**LENGTH, **AVG1D}),
    "adaptive_avg_pool2d": Layer(IMAGES, of(nn.AdaptiveAvgPool2d), {"output_size": 3}, SIZES),
    "adaptive_max_pool2d": Layer(IMAGES, of(nn.AdaptiveMaxPool2d), {"output_size": 3}, SIZES),
    "adaptive_avg_pool1d": Layer(ROWS, of(nn.AdaptiveAvgPool1d), {"output_size": 3}, {"output_size": [1, 5, 7, 11]}),
    "adaptive_max_pool1d": Layer(ROWS, of(nn.AdaptiveMaxPool1d), {"output_size": 3}, {"output_size": [1, 5, 7, 11]}),
    "global_avg_pool": Layer(ROWS + IMAGES, formula(lambda x: x.flatten(2).mean(2))),
    "global_max_pool": Layer(ROWS + IMAGES, formula(lambda x: x.flatten(2).max(2).values)),
    "batch_norm": Layer(CHANNELS, batch_norm, one_of=NORM),
    "batch_norm1d": Layer(CHANNELS[:2], batch_norm, one_of=NORM),
    "batch_norm2d": Layer(CHANNELS[2:], batch_norm, one_of=NORM),
    "layer_norm": Layer(ANY, behind_batch(lambda shape, axes=1, **o: nn.LayerNorm(shape[-axes:], **o), "axes"),
        one_of={"axes": [2, 3], "eps": [0.1, 1e-3], "elementwise_affine": [False], "bias": [False]}),
    "rms_norm": Layer(ANY, behind_batch(lambda shape, axes=1, eps=2.0**-23, **o: nn.RMSNorm(shape[-axes:], eps, **o), "axes"),
        one_of={"axes": [2, 3], "eps": [0.1, 1e-3], "elementwise_affine": [False]}),
    "group_norm": Layer(CHANNELS, lambda shape, num_groups, **o: nn.GroupNorm(num_groups, shape[1], **o), {"num_groups": 2},
        {"num_groups": [1, 4], "eps": [0.1, 1e-3], "affine": [False]}),
    "instance_norm1d": Layer([[3, 4, 5]], of(nn.InstanceNorm1d, 1),
        one_of={"eps": [0.1], "momentum": [0.3, 1.0], "affine": [True], "track_running_stats": [True]}),
    "instance_norm2d": Layer([[2, 4, 3, 5]], of(nn.InstanceNorm2d, 1),
        one_of={"eps": [0.1], "momentum": [0.3, 1.0], "affine": [True], "track_running_stats": [True]}),
    "local_response_norm": Layer(CHANNELS[1:], of(nn.LocalResponseNorm), {"size": 2},
        {"size": [1, 3, 4, 5, 9], "alpha": [0.5], "beta": [0.6, 1], "k": [1.5]}),
    "zero_pad2d": Layer(IMAGES, of(nn.ZeroPad2d), {"padding": 2}, PADDED),
    "reflection_pad2d": Layer(IMAGES, of(nn.ReflectionPad2d), {"padding": 2}, PADDED),
    "replication_pad2d": Layer(IMAGES, of(nn.ReplicationPad2d), {"padding": 2}, PADDED),
    "upsample": Layer([[2, 3, 5, 4], [1, 2, 1, 3]], of(nn.Upsample), {}, {"size": [7, [9, 3], 1], "scale_factor": [2, 3, 1.5, 0.5], "mode": ["nearest"]}),
    "upsample bilinear": Layer([[2, 3, 5, 4], [1, 2, 1, 3]], of(nn.Upsample), {"mode": "bilinear"},
        {"size": [7, [9, 3], [5, 11], 1], "scale_factor": [2, 3, 1.5, 0.5], "align_corners": [True, False]}),
    "embedding": Layer([[3, 5], [1, 1]], lambda shape, num_embeddings=7, padding_idx=None, **o: nn.Embedding(num_embeddings,
        padding_idx=None if padding_idx == "none" else padding_idx, **o), {"embedding_dim": 4},
        {"embedding_dim": [1, 9], "num_embeddings": [12, 7], "padding_idx": [0, 3, "none"]}, tokens=7),
    "rnn": recurrent(nn.RNN, nonlinearity=["relu", "tanh"], recurrent_bias=[False, True]),
    "lstm": recurrent(nn.LSTM, recurrent_bias=[False, True]),
    "gru": recurrent(nn.GRU),
    "sequence_mean": Layer(SEQUENCE, lambda shape: nn.Identity(), call=mean_step, lengths=True),
    "multihead_attention": Layer([[3, 5, 6], [1, 1, 6]], lambda shape, causal=False, embed_dim=6, **o: nn.MultiheadAttention(embed_dim, batch_first=True, **o),
        {"num_heads": 2}, {"num_heads": [1, 3, 6], "dropout": [0, 0.3], "bias": [False], "causal": [True], "embed_dim": [6]},
        lambda m, x, lengths, causal=False, **o: attend(m, x, x, x, lengths, causal), lengths=True, trained=lambda **o: not o.get("dropout")),
    "multihead_attention of three": Layer([[3, 5, 6]], lambda shape, causal=False, kdim=None, vdim=None, **o: Attention(6, kdim or 4, vdim or 8, **o),
        {"num_heads": 2}, {"num_heads": [3], "bias": [False], "causal": [True], "kdim": [4], "vdim": [8]},
        lambda m, x, lengths, causal=False, **o: attend(m.attention, x, m.keys(x), m.values(x), lengths, causal), lengths=True,
        layers=lambda layer: [{"type": "linear", "out_features": 4, "name": "keys"},
            {"type": "linear", "out_features": 8, "name": "values", "inputs": "input"},
            {**layer, "name": "attention", "inputs": ["input", "keys", "values"]}]),
    "transformer_encoder_layer": Layer([[3, 5, 6], [1, 1, 6]], lambda shape, causal=False, d_model=6, **o: nn.TransformerEncoderLayer(d_model, batch_first=True,
        **{"dim_feedforward": 2048, **o}), {"nhead": 2, "dim_feedforward": 7, "dropout": 0}, {"nhead": [1, 3], "dim_feedforward": [10], "dropout": [0.2, 0],
        "activation": ["gelu"], "layer_norm_eps": [0.1], "norm_first": [True], "bias": [False], "causal": [True], "d_model": [6]},
        encode, lengths=True, trained=lambda **o: not o.get("dropout", 0.1)),
    "positional_embedding": Layer(SEQUENCE, lambda shape, num_embeddings=None: nn.Embedding(num_embeddings or shape[1], shape[2]),
        one_of={"num_embeddings": [9, 5]}, call=lambda m, x, lengths, **o: x + m.weight[:x.shape[1]]),
    "positional_encoding": Layer(SEQUENCE + [[1, 3, 5]], lambda shape: nn.Identity(), call=sinusoids),
    "relu": Layer(ANY, of(nn.ReLU)),
    "leaky_relu": Layer(ANY, of(nn.LeakyReLU), one_of={"negative_slope": [0.2, 0]}),
    "elu": Layer(ANY, of(nn.ELU), one_of={"alpha": [0.7, 2]}),
    "gelu": Layer(ANY, of(nn.GELU), one_of={"approximate": ["tanh", "none"]}),
    "silu": Layer(ANY, of(nn.SiLU)),
    "sigmoid": Layer(ANY, of(nn.Sigmoid)),
    "tanh": Layer(ANY, of(nn.Tanh)),
    "softplus": Layer(ANY, of(nn.Softplus), one_of={"beta": [0.5, 3], "threshold": [0, 0.7, 30]}),
    "softsign": Layer(ANY, of(nn.Softsign)),
    "mish": Layer(ANY, of(nn.Mish)),
    "log_sigmoid": Layer(ANY, of(nn.LogSigmoid)),
    "relu6": Layer(ANY, of(nn.ReLU6)),
    "hardsigmoid": Layer(ANY, formula(lambda x: F.relu6(x + 3) / 6)),  # torch.nn.Hardsigmoid's gradient goes through float32
    "hardswish": Layer(ANY, of(nn.Hardswish)),
    "hardtanh": Layer(ANY, of(nn.Hardtanh), one_of={"min_val": [-0.5, -2], "max_val": [0.5, 2]}),
    "selu": Layer(ANY, of(nn.SELU)),
    "celu": Layer(ANY, formula(celu), one_of={"alpha": [0.7, 2]}),
    "prelu": Layer(CHANNELS, of(nn.PReLU), one_of={"num_parameters": [4], "init": [0.1]}),
    "threshold": Layer(ANY, of(nn.Threshold), {"threshold": 0.1, "value": 2}, {"threshold": [-0.5], "value": [-1]}),
    "glu": Layer([[3, 6], [2, 4, 6], [2, 4, 2, 6]], of(nn.GLU), one_of={"dim": [1, -1]}),
    "softmax": Layer(ANY, behind_batch(of(nn.Softmax), "dim"), {"dim": -1}, {"dim": [1, 2, -2]}),
    "softmin": Layer(ANY, behind_batch(of(nn.Softmin), "dim"), {"dim": -1}, {"dim": [1, 2]}),
    "log_softmax": Layer(ANY, behind_batch(of(nn.LogSoftmax), "dim"), {"dim": -1}, {"dim": [1, 2]}),
    "flatten": Layer([[2, 4, 3, 5], [2, 4, 3]], of(nn.Flatten), one_of={"start_dim": [1, 2], "end_dim": [2, -1]}),
    "unflatten": Layer([[2, 12, 6], [2, 12]], lambda shape, dim=1, unflattened_size=None: nn.Unflatten(dim, tuple(unflattened_size)),
        {"unflattened_size": [3, 4]}, {"unflattened_size": [[2, -1, 3], [12]], "dim": [1]}),
    "identity": Layer(ANY, of(nn.Identity)),
    "reshape": Layer([[2, 12, 6]], lambda to, **o: Formula(lambda x: x.reshape(x.shape[0], *o["shape"])), {"shape": [-1]}, {"shape": [[3, 24], [2, -1, 4]]}),
    "transpose": Layer([[2, 4, 3, 5]], formula(lambda x, dim0=1, dim1=2: x.transpose(dim0, dim1)), one_of={"dim0": [2, 1], "dim1": [3, -1]}),
    "add": Layer(FLAT, lambda shape: nn.Sequential(nn.Tanh(), nn.SiLU()), call=lambda m, x, lengths: m[0](x) + m[1](m[0](x)) + x,
        layers=lambda layer: ["tanh", "silu", {**layer, "inputs": ["0", "1", "input"]}]),
    "concat": Layer([[2, 4, 6]], lambda shape, **o: nn.Sequential(nn.Tanh(), nn.SiLU()),
        one_of={"dim": [1, 2, -1]}, call=lambda m, x, lengths, dim=1: torch.cat([m[0](x), m[1](m[0](x)), x], dim),
        layers=lambda layer: ["tanh", "silu", {**layer, "inputs": ["0", "1", "input"]}]),
    "sequential": Layer([[3, 6]], container(nn.Sequential), {"layers": [LINEAR, "tanh"]}, {"repeat": [1, 3], "layers": [["silu", LINEAR, LINEAR]]}),
    "residual": Layer([[3, 6]], container(Residual), {"layers": [LINEAR, "tanh"]}, {"shortcut": [[LINEAR], ["silu", LINEAR]], "layers": [["silu"]]}),
    "branches": Layer([[3, 6], [2, 5, 6]], container(Branches), {"paths": [[LINEAR], [], ["tanh", LINEAR]]},
        {"paths": [[["silu"], [LINEAR]]], "combine": ["add", "concat"], "dim": [1, -1]}),
}
RANDOM = {"dropout": (ANY, False), "dropout1d": (ROWS, True), "dropout2d": (IMAGES, True), "alpha_dropout": (ANY, False)}
SILENT = {
    **{"*." + option: "starts.py has what weights start from" for option in ("init", "bias_init", "recurrent_init", "out_init", "linear_init", "linear_bias_init", "joint_fans")},
    "lstm.unit_forget_bias": "as init; it is Keras'",
    "*.freeze_statistics": "is about what a job freezes; keras_layers.py freezes",
}
COLUMNS = ["output", "gradients", "ten steps", "evaluated", "float32"]
BOUNDS = {**{c: WIDE for c in COLUMNS}, "float32": NARROW}


def start(module, random, prefix):
    """Random weights, none of them what it is by default, under the model's names."""
    state = {}
    for name, value in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        low, high = (0.5, 1.5) if "running_var" in name else (-0.8, 0.8)
        value.copy_(torch.tensor(exact(random.uniform(low, high, value.shape))))
        state[prefix + name] = value.numpy().copy()
    return state


def theirs(module, call, x, lengths, seed, prefix):
    """What PyTorch makes of it: as the driver answers."""
    x = torch.tensor(x)
    if x.is_floating_point():
        x.requires_grad_()
    lengths = None if lengths is None else torch.tensor(lengths)
    module.eval()
    bare = call(module, x, lengths)
    seed = torch.tensor(seed(bare.shape)) if seed else None
    module.train()
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(parameters.values(), lr=LR, momentum=MOMENTUM) if parameters else None
    result = {"bare": bare.detach().numpy()}
    for step in range(STEPS):
        for p in [*parameters.values(), x]:
            p.grad = None
        y = call(module, x, lengths)
        (y * seed).sum().backward()
        if step == 0:
            result["output"] = y.detach().numpy().copy()
            gradients = {prefix + name: p.grad for name, p in parameters.items()} | ({"": x.grad} if x.is_floating_point() else {})
            result["gradients"] = {name: None if g is None else g.numpy().copy() for name, g in gradients.items()}
        if optimizer:
            optimizer.step()
    result["after"] = {prefix + name: v.numpy() for name, v in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    module.eval()
    result["evaluated"] = call(module, x, lengths).detach().numpy()
    return result, seed.numpy()


def ours(answer):
    gradients = {name: numpy_of(g) for name, g in answer["gradients"].items()}
    if "input_gradient" in answer:
        gradients[""] = numpy_of(answer["input_gradient"])
    return {"bare": numpy_of(answer["bare"]), "output": numpy_of(answer["output"]), "gradients": gradients,
            "after": {name: numpy_of(v) for name, v in answer["after"].items()}, "evaluated": numpy_of(answer["evaluated"])}


def apart(a, b, trained):
    """The differences, by column."""
    bare = difference({"": a["bare"]}, {"": b["bare"]})
    if not trained:
        return {"output": bare}
    return {"output": max(bare, difference({"": a["output"]}, {"": b["output"]})), "gradients": difference(a["gradients"], b["gradients"]),
            "ten steps": difference(a["after"], b["after"]), "evaluated": difference({"": a["evaluated"]}, {"": b["evaluated"]})}


def numbers_of(layer, shape, with_lengths, random):
    x = random.integers(0, layer.tokens, shape) if layer.tokens else exact(random.uniform(-2, 2, shape))
    return x, random.integers(1, shape[1] + 1, shape[0]) if with_lengths else None


def compare(driver, table, name, layer, options, shape, with_lengths, random):
    kind = name.split()[0]
    spec = {"type": kind, **layer.base, **options}
    full = {k: v for k, v in spec.items() if k != "type"}
    layers = layer.layers(spec) if layer.layers else [spec]
    prefix = "" if layer.layers else "0."
    x, lengths = numbers_of(layer, shape, with_lengths, random)
    case = dict(spec={"model": {"layers": layers}, "optimizer": SGD}, input=array(x), tokens=layer.tokens, steps=STEPS)
    if lengths is not None:
        case["lengths"] = lengths.tolist()
    try:
        module = layer.make(shape, **full)
        weights = start(module, random, prefix)
        theirs_, seed = theirs(module, lambda m, x, l: layer.call(m, x, l, **full), x, lengths, lambda s: exact(random.uniform(-1, 1, s)), prefix)
        refused = None
    except (RuntimeError, ValueError, IndexError, AssertionError, TypeError) as e:
        weights, seed, refused = {}, np.zeros(0), str(e).splitlines()[0]
    case |= dict(weights={k: array(v) for k, v in weights.items()}, seed=seed.ravel().tolist())
    answer = driver.ask(type="float64", **case)
    if refused is not None:
        return "refused"  # by PyTorch; what is wider here is compared with Keras or in unit tests
    if "fault" in answer:
        return table.fault(name, f"PyTorch takes {json.dumps(spec)} on {shape}, we do not: {answer['fault']}")
    trained = layer.trained(**full)
    differences = apart(ours(answer), theirs_, trained)
    narrow = apart(ours(driver.ask(type="float32", **case)), theirs_, trained)
    narrow = {k: v for k, v in narrow.items() if k in ("output", "gradients")}
    table.add(kind, spec, {**differences, "float32": max(narrow.values())})
    return "compared"


def compare_random(driver, table, name, shape, channels, p, random):
    """Dropout: which values stay is our choice, what becomes of them is PyTorch's formula."""
    x, spec = exact(random.uniform(0.5, 2, shape)), {"type": name, "p": p}
    seed = exact(random.uniform(-1, 1, shape))
    answer = driver.ask(type="float64", spec={"model": {"layers": [spec]}, "optimizer": SGD}, input=array(x), weights={}, seed=seed.ravel().tolist(), steps=1)
    if "fault" in answer:
        return table.fault(name, answer["fault"])
    got = ours(answer)
    low, scale, shift = 0.0, 1 / (1 - p), 0.0
    if name == "alpha_dropout":
        low = -1.7580993408473766
        scale = 1 / math.sqrt((low * low * p + 1) * (1 - p))
        shift = -scale * low * p
    kept = np.abs(got["output"] - (low * scale + shift)) > 1e-6
    if channels:
        axes = tuple(range(2, x.ndim))
        if not (kept.all(axes) == kept.any(axes)).all():
            table.fault(name, "a channel is neither kept nor dropped as a whole")
    n = kept[(...,) + (0,) * (x.ndim - 2)].size if channels else kept.size
    if abs(kept.sum() / kept.size - (1 - p)) > 6 * math.sqrt(p * (1 - p) / n) + 1e-9:
        table.fault(name, f"{kept.mean():.3f} of the values stay, but p is {p}")
    want = np.where(kept, x, low) * scale + shift
    table.add(name, spec, {"output": max(difference({"": got["output"]}, {"": want}), difference({"": got["bare"]}, {"": x})),
        "gradients": difference(got["gradients"], {"": seed * kept * scale})})


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    only = sys.argv[2:]
    driver, types = Driver(build), schema(build, "layer")
    table = Table(f"Layers, against PyTorch {torch.__version__}", types, COLUMNS, BOUNDS, SILENT)
    n_refused = 0
    for name, layer in LAYERS.items():
        if only and name not in only:
            continue
        random = np.random.default_rng(zlib.crc32(name.encode()))
        lengths = [False, True] if layer.lengths else [False]
        for options, shape, with_lengths in itertools.product(all_options(layer.one_of, random, 10), layer.shapes, lengths):
            n_refused += compare(driver, table, name, layer, options, shape, with_lengths, random) == "refused"
    for name, (shapes, channels) in RANDOM.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        for shape, p in itertools.product(shapes, [0, 0.2, 0.5, 0.9]):
            if not only or name in only:
                compare_random(driver, table, name, shape, channels, p, random)
    good = table.finish()
    print(f"{sum(table.count.values())} cases compared; {n_refused} more are none for PyTorch")
    sys.exit(not good)


main()
