#!/bin/sh
# Everything that can be compared with PyTorch and scikit-learn; make parity has installed them in .parity.
set -e
B=${1:-build}
python=.parity/bin/python

$python -W ignore tests/parity/golden.py | diff -u tests/unit/learn_golden.h - || {
	echo "run.sh: PyTorch says something else than tests/unit/learn_golden.h" >&2
	exit 1
}
echo "losses, optimizers, schedules: the constants of the unit tests are PyTorch's"
$python tests/parity/metrics.py "$B"
$python tests/parity/pytorch_module.py "$B"
