// moe-replicate-experts and moe-shard-experts: busy experts get copies, shards get
// about as much to do; attributes are verified, printed, and the same for the same
// profile.

// RUN: split-file %s %t && cd %t

// 16 assignments of 8, 5, 2 and 1: loads a copy with three more copies are 8/3, 5/2,
// 2, 1. The appended expert keeps one.
// RUN: moe-opt layer.mlir --moe-replicate-experts='profile=profile.json copies=3' --remarks-filter='.*' -o copies.mlir 2> remarks
// RUN: FileCheck %s --input-file=copies.mlir --check-prefix=COPIES
// RUN: FileCheck %s --check-prefix=REPLICATED --input-file=remarks
// RUN: moe-opt copies.mlir --moe-replicate-experts='profile=profile.json copies=3' -o twice.mlir && diff copies.mlir twice.mlir
// COPIES: moe.expert {{.*}} {moe.replicas = array<i64: 3, 2, 1, 1, 1>}
// REPLICATED: [Passed] replicated {{.*}}"the busiest copy has 0.67 times what an expert has on average, 2.00 without more copies"

// Five experts of 8, 5, 2, 1 and all 8 tokens in two shards of at most three: 8, 5 and
// 8, 2, 1.
// RUN: moe-opt layer.mlir --moe-shard-experts='profile=profile.json shards=2' --remarks-filter='.*' -o shards.mlir 2> remarks
// RUN: FileCheck %s --input-file=shards.mlir --check-prefix=SHARDS
// RUN: FileCheck %s --check-prefix=SHARDED --input-file=remarks
// RUN: moe-opt shards.mlir --moe-shard-experts='profile=profile.json shards=2' -o twice.mlir && diff shards.mlir twice.mlir
// SHARDS: moe.expert {{.*}} {moe.shards = array<i64: 0, 0, 1, 1, 1>}
// SHARDED: [Passed] sharded {{.*}}"the busiest shard has 1.08 times what shards have on average"

// Eight copies in four shards of two: no expert twice in one.
// RUN: moe-opt copies.mlir --moe-shard-experts='profile=profile.json shards=4' --verify-roundtrip -o both.mlir
// RUN: FileCheck %s --input-file=both.mlir --check-prefix=BOTH
// BOTH: {moe.replicas = array<i64: 3, 2, 1, 1, 1>, moe.shards = array<i64: 0, 1, 2, 3, 0, 1, 2, 3>}

// Other copies, and shards that are not of them go; the same ones keep them.
// RUN: moe-opt both.mlir --moe-replicate-experts='profile=profile.json copies=3' | diff - both.mlir
// RUN: moe-opt both.mlir --moe-replicate-experts='profile=profile.json copies=2' | FileCheck %s --check-prefix=OTHERS --implicit-check-not=moe.shards
// OTHERS: moe.replicas = array<i64: 2, 2, 1, 1, 1>
// RUN: moe-opt both.mlir --moe-prune-experts='profile=profile.json loss-budget=0.3' -o - | FileCheck %s --check-prefix=FORGOTTEN --implicit-check-not=moe.shards --implicit-check-not=moe.replicas
// FORGOTTEN: experts 0 to {{[34]}}

// Refused, with a remark.
// RUN: moe-opt layer.mlir --moe-shard-experts='profile=profile.json shards=6' --remarks-filter='.*' 2>&1 | FileCheck %s --check-prefix=FEW
// FEW: [Missed] not-sharded {{.*}}"there are 5 copies of experts, and each of 6 shards would need one"
// RUN: moe-opt copies.mlir --moe-shard-experts='profile=profile.json shards=2' --remarks-filter='.*' 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: [Missed] not-sharded {{.*}}"an expert has 3 copies, which have to be in different ones of 2 shards"

// Bad options, profiles and attributes.
// RUN: not moe-opt layer.mlir --moe-replicate-experts='profile=profile.json' 2>&1 | FileCheck %s --check-prefix=COUNT
// COUNT: error: moe-replicate-experts: copies has to be a number from 1 to 65536, not 0
// RUN: not moe-opt layer.mlir --moe-shard-experts='profile=profile.json shards=-1' 2>&1 | FileCheck %s --check-prefix=NUMBER
// NUMBER: error: moe-shard-experts: shards has to be a number from 1 to 65536, not -1
// RUN: not moe-opt layer.mlir --moe-shard-experts='shards=2' 2>&1 | FileCheck %s --check-prefix=NEEDS
// NEEDS: error: moe-shard-experts needs a profile
// RUN: sed 's/"experts": 4/"experts": 5/; s/"counts": \[8/"counts": [0, 8/; s/"weight_sums": \[8/"weight_sums": [0, 8/' profile.json > five.json
// RUN: not moe-opt layer.mlir --moe-shard-experts='profile=five.json shards=2' 2>&1 | FileCheck %s --check-prefix=FIVE
// FIVE: error: {{.*}}five.json
// RUN: sed 's/3, 2, 1, 1, 1>/3, 2, 1, 1>/' both.mlir > short.mlir
// RUN: not moe-opt short.mlir 2>&1 | FileCheck %s --check-prefix=SHORT
// SHORT: error: 'moe.expert' op `moe.replicas` has to be an array<i64> of the 5 experts, not array<i64: 3, 2, 1, 1>
// RUN: sed 's/3, 2, 1, 1, 1>/3, 2, 0, 1, 1>/' copies.mlir > none.mlir
// RUN: not moe-opt none.mlir 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: 'moe.expert' op `moe.replicas` has to have 1 to 65536 copies of each expert, not 0
// RUN: sed "s/array<i64: 0, 1, 2, 3, 0, 1, 2, 3>/array<i64: 0, 1, 2, 3, 3, 1, 2, 0>/" both.mlir > same.mlir
// RUN: not moe-opt same.mlir 2>&1 | FileCheck %s --check-prefix=SAME
// SAME: error: 'moe.expert' op `moe.shards` has expert 1 in shard 3 twice; its copies have to be in different ones
// RUN: sed 's/array<i64: 0, 0, 1, 1, 1>/array<i64: 0, 0, 2, 2, 2>/' shards.mlir > empty.mlir
// RUN: not moe-opt empty.mlir 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: error: 'moe.expert' op `moe.shards` has nothing in shard 1 of 3
// RUN: sed 's/array<i64: 0, 0, 1, 1, 1>/array<i64: 0, 0, 1, 1, 5>/' shards.mlir > range.mlir
// RUN: not moe-opt range.mlir 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: error: 'moe.expert' op `moe.shards` has to have shards from 0 to 4, not 5
// RUN: sed 's/by %r : tensor<?x8xf32>/by %r {moe.shards = array<i64: 0>} : tensor<?x8xf32>/' layer.mlir > other.mlir
// RUN: not moe-opt other.mlir 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: `moe.shards` is an attribute of moe.expert

// A shared expert that joins the layer makes others of its experts.
// RUN: moe-opt shared.mlir --moe-fold-shared-expert | FileCheck %s --check-prefix=FOLDED '--implicit-check-not=array<i64'
// FOLDED: experts 0 to 2

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

//--- shared.mlir
func.func @layer(%x: tensor<?x8xf32>, %r: !moe.routing<2 x 1>, %w: tensor<2x8x8xf32>, %s: tensor<8x8xf32>) -> tensor<?x8xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r {moe.placement = array<i64: 1, 0>, moe.replicas = array<i64: 1, 2>, moe.shards = array<i64: 0, 0, 1>} : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
  experts 0 to 2 weights(%w, %w : tensor<2x8x8xf32>, tensor<2x8x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %d = moe.ffn %x up(%s) down(%s) activation(#moe.relu) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %y = moe.combine %out by %r init(%d : tensor<?x8xf32>) : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

//--- profile.json
{"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
  {"experts": 4, "slots": 2, "tokens": 8, "assignments": 16, "counts": [8, 5, 2, 1], "weight_sums": [8, 5, 2, 1],
   "tokens_with": [0, 0, 8], "weights": {"least": 1, "largest": 1, "bins": [[1016, 16]]},
   "pairs": [[0, 1, 5], [0, 2, 2], [0, 3, 1]]}]}]}
