// An expert that is plain linalg, no moe.ffn: a product and a softmax are kernels as
// those of routing and combining are, on vectors.

// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t
// DEFINE: %{run} = moe-run %t.json --model=%s --random=1 --verify
// RUN: %{run} --tokens=1 | FileCheck %s
// RUN: %{run} --tokens=13 | FileCheck %s
// RUN: %{run} --tokens=200 | FileCheck %s
// CHECK: verify y: {{.*}} PASS

// RUN: moe-compile %s --compile-to=vector -o - | FileCheck %s --check-prefix=VECTOR
// VECTOR-LABEL: func.func @f
//   VECTOR-NOT:   linalg.
//       VECTOR:   vector.reduction <maxnumf>
//   VECTOR-NOT:   linalg.
//       VECTOR:   math.exp {{.*}} : vector<16xf32>
//   VECTOR-NOT:   linalg.
//       VECTOR:   return

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
func.func @f(%x: tensor<?x40xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<4x40xf32> {moe.name = "router.weight"}, %w: tensor<4x40x40xf32> {moe.name = "w"}) -> (tensor<?x40xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x40xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y] ins(%x, %wr : tensor<?x40xf32>, tensor<4x40xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x40xf32>, !moe.routing<4 x 2> -> tensor<?x40xf32>
  %out = moe.expert %rows by %r : (tensor<?x40xf32>, !moe.routing<4 x 2>) -> tensor<?x40xf32>
    experts 0 to 4 weights(%w : tensor<4x40x40xf32>) {
    ^bb0(%t: tensor<?x40xf32>, %m: tensor<40x40xf32>):
      %n = tensor.dim %t, %c0 : tensor<?x40xf32>
      %e2 = tensor.empty(%n) : tensor<?x40xf32>
      %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x40xf32>) -> tensor<?x40xf32>
      %h = linalg.matmul indexing_maps = [#x, #w, #y] ins(%t, %m : tensor<?x40xf32>, tensor<40x40xf32>) outs(%f2 : tensor<?x40xf32>) -> tensor<?x40xf32>
      %s = linalg.softmax dimension(1) ins(%h : tensor<?x40xf32>) outs(%e2 : tensor<?x40xf32>) -> tensor<?x40xf32>
      moe.yield %s : tensor<?x40xf32>
    }
  %y = moe.combine %out by %r : tensor<?x40xf32>, !moe.routing<4 x 2> -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}
