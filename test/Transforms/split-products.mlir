// RUN: moe-opt %s --moe-split-products --split-input-file | FileCheck %s

// Halves and every other column; what the product is added to is split likewise.
// CHECK-LABEL: func @halves(
// CHECK: ^bb0(%[[T:.*]]: tensor<?x32xf32>, %[[W:.*]]: tensor<48x32xf32>, %[[V:.*]]: tensor<32x48xf32>, %{{.*}}: tensor<32x24xf32>):
// CHECK: %[[WG:.*]] = tensor.extract_slice %[[W]][0, 0] [24, 32] [1, 1] : tensor<48x32xf32> to tensor<24x32xf32>
// CHECK: %[[ZERO:.*]] = linalg.fill {{.*}} -> tensor<?x24xf32>
// CHECK: linalg.matmul {{.*}} ins(%[[T]], %[[WG]] : tensor<?x32xf32>, tensor<24x32xf32>) outs(%[[ZERO]] : tensor<?x24xf32>)
// CHECK: tensor.extract_slice %[[W]][24, 0] [24, 32] [1, 1]
// CHECK: linalg.matmul
// CHECK: tensor.extract_slice %[[V]][0, 0] [32, 24] [1, 2] : tensor<32x48xf32> to tensor<32x24xf32>
// CHECK: %[[INIT:.*]] = tensor.extract_slice %{{.*}}[0, 0] [%{{.*}}, 24] [1, 2]
// CHECK: linalg.generic {{.*}} outs(%[[INIT]] : tensor<?x24xf32>)
// CHECK: tensor.extract_slice %[[V]][0, 1] [32, 24] [1, 2]
// CHECK: linalg.generic
// CHECK-NOT: -> tensor<?x48xf32>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @halves(%rows: tensor<?x32xf32>, %r: !moe.routing<8 x 2>, %w: tensor<8x48x32xf32>, %v: tensor<8x32x48xf32>, %d: tensor<8x32x24xf32>) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%w, %v, %d : tensor<8x48x32xf32>, tensor<8x32x48xf32>, tensor<8x32x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<48x32xf32>, %b: tensor<32x48xf32>, %c: tensor<32x24xf32>):
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %t, %c0 : tensor<?x32xf32>
    %e = tensor.empty(%n) : tensor<?x48xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x48xf32>) -> tensor<?x48xf32>
    %p = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%t, %a : tensor<?x32xf32>, tensor<48x32xf32>) outs(%f : tensor<?x48xf32>) -> tensor<?x48xf32>
    %g = tensor.extract_slice %p[0, 0] [%n, 24] [1, 1] : tensor<?x48xf32> to tensor<?x24xf32>
    %u = tensor.extract_slice %p[0, 24] [%n, 24] [1, 1] : tensor<?x48xf32> to tensor<?x24xf32>
    %e0 = tensor.empty(%n) : tensor<?x48xf32>
    %start = linalg.exp ins(%e : tensor<?x48xf32>) outs(%e0 : tensor<?x48xf32>) -> tensor<?x48xf32>
    %q = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]} ins(%t, %b : tensor<?x32xf32>, tensor<32x48xf32>) outs(%start : tensor<?x48xf32>) {
    ^bb0(%x: f32, %y: f32, %o: f32):
      %m = arith.mulf %x, %y : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<?x48xf32>
    %even = tensor.extract_slice %q[0, 0] [%n, 24] [1, 2] : tensor<?x48xf32> to tensor<?x24xf32>
    %odd = tensor.extract_slice %q[0, 1] [%n, 24] [1, 2] : tensor<?x48xf32> to tensor<?x24xf32>
    %e1 = tensor.empty(%n) : tensor<?x24xf32>
    %h = linalg.mul ins(%g, %u : tensor<?x24xf32>, tensor<?x24xf32>) outs(%e1 : tensor<?x24xf32>) -> tensor<?x24xf32>
    %i = linalg.mul ins(%h, %even : tensor<?x24xf32>, tensor<?x24xf32>) outs(%e1 : tensor<?x24xf32>) -> tensor<?x24xf32>
    %j = linalg.mul ins(%i, %odd : tensor<?x24xf32>, tensor<?x24xf32>) outs(%e1 : tensor<?x24xf32>) -> tensor<?x24xf32>
    %e2 = tensor.empty(%n) : tensor<?x32xf32>
    %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x32xf32>) -> tensor<?x32xf32>
    %y = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%j, %c : tensor<?x24xf32>, tensor<32x24xf32>) outs(%f2 : tensor<?x32xf32>) -> tensor<?x32xf32>
    moe.yield %y : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}

// -----

// A product that something else reads, too, stays whole.
// CHECK-LABEL: func @whole(
// CHECK: linalg.matmul {{.*}} -> tensor<?x64xf32>
// CHECK: tensor.extract_slice %{{.*}} [%{{.*}}, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @whole(%rows: tensor<?x32xf32>, %r: !moe.routing<8 x 2>, %w: tensor<8x64x32xf32>) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%w : tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<64x32xf32>):
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %t, %c0 : tensor<?x32xf32>
    %e = tensor.empty(%n) : tensor<?x64xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
    %p = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%t, %a : tensor<?x32xf32>, tensor<64x32xf32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
    %q = linalg.exp ins(%p : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
    %g = tensor.extract_slice %p[0, 0] [%n, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
    %u = tensor.extract_slice %q[0, 32] [%n, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
    %e1 = tensor.empty(%n) : tensor<?x32xf32>
    %h = linalg.mul ins(%g, %u : tensor<?x32xf32>, tensor<?x32xf32>) outs(%e1 : tensor<?x32xf32>) -> tensor<?x32xf32>
    moe.yield %h : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}
