"""What weights start from, against PyTorch: every layer of the job's schema that has weights, as it starts by itself, and
every initialiser with its options.  Drawn at random as they are, distributions are compared: means, deviations, the
distance of Kolmogorov and Smirnov, and matrices' singular values, which tell rows at right angles from others.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/starts.py [build]
"""
import json

import numpy as np
import torch
from torch import nn

from driver import START_BOUNDS, Table, all_options, compare_all, drawn, of_starts, schema, start_difference, starts

torch.manual_seed(1)
torch.set_num_threads(1)


def of(make):
    """What the weights of torch's modules start from."""
    return drawn(lambda: {"0." + name: w.numpy() for name, w in make().state_dict().items()})


LINEAR, IMAGE, ROW, SEQUENCE = [2, 60], [2, 4, 9, 7], [2, 4, 30], [2, 20, 40]
CONV = {"out_channels": 160, "kernel_size": [3, 2]}
LAYERS = [  # spec, input, torch's module
    ({"type": "linear", "out_features": 160}, LINEAR, lambda: nn.Linear(60, 160)),
    ({"type": "conv2d", **CONV}, IMAGE, lambda: nn.Conv2d(4, 160, (3, 2))),
    ({"type": "conv2d", **CONV, "groups": 2}, IMAGE, lambda: nn.Conv2d(4, 160, (3, 2), groups=2)),
    ({"type": "conv1d", "out_channels": 160, "kernel_size": 5}, ROW, lambda: nn.Conv1d(4, 160, 5)),
    ({"type": "conv_transpose2d", **CONV}, IMAGE, lambda: nn.ConvTranspose2d(4, 160, (3, 2))),
    ({"type": "conv_transpose2d", **CONV, "groups": 2}, IMAGE, lambda: nn.ConvTranspose2d(4, 160, (3, 2), groups=2)),
    ({"type": "conv_transpose1d", "out_channels": 160, "kernel_size": 5}, ROW, lambda: nn.ConvTranspose1d(4, 160, 5)),
    ({"type": "embedding", "embedding_dim": 20}, None, lambda: nn.Embedding(50, 20)),
    ({"type": "embedding", "embedding_dim": 20, "padding_idx": 3}, None, lambda: nn.Embedding(50, 20, 3)),
    ({"type": "positional_embedding"}, SEQUENCE, lambda: nn.Embedding(20, 40)),
    ({"type": "rnn", "hidden_size": 150}, SEQUENCE, lambda: nn.RNN(40, 150)),
    ({"type": "lstm", "hidden_size": 40, "num_layers": 2, "bidirectional": True}, SEQUENCE, lambda: nn.LSTM(40, 40, 2, bidirectional=True)),
    ({"type": "gru", "hidden_size": 50}, SEQUENCE, lambda: nn.GRU(40, 50)),
    ({"type": "multihead_attention", "num_heads": 4}, SEQUENCE, lambda: nn.MultiheadAttention(40, 4)),
    ({"type": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 200}, SEQUENCE, lambda: nn.TransformerEncoderLayer(40, 4, 200)),
    ({"type": "prelu", "num_parameters": 4}, IMAGE, lambda: nn.PReLU(4)),
]


def add(driver, table, name, spec, shape, theirs, shown=None):
    n = len(next(iter(theirs.values())))
    try:
        ours = starts(driver, [spec], shape or [2, 5], n, 0 if shape else 50)
        table.add(name, shown or spec, start_difference(ours, theirs))
    except ValueError as e:
        table.fault(name, f"{json.dumps(spec)}: {e}")


def layers(driver, build):
    types = of_starts(schema(build, "layer"))
    silent = dict.fromkeys(("lstm.unit_forget_bias", "*.joint_fans"), "Keras' alone; keras_starts.py compares it")
    # By itself each starts as its options say; all of them at once are what is compared.
    table = Table(f"What layers start from, against PyTorch {torch.__version__}", types, list(START_BOUNDS), START_BOUNDS, silent)
    for spec, shape, make in LAYERS:
        own = {o: d.get("default") for o, d in types[spec["type"]].items() if f"{spec['type']}.{o}" not in silent}
        add(driver, table, spec["type"], spec, shape, of(make), {"type": spec["type"], **own})
    return table


# ---- Initialisers ----------------------------------------------------------------------------------------------------

KAIMING, XAVIER = {"a": [0.5], "mode": ["fan_in", "fan_out"]}, {"gain": [1.7]}
INITS = {  # values of options, torch.nn.init's
    "kaiming_uniform": (KAIMING, nn.init.kaiming_uniform_),
    "kaiming_normal": (KAIMING, nn.init.kaiming_normal_),
    "xavier_uniform": (XAVIER, nn.init.xavier_uniform_),
    "xavier_normal": (XAVIER, nn.init.xavier_normal_),
    "normal": ({"mean": [0.7], "std": [0.3]}, nn.init.normal_),
    "uniform": ({"a": [-2], "b": [0.5]}, nn.init.uniform_),
    "zeros": ({}, nn.init.zeros_),
    "ones": ({}, nn.init.ones_),
    "bias_uniform": ({}, lambda w: w),  # these layers' own
    "orthogonal": (XAVIER, nn.init.orthogonal_),
}
ON = [  # layer, input, torch's module
    ({"type": "linear", "out_features": 50, "bias": False}, [2, 80], lambda: nn.Linear(80, 50, bias=False)),
    ({"type": "conv2d", "out_channels": 40, "kernel_size": [3, 2], "bias": False}, [2, 12, 9, 7], lambda: nn.Conv2d(12, 40, (3, 2), bias=False)),
    ({"type": "conv1d", "out_channels": 40, "kernel_size": 5, "groups": 4, "bias": False}, [2, 12, 9], lambda: nn.Conv1d(12, 40, 5, groups=4, bias=False)),
    ({"type": "conv_transpose2d", "out_channels": 12, "kernel_size": [3, 2], "bias": False}, [2, 40, 9, 7], lambda: nn.ConvTranspose2d(40, 12, (3, 2), bias=False)),
]


def initialised(make, init, options):
    module = make()
    init(module.weight, **options)
    return module


def inits(driver, build):
    silent = {"variance_scaling": "Keras' alone; keras_starts.py compares it"}
    table = Table("Initialisers, against torch.nn.init", schema(build, "init"), list(START_BOUNDS), START_BOUNDS, silent)
    random = np.random.default_rng(3)
    for name, (one_of, init) in INITS.items():
        for options in all_options(one_of, random, 3):
            for layer, shape, make in ON:
                spec = {"type": name, **options}
                add(driver, table, name, {**layer, "init": spec}, shape, of(lambda: initialised(make, init, options)), spec)
    return table


if __name__ == "__main__":
    compare_all(layers, inits)
