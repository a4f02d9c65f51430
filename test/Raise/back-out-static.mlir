// Where the number of tokens is static all sizes are, in the forms in which
// none depends on data.

// RUN: moe-opt %s --moe-lower-to-linalg=form=dense | FileCheck %s --implicit-check-not="?" --implicit-check-not="moe." --check-prefixes=CHECK,DENSE
// RUN: moe-opt %s --moe-lower-to-linalg=form=gathered | FileCheck %s --implicit-check-not="?" --implicit-check-not="moe." --check-prefixes=CHECK,GATHERED
// RUN: moe-opt %s --moe-lower-to-linalg | FileCheck %s --check-prefix=SORTED

// CHECK-LABEL: func.func @layer
// Weights as they are, for all tokens; or a copy for each of 12 assignments.
// DENSE: ins(%{{.*}}, %{{.*}} : tensor<6x8xf32>, tensor<4x10x8xf32>) outs(%{{.*}} : tensor<4x6x10xf32>)
// GATHERED: ins(%{{.*}}, %{{.*}} : tensor<12x1x8xf32>, tensor<12x10x8xf32>) outs(%{{.*}} : tensor<12x1x10xf32>)
// CHECK: return %{{.*}} : tensor<6x8xf32>

// SORTED-LABEL: func.func @layer
// SORTED: %[[OFFSETS:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<5xi32>)
// SORTED: scf.for
// SORTED: scf.for %[[E:.*]] = %
// SORTED: tensor.extract_slice %{{.*}} : tensor<4x10x8xf32> to tensor<10x8xf32>
// SORTED: linalg.matmul
// SORTED: tensor.insert_slice
func.func @layer(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %up: tensor<4x10x8xf32>,
                 %down: tensor<4x8x10xf32>) -> tensor<6x8xf32> {
  %r = moe.router #moe.group_top_k<2, groups = 2, keep = 1, reduce = top2> select(%z) weigh(%z)
      weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%up, %down : tensor<4x10x8xf32>, tensor<4x8x10xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %u: tensor<10x8xf32>, %d: tensor<8x10xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.gelu)
        : (tensor<?x8xf32>, tensor<10x8xf32>, tensor<8x10xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}
