# What --family says of a file of the user that is wrong: one line that names the
# file and the place. And what --check-families says of a folder of such files.
#
# RUN: %python %s %t

import json
import os
import shutil
import subprocess
import sys

folder = sys.argv[1]
shutil.rmtree(folder, ignore_errors=True)
os.makedirs(os.path.join(folder, "families"))
failures = []
with open(os.path.join(folder, "config.json"), "w") as file:
    json.dump({"model_type": "mine", "hidden_size": 8, "moe_intermediate_size": 4,
               "num_experts": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2}, file)
START = "model_types: mine\n"


def run(command, **environment):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


def write(name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def refuses(what, text, *expected):
    write("mine.yaml", START + text)
    status, out, err = run(["moe-import", "--family=./mine.yaml", "config.json"])
    if (status != 1 or out or err.count("\n") != 1 or not err.startswith("moe-import: error: ")
            or not all(part in err for part in expected)):
        failures.append((what, status, err))


status, out, err = run(["moe-import", "--family=./mine.yaml", "config.json"])
assert status == 1 and "./mine.yaml: No such file or directory" in err, err

# A file that is right, over what all families share.
write("mine.yaml", START + "values: {weighing: \"'#moe.softmax'\"}\nsnippets:\n  route: |\n"
      "    %logits = $logits\n    $choose(%logits, %logits)\n")
status, out, err = run(["moe-import", "--family=./mine.yaml", "config.json"])
if status or "select(%logits) weigh(%logits) weighing [#moe.softmax]" not in out:
    failures.append(("a file that is right", status, err + out))
if err != ("moe-import: note: config.json: model_type 'mine' is read by the family 'mine'\n"):
    failures.append(("its note", status, err))

refuses("no YAML", "keys: [", "./mine.yaml: not valid YAML: line ")
refuses("a second key", "values: {}\nvalues: {}\n", "./mine.yaml: not valid YAML: line 3", "a second 'values'")
refuses("an unknown field", "modeltypes: x\n", "./mine.yaml: 'modeltypes' means nothing here; known are ",
        "model_types")
refuses("an unknown field of a key", "keys: {L: {name: layers}}\n",
        "./mine.yaml: key L: 'name' means nothing here")
refuses("an unknown field of a weight", "weights: {router.weight: {dtype: f32}}\n",
        "./mine.yaml: weight router.weight: 'dtype' means nothing here")
refuses("a weight without a shape", "weights: {a.b: {names: x}}\n", "./mine.yaml: weight a.b: has no shape")
refuses("an unknown type", "keys: {L: {type: int}}\n", "./mine.yaml: key L: unknown type 'int'")
refuses("a list for a mapping", "keys: [L]\n", "./mine.yaml: 'keys' has to be a mapping")
refuses("a text for a number", "keys: {L: {least: one}}\n", "./mine.yaml: key L: 'least' has to be an integer")
refuses("an unknown base", "base: nothing\n", "./mine.yaml: the base 'nothing': ", "No such file")
refuses("an unknown name", "values: {moe_layer: layers > 2}\n",
        "./mine.yaml: 'moe_layer' of layer 0: there is no 'layers'")
refuses("no flag", "values: {moe_layer: 1 + 1}\n",
        "./mine.yaml: 'moe_layer' of layer 0: is an integer, not a flag")
refuses("no expression", "values: {moe_layer: \"(layer\"}\n", "./mine.yaml: 'moe_layer' of layer 0: column 7 of "
        "'(layer': expected ')'")
refuses("a name that needs itself", "values: {moe_layer: moe_layer}\n", "./mine.yaml: ",
        "'moe_layer' depends on itself")
refuses("a missing snippet", "snippets: {route: $rout}\n",
        "./mine.yaml: snippet 'route', line 1: there is no snippet 'rout'")
refuses("arguments of a snippet", "snippets: {route: $sigmoid(%x)}\n",
        "./mine.yaml: snippet 'route', line 1: 'sigmoid' takes 2 arguments, not 1")
refuses("snippets in a circle", "snippets: {route: $route}\n", "./mine.yaml: snippet 'route', line 1: snippets "
        "that use each other without end")
refuses("an open #if", "snippets: {route: \"#if true\"}\n",
        "./mine.yaml: snippet 'route': '#if' without '#endif'")
refuses("IR that is none", "snippets: {route: \"%routing = moe.rooter %x\"}\n",
        "./mine.yaml: layer 0 is not valid IR: ")
refuses("a type of the IR", "snippets: {route: \"%routing = tensor.empty() : tensor<2x2xf32>\"}\n",
        "./mine.yaml: layer 0 is not valid IR: ")
refuses("a shape", "weights: {router.weight: {shape: [E, 0]}}\n",
        "./mine.yaml: the shape of 'router.weight': a size of 0")
refuses("a check", "checks: [{that: K < 2, key: K, says: 'is ${K}; it has to be below 2'}]\n",
        "key 'num_experts_per_tok' is 2; it has to be below 2 (model_type 'mine')")
refuses("a check that cannot be", "checks: [{that: M < 2, key: K, says: ''}]\n",
        "key 'num_experts_per_tok' cannot be checked: ./mine.yaml: 'M < 2': there is no 'M'")

# The same in a folder: each file has its line.
source = subprocess.run(["moe-import", "--list-families"], stdout=subprocess.PIPE, text=True).stdout.split()
assert len(source) > 60, source
status, out, err = run(["moe-import", "--check-families"])
if (status, out, err) != (0, "", ""):
    failures.append(("the families that there are", status, out + err))
common = ("model_types: [all]\nkeys:\n  L: {names: num_layers, default: 2}\n  H: {default: 4}\n  E: {default: 4}\n"
          "  K: {default: 2}\nvalues: {dense: \"''\", moe_layer: true}\ntypes: {x: \"tensor<${T}x${H}xf32>\"}\n"
          "prefix: \"layers.${layer}.\"\nweights: {w: {shape: [H], names: w}}\n"
          "snippets: {layer: \"%y = tensor.cast %x : !x to !x\"}\n")
for name, text in {
        "common": common, "a": "base: b\nmodel_types: a\n", "b": "base: a\n", "good": "model_types: good\n",
        "same": "model_types: [good]\n", "word": "values: {E: 1 +}\nmodel_types: word\n",
        "nameless": "model_types: nameless\nweights: {u: {shape: [H]}}\nsnippets:\n  layer: |\n"
                    "    %z = linalg.add ins(%u, %u : !u, !u) outs(%u : !u) -> !u\n"
                    "    %y = tensor.insert_slice %z into %x[0, 0] [1, 4] [1, 1] : !u into !x\n",
        "field": "what: 1\n", "needs": "model_types: needs\nkeys: {M: {names: m}}\n",
        "example": "base: needs\nmodel_types: example\nexample: {m: 3}\n"}.items():
    write(f"families/{name}.yaml", text)
status, out, err = run(["moe-import", "--check-families"], MOE_MLIR_FAMILIES="families")
expected = ["families/a.yaml: the base 'b': families/b.yaml: the base 'a': bases that lead in a circle",
            "families/b.yaml: the base 'a': families/a.yaml: the base 'b': bases that lead in a circle",
            "families/field.yaml: 'what' means nothing here; known are ",
            "families/nameless.yaml: weight u of its layers has no 'names'",
            "families/needs.yaml: its example: key 'm' is missing (model_type 'needs')",
            "families/same.yaml: the model type 'good' is that of 'good', too",
            "families/word.yaml: value E: column 4 of '1 +': expected a value"]
lines = err.splitlines()
if status != 1 or len(lines) != len(expected) or not all(
        line.startswith("moe-import: error: " + want) for line, want in zip(lines, expected)):
    failures.append(("a folder of mistakes", status, err))
status, out, err = run(["moe-import", "--check-families"], MOE_MLIR_FAMILIES="nowhere")
if status != 1 or "no family files in 'nowhere'" not in err:
    failures.append(("no folder", status, err))

# Which file a type is in, however it is written: of the others nothing is read, so that
# what is wrong with them does no harm.
os.makedirs(os.path.join(folder, "some"))
here = {"MOE_MLIR_FAMILIES": "some"}
route = "snippets: {route: \"%logits = $logits\\n$choose(%logits, %logits)\"}\nvalues: {weighing: \"''\"}\n"
own = os.path.join(os.path.dirname(shutil.which("moe-import")), "..", "share", "moe-mlir", "families", "common.yaml")
shutil.copy(own, os.path.join(folder, "some"))
for name, text in {
        "block": "# Which model_types there are.\nmodel_types:\n- one\n# between\n- two\n" + route,
        "flow": "model_types: [three,\n  'four']  # and more\narchitectures: [\n]\n" + route,
        "whole": "{model_types: five, values: {weighing: \"''\"}, snippets: {route: \"%logits = $logits\\n"
                 "$choose(%logits, %logits)\"}}\n",
        "quoted": '"model_types": six\n' + route, "last": route + "model_types: seven",
        "number": "model_types: [8, nine]\n" + route, "wrong": "model_types: ten\nwhat: 1\n"}.items():
    write(f"some/{name}.yaml", text)
listed = run(["moe-import", "--list-models"], **here)[1].split()
names = ["one", "two", "three", "four", "five", "six", "seven", "8", "nine", "ten"]
if listed != sorted(names):
    failures.append(("the models of a folder", 0, str(listed)))
for name in names:
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    with open(os.path.join(folder, "typed.json"), "w") as file:
        json.dump({**config, "model_type": name}, file)
    status, out, err = run(["moe-import", "typed.json"], **here)
    if name == "ten":
        if status != 1 or not err.startswith("moe-import: error: typed.json: some/wrong.yaml: 'what' means nothing"):
            failures.append(("a file that is wrong", status, err))
    elif status or "select(%logits)" not in out:
        failures.append((f"model type {name}", status, err))

for what, status, err in failures:
    print(f"{what}: exit status {status}\n{err}")
sys.exit(bool(failures))
