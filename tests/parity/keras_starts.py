"""What weights start from with "defaults": "keras", against Keras: every layer of the job's schema as it starts by itself, and
Keras' initialiser of its own with its options.  As in starts.py distributions are compared.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/keras_starts.py [build]
"""
import json

from driver import START_BOUNDS, Table, all_options, compare_all, drawn, of_starts, schema, start_difference, starts
from keras_layers import CHANNELS_FIRST, ONE, attention, conv, conv_back, dense, norm, recurrent
from wide_keras import keras, np

L, I = keras.layers, keras.initializers
TALL, WIDER, LINE, STEPS = [2, 9, 7, 4], [2, 60], [2, 30, 4], [2, 20, 40]


class Encoder(keras.Layer):
    """The parts of a transformer's layer: Keras has none as a whole."""

    def __init__(self, heads, wide):
        super().__init__()
        self.attention, self.wide = L.MultiHeadAttention(heads, 40 // heads), L.Dense(wide)
        self.narrow, self.norms = L.Dense(40), [L.LayerNormalization(), L.LayerNormalization()]

    def build(self, shape):
        self.attention.build(shape, shape)
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], self.wide.units))
        for n in self.norms:
            n.build(shape)


def encoder(w):
    parts = {"self_attn.": attention(w[:8]), "linear1.": dense(w[8:10]), "linear2.": dense(w[10:12]), "norm1.": norm(w[12:14]), "norm2.": norm(w[14:16])}
    return {prefix + name: x for prefix, part in parts.items() for name, x in part.items()}


STARTS = [  # spec, Keras' layer, its input (channels last), its weights
    ({"type": "linear", "out_features": 160}, lambda: L.Dense(160), WIDER, dense),
    ({"type": "conv2d", "out_channels": 160, "kernel_size": [3, 2]}, lambda: L.Conv2D(160, (3, 2)), TALL, conv),
    ({"type": "conv2d", "out_channels": 160, "kernel_size": [3, 2], "groups": 2}, lambda: L.Conv2D(160, (3, 2), groups=2), TALL, conv),
    ({"type": "conv1d", "out_channels": 160, "kernel_size": 5}, lambda: L.Conv1D(160, 5), LINE, conv),
    ({"type": "conv_transpose2d", "out_channels": 160, "kernel_size": [3, 2]}, lambda: L.Conv2DTranspose(160, (3, 2)), TALL, conv_back),
    ({"type": "conv_transpose1d", "out_channels": 160, "kernel_size": 5}, lambda: L.Conv1DTranspose(160, 5), LINE, conv_back),
    ({"type": "embedding", "embedding_dim": 20, "padding_idx": "none"}, lambda: L.Embedding(50, 20), None, lambda w: {"weight": w[0]}),
    ({"type": "positional_embedding"}, lambda: L.Embedding(20, 40), STEPS, lambda w: {"weight": w[0]}),
    ({"type": "rnn", "hidden_size": 50}, lambda: L.SimpleRNN(50), STEPS, recurrent([0])),
    ({"type": "lstm", "hidden_size": 40}, lambda: L.LSTM(40), STEPS, recurrent([0, 1, 2, 3])),
    ({"type": "lstm", "hidden_size": 40, **ONE}, lambda: L.LSTM(40), STEPS, recurrent([0, 1, 2, 3])),
    ({"type": "lstm", "hidden_size": 40, "bidirectional": True}, lambda: L.Bidirectional(L.LSTM(40)), STEPS, recurrent([0, 1, 2, 3])),
    ({"type": "gru", "hidden_size": 50}, lambda: L.GRU(50), STEPS, recurrent([1, 0, 2])),
    ({"type": "multihead_attention", "num_heads": 4}, lambda: L.MultiHeadAttention(4, 10), STEPS, attention),
    ({"type": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 200}, lambda: Encoder(4, 200), STEPS, encoder),
    ({"type": "prelu", "num_parameters": 4}, lambda: L.PReLU(shared_axes=[1, 2]), TALL, lambda w: {"weight": w[0].ravel()}),
]


def keras_start(make, shape, names):
    layer = make()
    layer.build(*[tuple(shape or [2, 5])] * (2 if isinstance(layer, L.MultiHeadAttention) else 1))
    return {"0." + name: w for name, w in names(layer.get_weights()).items()}


def compare_start(driver, table, spec, make, shape, names, name, shown):
    theirs = drawn(lambda: keras_start(make, shape, names))
    n = len(next(iter(theirs.values())))
    ours_in = [2, 5] if shape is None else [2, shape[-1], *shape[1:-1]] if spec["type"] in CHANNELS_FIRST | {"prelu"} else shape
    try:
        table.add(name, shown, start_difference(starts(driver, [spec], ours_in, n, 0 if shape else 50, "keras"), theirs))
    except ValueError as e:
        table.fault(name, f"{json.dumps(spec)}: {e}")


def layer_starts(driver, build):
    keras.utils.set_random_seed(1)
    types = of_starts(schema(build, "layer"))
    table = Table("What layers start from with \"defaults\": \"keras\"", types, list(START_BOUNDS), START_BOUNDS, {})
    for spec, make, shape, names in STARTS:
        own = {o: d.get("x-defaults", {}).get("keras", d.get("default")) for o, d in types[spec["type"]].items()}
        compare_start(driver, table, spec, make, shape, names, spec["type"], {"type": spec["type"], **own})
    return table


def scaling_starts(driver, build):
    keras.utils.set_random_seed(2)
    types = {"variance_scaling": schema(build, "init")["variance_scaling"]}
    table = Table("Keras' initialiser of its own", types, list(START_BOUNDS), START_BOUNDS, {})
    one_of = {"scale": [2], "mode": ["fan_in", "fan_out", "fan_avg"], "distribution": ["truncated_normal", "untruncated_normal", "uniform"]}
    on = [({"type": "linear", "out_features": 50}, L.Dense, (50,), [2, 80], dense), ({"type": "conv2d", "out_channels": 40, "kernel_size": [3, 2]}, L.Conv2D, (40, (3, 2)), [2, 9, 7, 12], conv),
        ({"type": "conv1d", "out_channels": 40, "kernel_size": 5, "groups": 4}, lambda *a, **o: L.Conv1D(*a, groups=4, **o), (40, 5), [2, 9, 12], conv)]
    for options in all_options(one_of, np.random.default_rng(4), 4):
        for layer, make, sizes, shape, names in on:
            spec = {"type": "variance_scaling", **options}
            compare_start(driver, table, {**layer, "bias": False, "init": spec},
                lambda: make(*sizes, use_bias=False, kernel_initializer=I.VarianceScaling(**{"mode": "fan_in", "distribution": "truncated_normal", **options})),
                shape, names, "variance_scaling", spec)
    return table


if __name__ == "__main__":
    compare_all(layer_starts, scaling_starts)
