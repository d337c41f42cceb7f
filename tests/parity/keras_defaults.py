"""Losses and optimizers with "defaults": "keras" against Keras on TensorFlow in float64: every type of the job's schema with a
default of its own there, and what Keras and PyTorch define alike.

    make build/tests/parity/learn_driver build/tandem-worker && .parity/bin/python tests/parity/keras_defaults.py [build]

Where the two disagree in more than a constant, the formula is Keras' in optimizers ("form") and in cross-entropies of
probabilities, and PyTorch's elsewhere.
"""
import itertools
import json
import zlib

from driver import WIDE, Table, array, compare_all, difference, exact, numpy_of, schema
from wide_keras import keras, np, tf, widened

K, O = keras.losses, keras.optimizers


# ---- Losses ----------------------------------------------------------------------------------------------------------

C = 4


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def binary(f):
    return lambda y, o: f(tf.cast(tf.reshape(y, (-1, 1)), "float64"), o)


LOSSES = [  # spec, kind of outputs, kind of targets, Keras' mean
    ({"type": "cross_entropy"}, "probabilities", "labels", K.SparseCategoricalCrossentropy()),
    ({"type": "cross_entropy", "from_probabilities": False}, "logits", "labels", K.SparseCategoricalCrossentropy(from_logits=True)),
    ({"type": "cross_entropy", "from_probabilities": False}, "logits", "shares", K.CategoricalCrossentropy(from_logits=True)),
    ({"type": "cross_entropy", "label_smoothing": 0.2, "from_probabilities": False}, "logits", "shares", K.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)),
    ({"type": "cross_entropy", "from_probabilities": True}, "probabilities", "labels", K.SparseCategoricalCrossentropy()),
    ({"type": "cross_entropy", "from_probabilities": True}, "probabilities", "shares", K.CategoricalCrossentropy()),
    ({"type": "cross_entropy", "from_probabilities": True}, "extremes", "shares", K.CategoricalCrossentropy()),
    ({"type": "cross_entropy", "from_probabilities": True, "label_smoothing": 0.3}, "probabilities", "shares", K.CategoricalCrossentropy(label_smoothing=0.3)),
    ({"type": "bce_with_logits"}, "single", "binary", binary(K.BinaryCrossentropy(from_logits=True))),
    ({"type": "bce_with_logits"}, "logits", "shares", K.BinaryCrossentropy(from_logits=True)),
    ({"type": "bce"}, "chances", "binary", binary(K.BinaryCrossentropy())),
    ({"type": "bce"}, "probabilities", "shares", K.BinaryCrossentropy()),
    ({"type": "hinge"}, "single", "binary", binary(K.Hinge())),
    ({"type": "mse"}, "logits", "values", K.MeanSquaredError()),
    ({"type": "l1"}, "logits", "values", K.MeanAbsoluteError()),
    ({"type": "huber"}, "logits", "values", K.Huber()),
    ({"type": "huber", "delta": 0.4}, "logits", "values", K.Huber(0.4)),
]


def loss_case(output, target, n, random):
    logits = random.normal(size=(n, 1 if output in ("single", "chances") else C)) * 2
    o = {"logits": logits, "single": logits, "probabilities": softmax(logits), "extremes": softmax(logits * 20), "chances": 1 / (1 + np.exp(-logits))}[output]
    y = {"labels": random.integers(0, C, n), "binary": random.integers(0, 2, n), "shares": random.dirichlet(np.ones(C), n), "values": random.normal(size=(n, C))}[target]
    return o, y


def losses(driver, build):
    types = {name: {o: d for o, d in options.items() if "x-defaults" in d} for name, options in schema(build, "loss").items()}
    silent = {"bce.eps": "its default alone: Keras' is a constant"}
    types = {name: options for name, options in types.items() if options}
    table = Table("Losses with \"defaults\": \"keras\"", types, ["mean", "gradient"], {"mean": WIDE, "gradient": WIDE}, silent)
    random = np.random.default_rng(12)
    for (spec, output, target, mean), n in itertools.product(LOSSES, (4, 1, 9)):
        o, y = loss_case(output, target, n, random)
        v = tf.Variable(o)
        with tf.GradientTape() as tape:
            m = mean(y, v)
        answer = driver.ask(type="float64", spec={"loss": spec, "defaults": "keras"}, input=array(o), target=array(y))
        if "fault" in answer:
            table.fault(spec["type"], f"{json.dumps(spec)}: {answer['fault']}")
            continue
        table.add(spec["type"], spec, {"mean": difference({"": numpy_of([answer["mean"]])}, {"": np.array([float(m)])}),
            "gradient": difference({"": numpy_of(answer["gradient"])}, {"": tape.gradient(m, v).numpy()})})
    return table


# ---- Optimizers ------------------------------------------------------------------------------------------------------

ADAM = {"lr": [0.05], "weight_decay": [0.3], "betas": [[0.7, 0.9]], "eps": [1e-3], "amsgrad": [True]}
OPTIMIZERS = {
    "sgd": (O.SGD, {"lr": [0.05], "weight_decay": [0.3], "momentum": [0.9], "nesterov": [True]}),
    "adam": (O.Adam, ADAM),
    "adamw": (O.AdamW, ADAM),
    "rmsprop": (O.RMSprop, {"lr": [0.05], "weight_decay": [0.3], "alpha": [0.8], "eps": [1e-3], "momentum": [0.7], "centered": [True]}),
    "adagrad": (O.Adagrad, {"lr": [0.05], "weight_decay": [0.3], "initial_accumulator_value": [0.4], "eps": [1e-3]}),
    "adadelta": (O.Adadelta, {"lr": [0.05], "weight_decay": [0.3], "rho": [0.8], "eps": [1e-3]}),
}
NAMES = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
FACTORS = [1, 1, 0.5, 0.5, 1.5, 0.25, 1, 0, 0.1, 1]


def keras_optimizer(make, options):
    options = dict(options)
    for name, beta in zip(("beta_1", "beta_2"), options.pop("betas", [])):
        options[name] = beta
    return make(**{NAMES.get(k, k): v for k, v in options.items()})


def compare_optimizer(driver, table, name, make, options, shape, random):
    spec = {"type": name, **options}
    start, gradients = exact(random.normal(size=shape)), exact(random.normal(size=(len(FACTORS), *shape)))
    v = keras.Variable(start, dtype="float64")
    optimizer = keras_optimizer(make, options)
    lr = options.get("lr", float(np.float64(str(np.float32(optimizer.learning_rate)))))
    optimizer, after = widened(optimizer, v), []
    optimizer._learning_rate = keras.Variable(lr, dtype="float64", trainable=False)
    for factor, gradient in zip(FACTORS, gradients):
        optimizer._learning_rate.assign(lr * factor)
        optimizer.apply([tf.constant(gradient)], [v])
        after.append(v.numpy().ravel().copy())
    answer = driver.ask(type="float64", spec={"optimizer": spec, "defaults": "keras"}, weight=array(start), gradients=[g.ravel().tolist() for g in gradients], factors=FACTORS)
    if "fault" in answer:
        return table.fault(name, f"{json.dumps(spec)}: {answer['fault']}")
    table.add(name, {**spec, "form": "keras"}, {"ten updates": max(difference({"": numpy_of(a)}, {"": b}) for a, b in zip(answer["after"], after))})


def optimizers(driver, build):
    silent = {"muon": "Keras' Muon updates other weights by AdamW of its own choice; PyTorch's form alone", "*.groups": "Keras has none",
        "sgd.dampening": "Keras has none", "adagrad.lr_decay": "Keras has none"}
    table = Table("Optimizers with \"defaults\": \"keras\"", schema(build, "optimizer"), ["ten updates"], {"ten updates": WIDE}, silent)
    for name, (make, one_of) in OPTIMIZERS.items():
        random = np.random.default_rng(zlib.crc32(name.encode()))
        single = [{}] + [{k: v[0]} for k, v in one_of.items() if k != "nesterov"]
        together = [{k: v[0] for k, v in one_of.items() if random.integers(2)} for _ in range(6)] + [{k: v[0] for k, v in one_of.items()}]
        for options in single + together:
            if options.get("nesterov") and not options.get("momentum"):
                continue
            compare_optimizer(driver, table, name, make, options, (3, 2), random)
    return table


compare_all(losses, optimizers)
