// RUN: moe-opt %s --moe-decompose-aggregates | FileCheck %s

// CHECK-LABEL: func.func @softmax
// CHECK-NOT: linalg.softmax
// CHECK: math.exp
// CHECK: arith.divf
func.func @softmax(%x: tensor<?x16xf32>, %y: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %0 = linalg.softmax dimension(1) ins(%x : tensor<?x16xf32>) outs(%y : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// A loop nest over the result; the innermost dimension is contiguous.
// CHECK-LABEL: func.func @gather
// CHECK: %[[N:.*]] = tensor.dim %arg1
// CHECK: tensor.empty(%[[N]]) : tensor<?x8xf32>
// CHECK: linalg.generic
// CHECK:   %[[ROW:.*]] = linalg.index 0
// CHECK:   %[[ID:.*]] = tensor.extract %arg1[%[[ROW]], %{{.*}}]
// CHECK:   %[[FROM:.*]] = arith.index_cast %[[ID]]
// CHECK:   %[[COLUMN:.*]] = linalg.index 1
// CHECK:   tensor.extract %arg0[%[[FROM]], %[[COLUMN]]]
func.func @gather(%x: tensor<?x8xf32>, %ids: tensor<?x1xi32>) -> tensor<?x8xf32> {
  %0 = tensor.gather %x[%ids] gather_dims([0]) : (tensor<?x8xf32>, tensor<?x1xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @scatter
// CHECK: scf.for {{.*}} iter_args(%[[DEST:.*]] = %arg1)
// CHECK:   %[[SLICE:.*]] = tensor.extract_slice %arg0{{.*}} : tensor<?x1x8xf32> to tensor<8xf32>
// CHECK:   tensor.insert_slice %[[SLICE]] into %[[DEST]]
func.func @scatter(%x: tensor<?x1x8xf32>, %y: tensor<?x8xf32>, %ids: tensor<?x1xi32>) -> tensor<?x8xf32> {
  %0 = tensor.scatter %x into %y[%ids] scatter_dims([0]) unique : (tensor<?x1x8xf32>, tensor<?x8xf32>, tensor<?x1xi32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Nothing to scatter, and nowhere to scatter it.
// CHECK-LABEL: func.func @scatter_nothing
// CHECK-NEXT: return %arg1
func.func @scatter_nothing(%x: tensor<?x1x0xf32>, %y: tensor<?x0xf32>, %ids: tensor<?x1xi32>) -> tensor<?x0xf32> {
  %0 = tensor.scatter %x into %y[%ids] scatter_dims([0]) unique : (tensor<?x1x0xf32>, tensor<?x0xf32>, tensor<?x1xi32>) -> tensor<?x0xf32>
  return %0 : tensor<?x0xf32>
}
