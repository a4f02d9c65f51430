# usage: cli.sh PYTHON INPUTS BUILD: the command line of the installed package, in the current folder.
set -eu
python=$1 inputs=$2
fails() {
  set +e
  text=$("$python" -m moe_mlir "$@" 2>&1 > stdout)
  status=$?
  set -e
  test "$(echo "$text" | wc -l)" = 1 && test ! -s stdout || { echo "not one line: $text"; exit 1; }
  echo "status $status: $text"
}

cat > config.json <<END
{"model_type": "mixtral", "hidden_size": 32, "intermediate_size": 16, "num_local_experts": 8,
 "num_experts_per_tok": 2, "num_hidden_layers": 1}
END
"$python" -m moe_mlir info
echo "compiled: $("$python" -m moe_mlir compile config.json -o layer)"
"$python" -m moe_mlir info layer.so
"$python" "$inputs/make_model.py" layer.so model.safetensors
packed=$("$python" -m moe_mlir pack layer.so model.safetensors)
echo "packed: $packed"
"$python" -m moe_mlir run layer.so --weights "$packed" --tokens 3 --random 5 --repeat 2 -o y.npy
"$python" - <<END
import numpy as np, moe_mlir
x = np.random.default_rng(5).standard_normal((3, 32)).astype(np.float32)
y = moe_mlir.load("layer.so", weights="$packed")(x)
print("the same:", (y == np.load("y.npy")).all())
print("loaded:", *{line.split()[-1] for line in open("/proc/self/maps") if "libmoe_rt" in line})
END
fails info no.so
fails compile config.json --layers 9
fails compile
fails run layer.so --tokens x
fails run layer.so
echo text > x.txt
fails run layer.so --weights "$packed" --inputs x.txt
fails cache prune --limit many
"$python" -m moe_mlir cache list
"$python" -m moe_mlir cache prune --limit 80kB
"$python" -m moe_mlir cache clear
for command in "" info compile pack run cache; do
  "$python" -m moe_mlir $command --help
done
echo end
