// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s

// Rows beside the first come behind the weights, and a recurrence may begin with them.
// CHECK-LABEL: func.func @recurrence
// CHECK: moe.expert %{{.*}} by %{{.*}} with(%{{.*}}, %{{.*}} : tensor<?x1xi32>, tensor<?x8xf32>) : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x8xf32>
// CHECK-NEXT: experts 0 to 2 weights(%{{.*}} : tensor<2x8x4xf32>) {
// CHECK-NEXT: ^bb0(%[[T:.*]]: tensor<?x4xf32>, %[[W:.*]]: tensor<8x4xf32>, %[[ID:.*]]: tensor<?x1xi32>, %[[H:.*]]: tensor<?x8xf32>):
// CHECK: %[[S:.*]] = moe.scan %[[T]] by %[[ID]] init(%[[H]]) : (tensor<?x4xf32>, tensor<?x1xi32>, tensor<?x8xf32>) -> tensor<?x8xf32> body {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x4xf32>, %[[STATE:.*]]: tensor<?x8xf32>):
// CHECK-NEXT: moe.yield %[[STATE]] : tensor<?x8xf32>
// CHECK: moe.scan %{{.*}} by %{{.*}} : (tensor<?x4xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
func.func @recurrence(%x: tensor<?x4xf32>, %ids: tensor<?x1xi32>, %h: tensor<?x8xf32>,
    %w: tensor<2x8x4xf32>, %r: !moe.routing<3 x 1>) -> tensor<?x8xf32> {
  %0 = moe.expert %x by %r with(%ids, %h : tensor<?x1xi32>, tensor<?x8xf32>)
      : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x8xf32>
    experts 0 to 2 weights(%w : tensor<2x8x4xf32>) {
    ^bb0(%t: tensor<?x4xf32>, %own: tensor<8x4xf32>, %id: tensor<?x1xi32>, %before: tensor<?x8xf32>):
      %s = moe.scan %t by %id init(%before)
          : (tensor<?x4xf32>, tensor<?x1xi32>, tensor<?x8xf32>) -> tensor<?x8xf32> body {
      ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x8xf32>):
        moe.yield %state : tensor<?x8xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    } experts 2 to 3 {
    ^bb0(%t: tensor<?x4xf32>, %id: tensor<?x1xi32>, %before: tensor<?x8xf32>):
      %s = moe.scan %t by %id : (tensor<?x4xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
      ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x8xf32>):
        moe.yield %state : tensor<?x8xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    }
  return %0 : tensor<?x8xf32>
}

// Integers go to experts and come back without weights.
// CHECK-LABEL: func.func @integers
// CHECK: moe.dispatch %{{.*}} by %{{.*}} : tensor<?x4xi64>, !moe.routing<2 x 1> -> tensor<?x4xi64>
// CHECK: moe.combine %{{.*}} by %{{.*}} unweighted : tensor<?x4xi64>, !moe.routing<2 x 1> -> tensor<?x4xi64>
func.func @integers(%x: tensor<?x4xi64>, %r: !moe.routing<2 x 1>) -> tensor<?x4xi64> {
  %rows = moe.dispatch %x by %r : tensor<?x4xi64>, !moe.routing<2 x 1> -> tensor<?x4xi64>
  %y = moe.combine %rows by %r unweighted : tensor<?x4xi64>, !moe.routing<2 x 1> -> tensor<?x4xi64>
  return %y : tensor<?x4xi64>
}
