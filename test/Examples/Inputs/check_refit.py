"""Reads what the commands of docs/refit-router.md print: of the samples that were held
back, most have to be correct with the new weights, and few with the old ones. Both are
counted by running the layer."""
import re
import sys

text = sys.stdin.read()
print(text)
(before, loss), (after, new_loss) = [(float(a), float(b)) for a, b in re.findall(
    r"^48 samples: ([\d.]+) % correct, mean loss ([\d.]+)$", text, re.M)]
assert before < 50 and after > 85, (before, after)
assert new_loss < loss / 5, (loss, new_loss)
old, new = map(float, re.search(r"neighbours: ([\d.]+) before, ([\d.]+) after", text).groups())
assert 0 < old < new <= 1, (old, new)
print("re-fitted: ok")
