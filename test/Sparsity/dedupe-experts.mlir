// RUN: moe-opt %S/Inputs/alike.mlir --inline --moe-dedupe-experts --verify-roundtrip | FileCheck %s
// RUN: moe-opt %S/Inputs/alike.mlir --inline --moe-dedupe-experts=reorder-sums=true | FileCheck %s --check-prefix=ORDER
// RUN: moe-opt %S/Inputs/alike.mlir --inline --moe-dedupe-experts --remarks-filter=moe-dedupe-experts -o %t 2>&1 | FileCheck %s --check-prefix=SAID
// RUN: moe-opt %s --moe-dedupe-experts --split-input-file --verify-roundtrip | FileCheck %s --check-prefix=OTHER
// RUN: moe-opt %s --moe-dedupe-experts --split-input-file --remarks-filter=moe-dedupe-experts -o %t 2>&1 | FileCheck %s --check-prefix=WHY

// SAID: [Passed] deduped{{.*}}experts 2, 4, 6, 7 of 8 are like earlier ones: these get their rows"
// SAID: experts 1, 4, 5, 7 of 8 are like earlier ones: these get their rows"
// SAID: experts 1, 4, 5, 7 of 8 are like earlier ones: these get their rows, and as a token has as many slots as there are experts, no weights go
// SAID: [Missed] not-deduped{{.*}}experts 2, 5 are like earlier ones and stay, as others are between them: as one expert, they would change the order in which the 3 rows of a token are added; reorder-sums=true allows that
// SAID: experts 4, 7 of 8 are like earlier ones: these get their rows"

// CHECK-LABEL: func @single(
// CHECK: arith.constant dense<[0, 1, 0, 2, 1, 3, 0, 3]> : tensor<8xi32>
// CHECK: moe.routing.make {{.*}} trusted {{.*}} -> !moe.routing<4 x 1>
// CHECK: experts 0 to 4 weights(
// Slots are sorted, so that a token's two rows of one expert keep their order.
// CHECK-LABEL: func @neighbours(
// CHECK: arith.cmpi ult
// CHECK: arith.constant dense<[0, 0, 1, 2, 2, 2, 3, 3]> : tensor<8xi32>
// CHECK: -> !moe.routing<4 x 3>
// CHECK-LABEL: func @mask(
// CHECK-NOT: arith.cmpi ult
// CHECK: arith.constant dense<[0, 0, 2, 3, 3, 3, 6, 6]> : tensor<8xi32>
// CHECK: experts 0 to 8 weights(
// CHECK-LABEL: func @apart(
// CHECK: arith.constant dense<[0, 1, 2, 3, 3, 4, 5, 5]> : tensor<8xi32>
// ORDER-LABEL: func @apart(
// ORDER: arith.constant dense<[0, 1, 0, 2, 2, 1, 3, 3]> : tensor<8xi32>
// ORDER: -> !moe.routing<4 x 3>

// Constants with the same bits; 0.0 and -0.0 are two. Bodies with another
// activation differ, whatever their weights are.
// WHY: experts 2, 5 of 6 are like earlier ones: these get their rows"
// OTHER-LABEL: func @constants(
// OTHER: arith.constant dense<[0, 1, 0, 2, 3, 3]> : tensor<6xi32>
// OTHER: experts 0 to 3 weights
// OTHER: #moe.relu
// OTHER: experts 3 to 4 weights
// OTHER: #moe.silu
func.func @constants(%x: tensor<4x2xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>) -> tensor<4x2xf32> {
  %up = arith.constant dense<[[[1.0, 0.0], [2.0, 1.0]], [[1.0, -0.0], [2.0, 1.0]], [[1.0, 0.0], [2.0, 1.0]], [[1.0, 0.5], [2.0, 1.0]]]> : tensor<4x2x2xf32>
  %down = arith.constant dense<1.0> : tensor<4x2x2xf32>
  %ones = arith.constant dense<1.0> : tensor<2x2x2xf32>
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<6 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x2xf32>, !moe.routing<6 x 1> -> tensor<?x2xf32>
  %out = moe.expert %rows by %r : (tensor<?x2xf32>, !moe.routing<6 x 1>) -> tensor<?x2xf32>
  experts 0 to 4 weights(%up, %down : tensor<4x2x2xf32>, tensor<4x2x2xf32>) {
  ^bb0(%t: tensor<?x2xf32>, %u: tensor<2x2xf32>, %d: tensor<2x2xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    moe.yield %f : tensor<?x2xf32>
  } experts 4 to 6 weights(%ones, %ones : tensor<2x2x2xf32>, tensor<2x2x2xf32>) {
  ^bb0(%t: tensor<?x2xf32>, %u: tensor<2x2xf32>, %d: tensor<2x2xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.silu) : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    moe.yield %f : tensor<?x2xf32>
  }
  %y = moe.combine %out by %r : tensor<?x2xf32>, !moe.routing<6 x 1> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Halves of rows of one tensor; every other expert of a tensor.
// WHY: experts 3 of 4 are like earlier ones
// OTHER-LABEL: func @slices(
// OTHER: arith.constant dense<[0, 1, 2, 1]> : tensor<4xi32>
func.func @slices(%x: tensor<4x2xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>, %ud: tensor<4x4x2xf32>) -> tensor<4x2xf32> {
  %up = tensor.extract_slice %ud[0, 0, 0] [4, 2, 2] [1, 1, 1] : tensor<4x4x2xf32> to tensor<4x2x2xf32>
  %ups = tensor.extract_slice %up[0, 0, 0] [2, 2, 2] [2, 1, 1] : tensor<4x2x2xf32> to tensor<2x2x2xf32>
  %down = tensor.extract_slice %ud[2, 2, 0] [1, 2, 2] [1, 1, 1] : tensor<4x4x2xf32> to tensor<1x2x2xf32>
  %lone = tensor.extract_slice %ud[2, 0, 0] [1, 2, 2] [1, 1, 1] : tensor<4x4x2xf32> to tensor<1x2x2xf32>
  %downs = tensor.concat dim(0) %down, %down : (tensor<1x2x2xf32>, tensor<1x2x2xf32>) -> tensor<2x2x2xf32>
  %two = tensor.concat dim(0) %down, %lone : (tensor<1x2x2xf32>, tensor<1x2x2xf32>) -> tensor<2x2x2xf32>
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<4 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x2xf32>, !moe.routing<4 x 1> -> tensor<?x2xf32>
  %out = moe.expert %rows by %r : (tensor<?x2xf32>, !moe.routing<4 x 1>) -> tensor<?x2xf32>
  experts 0 to 2 weights(%ups, %downs : tensor<2x2x2xf32>, tensor<2x2x2xf32>) {
  ^bb0(%t: tensor<?x2xf32>, %u: tensor<2x2xf32>, %d: tensor<2x2xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    moe.yield %f : tensor<?x2xf32>
  } experts 2 to 4 weights(%two, %downs : tensor<2x2x2xf32>, tensor<2x2x2xf32>) {
  ^bb0(%t: tensor<?x2xf32>, %u: tensor<2x2xf32>, %d: tensor<2x2xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    moe.yield %f : tensor<?x2xf32>
  }
  %y = moe.combine %out by %r : tensor<?x2xf32>, !moe.routing<4 x 1> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A recurrence over an expert's rows would see those of both.
// WHY: experts 1 of 2 are like earlier ones; they stay, as a body has a moe.scan, which would see the rows of both
// OTHER-LABEL: func @scan(
// OTHER: experts 0 to 2
func.func @scan(%x: tensor<4x2xf32>, %ids: tensor<4x1xi32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>) -> tensor<4x2xf32> {
  %ones = arith.constant dense<1.0> : tensor<2x2x2xf32>
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<2 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x2xf32>, !moe.routing<2 x 1> -> tensor<?x2xf32>
  %own = moe.dispatch %ids by %r : tensor<4x1xi32>, !moe.routing<2 x 1> -> tensor<?x1xi32>
  %out = moe.expert %rows by %r with(%own : tensor<?x1xi32>) : (tensor<?x2xf32>, !moe.routing<2 x 1>) -> tensor<?x2xf32>
  experts 0 to 2 weights(%ones : tensor<2x2x2xf32>) {
  ^bb0(%t: tensor<?x2xf32>, %u: tensor<2x2xf32>, %s: tensor<?x1xi32>):
    %m = moe.scan %t by %s : (tensor<?x2xf32>, tensor<?x1xi32>) -> tensor<?x2xf32> body {
    ^bb0(%row: tensor<?x2xf32>, %state: tensor<?x2xf32>):
      %n = arith.addf %row, %state : tensor<?x2xf32>
      moe.yield %n : tensor<?x2xf32>
    }
    %f = moe.ffn %m up(%u) down(%u) activation(#moe.relu) : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    moe.yield %f : tensor<?x2xf32>
  }
  %y = moe.combine %out by %r : tensor<?x2xf32>, !moe.routing<2 x 1> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Experts without weights have nothing to share.
// OTHER-LABEL: func @identity(
// OTHER: experts 0 to 2
func.func @identity(%x: tensor<4x2xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>) -> tensor<4x2xf32> {
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<2 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x2xf32>, !moe.routing<2 x 1> -> tensor<?x2xf32>
  %out = moe.expert %rows by %r : (tensor<?x2xf32>, !moe.routing<2 x 1>) -> tensor<?x2xf32>
  experts 0 to 2 {
  ^bb0(%t: tensor<?x2xf32>):
    moe.yield %t : tensor<?x2xf32>
  }
  %y = moe.combine %out by %r : tensor<?x2xf32>, !moe.routing<2 x 1> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}
