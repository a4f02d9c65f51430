// RUN: moe-opt %s --moe-fuse-residual --split-input-file --remarks-filter=moe-fuse-residual 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not="remark:" < %t.remarks
// RUN: moe-opt %s --moe-fuse-residual --moe-fuse-residual --split-input-file -o %t.twice.mlir
// RUN: moe-opt %s --moe-fuse-residual --split-input-file | diff - %t.twice.mlir

// The three ways to write a sum, with the layer on either side.
// CHECK-LABEL: func @named(
// CHECK: %[[Y:.*]] = moe.combine %{{.*}} by %{{.*}} init(%[[X:.*]] : tensor<?x8xf32>)
// CHECK: return %[[Y]]
// REMARK: remark: [Passed] fused {{.*}} the layer's combine
func.func @named(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %y = linalg.add ins(%x, %c : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func @arith(
// CHECK: moe.combine %{{.*}} by %{{.*}} unweighted init(%{{.*}} : tensor<?x8xf32>) {note}
// CHECK-NOT: addf
// REMARK: remark: [Passed] fused
func.func @arith(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = moe.combine %out by %r unweighted {note} : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %y = arith.addf %c, %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// What is added is made behind the layer.
// CHECK-LABEL: func @generic(
// CHECK: %[[T:.*]] = math.tanh
// CHECK: moe.combine %{{.*}} by %{{.*}} init(%[[T]] : tensor<?x8xf32>)
// CHECK-NOT: linalg.generic
// REMARK: remark: [Passed] fused
#id = affine_map<(t, h) -> (t, h)>
func.func @generic(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %t = math.tanh %x : tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c, %t : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func @two_readers(
// CHECK: arith.addf
// REMARK: remark: [Missed] not-fused {{.*}}a residual is added in a pass of its own: something else reads the layer's result, too
func.func @two_readers(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %c = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %y = arith.addf %x, %c : tensor<?x8xf32>
  return %y, %c : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func @has_init(
// CHECK: init(%arg3
// CHECK: arith.addf
// REMARK: remark: [Missed] {{.*}}the layer adds another tensor already
func.func @has_init(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>, %s: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = moe.combine %out by %r init(%s : tensor<?x8xf32>) : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %y = arith.addf %x, %c : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Rounded twice, once if it were fused.
// CHECK-LABEL: func @bf16(
// CHECK: arith.addf
// REMARK: remark: [Missed] {{.*}}the layer's result is rounded before the sum
func.func @bf16(%out: tensor<?x8xbf16>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xbf16>) -> tensor<?x8xbf16> {
  %c = moe.combine %out by %r : tensor<?x8xbf16>, !moe.routing<4 x 2> -> tensor<?x8xbf16>
  %y = arith.addf %x, %c : tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}

// -----

// CHECK-LABEL: func @branch(
// CHECK: arith.addf
// REMARK: remark: [Missed] {{.*}}the sum is in another block
func.func @branch(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>, %p: i1) -> tensor<?x8xf32> {
  %c = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %y = scf.if %p -> tensor<?x8xf32> {
    %s = arith.addf %x, %c : tensor<?x8xf32>
    scf.yield %s : tensor<?x8xf32>
  } else {
    scf.yield %x : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// -----

// A bias, a difference and twice the result are no residuals: nothing is said.
// CHECK-LABEL: func @others(
// CHECK: linalg.generic
// CHECK: arith.subf
// CHECK: arith.addf
#id = affine_map<(t, h) -> (t, h)>
#h = affine_map<(t, h) -> (h)>
func.func @others(%out: tensor<?x8xf32>, %r: !moe.routing<4 x 2>, %x: tensor<?x8xf32>, %b: tensor<8xf32>, %e: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %c = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %bias = linalg.generic {indexing_maps = [#id, #h, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %s = arith.addf %v, %w : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  %d = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %difference = arith.subf %x, %d : tensor<?x8xf32>
  %f = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %twice = arith.addf %f, %f : tensor<?x8xf32>
  return %bias, %difference, %twice : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}
