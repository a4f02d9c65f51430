"""usage: break_profile.py PROFILE.json MODEL.mlir: what moe-quantize says of broken copies."""
import copy
import json
import subprocess
import sys

with open(sys.argv[1]) as file:
    profile = json.load(file)


def check(name, change):
    broken = copy.deepcopy(profile)
    function = broken["functions"][0]
    change(broken, function, *function["routings"])
    with open("broken.json", "w") as file:
        # JSON has no infinity, but numbers that are too large.
        file.write(json.dumps(broken).replace("Infinity", "1e999"))
    done = subprocess.run(["moe-quantize", sys.argv[2], "--random=1", "--to=bf16", "--importance=broken.json"],
                          capture_output=True, text=True)
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1 and bool(lines[0]) == (done.returncode != 0), done
    print(f"{name}: {lines[0].replace('moe-quantize: ', '') or 'fine'}")


def add(values, i, what=1):
    values[i] += what


def forget(function):
    del function["routings"]
    for weight in function["weights"]:
        for expert in weight["experts"]:
            del expert["nonzero"]


check("as it was", lambda p, f, a, b: None)
check("without what is new", lambda p, f, a, b: forget(f))
check("counts_short", lambda p, f, a, b: a["counts"].pop())
check("counts_minus", lambda p, f, a, b: a["counts"].__setitem__(1, -1))
check("counts_more", lambda p, f, a, b: add(a["counts"], 2))
check("counts_large", lambda p, f, a, b: a["counts"].__setitem__(0, 2**53 + 1))
check("sums_long", lambda p, f, a, b: b["weight_sums"].append(1))
check("sums_infinite", lambda p, f, a, b: b["weight_sums"].__setitem__(0, float("inf")))
check("slots", lambda p, f, a, b: b.update(slots=5))
check("experts", lambda p, f, a, b: b.update(experts=0))
check("tokens", lambda p, f, a, b: b.update(tokens=51))
check("least", lambda p, f, a, b: b["weights"].update(least=3))
check("bins_order", lambda p, f, a, b: b["weights"]["bins"][-1].__setitem__(0, 2000))
check("bins_twice", lambda p, f, a, b: b["weights"]["bins"].insert(1, b["weights"]["bins"][0]))
check("bins_zero", lambda p, f, a, b: b["weights"]["bins"][0].__setitem__(1, 0))
check("pairs_order", lambda p, f, a, b: b["pairs"][0].__setitem__(1, 0))
check("pairs_twice", lambda p, f, a, b: b["pairs"].insert(1, b["pairs"][0]))
check("pairs_sum", lambda p, f, a, b: add(b["pairs"][0], 2))
check("nonzero", lambda p, f, a, b: next(w for w in f["weights"] if w["name"] == "down")["experts"][0].update(nonzero=10**6))
check("missing", lambda p, f, a, b: a.pop("pairs"))
check("name", lambda p, f, a, b: p["functions"].append(f))
