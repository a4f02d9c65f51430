// RUN: moe-opt %s --moe-merge-experts="groups=3,1;0,2 by=mean" --verify-roundtrip | FileCheck %s
// RUN: moe-opt %s --moe-merge-experts="groups=0,3" --remarks-filter=moe-merge-experts 2>&1 | FileCheck %s --check-prefix=FIRST

// 1.5 is the mean of 1 and 2; of 0.1 and 0.3 it is what is nearest to 0.2.
// CHECK-LABEL: func @layer(
// CHECK: arith.constant dense<[0, 1, 0, 1]> : tensor<4xi32>
// CHECK: moe.routing.make {{.*}} -> !moe.routing<2 x 1>
// CHECK: arith.constant dense<{{\[\[\[}}1.500000e+00]], {{\[\[}}2.000000e-01]], {{.*}}> : tensor<4x1x1xf32>
// CHECK: experts 0 to 2 weights(
// FIRST: [Passed] merged{{.*}}the rows of 4 experts are those of 3; results change
// FIRST-LABEL: func @layer(
// FIRST: arith.constant dense<[0, 1, 2, 0]> : tensor<4xi32>
// FIRST: experts 0 to 3 weights(

// RUN: not moe-opt %s --moe-merge-experts 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: error: moe-merge-experts: groups is empty; expected lists of experts such as 0,3;1,2
// RUN: not moe-opt %s --moe-merge-experts="groups=0,x" 2>&1 | FileCheck %s --check-prefix=WORD
// WORD: error: moe-merge-experts: groups has 'x', which is no expert; expected lists such as 0,3;1,2
// RUN: not moe-opt %s --moe-merge-experts="groups=0,1;1,2" 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE: error: moe-merge-experts: groups has expert 1 twice
// RUN: not moe-opt %s --moe-merge-experts="groups=0;1,2" 2>&1 | FileCheck %s --check-prefix=ONE
// ONE: error: moe-merge-experts: groups has a list of one expert, 0; expected at least two
// RUN: not moe-opt %s --moe-merge-experts="groups=0,4" 2>&1 | FileCheck %s --check-prefix=BEYOND
// BEYOND: error: moe-merge-experts: there is no expert 4 of 4
// RUN: not moe-opt %s --moe-merge-experts="groups=0,1 by=median" 2>&1 | FileCheck %s --check-prefix=BY
// BY: error: moe-merge-experts: by is 'median'; expected first or mean
// RUN: not moe-opt %S/Inputs/alike.mlir --inline --moe-merge-experts="groups=0,1 by=mean" 2>&1 | FileCheck %s --check-prefix=ARGUMENT
// ARGUMENT: error: moe-merge-experts: weight #0 of expert 0 is no constant, so its mean is not known before the function runs; by=first takes the weights of expert 0
// A routing has as many experts as slots: one stays, without rows.
// RUN: moe-opt %S/Inputs/alike.mlir --inline --moe-merge-experts="groups=0,1,2,3,4,5;6,7" --verify-roundtrip | FileCheck %s --check-prefix=FEW
// FEW-LABEL: func @apart(
// FEW: arith.constant dense<[0, 0, 0, 0, 0, 0, 2, 2]> : tensor<8xi32>
// FEW: experts 0 to 3 weights(
func.func @layer(%x: tensor<4x1xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>) -> tensor<4x1xf32> {
  %up = arith.constant dense<[[[1.0]], [[0.1]], [[2.0]], [[0.3]]]> : tensor<4x1x1xf32>
  %r = moe.routing.make %i, %w : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<4 x 1>
  %rows = moe.dispatch %x by %r : tensor<4x1xf32>, !moe.routing<4 x 1> -> tensor<?x1xf32>
  %out = moe.expert %rows by %r : (tensor<?x1xf32>, !moe.routing<4 x 1>) -> tensor<?x1xf32>
  experts 0 to 4 weights(%up : tensor<4x1x1xf32>) {
  ^bb0(%t: tensor<?x1xf32>, %u: tensor<1x1xf32>):
    %f = moe.ffn %t up(%u) down(%u) activation(#moe.relu) : (tensor<?x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<?x1xf32>
    moe.yield %f : tensor<?x1xf32>
  }
  %y = moe.combine %out by %r : tensor<?x1xf32>, !moe.routing<4 x 1> -> tensor<4x1xf32>
  return %y : tensor<4x1xf32>
}
