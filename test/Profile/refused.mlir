// What moe-prune-experts leaves alone, with a remark, and what is no profile of
// the model.

// RUN: split-file %s %t && cd %t
// RUN: %python %S/Inputs/make_loads.py 8 7:0.1 > eight.json
// RUN: moe-opt kinds.mlir --pass-pipeline='builtin.module(moe-prune-experts{profile=kinds.json loss-budget=0.5})' --remarks-filter='.*' -o after.mlir 2> remarks
// RUN: FileCheck %s --check-prefix=KINDS --input-file=remarks --implicit-check-not='[Passed]'
// RUN: moe-opt kinds.mlir -o before.mlir && diff before.mlir after.mlir
// KINDS-DAG: #moe.sinkhorn<1, tolerance = 0.0001, iterations = 100> is not known to choose alike among fewer experts
// KINDS-DAG: the capacity of 'moe.routing.limit' follows from the number of experts
// KINDS-DAG: its numbers of experts are used by 'moe.routing.indices'
// KINDS-DAG: the profile saw no token of it
// KINDS-DAG: the weights of expert 1 sum up to less than 0
// KINDS-DAG: the slots of 'moe.routing.weights' would be fewer
// RUN: moe-opt one.mlir --moe-prune-experts='profile=eight.json keep=7 loss-budget=0.01' --remarks-filter='.*' -o /dev/null 2>&1 | FileCheck %s --check-prefix=BUDGET
// BUDGET: [Missed] not-pruned {{.*}}"keeping 7 of 8 experts loses 1.408 % of the weight, and the budget is 1 %"
// RUN: moe-opt one.mlir --moe-prune-experts='profile=eight.json keep=7 loss-budget=0.02' --remarks-filter='.*' -o /dev/null 2>&1 | FileCheck %s --check-prefix=KEEP
// KEEP: [Passed] pruned {{.*}}"experts 7 of 8 are left out, with 1.408 % of the weight"
// RUN: moe-opt one.mlir --moe-prune-experts='profile=eight.json keep=1 loss-budget=0.99' --remarks-filter='.*' -o /dev/null 2>&1 | FileCheck %s --check-prefix=SLOTS
// SLOTS: "it cannot have 1 of its 8 experts"
// RUN: moe-opt one.mlir --moe-prune-experts='profile=eight.json' --remarks-filter='.*' -o /dev/null 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: "none of its 8 experts is within the budget of 0 %"

// RUN: not moe-opt kinds.mlir --moe-prune-experts='profile=eight.json' 2>&1 | FileCheck %s --check-prefix=FUNCTION
// FUNCTION: kinds.mlir:2:{{.*}}: error: eight.json: functions: has no 'sinkhorn', but 'layer'
// RUN: %python %S/Inputs/make_loads.py 6 > six.json
// RUN: not moe-opt one.mlir --moe-prune-experts='profile=six.json' 2>&1 | FileCheck %s --check-prefix=SIX
// RUN: not moe-opt one.mlir --moe-place-experts='profile=six.json' 2>&1 | FileCheck %s --check-prefix=SIX
// SIX: error: six.json: functions[0].routings[0].experts: is 6; the router of function 'layer' has 8
// RUN: sed 's/top_k<2>/top_k<3>/g; s/8 x 2/8 x 3/g' one.mlir > three.mlir
// RUN: not moe-opt three.mlir --moe-prune-experts='profile=eight.json' 2>&1 | FileCheck %s --check-prefix=THREE
// THREE: error: eight.json: functions[0].routings[0].slots: is 2; the router of function 'layer' has 3
// RUN: sed 's/"routings": .*/"routings": []}]}/' eight.json > old.json
// RUN: not moe-opt one.mlir --moe-prune-experts='profile=old.json' 2>&1 | FileCheck %s --check-prefix=OLD
// OLD: error: old.json: functions[0].routings: has 0, and nothing of router 0 of function 'layer'
// RUN: not moe-opt one.mlir --moe-prune-experts 2>&1 | FileCheck %s --check-prefix=NEEDS
// NEEDS: error: moe-prune-experts needs a profile, as moe-run --profile-out writes it: profile=FILE
// RUN: not moe-opt one.mlir --moe-prune-experts='profile=eight.json loss-budget=1.5' 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: error: loss-budget: expected 0 or more, and less than 1

//--- one.mlir
func.func @layer(%s: tensor<?x8xf32>) -> index {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %n = moe.routing.num_tokens %r : !moe.routing<8 x 2>
  return %n : index
}

//--- kinds.mlir
func.func @sinkhorn(%s: tensor<?x2xf32>) -> index {
  %r = moe.router #moe.sinkhorn<1, tolerance = 1.0e-4, iterations = 100> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %n = moe.routing.num_tokens %r : !moe.routing<2 x 1>
  return %n : index
}
func.func @factor(%s: tensor<?x2xf32>) -> index {
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %l = moe.routing.limit %r factor 1.25 : !moe.routing<2 x 1>
  %n = moe.routing.num_tokens %l : !moe.routing<2 x 1>
  return %n : index
}
func.func @returned(%s: tensor<?x2xf32>) -> tensor<?x1xi32> {
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %i = moe.routing.indices %r : !moe.routing<2 x 1> -> tensor<?x1xi32>
  return %i : tensor<?x1xi32>
}
func.func @unseen(%s: tensor<?x2xf32>) -> index {
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %n = moe.routing.num_tokens %r : !moe.routing<2 x 1>
  return %n : index
}
func.func @negative(%s: tensor<?x2xf32>) -> index {
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %n = moe.routing.num_tokens %r : !moe.routing<2 x 1>
  return %n : index
}
func.func @mask(%s: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %r = moe.router #moe.threshold<0.5, min_k = 0> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 2>
  %w = moe.routing.weights %r : !moe.routing<2 x 2> -> tensor<?x2xf32>
  return %w : tensor<?x2xf32>
}

//--- kinds.json
{"schema": "moe-profile", "version": 1, "functions": [
  {"name": "sinkhorn", "weights": [], "routings": [
    {"experts": 2, "slots": 1, "tokens": 4, "assignments": 4, "counts": [4, 0], "weight_sums": [4, 0],
     "tokens_with": [0, 4], "weights": {"least": 1, "largest": 1, "bins": [[1016, 4]]}, "pairs": []}]},
  {"name": "factor", "weights": [], "routings": [
    {"experts": 2, "slots": 1, "tokens": 4, "assignments": 4, "counts": [4, 0], "weight_sums": [4, 0],
     "tokens_with": [0, 4], "weights": {"least": 1, "largest": 1, "bins": [[1016, 4]]}, "pairs": []}]},
  {"name": "returned", "weights": [], "routings": [
    {"experts": 2, "slots": 1, "tokens": 4, "assignments": 4, "counts": [4, 0], "weight_sums": [4, 0],
     "tokens_with": [0, 4], "weights": {"least": 1, "largest": 1, "bins": [[1016, 4]]}, "pairs": []}]},
  {"name": "unseen", "weights": [], "routings": [
    {"experts": 2, "slots": 1, "tokens": 0, "assignments": 0, "counts": [0, 0], "weight_sums": [0, 0],
     "tokens_with": [0, 0], "weights": {"least": 0, "largest": 0, "bins": []}, "pairs": []}]},
  {"name": "negative", "weights": [], "routings": [
    {"experts": 2, "slots": 1, "tokens": 4, "assignments": 4, "counts": [3, 1], "weight_sums": [4, -1],
     "tokens_with": [0, 4], "weights": {"least": -1, "largest": 1, "bins": [[-1017, 1], [1016, 3]]}, "pairs": []}]},
  {"name": "mask", "weights": [], "routings": [
    {"experts": 2, "slots": 2, "tokens": 4, "assignments": 4, "counts": [4, 0], "weight_sums": [4, 0],
     "tokens_with": [0, 4, 0], "weights": {"least": 1, "largest": 1, "bins": [[1016, 4]]}, "pairs": []}]}]}
