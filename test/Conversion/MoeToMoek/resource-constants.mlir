// RUN: moe-opt %s --moe-fusion-pipeline --remarks-filter=convert-moe-to-moek 2>&1 | FileCheck %s

// The elements of a resource are not in the IR: no region can hold them, and the
// body is a loop.
// CHECK: remark: [Missed] {{.*}} | Category:convert-moe-to-moek | Remark="the experts of group 0 run as a loop over blocks of rows: the body has a constant of another kind than `dense`;
// CHECK: scf.for
// CHECK: linalg
#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
func.func @resource(%x: tensor<?x4xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>) -> tensor<?x4xf32> {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %out = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x4xf32>):
    %c = arith.constant dense_resource<scale> : tensor<4xf32>
    %s = linalg.generic {indexing_maps = [#col, #id], iterator_types = ["parallel", "parallel"]} ins(%c : tensor<4xf32>) outs(%t : tensor<?x4xf32>) {
    ^bb0(%a: f32, %b: f32):
      %m = arith.mulf %a, %b : f32
      linalg.yield %m : f32
    } -> tensor<?x4xf32>
    moe.yield %s : tensor<?x4xf32>
  }
  %y = moe.combine %out by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

{-#
  dialect_resources: {
    builtin: {
      scale: "0x040000000000803F000000400000404000008040"
    }
  }
#-}
