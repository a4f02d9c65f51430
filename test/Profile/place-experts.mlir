// moe-place-experts: neighbours are those that meet; the attribute is verified,
// printed, and the same for the same profile.

// RUN: split-file %s %t && cd %t
// RUN: moe-opt layer.mlir --moe-place-experts='profile=profile.json' --remarks-filter='.*' -o once.mlir 2> remarks
// RUN: FileCheck %s --input-file=once.mlir
// RUN: FileCheck %s --check-prefix=REMARK --input-file=remarks
// RUN: moe-opt once.mlir --moe-place-experts='profile=profile.json' -o twice.mlir && diff once.mlir twice.mlir
// CHECK: moe.expert {{.*}} {moe.placement = array<i64: 1, 3, 0, 2, 4>}
// REMARK: [Passed] placed {{.*}}"neighbours share 9 assignments of a token, 1 in the order of the router"

// Who removes experts forgets the order of all.
// RUN: moe-opt once.mlir --moe-prune-experts='profile=profile.json loss-budget=0.3' -o - | FileCheck %s --check-prefix=FORGOTTEN --implicit-check-not=moe.placement
// FORGOTTEN: experts 0 to 4

// RUN: not moe-opt layer.mlir --moe-place-experts 2>&1 | FileCheck %s --check-prefix=NEEDS
// NEEDS: error: moe-place-experts needs a profile
// RUN: sed 's/3, 0, 2, 4/3, 0, 3, 4/' once.mlir > again.mlir
// RUN: not moe-opt again.mlir 2>&1 | FileCheck %s --check-prefix=AGAIN
// AGAIN: error: 'moe.expert' op `moe.placement` has to have each expert from 0 to 4 once; 3 is there twice
// RUN: sed 's/3, 0, 2, 4/3, 0, 2, 5/' once.mlir > none.mlir
// RUN: not moe-opt none.mlir 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: error: 'moe.expert' op `moe.placement` has to have each expert from 0 to 4 once; 5 is none of them
// RUN: sed 's/, 0, 2, 4>/>/' once.mlir > short.mlir
// RUN: not moe-opt short.mlir 2>&1 | FileCheck %s --check-prefix=SHORT
// SHORT: error: 'moe.expert' op `moe.placement` has to be an array<i64> of the 5 experts, not array<i64: 1, 3>
// RUN: sed 's/by %r : tensor<?x8xf32>/by %r {moe.placement = array<i64: 0>} : tensor<?x8xf32>/' layer.mlir > other.mlir
// RUN: not moe-opt other.mlir 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: `moe.placement` is an attribute of moe.expert

//--- layer.mlir
func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %w: tensor<5x8x8xf32>) -> tensor<?x8xf32> {
  %c = moe.router #moe.top_k<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %r = moe.routing.append %c : !moe.routing<4 x 2> -> !moe.routing<5 x 3>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<5 x 3> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<5 x 3>) -> tensor<?x8xf32>
  experts 0 to 5 weights(%w, %w : tensor<5x8x8xf32>, tensor<5x8x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<5 x 3> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//--- profile.json
{"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
  {"experts": 4, "slots": 2, "tokens": 10, "assignments": 20, "counts": [7, 4, 4, 5], "weight_sums": [7, 4, 4, 5],
   "tokens_with": [0, 0, 10], "weights": {"least": 1, "largest": 1, "bins": [[1016, 20]]},
   "pairs": [[0, 2, 4], [0, 3, 2], [0, 1, 1], [1, 3, 3]]}]}]}
