# Every layer of examples/models is, after the fusion pipeline, one route and two
# grouped matmuls with the combine in the second; what else is there is listed.
#
# RUN: %python %s %examples/models

import collections
import glob
import os
import re
import subprocess
import sys

OPS = re.compile(r"^ *(?:%[^=]+ = )?((?:moe|moek|linalg|scf|tensor|func)\.[a-z_.]+)", re.M)

# A gate on the shared expert is a projection and a sigmoid of its own, and its
# weight goes to each of the experts it is split into.
GATED = {"Qwen1.5-MoE-A2.7B": 2, "Qwen3-Next-80B-A3B": 1, "Qwen3.5-397B-A17B": 1}

# What else there is: a norm in front of the router; experts that give back their
# rows; products into a smaller space and back, in which the shared expert has no
# part.
OTHER = {
    "Gemma-4-26B-A4B": {"linalg.fill": 1, "linalg.generic": 4, "linalg.yield": 4},
    "LongCat-Flash": {"moek.yield": 5, "moek.row_map": 1, "moek.combine": 1, "scf.for": 1, "scf.yield": 1,
                      "tensor.extract": 2, "tensor.insert": 2},
    "Nemotron-3-Super-120B-A12B": {"moek.pack": 7, "moek.grouped_matmul": 6, "moek.yield": 8,
                                   "linalg.generic": 1, "linalg.yield": 1, "tensor.from_elements": 2},
}

files = sorted(glob.glob(os.path.join(sys.argv[1], "*.json")))
assert len(files) >= 20, files
for path in files:
    name = os.path.basename(path)[: -len(".json")]
    for weights in ("f32", "bf16"):
        module = subprocess.run(["moe-import", "--layers=3", "--weights-type=" + weights, path],
                                check=True, stdout=subprocess.PIPE).stdout
        fused = subprocess.run(["moe-opt", "--moe-fusion-pipeline"], input=module,
                               check=True, stdout=subprocess.PIPE).stdout.decode()
        counts = collections.Counter(OPS.findall(fused))
        for op in ("tensor.empty", "tensor.dim", "tensor.extract_slice", "func.func"):
            counts.pop(op, None)
        want = {"moek.pack": 3, "moek.route": 1, "moek.grouped_matmul": 2, "moek.yield": 4}
        if name in GATED:
            want.update({"linalg.fill": 1, "linalg.matmul": 1,
                         "linalg.generic": GATED[name], "linalg.yield": GATED[name]})
        want.update(OTHER.get(name, {}))
        assert counts == want, (name, weights, dict(counts), want)
        matmuls = [line for line in fused.splitlines() if "moek.grouped_matmul" in line and 'phase("linear")' not in line]
        assert "gather(" in matmuls[0] and "combine(" not in matmuls[0], name
        assert "gather(" not in matmuls[1] and ("combine(" in matmuls[1]) == ("moek.combine" not in want), name

        # Without the fusions every op is a kernel of its own.
        plain = subprocess.run(["moe-opt", "--moe-fusion-pipeline=fuse=false"], input=module,
                               check=True, stdout=subprocess.PIPE).stdout.decode()
        assert "moek.gather" in plain and "moek.combine" in plain, name
        assert not re.search(r"= moe\.", plain), name
