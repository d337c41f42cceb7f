"""Keras on TensorFlow in float64, one thread at a time."""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf

keras.config.set_floatx("float64")
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def widened(optimizer, v):
    """OPTIMIZER, about to update V: Keras makes float32 of its constants before it uses them in float64."""
    optimizer.build([v])
    for accumulator in getattr(optimizer, "_accumulators", []):
        accumulator.assign(np.full(v.shape, optimizer.initial_accumulator_value))
    for name in ("momentum", "beta_1", "beta_2", "rho", "epsilon", "weight_decay"):
        if getattr(optimizer, name, None):
            setattr(optimizer, name, tf.constant(getattr(optimizer, name), dtype="float64"))
    return optimizer
