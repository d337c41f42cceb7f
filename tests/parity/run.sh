#!/bin/sh
# Everything that can be compared with PyTorch, Keras and scikit-learn; make parity has installed them in .parity.
set -e
B=${1:-build}
python=.parity/bin/python
export OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 PYTHONDONTWRITEBYTECODE=1

# $1 prints the constants of $2, as $3 has them.
constants() {
	$python -W ignore "$1" 2>/dev/null | diff -u "$2" - || {
		echo "run.sh: $3 says something else than $2" >&2
		exit 1
	}
}
constants tests/parity/golden.py tests/unit/learn_golden.h PyTorch
constants tests/parity/golden_layers.py tests/unit/layers_golden.h PyTorch
constants tests/parity/golden_keras.py tests/unit/keras_golden.h Keras
echo "the constants of the unit tests are those of PyTorch and Keras"
$python tests/parity/metrics.py "$B"
$python -W ignore tests/parity/learning.py "$B"
$python -W ignore tests/parity/layers.py "$B"
$python -W ignore tests/parity/starts.py "$B"
$python -W ignore tests/parity/keras_defaults.py "$B"
$python -W ignore tests/parity/keras_layers.py "$B"
$python -W ignore tests/parity/keras_starts.py "$B"
$python tests/parity/pytorch_module.py "$B"
