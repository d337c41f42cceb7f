"""Prints tests/unit/layers_golden.h: a few layers of each kind as PyTorch computes them in float64.

    .parity/bin/python tests/parity/golden_layers.py > tests/unit/layers_golden.h

Weights, inputs and projections are small fractions by their position; layers.py compares every layer with all its options.
"""
import json

import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)


def fraction(step, modulus):
    return lambda shape: torch.tensor((np.arange(int(np.prod(shape))) * step % modulus - modulus // 2) / 8.0).reshape(tuple(shape))


weight, number, seed = fraction(5, 11), fraction(7, 19), fraction(3, 13)


def outputs(m, x):
    return m(x)[0]


IMAGE, ROW, SEQUENCE, FLAT = [2, 4, 5, 6], [2, 4, 7], [2, 3, 4], [3, 4]
LAYERS = [  # spec, PyTorch's, input, how it is called
    ({"type": "linear", "out_features": 3}, nn.Linear(4, 3), SEQUENCE),
    ({"type": "conv2d", "out_channels": 6, "kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 0], "dilation": [1, 2], "groups": 2},
        nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), IMAGE),
    ({"type": "conv1d", "out_channels": 3, "kernel_size": 4, "padding": "same"}, nn.Conv1d(4, 3, 4, padding="same"), ROW),
    ({"type": "conv2d", "out_channels": 3, "kernel_size": [3, 2], "padding": [2, 1], "padding_mode": "reflect"},
        nn.Conv2d(4, 3, (3, 2), padding=(2, 1), padding_mode="reflect"), IMAGE),
    ({"type": "conv2d", "out_channels": 3, "kernel_size": 2, "padding": "same", "padding_mode": "replicate"},
        nn.Conv2d(4, 3, 2, padding="same", padding_mode="replicate"), IMAGE),
    ({"type": "conv1d", "out_channels": 3, "kernel_size": 3, "stride": 2, "padding": 2, "padding_mode": "circular"},
        nn.Conv1d(4, 3, 3, 2, 2, padding_mode="circular"), ROW),
    ({"type": "conv_transpose2d", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1, "output_padding": [1, 0], "groups": 2},
        nn.ConvTranspose2d(4, 4, 3, 2, 1, (1, 0), 2), IMAGE),
    ({"type": "conv_transpose1d", "out_channels": 3, "kernel_size": 3, "stride": 2, "dilation": 2}, nn.ConvTranspose1d(4, 3, 3, 2, dilation=2), ROW),
    ({"type": "max_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    ({"type": "avg_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
        nn.AvgPool2d(3, 2, 1, True, False), IMAGE),
    ({"type": "adaptive_avg_pool2d", "output_size": [3, 4]}, nn.AdaptiveAvgPool2d((3, 4)), IMAGE),
    ({"type": "batch_norm2d"}, nn.BatchNorm2d(4), IMAGE),
    ({"type": "batch_norm2d", "track_running_stats": False}, nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    ({"type": "layer_norm", "bias": False}, nn.LayerNorm(4, bias=False), SEQUENCE),
    ({"type": "layer_norm", "axes": 2}, nn.LayerNorm([3, 4]), SEQUENCE),
    ({"type": "rms_norm", "eps": 0.125}, nn.RMSNorm(4, 0.125), SEQUENCE),
    ({"type": "group_norm", "num_groups": 2}, nn.GroupNorm(2, 4), IMAGE),
    ({"type": "instance_norm2d", "affine": True}, nn.InstanceNorm2d(4, affine=True), IMAGE),
    ({"type": "local_response_norm", "size": 3, "alpha": 0.5}, nn.LocalResponseNorm(3, 0.5), IMAGE),
    ({"type": "reflection_pad2d", "padding": [1, 2, 0, 3]}, nn.ReflectionPad2d((1, 2, 0, 3)), IMAGE),
    ({"type": "upsample", "size": [8, 9], "mode": "bilinear"}, nn.Upsample((8, 9), mode="bilinear"), IMAGE),
    ({"type": "upsample", "size": [8, 9], "mode": "bilinear", "align_corners": True}, nn.Upsample((8, 9), mode="bilinear", align_corners=True), IMAGE),
    ({"type": "rnn", "hidden_size": 3, "bidirectional": True}, nn.RNN(4, 3, bidirectional=True, batch_first=True), SEQUENCE, outputs),
    ({"type": "lstm", "hidden_size": 3, "num_layers": 2}, nn.LSTM(4, 3, 2, batch_first=True), SEQUENCE, outputs),
    ({"type": "gru", "hidden_size": 3, "num_layers": 2}, nn.GRU(4, 3, 2, batch_first=True), SEQUENCE, outputs),
    ({"type": "lstm", "hidden_size": 3, "bias": False}, nn.LSTM(4, 3, bias=False, batch_first=True), SEQUENCE, outputs),
    ({"type": "gru", "hidden_size": 3, "bias": False}, nn.GRU(4, 3, bias=False, batch_first=True), SEQUENCE, outputs),
    ({"type": "multihead_attention", "num_heads": 2}, nn.MultiheadAttention(4, 2, batch_first=True), SEQUENCE, lambda m, x: m(x, x, x, need_weights=False)[0]),
    ({"type": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 5, "dropout": 0, "norm_first": True, "activation": "gelu"},
        nn.TransformerEncoderLayer(4, 2, 5, 0, "gelu", batch_first=True, norm_first=True), SEQUENCE),
    ({"type": "gelu"}, nn.GELU(), FLAT),
    ({"type": "gelu", "approximate": "tanh"}, nn.GELU("tanh"), FLAT),
    ({"type": "softplus", "beta": 2, "threshold": 0.5}, nn.Softplus(2, 0.5), FLAT),
    ({"type": "mish"}, nn.Mish(), FLAT),
    ({"type": "selu"}, nn.SELU(), FLAT),
    ({"type": "prelu", "num_parameters": 4}, nn.PReLU(4), IMAGE),
    ({"type": "glu", "dim": 1}, nn.GLU(1), IMAGE),
    ({"type": "log_softmax", "dim": 1}, nn.LogSoftmax(1), SEQUENCE),
]


def rows():
    for spec, m, shape, *call in LAYERS:
        with torch.no_grad():
            for p in m.parameters():
                p.copy_(weight(p.shape))
        x = number(shape).requires_grad_()
        y = call[0](m, x) if call else m(x)
        loss = (y * seed(y.shape)).sum()
        loss.backward()
        of_weights = sum(((p.grad * seed(p.shape)).sum().item() for p in m.parameters()), 0.0)
        sizes = ", ".join(map(str, shape))
        yield f"{{ {json.dumps(json.dumps(spec))}, {len(shape)}, {{ {sizes} }}, {loss.item():.17g}, {(x.grad * seed(shape)).sum().item():.17g}, {of_weights:.17g} }}"


print("/* Made by tests/parity/golden_layers.py, which says from what; do not edit. */")
print("/* clang-format off */")
print("/* spec, rank and sizes of the input, projections of the output, of the input's gradient and of all parameters' */")
print("#define GOLDEN_LAYERS \\\n\t" + ", \\\n\t".join(rows()))
