// RUN: moe-opt %S/Inputs/weights.mlir --inline --moe-skip-experts="min-weight=0.5 min-experts=0" --verify-roundtrip | FileCheck %s
// RUN: moe-opt %S/Inputs/weights.mlir --inline --moe-skip-experts=min-ratio=0.1 --moe-fusion-pipeline -o %t
// RUN: moe-opt %S/Inputs/weights.mlir --inline --moe-skip-experts="max-experts=4 min-experts=0" --remarks-filter=moe-skip-experts -o %t 2>&1 | FileCheck %s --check-prefix=SAID
// RUN: moe-opt %S/Inputs/zeros.mlir --moe-skip-zero-weights --remarks-filter=moe-skip-zero-weights 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: moe-opt %s --moe-skip-zero-weights=finite-experts=true --remarks-filter=moe-skip-zero-weights 2>&1 | FileCheck %s --check-prefix=UNWEIGHTED

// Appended experts come behind what is skipped; who else reads the routing sees
// what the router chose.
// CHECK-LABEL: func @shared(
// CHECK: %[[R:.*]] = moe.router
// CHECK: %[[NOW:.*]] = moe.routing.make {{.*}} trusted
// CHECK: moe.routing.indices %[[R]] :
// CHECK: moe.routing.append %[[NOW]] weights(
// SAID: [Missed] nothing-to-skip{{.*}}a token has no more than 4 experts already
// ZERO: [Missed] not-skipped{{.*}}weights of 0 have rows: an expert that gives an infinity or NaN would make the sum NaN even with a weight of 0; finite-experts=true says that none does
// ZERO-NOT: moe.routing.make
// UNWEIGHTED: weights of 0 have rows: a moe.combine adds rows without their weights

// Options that make no sense.
// RUN: not moe-opt %s --moe-skip-experts 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: moe-skip-experts: one of min-weight, min-ratio, max-experts and budget has to be given: nothing would be skipped
// RUN: not moe-opt %s --moe-skip-experts=min-weight=-1 2>&1 | FileCheck %s --check-prefix=WEIGHT
// WEIGHT: error: moe-skip-experts: min-weight has to be a number of at least 0
// RUN: not moe-opt %s --moe-skip-experts=min-ratio=1.5 2>&1 | FileCheck %s --check-prefix=RATIO
// RATIO: error: moe-skip-experts: min-ratio has to be a fraction of the largest weight, 0 to 1
// RUN: not moe-opt %s --moe-skip-experts=budget=nan 2>&1 | FileCheck %s --check-prefix=BUDGET
// BUDGET: error: moe-skip-experts: budget has to be a fraction of all assignments, 0 to 1
// RUN: not moe-opt %s --moe-skip-experts="max-experts=1 min-experts=2" 2>&1 | FileCheck %s --check-prefix=MIN
// MIN: error: moe-skip-experts: min-experts has to be at most max-experts
// RUN: not moe-opt %s --moe-skip-experts=max-experts=-2 2>&1 | FileCheck %s --check-prefix=MAX
// MAX: error: moe-skip-experts: max-experts has to be at least 1, or 0 for no limit
func.func @unweighted(%x: tensor<4x8xf32>, %s: tensor<4x4xf32>) -> tensor<4x8xf32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<4x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r weighted : tensor<4x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 {
  ^bb0(%t: tensor<?x8xf32>):
    %e = math.exp %t : tensor<?x8xf32>
    moe.yield %e : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r unweighted : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
