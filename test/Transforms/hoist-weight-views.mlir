// RUN: moe-opt %s --moe-hoist-weight-views --split-input-file | FileCheck %s
// RUN: moe-opt %s --moe-hoist-weight-views --split-input-file --remarks-filter=moe-hoist-weight-views -o %t 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=remark

// Every other row, and halves of biases. What is used as a whole, too, stays.
// CHECK-LABEL: func @interleaved(
// CHECK-SAME: %[[GU:[a-z0-9]+]]: tensor<8x64x32xf32>, %[[B:[a-z0-9]+]]: tensor<8x64xf32>, %[[D:[a-z0-9]+]]: tensor<8x32x32xf32>
// CHECK-DAG: %[[G:.*]] = tensor.extract_slice %[[GU]][0, 0, 0] [8, 32, 32] [1, 2, 1] : tensor<8x64x32xf32> to tensor<8x32x32xf32>
// CHECK-DAG: %[[U:.*]] = tensor.extract_slice %[[GU]][0, 1, 0] [8, 32, 32] [1, 2, 1]
// CHECK-DAG: %[[GB:.*]] = tensor.extract_slice %[[B]][0, 0] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
// CHECK-DAG: %[[UB:.*]] = tensor.extract_slice %[[B]][0, 32] [8, 32] [1, 1]
// CHECK: experts 0 to 8 weights(%[[D]], %[[G]], %[[U]], %[[GB]], %[[UB]] :
// CHECK-NEXT: ^bb0(%[[T:.*]]: tensor<?x32xf32>, %[[D1:.*]]: tensor<32x32xf32>, %[[G1:.*]]: tensor<32x32xf32>, %[[U1:.*]]: tensor<32x32xf32>, %[[GB1:.*]]: tensor<32xf32>, %[[UB1:.*]]: tensor<32xf32>):
// CHECK-NEXT: moe.ffn %[[T]] gate(%[[G1]]) up(%[[U1]]) down(%[[D1]]) gate_bias(%[[GB1]]) up_bias(%[[UB1]])
func.func @interleaved(%rows: tensor<?x32xf32>, %r: !moe.routing<8 x 2>, %gu: tensor<8x64x32xf32>, %b: tensor<8x64xf32>, %d: tensor<8x32x32xf32>) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%gu, %b, %d : tensor<8x64x32xf32>, tensor<8x64xf32>, tensor<8x32x32xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %w: tensor<64x32xf32>, %c: tensor<64xf32>, %e: tensor<32x32xf32>):
    %g = tensor.extract_slice %w[0, 0] [32, 32] [2, 1] : tensor<64x32xf32> to tensor<32x32xf32>
    %u = tensor.extract_slice %w[1, 0] [32, 32] [2, 1] : tensor<64x32xf32> to tensor<32x32xf32>
    %gb = tensor.extract_slice %c[0] [32] [1] : tensor<64xf32> to tensor<32xf32>
    %ub = tensor.extract_slice %c[32] [32] [1] : tensor<64xf32> to tensor<32xf32>
    %f = moe.ffn %t gate(%g) up(%u) down(%e) gate_bias(%gb) up_bias(%ub) activation(#moe.silu) : (tensor<?x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>, tensor<32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}

// -----

// A chain of views, and a transposition written as a generic op.
// CHECK-LABEL: func @chain(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<4x32x48xf32>
// CHECK: %[[E:.*]] = tensor.expand_shape %[[W]] {{\[}}[0], [1], [2, 3]] output_shape [4, 32, 24, 2]
// CHECK: %[[S:.*]] = tensor.extract_slice %[[E]][0, 0, 0, 1] [4, 32, 24, 1] [1, 1, 1, 1] : tensor<4x32x24x2xf32> to tensor<4x32x24xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[S]] : tensor<4x32x24xf32>) outs(%{{.*}} : tensor<4x24x32xf32>) permutation = [0, 2, 1]
// CHECK: %[[F:.*]] = tensor.collapse_shape %{{.*}} {{\[}}[0], [1, 2], [3]] : tensor<4x4x8x24xf32> into tensor<4x32x24xf32>
// CHECK: weights(%[[T]], %[[F]] :
func.func @chain(%rows: tensor<?x32xf32>, %r: !moe.routing<4 x 2>, %w: tensor<4x32x48xf32>, %d: tensor<4x4x8x24xf32>) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
  experts 0 to 4 weights(%w, %d : tensor<4x32x48xf32>, tensor<4x4x8x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<32x48xf32>, %b: tensor<4x8x24xf32>):
    %two = tensor.expand_shape %a [[0], [1, 2]] output_shape [32, 24, 2] : tensor<32x48xf32> into tensor<32x24x2xf32>
    %odd = tensor.extract_slice %two[0, 0, 1] [32, 24, 1] [1, 1, 1] : tensor<32x24x2xf32> to tensor<32x24xf32>
    %e = tensor.empty() : tensor<24x32xf32>
    %u = linalg.generic {indexing_maps = [affine_map<(n, k) -> (k, n)>, affine_map<(n, k) -> (n, k)>], iterator_types = ["parallel", "parallel"]}
        ins(%odd : tensor<32x24xf32>) outs(%e : tensor<24x32xf32>) {
    ^bb0(%v: f32, %o: f32):
      linalg.yield %v : f32
    } -> tensor<24x32xf32>
    %c = tensor.collapse_shape %b [[0, 1], [2]] : tensor<4x8x24xf32> into tensor<32x24xf32>
    %f = moe.ffn %t up(%u) down(%c) activation(#moe.relu) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}

// -----

// Left as they are, with everything they are made of.
// CHECK-LABEL: func @left(
// CHECK-NEXT: moe.expert
// CHECK: tensor.extract_slice %{{.*}}[%{{.*}}, 0] [24, 32] [1, 1]
// REMARK: remark: [Missed] not-hoisted
// REMARK-SAME: in group 0 a weight is taken apart by each expert: it is computed by tensor.extract_slice that is not the same view for all experts
func.func @left(%rows: tensor<?x32xf32>, %r: !moe.routing<4 x 2>, %w: tensor<4x48x32xf32>, %d: tensor<4x64x24xf32>, %i: index) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
  experts 0 to 4 weights(%w, %d : tensor<4x48x32xf32>, tensor<4x64x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<48x32xf32>, %b: tensor<64x24xf32>):
    %g = tensor.extract_slice %a[0, 0] [24, 32] [1, 1] : tensor<48x32xf32> to tensor<24x32xf32>
    %u = tensor.extract_slice %a[%i, 0] [24, 32] [1, 1] : tensor<48x32xf32> to tensor<24x32xf32>
    %c = tensor.extract_slice %b[0, 0] [32, 24] [1, 1] : tensor<64x24xf32> to tensor<32x24xf32>
    %f = moe.ffn %t gate(%g) up(%u) down(%c) activation(#moe.silu) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}

// -----

// A view of something that is not there before the function runs.
// CHECK-LABEL: func @computed(
// CHECK: linalg.transpose {{.*}} permutation = [1, 0]
// REMARK: remark: [Missed] not-hoisted
// REMARK-SAME: a weight is taken apart by each expert: it is computed by arith.addf
func.func @computed(%rows: tensor<?x32xf32>, %r: !moe.routing<4 x 2>, %w: tensor<4x32x24xf32>, %d: tensor<4x32x24xf32>) -> tensor<?x32xf32> {
  %s = arith.addf %w, %w : tensor<4x32x24xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
  experts 0 to 4 weights(%s, %d : tensor<4x32x24xf32>, tensor<4x32x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<32x24xf32>, %b: tensor<32x24xf32>):
    %e = tensor.empty() : tensor<24x32xf32>
    %u = linalg.transpose ins(%a : tensor<32x24xf32>) outs(%e : tensor<24x32xf32>) permutation = [1, 0]
    %f = moe.ffn %t up(%u) down(%b) activation(#moe.relu) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}

// -----

// Whoever reads a view: two FFNs, a matmul. Rows that are taken apart stay.
// CHECK-LABEL: func @twice(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<4x32x24xf32>, %[[D:[a-z0-9]+]]: tensor<4x32x24xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[W]] : tensor<4x32x24xf32>) {{.*}} permutation = [0, 2, 1]
// CHECK: moe.expert
// CHECK-NEXT: experts 0 to 4 weights(%[[D]], %[[T]] :
// CHECK-NEXT: ^bb0(%{{.*}}, %[[D1:.*]]: tensor<32x24xf32>, %[[T1:.*]]: tensor<24x32xf32>):
// CHECK: moe.ffn %{{.*}} up(%[[T1]]) down(%[[D1]])
// CHECK: moe.ffn %{{.*}} up(%[[T1]]) down(%[[D1]])
// CHECK: tensor.extract_slice
func.func @twice(%rows: tensor<?x32xf32>, %r: !moe.routing<4 x 2>, %w: tensor<4x32x24xf32>, %d: tensor<4x32x24xf32>) -> tensor<?x32xf32> {
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
  experts 0 to 4 weights(%w, %d : tensor<4x32x24xf32>, tensor<4x32x24xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<32x24xf32>, %b: tensor<32x24xf32>):
    %e = tensor.empty() : tensor<24x32xf32>
    %u = linalg.transpose ins(%a : tensor<32x24xf32>) outs(%e : tensor<24x32xf32>) permutation = [1, 0]
    %f = moe.ffn %t up(%u) down(%b) activation(#moe.relu) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    %h = moe.ffn %f up(%u) down(%b) activation(#moe.relu) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    %c0 = arith.constant 0 : index
    %n = tensor.dim %h, %c0 : tensor<?x32xf32>
    %o = tensor.extract_slice %h[0, 8] [%n, 16] [1, 1] : tensor<?x32xf32> to tensor<?x16xf32>
    %m = tensor.insert_slice %o into %h[0, 0] [%n, 16] [1, 1] : tensor<?x16xf32> into tensor<?x32xf32>
    moe.yield %m : tensor<?x32xf32>
  }
  return %out : tensor<?x32xf32>
}
