// Dimensions of size zero compile, and a call computes what is left.
// REQUIRES: x86-64-v3
// RUN: moe-run %s --random=1 --tokens=5 --target=x86-64-v3 | FileCheck %s
// CHECK: offsets: i32[5], mean magnitude 6, largest 10
func.func @dispatch(%x: tensor<?x0xf32> {moe.name = "x", moe.dims = ["T"]},
                    %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x0xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<5xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x0xf32>, !moe.routing<4 x 2> -> tensor<?x0xf32>
  %y = moe.combine %rows by %r : tensor<?x0xf32>, !moe.routing<4 x 2> -> tensor<?x0xf32>
  %o = moe.routing.offsets %r : !moe.routing<4 x 2> -> tensor<5xi32>
  return %y, %o : tensor<?x0xf32>, tensor<5xi32>
}
