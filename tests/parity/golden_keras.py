"""Prints tests/unit/keras_golden.h: optimizers, losses and a few layers as Keras computes them on TensorFlow in float64, with its
own defaults.

    PYTHON-WITH-TENSORFLOW tests/parity/golden_keras.py > tests/unit/keras_golden.h
"""
import json

from wide_keras import keras, np, tf, widened

K = keras.optimizers

OPTIMIZERS = [  # as documents with "defaults": "keras" say it
    ('"sgd"', lambda: K.SGD()),
    ('{"type":"sgd","lr":0.1,"momentum":0.9}', lambda: K.SGD(0.1, momentum=0.9)),
    ('{"type":"sgd","lr":0.1,"momentum":0.8,"nesterov":true,"weight_decay":0.3}',
        lambda: K.SGD(0.1, momentum=0.8, nesterov=True, weight_decay=0.3)),
    ('"adam"', lambda: K.Adam()),
    ('{"type":"adam","lr":0.03,"betas":[0.7,0.9],"eps":0.001,"weight_decay":0.2,"amsgrad":true}',
        lambda: K.Adam(0.03, 0.7, 0.9, 0.001, weight_decay=0.2, amsgrad=True)),
    ('"adamw"', lambda: K.AdamW()),
    ('{"type":"adamw","lr":0.05,"eps":0.01}', lambda: K.AdamW(0.05, epsilon=0.01)),
    ('"rmsprop"', lambda: K.RMSprop()),
    ('{"type":"rmsprop","lr":0.02,"alpha":0.8,"eps":0.001,"weight_decay":0.2,"momentum":0.7}',
        lambda: K.RMSprop(0.02, rho=0.8, epsilon=0.001, weight_decay=0.2, momentum=0.7)),
    ('{"type":"rmsprop","lr":0.02,"momentum":0.5,"centered":true}',
        lambda: K.RMSprop(0.02, momentum=0.5, centered=True)),
    ('"adagrad"', lambda: K.Adagrad()),
    ('{"type":"adagrad","lr":0.1,"initial_accumulator_value":0.4,"eps":0.001,"weight_decay":0.3}',
        lambda: K.Adagrad(0.1, 0.4, 0.001, weight_decay=0.3)),
    ('"adadelta"', lambda: K.Adadelta()),
    ('{"type":"adadelta","lr":0.5,"rho":0.8,"eps":0.001,"weight_decay":0.2}',
        lambda: K.Adadelta(0.5, 0.8, 0.001, weight_decay=0.2)),
]
START = [0.5, -0.25, 1.0, 2.0, -1.5, 0.125]
N_UPDATES = 10


def gradient(step):
    return [0.1 * step, -1.0 / step, 0.5, 0.3 - 0.2 * step, 1.5 - 0.25 * step, -0.75]


LABELS = [0, 2, 1, 2]
SHARES = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.25, 0.75], [0.1, 0.8, 0.1]]
PROBABILITIES = [[0.25, 0.125, 0.625], [0.5, 0.375, 0.125], [0.0625, 0.3125, 0.625], [0.75, 0.125, 0.125]]
CHANCES = [[0.25], [0.75], [0.5], [0.875]]
BINARY = [[0.0], [1.0], [1.0], [0.0]]
L = keras.losses

LOSSES = [
    ('"cross_entropy"', "P_LABELS", L.SparseCategoricalCrossentropy(), LABELS, PROBABILITIES),
    ('{"type":"cross_entropy","from_probabilities":true}', "P_SHARES", L.CategoricalCrossentropy(), SHARES, PROBABILITIES),
    ('{"type":"cross_entropy","from_probabilities":true,"label_smoothing":0.2}', "P_SHARES",
        L.CategoricalCrossentropy(label_smoothing=0.2), SHARES, PROBABILITIES),
    ('"bce"', "P_BINARY", L.BinaryCrossentropy(), BINARY, CHANCES),
    ('"hinge"', "P_BINARY", L.Hinge(), BINARY, CHANCES),
]


def fraction(step, modulus):
    """As golden_layers.py has them."""
    return lambda shape: (np.arange(np.prod(shape)) * step % modulus - modulus // 2).reshape(shape) / 8.0


weight, number, seed = fraction(5, 11), fraction(7, 19), fraction(3, 13)
N = keras.layers
IMAGE, ROW, SEQUENCE = [2, 4, 5, 6], [2, 4, 7], [2, 3, 4]
LAYERS = [  # spec, Keras', input, our axis of Keras' last one; the weights are in Keras' order
    ({"type": "batch_norm2d"}, lambda: N.BatchNormalization(), IMAGE, 1),
    ({"type": "layer_norm"}, lambda: N.LayerNormalization(), SEQUENCE, -1),
    ({"type": "rms_norm"}, lambda: N.RMSNormalization(), SEQUENCE, -1),
    ({"type": "group_norm", "num_groups": 2}, lambda: N.GroupNormalization(2), IMAGE, 1),
    ({"type": "instance_norm2d"}, lambda: N.GroupNormalization(-1), IMAGE, 1),
    ({"type": "instance_norm1d"}, lambda: N.GroupNormalization(-1), ROW, 1),
    ({"type": "conv_transpose2d", "out_channels": 3, "kernel_size": [4, 2], "stride": [1, 3], "padding": "same"},
        lambda: N.Conv2DTranspose(3, (4, 2), (1, 3), "same"), IMAGE, 1),
    ({"type": "conv_transpose1d", "out_channels": 3, "kernel_size": 5, "stride": 2, "padding": "same"}, lambda: N.Conv1DTranspose(3, 5, 2, "same"), ROW, 1),
    ({"type": "lstm", "hidden_size": 3, "recurrent_bias": False}, lambda: N.LSTM(3, return_sequences=True), SEQUENCE, -1),
    ({"type": "rnn", "hidden_size": 3, "recurrent_bias": False}, lambda: N.SimpleRNN(3, return_sequences=True), SEQUENCE, -1),
]


def ours(w):
    """Of a transposed convolution: [k.., out, in] -> [in, out, k..]; of a recurrent layer: [in, out] -> [out, in]."""
    return np.moveaxis(w, (-1, -2), (0, 1)) if w.ndim > 1 else w


def theirs(w):
    return np.moveaxis(w, (0, 1), (-1, -2)) if w.ndim > 1 else w


def row(values):
    return "{ " + ", ".join(f"{float(v):.17g}" for v in np.ravel(values)) + " }"


def table(name, columns, rows):
    print(f"/* {columns} */\n#define {name} \\\n\t" + ", \\\n\t".join(rows) + "\n")


def optimizers():
    for spec, make in OPTIMIZERS:
        v = keras.Variable(np.array(START).reshape(3, 2), dtype="float64")
        optimizer = widened(make(), v)
        for step in range(1, N_UPDATES + 1):
            optimizer.apply([tf.constant(gradient(step), shape=(3, 2), dtype="float64")], [v])
        yield f"{{ {json.dumps(spec)}, 2, {row(v.numpy())} }}"


def losses():
    for spec, target, loss, y, output in LOSSES:
        x = tf.constant(output, dtype="float64")
        with tf.GradientTape() as tape:
            tape.watch(x)
            mean = loss(tf.constant(y, dtype="int64" if y is LABELS else "float64"), x)
        yield f"{{ {json.dumps(spec)}, {target}, {float(mean):.17g}, {row(tape.gradient(mean, x))}, {{ 0 }} }}"


def layers():
    for spec, make, shape, axis in LAYERS:
        layer, x = make(), tf.Variable(np.moveaxis(number(shape), axis, -1))
        layer.build(x.shape)
        for v in layer.trainable_variables:
            v.assign(theirs(weight(ours(v.numpy()).shape)))
        with tf.GradientTape() as tape:
            y = layer(x, training=True) if "batch" in spec["type"] else layer(x)
            loss = tf.reduce_sum(y * np.moveaxis(seed(np.moveaxis(y, -1, axis).shape), axis, -1))
        of_x, *of_weights = tape.gradient(loss, [x] + [v.value for v in layer.trainable_variables])
        of_x = float((np.moveaxis(of_x, -1, axis) * seed(shape)).sum())
        of_weights = sum(float((g * seed(g.shape)).sum()) for g in (ours(g.numpy()) for g in of_weights))
        sizes = ", ".join(map(str, shape))
        yield f"{{ {json.dumps(json.dumps(spec))}, {len(shape)}, {{ {sizes} }}, {float(loss):.17g}, {of_x:.17g}, {of_weights:.17g} }}"


print("/* Made by tests/parity/golden_keras.py, which says from what; do not edit. */")
print("/* clang-format off */")
table("GOLDEN_KERAS_OPTIMIZERS", f"spec, columns, the parameter after {N_UPDATES} updates", optimizers())
table("GOLDEN_KERAS_LOSSES", "spec, target, mean, gradient of the output; no second one", losses())
table("GOLDEN_KERAS_LAYERS", "spec, rank and sizes of the input, projections of the output, of the input's gradient and of all parameters'", layers())
