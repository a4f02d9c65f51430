"""usage: make_bias.py FILE.npy E VALUE EXPERT...: a correction bias of VALUE for the
experts, and 0 for the others."""
import sys

import numpy as np

path, experts, value = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
bias = np.zeros(experts, np.float32)
bias[[int(e) for e in sys.argv[4:]]] = value
np.save(path, bias)
