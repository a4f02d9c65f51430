"""usage: make_loads.py E EXPERT:SUM...: a profile of a layer with two slots, in which
the weights of each expert sum up to 1, or to SUM."""
import json
import sys

experts = int(sys.argv[1])
sums = [1.0] * experts
for argument in sys.argv[2:]:
    expert, value = argument.split(":")
    sums[int(expert)] = float(value)
counts = [2] * experts
print(json.dumps({"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
    {"experts": experts, "slots": 2, "tokens": experts, "assignments": 2 * experts, "counts": counts,
     "weight_sums": sums, "tokens_with": [0, 0, experts],
     "weights": {"least": 0.5, "largest": 0.5, "bins": [[1008, 2 * experts]]},
     "pairs": [[e, e + 1, 1] for e in range(experts - 1)] + [[0, experts - 1, 1]]}]}]}))
