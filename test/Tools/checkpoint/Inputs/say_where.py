"""Adds `moe.checkpoint` to the functions of a module, for the files that
make_checkpoint.py writes: usage: say_where.py hf|gguf < in.mlir > out.mlir"""
import re
import sys

HF = [{"router.weight": "model.layers.0.mlp.gate.weight",
       "experts.gate_proj": "model.layers.0.mlp.experts.{e}.gate_proj.weight",
       "experts.up_proj": "model.layers.0.mlp.experts.{e}.up_proj.weight",
       "experts.down_proj": "model.layers.0.mlp.experts.{e}.down_proj.weight"},
      {"router.weight": "model.layers.1.mlp.gate.weight",
       "experts.gate_proj": "model.layers.1.mlp.experts.gate_up_proj"
                            " | every(2, 0, 2) | transpose(1, 2)",
       "experts.up_proj": "model.layers.1.mlp.experts.gate_up_proj"
                          " | transpose(1, 2) | every(1, 1, 2)",
       "experts.down_proj": "model.layers.1.mlp.experts.down_proj"
                            " | transpose(1, 2)"}]
GGUF = [{"router.weight": "blk.%d.ffn_gate_inp.weight" % n,
         "experts.gate_proj": "blk.%d.ffn_gate_exps.weight" % n,
         "experts.up_proj": "blk.%d.ffn_up_exps.weight" % n,
         "experts.down_proj": "blk.%d.ffn_down_exps.weight" % n}
        for n in (0, 1)]
layers = HF if sys.argv[1] == "hf" else GGUF


def add(match):
    weights = layers[int(match.group(1))]
    return "moe.checkpoint = {%s}, %s" % (
        ", ".join('%s = "%s"' % weight for weight in weights.items()),
        match.group(0))


text, count = re.subn(r"moe\.layer = (\d+)", add, sys.stdin.read())
assert count
sys.stdout.write(text)
