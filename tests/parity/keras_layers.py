"""Layers with "defaults": "keras" against Keras on TensorFlow in float64, with given weights: the output, all gradients and
ten steps of SGD.  Every layer of the job's schema with a default of its own there, and those that Keras has as well.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/keras_layers.py [build]

Where the two disagree in more than a constant, the formula is PyTorch's: batch_norm's running variance is the unbiased one.
"""
import json

from driver import NARROW, WIDE, Table, array, compare_all, difference, exact, numpy_of, of_starts, schema
from wide_keras import keras, np, tf

L = keras.layers
SGD = {"type": "sgd", "lr": 0.01, "momentum": 0.9, "form": "pytorch"}
TEN = 10


def first(x):
    """Channels from the last axis to axis 1."""
    return np.moveaxis(x, -1, 1) if x.ndim > 2 else x


# ---- Layers: Keras' weights under our names, with our layout ---------------------------------------------------------


def dense(w):
    return {"weight": w[0].T, **({"bias": w[1]} if len(w) > 1 else {})}


def conv(w):  # [k.., in, out] -> [out, in, k..]
    return {"weight": np.moveaxis(w[0], (-1, -2), (0, 1)), **({"bias": w[1]} if len(w) > 1 else {})}


def conv_back(w):  # [k.., out, in] -> [in, out, k..]
    return {"weight": np.moveaxis(w[0], (-1, -2), (0, 1)), **({"bias": w[1]} if len(w) > 1 else {})}


def gates(order, w, suffix=""):
    """Keras' blocks of units in ORDER become torch's; a bias of [2, n] is one for each product, else torch's second is 0."""
    n = len(order)
    pick = lambda x: np.concatenate([np.split(x, n, -1)[i] for i in order], -1)
    both = w[2] if w[2].ndim == 2 else np.stack([w[2], np.zeros_like(w[2])])
    return {f"weight_ih_l0{suffix}": pick(w[0]).T, f"weight_hh_l0{suffix}": pick(w[1]).T,
        f"bias_ih_l0{suffix}": pick(both[0]), f"bias_hh_l0{suffix}": pick(both[1])}


def recurrent(order):
    def names(w):
        return {**gates(order, w[:3]), **(gates(order, w[3:], "_reverse") if len(w) > 3 else {})}
    return names


def stacked(w):
    """LSTMs one upon the other."""
    return {name.replace("_l0", f"_l{k}"): x for k in range(len(w) // 3) for name, x in gates([0, 1, 2, 3], w[3 * k:3 * k + 3]).items()}


def attention(w):  # query, key, value: kernel [d, heads, k], bias [heads, k]; output [heads, k, d]
    d = w[0].shape[0]
    return {"in_proj_weight": np.concatenate([w[i].reshape(d, -1).T for i in (0, 2, 4)]), "in_proj_bias": np.concatenate([w[i].ravel() for i in (1, 3, 5)]),
        "out_proj.weight": w[6].reshape(-1, d).T, "out_proj.bias": w[7]}


def norm(w):
    return dict(zip(("weight", "bias", "running_mean", "running_var"), w))


def still(layer):
    layer.trainable = False
    return layer


class Alone(keras.Layer):
    """Attention of its input on itself."""

    def __init__(self, **options):
        super().__init__()
        self.it = L.MultiHeadAttention(**options)

    def call(self, x, **options):
        return self.it(x, x, x, use_causal_mask=True)


def unbiased(w):
    return {"in_proj_weight": np.concatenate([w[i].reshape(w[i].shape[0], -1).T for i in range(3)]), "out_proj.weight": w[3].reshape(-1, w[0].shape[0]).T}


PLAIN = lambda w: {}
IMAGE, ROW, SEQUENCE, ANY = [2, 9, 7, 4], [3, 11, 4], [3, 5, 6], [2, 5, 6]
ONE = {"recurrent_bias": False}  # Keras' one bias; else rnn and lstm learn two, as PyTorch's
LAYERS = [  # spec, Keras' layer, its input (channels last), its weights
    ({"type": "linear", "out_features": 5}, lambda: L.Dense(5), ANY, dense),
    ({"type": "linear", "out_features": 5, "bias": False}, lambda: L.Dense(5, use_bias=False), [3, 6], dense),
    *(({"type": "conv2d", "out_channels": 8, "kernel_size": list(k), "stride": list(s), "padding": p, "dilation": list(d)},
        lambda k=k, s=s, p=p, d=d: L.Conv2D(8, k, s, p, dilation_rate=d), IMAGE, conv)
        for k, s, p, d in [((3, 3), (1, 1), "valid", (1, 1)), ((3, 2), (1, 1), "same", (1, 1)), ((3, 3), (2, 2), "same", (1, 1)), ((2, 4), (3, 2), "same", (1, 1)),
            ((3, 3), (1, 1), "same", (2, 3)), ((1, 1), (2, 3), "same", (1, 1)), ((4, 4), (1, 1), "same", (1, 1)), ((5, 5), (2, 1), "valid", (1, 1))]),
    *(({"type": "conv1d", "out_channels": 8, "kernel_size": k, "stride": s, "padding": p, "dilation": d},
        lambda k=k, s=s, p=p, d=d: L.Conv1D(8, k, s, p, dilation_rate=d), ROW, conv)
        for k, s, p, d in [(3, 1, "valid", 1), (4, 1, "same", 1), (3, 2, "same", 1), (4, 3, "same", 1), (3, 1, "same", 3)]),
    ({"type": "conv_transpose2d", "out_channels": 3, "kernel_size": 3, "stride": 2}, lambda: L.Conv2DTranspose(3, 3, 2), IMAGE, conv_back),
    ({"type": "conv_transpose1d", "out_channels": 3, "kernel_size": 3, "stride": 2}, lambda: L.Conv1DTranspose(3, 3, 2), ROW, conv_back),
    *(({"type": "conv_transpose2d", "out_channels": 3, "kernel_size": list(k), "stride": list(s), "padding": p},
        lambda k=k, s=s, p=p: L.Conv2DTranspose(3, k, s, p), IMAGE, conv_back)
        for k, s, p in [((3, 2), (1, 1), "same"), ((3, 4), (2, 2), "same"), ((5, 4), (2, 3), "same"), ((2, 1), (3, 2), "same"), ((2, 2), (2, 2), "same"), ((4, 3), (1, 3), "valid")]),
    *(({"type": "conv_transpose1d", "out_channels": 3, "kernel_size": k, "stride": s, "padding": p}, lambda k=k, s=s, p=p: L.Conv1DTranspose(3, k, s, p), ROW, conv_back)
        for k, s, p in [(3, 1, "same"), (3, 2, "same"), (4, 3, "same"), (2, 3, "same"), (3, 2, "valid")]),
    ({"type": "embedding", "embedding_dim": 4, "num_embeddings": 7}, lambda: L.Embedding(7, 4), None, lambda w: {"weight": w[0]}),
    *(({"type": t, **o}, lambda o=o: L.BatchNormalization(**{"epsilon": o.get("eps", 1e-3), "momentum": 1 - o.get("momentum", 0.01)}), shape, norm)
        for t, shape in [("batch_norm", IMAGE), ("batch_norm", [5, 4]), ("batch_norm1d", ROW), ("batch_norm1d", [5, 4]), ("batch_norm2d", IMAGE)]
        for o in [{}, {"eps": 0.1}, {"momentum": 0.3}]),
    ({"type": "layer_norm"}, lambda: L.LayerNormalization(), ANY, norm),
    ({"type": "layer_norm", "eps": 0.1}, lambda: L.LayerNormalization(epsilon=0.1), ANY, norm),
    ({"type": "rms_norm"}, lambda: L.RMSNormalization(), ANY, norm),
    ({"type": "rms_norm", "eps": 0.1}, lambda: L.RMSNormalization(epsilon=0.1), ANY, norm),
    ({"type": "group_norm", "num_groups": 2}, lambda: L.GroupNormalization(2), IMAGE, norm),
    ({"type": "group_norm", "num_groups": 2, "eps": 0.1}, lambda: L.GroupNormalization(2, epsilon=0.1), IMAGE, norm),
    *(({"type": t, **o}, lambda: L.GroupNormalization(-1), shape, norm) for t, shape in [("instance_norm2d", IMAGE), ("instance_norm1d", ROW)] for o in ({}, {"affine": True})),
    *(({"type": t, "eps": 0.1, "affine": False}, lambda: L.GroupNormalization(-1, epsilon=0.1, center=False, scale=False), shape, norm)
        for t, shape in [("instance_norm2d", IMAGE), ("instance_norm1d", ROW)]),
    *(({"type": "rnn", "hidden_size": 3, "return": "last" if last else "sequence", **o}, lambda last=last: L.SimpleRNN(3, return_sequences=not last), SEQUENCE, recurrent([0]))
        for last in (False, True) for o in ({}, ONE)),
    ({"type": "rnn", "hidden_size": 3, "nonlinearity": "relu", **ONE}, lambda: L.SimpleRNN(3, "relu", return_sequences=True), SEQUENCE, recurrent([0])),
    *(({"type": "lstm", "hidden_size": 3, **o}, lambda: L.LSTM(3, return_sequences=True), SEQUENCE, recurrent([0, 1, 2, 3])) for o in ({}, ONE)),
    *(({"type": "lstm", "hidden_size": 3, "return": "last", "bidirectional": True, **o}, lambda: L.Bidirectional(L.LSTM(3)), SEQUENCE, recurrent([0, 1, 2, 3])) for o in ({}, ONE)),
    ({"type": "gru", "hidden_size": 3}, lambda: L.GRU(3, return_sequences=True), SEQUENCE, recurrent([1, 0, 2])),
    ({"type": "gru", "hidden_size": 3, "bidirectional": True}, lambda: L.Bidirectional(L.GRU(3, return_sequences=True)), SEQUENCE, recurrent([1, 0, 2])),
    ({"type": "multihead_attention", "num_heads": 2, "causal": True}, lambda: Alone(num_heads=2, key_dim=3), SEQUENCE, attention),
    ({"type": "leaky_relu"}, lambda: L.LeakyReLU(), ANY, PLAIN),
    ({"type": "leaky_relu", "negative_slope": 0.1}, lambda: L.LeakyReLU(0.1), ANY, PLAIN),
    ({"type": "elu"}, lambda: L.ELU(), ANY, PLAIN),
    ({"type": "prelu"}, lambda: L.PReLU(shared_axes=[1, 2]), ANY, lambda w: {"weight": w[0].ravel()}),
    *(({"type": t}, lambda t=t: L.Activation(t), ANY, PLAIN) for t in ("relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "softsign", "mish", "log_sigmoid", "relu6", "selu", "celu", "softmax", "log_softmax")),
    ({"type": "hardsigmoid"}, lambda: L.Activation("hard_sigmoid"), ANY, PLAIN),
    ({"type": "hardswish"}, lambda: L.Activation("hard_swish"), ANY, PLAIN),
    ({"type": "flatten"}, lambda: L.Flatten(), [2, 3, 5, 4], PLAIN),
    ({"type": "max_pool2d", "kernel_size": 3, "stride": 2}, lambda: L.MaxPooling2D(3, 2), IMAGE, PLAIN),
    ({"type": "avg_pool2d", "kernel_size": [2, 3]}, lambda: L.AveragePooling2D((2, 3)), IMAGE, PLAIN),
    ({"type": "max_pool1d", "kernel_size": 3, "stride": 2}, lambda: L.MaxPooling1D(3, 2), ROW, PLAIN),
    ({"type": "avg_pool1d", "kernel_size": 3}, lambda: L.AveragePooling1D(3), ROW, PLAIN),
    ({"type": "global_avg_pool"}, lambda: L.GlobalAveragePooling2D(), IMAGE, PLAIN),
    ({"type": "global_max_pool"}, lambda: L.GlobalMaxPooling1D(), ROW, PLAIN),
    ({"type": "zero_pad2d", "padding": [1, 2, 3, 0]}, lambda: L.ZeroPadding2D(((3, 0), (1, 2))), IMAGE, PLAIN),
    ({"type": "conv2d", "out_channels": 8, "kernel_size": 3, "groups": 2, "bias": False}, lambda: L.Conv2D(8, 3, groups=2, use_bias=False), IMAGE, conv),
    ({"type": "conv1d", "out_channels": 8, "kernel_size": 3, "groups": 2, "bias": False}, lambda: L.Conv1D(8, 3, groups=2, use_bias=False), ROW, conv),
    ({"type": "conv_transpose2d", "out_channels": 3, "kernel_size": 3, "stride": 2, "output_padding": 1, "bias": False},
        lambda: L.Conv2DTranspose(3, 3, 2, output_padding=1, use_bias=False), IMAGE, conv_back),
    ({"type": "conv_transpose1d", "out_channels": 3, "kernel_size": 3, "stride": 2, "output_padding": 1, "bias": False},
        lambda: L.Conv1DTranspose(3, 3, 2, output_padding=1, use_bias=False), ROW, conv_back),
    *(({"type": t}, lambda: still(L.BatchNormalization()), shape, norm) for t, shape in [("batch_norm", [5, 4]), ("batch_norm1d", ROW), ("batch_norm2d", IMAGE)]),
    ({"type": "batch_norm", "affine": False}, lambda: L.BatchNormalization(center=False, scale=False), IMAGE, lambda w: dict(zip(("running_mean", "running_var"), w))),
    ({"type": "layer_norm", "axes": 2}, lambda: L.LayerNormalization(axis=[-2, -1]), ANY, norm),
    ({"type": "layer_norm", "elementwise_affine": False}, lambda: L.LayerNormalization(center=False, scale=False), ANY, PLAIN),
    ({"type": "group_norm", "num_groups": 2, "affine": False}, lambda: L.GroupNormalization(2, center=False, scale=False), IMAGE, PLAIN),
    ({"type": "lstm", "hidden_size": 3, "num_layers": 2, "return": "last", **ONE}, lambda: keras.Sequential([L.LSTM(3, return_sequences=True), L.LSTM(3)]), SEQUENCE, stacked),
    ({"type": "rnn", "hidden_size": 3, "bidirectional": True, **ONE}, lambda: L.Bidirectional(L.SimpleRNN(3, return_sequences=True)), SEQUENCE, recurrent([0])),
    ({"type": "gru", "hidden_size": 3, "return": "last"}, lambda: L.GRU(3), SEQUENCE, recurrent([1, 0, 2])),
    ({"type": "multihead_attention", "num_heads": 3, "causal": True, "bias": False}, lambda: Alone(num_heads=3, key_dim=2, use_bias=False), SEQUENCE, unbiased),
    *(({"type": f"adaptive_{t}_pool2d", "output_size": [3, 2]}, lambda make=make: make((3, 2)), IMAGE, PLAIN)
        for t, make in (("avg", L.AdaptiveAveragePooling2D), ("max", L.AdaptiveMaxPooling2D))),
    *(({"type": f"adaptive_{t}_pool1d", "output_size": 4}, lambda make=make: make(4), ROW, PLAIN)
        for t, make in (("avg", L.AdaptiveAveragePooling1D), ("max", L.AdaptiveMaxPooling1D))),
    ({"type": "elu", "alpha": 0.7}, lambda: L.ELU(0.7), ANY, PLAIN),
    ({"type": "softmax", "dim": 1}, lambda: L.Softmax(1), ANY, PLAIN),
    ({"type": "glu"}, lambda: L.Activation("glu"), ANY, PLAIN),
    ({"type": "hardtanh"}, lambda: L.Activation("hard_tanh"), ANY, PLAIN),
    ({"type": "prelu", "num_parameters": 5}, lambda: L.PReLU(shared_axes=[2]), ANY, lambda w: {"weight": w[0].ravel()}),
    ({"type": "identity"}, lambda: L.Identity(), ANY, PLAIN),
    ({"type": "reshape", "shape": [3, -1]}, lambda: L.Reshape((3, -1)), ANY, PLAIN),
    ({"type": "transpose", "dim0": 1, "dim1": 2}, lambda: L.Permute((2, 1)), ANY, PLAIN),
    ({"type": "sequence_mean"}, lambda: L.GlobalAveragePooling1D(), ANY, PLAIN),
    ({"type": "upsample", "scale_factor": 2}, lambda: L.UpSampling2D(2), IMAGE, PLAIN),
    ({"type": "upsample", "scale_factor": 2, "mode": "bilinear"}, lambda: L.UpSampling2D(2, interpolation="bilinear"), IMAGE, PLAIN),
]
# Of these our axis 1 are the channels; all others have the features last, as in Keras.
CHANNELS_FIRST = {"conv2d", "conv1d", "conv_transpose2d", "conv_transpose1d", "batch_norm", "batch_norm1d", "batch_norm2d", "group_norm", "instance_norm2d", "instance_norm1d", "max_pool2d",
    "avg_pool2d", "max_pool1d", "avg_pool1d", "global_avg_pool", "global_max_pool", "zero_pad2d", "upsample", "adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool1d", "adaptive_max_pool1d"}
# In these Keras or TensorFlow make float32 of a constant, or of everything, whatever the type of the input.
SINGLE = {"leaky_relu", "gelu", "multihead_attention", "upsample"}


def weighted(make, x, random):
    """A layer for X with random weights, none of them what it is by default."""
    layer = make()
    layer.build((None, *x.shape[1:])) if not isinstance(layer, Alone) else layer(x)
    layer.set_weights([exact(random.uniform(0.3, 1.5, w.shape) if "moving_var" in v.path else random.uniform(-0.8, 0.8, w.shape))
        for v, w in zip(layer.weights, layer.get_weights())])
    return layer


def train(layer, v, options, random):
    """TEN steps of SGD on the output times a seed: the first one's output and gradients, of V last, and the seed."""
    told, seed, speed = None, None, [0.0] * len(layer.trainable_variables)
    for _ in range(TEN):
        with tf.GradientTape() as tape:
            y = layer(v, **options)
            seed = exact(random.uniform(-1, 1, y.shape)) if seed is None else seed
            loss = tf.reduce_sum(y * seed)
        of = [t.value for t in layer.trainable_variables] + ([v] if isinstance(v, tf.Variable) else [])
        gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, of)]
        told = told or (np.asarray(y), gradients)
        speed = [SGD["momentum"] * s + g for s, g in zip(speed, gradients)]
        for t, s in zip(layer.trainable_variables, speed):
            t.assign_sub(SGD["lr"] * s)
    return *told, seed


def compare_layer(driver, table, spec, make, shape, names, random):
    kind = spec["type"]
    turned = first if kind in CHANNELS_FIRST else lambda x: x
    batch, two = "batch" in kind, kind in ("rnn", "lstm") and spec.get("recurrent_bias", True)
    x = random.integers(0, 7, (3, 5)) if shape is None else exact(random.uniform(-2, 2, shape))
    layer = weighted(make, x, random)
    weights = {"0." + k: array(w) for k, w in names(layer.get_weights()).items()}
    bare = turned(np.asarray(layer(x, **({"training": False} if batch else {}))))
    frozen = {} if layer.trainable else {"freeze": "0.*"}
    n, fixed = len(layer.trainable_variables), layer.get_weights()
    y, gradients, seed = train(layer, tf.constant(x) if shape is None else tf.Variable(x), {"training": True} if batch else {}, random)
    theirs = {"0." + k: g for k, g in names(gradients[:n] + fixed[n:]).items() if not frozen and "running" not in k and not ("bias_hh" in k and kind != "gru")}
    after = {"0." + k: w for k, w in names(layer.get_weights()).items() if k != "running_var"}
    answer = driver.ask(type="float64", spec={"model": {"layers": [spec]}, "optimizer": SGD, "defaults": "keras"}, input=array(turned(x)), tokens=0 if shape is not None else 7,
        weights=weights, seed=turned(seed).ravel().tolist(), steps=TEN, **frozen)
    if "fault" in answer:
        return table.fault(kind, f"{json.dumps(spec)}: {answer['fault']}")
    ours = {k: numpy_of(g) for k, g in answer["gradients"].items() if not (two and "bias_hh" in k)}
    if shape is not None:
        ours[""], theirs[""] = numpy_of(answer["input_gradient"]), turned(gradients[-1])
    columns = {"output": max(difference({"": numpy_of(answer["output"])}, {"": turned(y)}), difference({"": numpy_of(answer["bare"])}, {"": bare})),
        "gradients": difference(ours, theirs)}
    if not two:
        columns["ten steps"] = difference({k: numpy_of(answer["after"][k]) for k in after}, after)
    table.add(kind, {**spec, "freeze_statistics": True} if frozen else spec, {"single": max(columns.values())} if kind in SINGLE else columns)


def layers(driver, build):
    types = {name: {o: d for o, d in options.items() if "x-defaults" in d} for name, options in schema(build, "layer").items()}
    columns = ["output", "gradients", "ten steps", "single"]
    about = of_starts(types)  # that has a table of its own
    types = {name: {o: d for o, d in options.items() if o not in about.get(name, {})} for name, options in types.items()}
    types = {name: options for name, options in types.items() if options}
    table = Table(f"Layers with \"defaults\": \"keras\", against Keras {keras.__version__} on TensorFlow {tf.__version__}", types, columns,
        {c: NARROW if c == "single" else WIDE for c in columns}, {})
    random = np.random.default_rng(11)
    for row in LAYERS:
        compare_layer(driver, table, *row, random)
    return table


if __name__ == "__main__":
    compare_all(layers)
