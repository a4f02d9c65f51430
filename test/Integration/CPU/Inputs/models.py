"""Every model of examples/models, shrunk, from its configuration to checked results.

usage: models.py EXAMPLES_FOLDER [TARGET [EMULATOR|--device=NAME MODEL...]]

Only widths are changed: routers, groups, shared experts, activations and
biases are the model's own.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile

WIDTHS = {
    "hidden_size": 96, "d_model": 96, "moe_intermediate_size": 40, "intermediate_size": 40,
    "intermediate_size_mlp": 40, "shared_expert_intermediate_size": 72, "shared_intermediate_size": 72,
    "ffn_hidden_size": 40, "d_ff": 40, "expert_ffn_hidden_size": 40, "share_expert_dim": 72,
    "moe_shared_expert_intermediate_size": 72, "moe_latent_size": 48, "vocab_size": 64,
}


def shrink(value):
    if isinstance(value, dict):
        return {k: narrow(WIDTHS[k], v) if k in WIDTHS else shrink(v) for k, v in value.items()}
    return value


def narrow(width, value):
    """Lists have a width for each layer; null and 0 are none."""
    if isinstance(value, list):
        return [narrow(width, v) for v in value]
    return width if value else value


# Layers that are those of another model but for their sizes.
RELATIVES = ("DeepSeek-V3.2", "GLM-4.7-Flash", "GLM-5.2", "Granite-4.0-H-Small", "Kimi-K2.5",
             "Kimi-Linear-48B-A3B", "Ling-mini-2.0", "MiMo-V2-Flash", "Qwen3-VL-30B-A3B",
             "Qwen3.5-397B-A17B", "dots.llm1")
# The first layers choose by a table, for which random numbers are none.
LAYERS = {"DeepSeek-V4-Flash": "3"}

failures = 0
target = [f"--target={sys.argv[2]}"] if len(sys.argv) > 2 else []
target += [e if e.startswith("--") else f"--emulator={e}" for e in sys.argv[3:4]]
wanted = sys.argv[4:]
for path in sorted(glob.glob(os.path.join(sys.argv[1], "models", "*.json"))):
    name = os.path.basename(path)[: -len(".json")]
    if name in RELATIVES or wanted and name not in wanted:
        continue
    with tempfile.TemporaryDirectory() as folder:
        config, model = os.path.join(folder, "config.json"), os.path.join(folder, "layer.mlir")
        with open(path) as file:
            small = shrink(json.load(file))
        with open(config, "w") as out:
            json.dump(small, out)
        for weights in ("f32", "bf16"):
            commands = [["moe-import", config, f"--weights-type={weights}",
                         f"--layers={LAYERS.get(name, 'first')}", "-o", model]]
            for tokens in (1, 33):
                commands.append(["moe-run", model, "--random=3", f"--tokens={tokens}", "--verify", *target])
            for command in commands:
                result = subprocess.run(command, capture_output=True, text=True)
                if result.returncode:
                    failures += 1
                    print(f"{name} {weights}: {' '.join(command)}\n{result.stdout}{result.stderr}")
                    break
            else:
                print(f"{name} {weights}: ok")
sys.exit(1 if failures else 0)
