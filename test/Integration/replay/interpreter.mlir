// The interpreter records and replays, too; scores of f64 make weights of f64.
// RUN: rm -rf %t && mkdir %t
// RUN: moe-opt %s --moe-record-routing | moe-interpret - --random=3 --size=T=9 -o %t/recorded.safetensors --print | FileCheck %s
// RUN: moe-opt %s --moe-replay-routing=drop-arguments | moe-interpret - --random=3 --size=T=9 --inputs=%t/recorded.safetensors --expect=%t/recorded.safetensors --tolerance=0
// CHECK-DAG: routing.indices: i32[9x2]
// CHECK-DAG: routing.weights: f64[9x2]
// CHECK-DAG: routing.counts: i32[5]

func.func @layer(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x5xf64> {moe.name = "scores", moe.dims = ["T"]}) -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x5xf64> -> !moe.routing<5 x 2>
  %rows = moe.dispatch %x by %r weighted : tensor<?x8xf32>, !moe.routing<5 x 2> -> tensor<?x8xf32>
  %y = moe.combine %rows by %r : tensor<?x8xf32>, !moe.routing<5 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
