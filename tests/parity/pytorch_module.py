"""The generated nn.Module against the engine: the same weights, the same input, the same output and gradients.

    make build/tests/parity/model_files && .parity/bin/python tests/parity/pytorch_module.py [build]

Needs torch (make parity), so it is no part of make test.
"""
import importlib.util
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

import torch

TOLERANCE = 1e-5  # of the largest output, of the largest gradient
KINK = 1e-2  # of the largest gradient, where one of many values before a relu is so near 0 that its sign differs

CONV = {"type": "conv2d", "out_channels": 6, "kernel_size": 3}
MODELS = {
    "mlp": dict(model={"name": "mlp", "args": {"hidden": [20, 10], "classes": 3, "activation": "gelu"}}, input=[4, 1, 5, 5]),
    "resnet18": dict(model={"name": "resnet18", "args": {"classes": 10}}, input=[2, 3, 64, 64], gradients=KINK),
    "resnet18 small": dict(model={"name": "resnet18", "args": {"classes": 10, "small": True}}, input=[2, 3, 32, 32], gradients=KINK),
    "squeezenet1_1": dict(model={"name": "squeezenet1_1", "args": {"classes": 10}}, input=[2, 3, 66, 66]),
    "lstm_classifier": dict(
        model={"name": "lstm_classifier", "args": {"classes": 4, "embedding": 9, "hidden": 7, "layers": 2, "bidirectional": True,
                                                   "dropout": 0.3}},
        input=[3, 6], tokens=11, lengths=[6, 2, 4]),
    "convolutions": dict(
        model={"layers": [
            CONV | {"padding": "same", "dilation": [1, 2]}, "batch_norm", {"type": "leaky_relu", "negative_slope": 0.2},
            CONV | {"out_channels": 12, "groups": 3, "stride": [2, 1], "padding": [1, 0]}, {"type": "elu", "alpha": 0.7},
            {"type": "avg_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
            CONV | {"out_channels": 24, "groups": 12, "kernel_size": [3, 1], "padding": [1, 0]}, "silu",
            {"type": "adaptive_avg_pool2d", "output_size": [3, 2]}, {"type": "gelu", "approximate": "tanh"},
            {"type": "layer_norm", "axes": 3}, "flatten", {"type": "linear", "out_features": 5, "bias": False}, "log_softmax"]},
        input=[3, 3, 17, 14]),
    "borders": dict(
        model={"layers": [
            CONV | {"padding": [2, 1], "padding_mode": "reflect"}, {"type": "batch_norm", "track_running_stats": False},
            CONV | {"kernel_size": 2, "padding": "same", "padding_mode": "circular"}, {"type": "batch_norm2d", "frozen": True, "eps": 0.01},
            {"type": "reshape", "shape": [6, -1]},
            {"type": "conv1d", "out_channels": 5, "kernel_size": 4, "padding": "same", "padding_mode": "replicate"},
            {"type": "batch_norm1d", "frozen": True, "affine": False}, {"type": "softplus", "beta": 2, "threshold": 0.4},
            {"type": "layer_norm", "bias": False}]},
        input=[3, 3, 7, 6]),
    "containers": dict(
        model={"layers": [
            {"type": "sequential", "repeat": 2, "layers": [CONV | {"padding": 1}, "tanh"]},
            {"type": "residual", "name": "block", "layers": [CONV | {"padding": 1, "name": "a"}, "relu", CONV | {"padding": 1}],
             "shortcut": [CONV | {"kernel_size": 1}]},
            {"type": "branches", "paths": [[CONV | {"kernel_size": 1}], [], [CONV | {"padding": 1}, "sigmoid"]]},
            {"type": "max_pool2d", "kernel_size": 2, "ceil_mode": True, "name": "pool"},
            {"type": "branches", "combine": "add", "paths": [["softplus"], [{"type": "dropout", "p": 0.2}]]},
            {"type": "add", "inputs": ["pool", "4"]}, "global_avg_pool",
            {"type": "linear", "out_features": 18, "name": "one"}, "relu",
            {"type": "linear", "out_features": 18, "share": "one"}, {"type": "softmax", "dim": 1}]},
        input=[2, 6, 9, 8]),
    "rows": dict(
        model={"layers": [
            {"type": "conv1d", "out_channels": 8, "kernel_size": 3, "padding": "same", "dilation": 2, "groups": 4},
            {"type": "batch_norm1d", "affine": False}, "relu", {"type": "max_pool1d", "kernel_size": 3, "stride": 2, "padding": 1},
            {"type": "conv1d", "out_channels": 6, "kernel_size": 4, "stride": 2}, {"type": "avg_pool1d", "kernel_size": 2},
            {"type": "reshape", "shape": [3, -1]}, {"type": "transpose", "dim0": 1, "dim1": -1}, "flatten",
            {"type": "batch_norm", "eps": 0.001}, {"type": "linear", "out_features": 2}]},
        input=[5, 4, 30]),
    "sequences": dict(
        model={"layers": [
            {"type": "embedding", "embedding_dim": 6, "padding_idx": 0}, {"type": "linear", "out_features": 8},
            {"type": "lstm", "hidden_size": 5, "bidirectional": True}, {"type": "layer_norm"},
            {"type": "gru", "hidden_size": 4, "num_layers": 2, "bidirectional": True}, "sequence_mean",
            {"type": "linear", "out_features": 3}]},
        input=[4, 7], tokens=13, lengths=[7, 1, 5, 3]),
    "bag of words": dict(
        model={"layers": [{"type": "embedding", "embedding_dim": 6, "padding_idx": 0}, "sequence_mean"]},
        input=[2, 3], tokens=5, lengths=[3, 3]),
    "plain recurrence": dict(
        model={"layers": [
            {"type": "rnn", "hidden_size": 5, "bidirectional": True, "num_layers": 2, "dropout": 0.1},
            {"type": "rnn", "hidden_size": 4, "nonlinearity": "relu", "bidirectional": True, "return": "last"}]},
        input=[4, 6, 3], lengths=[6, 2, 1, 4]),
    "one bias": dict(
        model={"layers": [
            {"type": "lstm", "hidden_size": 5, "bidirectional": True, "num_layers": 2, "recurrent_bias": False},
            {"type": "rnn", "hidden_size": 4, "recurrent_bias": False, "return": "last"}]},
        input=[4, 6, 3], lengths=[6, 2, 1, 4], fixed="bias_hh"),
    "no bias": dict(
        model={"layers": [
            {"type": "lstm", "hidden_size": 5, "bidirectional": True, "num_layers": 2, "bias": False},
            {"type": "gru", "hidden_size": 4, "num_layers": 2, "bias": False},
            {"type": "rnn", "hidden_size": 4, "bias": False, "return": "last"}]},
        input=[4, 6, 3], lengths=[6, 2, 1, 4]),
    "attention": dict(
        model={"layers": [
            {"type": "linear", "out_features": 8, "name": "wide"},
            {"type": "multihead_attention", "num_heads": 2, "dropout": 0.1, "inputs": "wide", "name": "self"},
            {"type": "multihead_attention", "num_heads": 4, "causal": True, "bias": False, "inputs": ["self", "input", "wide"], "name": "mixed"},
            {"type": "multihead_attention", "num_heads": 1, "inputs": ["self", "mixed"], "name": "both"},
            {"type": "add", "inputs": ["both", "mixed"]}, "sequence_mean"]},
        input=[3, 5, 6], lengths=[5, 1, 3]),
    "transformer": dict(
        model={"layers": [
            {"type": "embedding", "embedding_dim": 12}, "positional_encoding",
            {"type": "transformer_encoder_layer", "nhead": 3, "dim_feedforward": 20},
            {"type": "transformer_encoder_layer", "nhead": 2, "dim_feedforward": 7, "norm_first": True, "activation": "gelu"},
            {"type": "transformer_encoder_layer", "nhead": 1, "dim_feedforward": 9, "bias": False, "layer_norm_eps": 0.001},
            "sequence_mean", {"type": "linear", "out_features": 3}]},
        input=[4, 7], tokens=13, lengths=[7, 1, 5, 3]),
    "gpt": dict(model={"name": "gpt", "args": {"layers": 2, "heads": 3, "width": 24}}, input=[2, 8], tokens=17),
    "activations": dict(
        model={"layers": [
            {"type": "linear", "out_features": 24}, "softsign", "mish", {"type": "linear", "out_features": 24}, "log_sigmoid", "selu",
            {"type": "linear", "out_features": 24}, {"type": "celu", "alpha": 0.5}, {"type": "hardtanh", "min_val": -0.3, "max_val": 0.9},
            {"type": "linear", "out_features": 24, "init": "kaiming_normal"}, "relu6", {"type": "linear", "out_features": 24},
            "hardswish", "hardsigmoid", {"type": "linear", "out_features": 24}, "prelu", {"type": "threshold", "threshold": -0.2, "value": 0.3}, "glu",
            {"type": "unflatten", "unflattened_size": [3, 2, -1]}, {"type": "prelu", "num_parameters": 3, "init": 0.3},
            {"type": "dropout2d", "p": 0.3}, {"type": "flatten", "end_dim": 2}, "identity", {"type": "dropout1d", "p": 0.3},
            "alpha_dropout", "flatten", "softmin"]},
        input=[5, 9]),
    "images and back": dict(
        model={"layers": [
            {"type": "zero_pad2d", "padding": [1, 0, 2, 1]}, CONV | {"stride": 2}, {"type": "group_norm", "num_groups": 3}, "tanh",
            {"type": "conv_transpose2d", "out_channels": 8, "kernel_size": 4, "stride": 2, "padding": 1}, "instance_norm2d", "silu",
            {"type": "upsample", "scale_factor": 2}, {"type": "upsample", "size": [9, 8], "mode": "bilinear"},
            {"type": "upsample", "size": [8, 10], "mode": "bilinear", "align_corners": True},
            {"type": "conv_transpose2d", "out_channels": 6, "kernel_size": [3, 2], "stride": [3, 1], "output_padding": [2, 0],
             "dilation": [1, 2], "groups": 2, "bias": False},
            {"type": "instance_norm2d", "affine": True, "track_running_stats": True, "momentum": 0.3},
            {"type": "local_response_norm", "size": 4, "alpha": 0.5, "beta": 0.6, "k": 1.5},
            {"type": "reflection_pad2d", "padding": [2, 1, 0, 3]}, CONV | {"groups": 6, "out_channels": 6},
            {"type": "max_pool2d", "kernel_size": [2, 3], "stride": 1, "dilation": [2, 1], "padding": [1, 0]},
            {"type": "avg_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "divisor_override": 7},
            {"type": "replication_pad2d", "padding": 1}, {"type": "rms_norm", "axes": 2},
            {"type": "adaptive_max_pool2d", "output_size": [5, 4]}, {"type": "group_norm", "num_groups": 1, "affine": False, "eps": 0.1},
            "flatten", {"type": "rms_norm", "eps": 0.01, "elementwise_affine": False}, {"type": "linear", "out_features": 4}]},
        input=[3, 3, 8, 9]),
    "images of the same size": dict(
        model={"layers": [
            {"type": "conv_transpose2d", "out_channels": 6, "kernel_size": [4, 2], "stride": [1, 3], "padding": "same"}, "tanh",
            {"type": "conv_transpose2d", "out_channels": 4, "kernel_size": [3, 5], "stride": 2, "padding": "same"}, "tanh",
            {"type": "conv_transpose2d", "out_channels": 2, "kernel_size": 2, "padding": "valid"}, {"type": "reshape", "shape": [2, -1]},
            {"type": "conv_transpose1d", "out_channels": 3, "kernel_size": 4, "stride": 3, "padding": "same"}]},
        input=[2, 3, 4, 5]),
    "rows and back": dict(
        model={"layers": [
            {"type": "conv_transpose1d", "out_channels": 6, "kernel_size": 3, "stride": 2, "output_padding": 1, "groups": 2},
            {"type": "instance_norm1d", "affine": True}, "tanh", {"type": "max_pool1d", "kernel_size": 2, "dilation": 3, "stride": 1},
            {"type": "branches", "paths": [[{"type": "adaptive_avg_pool1d", "output_size": 5}],
                                           [{"type": "adaptive_max_pool1d", "output_size": 5}]]},
            {"type": "group_norm", "num_groups": 4}, {"type": "linear", "out_features": 7}, "rms_norm", "global_max_pool",
            {"type": "linear", "out_features": 3}]},
        input=[4, 4, 11]),
    "whole sequences": dict(
        model={"layers": [
            {"type": "gru", "hidden_size": 5, "num_layers": 2}, {"type": "lstm", "hidden_size": 4, "return": "last"}]},
        input=[3, 6, 2]),
}


def read_tensors(path):
    kinds = {"F32": torch.float32, "I64": torch.int64}
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8:8 + n]), bytearray(data[8 + n:])
    return {name: torch.frombuffer(body[slice(*t["data_offsets"])], dtype=kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def load_source(path):
    spec = importlib.util.spec_from_file_location("pytorch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(program, description, fixed):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "model.json").write_text(json.dumps(description))
        subprocess.run([program, folder], check=True)
        model = load_source(folder / "pytorch.py").load(folder / "model.safetensors")
        ours = set(read_tensors(folder / "model.safetensors"))
        theirs = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
        assert ours == theirs, f"names differ: {sorted(ours ^ theirs)}"
        values = read_tensors(folder / "values.safetensors")
        with torch.no_grad():
            y = model(values["x"], values.get("lengths"))
        assert y.shape == values["y"].shape, f"shape {tuple(y.shape)}, expected {tuple(values['y'].shape)}"
        forward = ((y - values["y"]).abs().max() / values["y"].abs().max()).item()
        model(values["x"], values.get("lengths")).square().sum().backward()
        return forward, compare_gradients(model, read_tensors(folder / "gradients.safetensors"), fixed)


def compare_gradients(model, ours, fixed):
    """The largest difference, as a part of the largest gradient of all; of the sum of the outputs' squares.  What has
    FIXED in its name is zero, and not learnt here."""
    theirs = {name: p.grad for name, p in model.named_parameters() if p.requires_grad and not (fixed and fixed in name)}
    assert not fixed or not any(p.any() for name, p in model.named_parameters() if fixed in name), f"{fixed} is not zero"
    assert set(ours) == set(theirs), f"gradients differ: {sorted(set(ours) ^ set(theirs))}"
    largest = max((g.abs().max().item() for g in theirs.values()), default=0)
    return max(((ours[name] - g).abs().max().item() / largest for name, g in theirs.items()), default=0)


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build")
    failed = False
    for name, description in MODELS.items():
        most = description.pop("gradients", TOLERANCE)
        output, gradients = compare(build / "tests/parity/model_files", description, description.pop("fixed", ""))
        close = output <= TOLERANCE and gradients <= most
        failed |= not close
        print(f"{name:20} largest difference {output:.1e}, of gradients {gradients:.1e}{'' if close else '  TOO LARGE'}")
    sys.exit(failed)


main()
