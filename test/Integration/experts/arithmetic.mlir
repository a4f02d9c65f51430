// Bodies with arithmetic on whole tensors, in f32 and bf16, are kernels like any other.
// RUN: moe-opt %s --moe-fusion-pipeline | FileCheck %s
// CHECK-NOT: moek.expert_loop
// CHECK-COUNT-2: moek.grouped_matmul
// CHECK: moek.row_map
// CHECK-NOT: moek.expert_loop
// RUN: moe-run %s --tokens=0 --random=1
// RUN: moe-run %s --tokens=37 --random=2 --verify
// RUN: moe-run %s --tokens=37 --random=2 --verify --no-fuse

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
!x = tensor<?x48xf32>
!half = tensor<?x48xbf16>
!r = !moe.routing<4 x 2>

func.func @layer(%x: !x {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<4x48xf32> {moe.name = "router.weight"},
    %u: tensor<2x32x48xf32> {moe.name = "up"}, %d: tensor<2x48x32xf32> {moe.name = "down"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : !x, tensor<4x48xf32>) outs(%f0 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !r
  %rows = moe.dispatch %x by %r : !x, !r -> !x
  %out = moe.expert %rows by %r : (!x, !r) -> !x
  experts 0 to 2 weights(%u, %d : tensor<2x32x48xf32>, tensor<2x48x32xf32>) {
  ^bb0(%t: !x, %up: tensor<32x48xf32>, %down: tensor<48x32xf32>):
    %f = moe.ffn %t up(%up) down(%down) activation(#moe.relu) : (!x, tensor<32x48xf32>, tensor<48x32xf32>) -> !x
    %h = math.tanh %f : !x
    %s = arith.addf %h, %t : !x
    moe.yield %s : !x
  } experts 2 to 4 {
  ^bb0(%t: !x):
    %n = arith.truncf %t : !x to !half
    %p = arith.mulf %n, %n : !half
    %m = arith.extf %p : !half to !x
    %larger = arith.cmpf ogt, %m, %t : !x
    %s = arith.select %larger, %m, %t : tensor<?x48xi1>, !x
    moe.yield %s : !x
  }
  %y = moe.combine %out by %r : !x, !r -> !x
  return %y : !x
}
