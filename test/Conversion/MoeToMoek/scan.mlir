// Steps of a recurrence: rows of all sequences that go on, in kernels of their own
// groups. A body that no kernel takes would cut sequences.
// RUN: moe-opt %s --convert-moe-to-moek --split-input-file --verify-diagnostics | FileCheck %s

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
// CHECK-LABEL: func.func @linear
// How long the longest sequence is, then its steps.
// CHECK: %[[STEPS:.*]] = scf.for {{.*}} -> (index)
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[STEPS]] step %{{.*}} iter_args(%[[LIST:.*]] = %{{.*}}, %[[FROM:.*]] = %{{.*}}, %[[OFFSETS:.*]] = %{{.*}}, %[[ACTIVE:.*]] = %{{.*}}, %[[STATES:.*]] = %{{.*}})
// CHECK: moek.gather ins(%{{.*}}, %[[LIST]], %[[OFFSETS]]
// CHECK: %[[BEFORE:.*]] = moek.gather ins(%[[STATES]], %[[FROM]], %[[OFFSETS]]
// CHECK: moek.grouped_matmul n(8) k(8) lhs(%[[BEFORE]] {{.*}} groups(%[[OFFSETS]], %[[ACTIVE]]
// CHECK-NOT: moe.scan
func.func @linear(%x: tensor<?x8xf32>, %ids: tensor<?x1xi32>, %w: tensor<2x8x8xf32>, %r: !moe.routing<2 x 1>) -> tensor<?x8xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
  %own = moe.dispatch %ids by %r : tensor<?x1xi32>, !moe.routing<2 x 1> -> tensor<?x1xi32>
  %out = moe.expert %rows by %r with(%own : tensor<?x1xi32>) : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
    experts 0 to 2 weights(%w : tensor<2x8x8xf32>) {
    ^bb0(%t: tensor<?x8xf32>, %m: tensor<8x8xf32>, %id: tensor<?x1xi32>):
      %s = moe.scan %t by %id : (tensor<?x8xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
      ^bb0(%row: tensor<?x8xf32>, %state: tensor<?x8xf32>):
        %p = linalg.matmul indexing_maps = [#x, #w, #y]
            ins(%state, %m : tensor<?x8xf32>, tensor<8x8xf32>) outs(%row : tensor<?x8xf32>) -> tensor<?x8xf32>
        moe.yield %p : tensor<?x8xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    }
  return %out : tensor<?x8xf32>
}

// -----

func.func @outer_rows(%rows: tensor<?x8xf32>, %own: tensor<?x1xi32>, %r: !moe.routing<2 x 1>) -> tensor<?x8xf32> {
  %out = moe.expert %rows by %r with(%own : tensor<?x1xi32>) : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
    experts 0 to 2 {
    ^bb0(%t: tensor<?x8xf32>, %id: tensor<?x1xi32>):
      // expected-error @+1 {{'moe.scan' op has no kernels: the body has a linalg.add that reads rows from outside of its step of moe.scan; they have to be columns of the scan's rows}}
      %s = moe.scan %t by %id : (tensor<?x8xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
      ^bb0(%row: tensor<?x8xf32>, %state: tensor<?x8xf32>):
        %p = linalg.add ins(%state, %t : tensor<?x8xf32>, tensor<?x8xf32>) outs(%row : tensor<?x8xf32>) -> tensor<?x8xf32>
        moe.yield %p : tensor<?x8xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    }
  return %out : tensor<?x8xf32>
}
