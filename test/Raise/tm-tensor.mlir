// torch-mlir's ops beside linalg, in generic form: sorts, top-k and running sums,
// and how linalg around them is written.

// RUN: moe-opt %s --moe-convert-foreign --allow-unregistered-dialect | FileCheck %s

// CHECK-LABEL: @sorted
// CHECK: %[[R:.*]] = moe.router #moe.top_k<2> select(%{{.*}}) weigh(%{{.*}}) : tensor<6x4xf32>
// CHECK-NOT: tm_tensor
// CHECK: return %{{.*}} : tensor<6x2xf32>
func.func @sorted(%x: tensor<6x4xf32>) -> tensor<6x2xf32> {
  %e = tensor.empty() : tensor<6x4xi64>
  %places = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]} outs(%e : tensor<6x4xi64>) {
  ^bb0(%o: i64):
    %i = linalg.index 1 : index
    %n = arith.index_cast %i : index to i64
    linalg.yield %n : i64
  } -> tensor<6x4xi64>
  %0:2 = "tm_tensor.sort"(%x, %places) <{dimension = 1 : i64, operandSegmentSizes = array<i32: 0, 2>}> ({
  ^bb0(%a: f32, %b: f32, %c: i64, %d: i64):
    %1 = arith.cmpf oge, %a, %b : f32
    "tm_tensor.yield"(%1) : (i1) -> ()
  }) : (tensor<6x4xf32>, tensor<6x4xi64>) -> (tensor<6x4xf32>, tensor<6x4xi64>)
  %2 = tensor.extract_slice %0#0[0, 0] [6, 2] [1, 1] : tensor<6x4xf32> to tensor<6x2xf32>
  return %2 : tensor<6x2xf32>
}

// The smallest first: nothing is known of it.
// CHECK-LABEL: @smallest
// CHECK: "tm_tensor.sort"
func.func @smallest(%x: tensor<6x4xf32>, %places: tensor<6x4xi64>) -> tensor<6x4xf32> {
  %0:2 = "tm_tensor.sort"(%x, %places) <{dimension = 1 : i64, operandSegmentSizes = array<i32: 0, 2>}> ({
  ^bb0(%a: f32, %b: f32, %c: i64, %d: i64):
    %1 = arith.cmpf ole, %a, %b : f32
    "tm_tensor.yield"(%1) : (i1) -> ()
  }) : (tensor<6x4xf32>, tensor<6x4xi64>) -> (tensor<6x4xf32>, tensor<6x4xi64>)
  return %0#0 : tensor<6x4xf32>
}

// CHECK-LABEL: @best
// CHECK: moe.router #moe.top_k<3>
// CHECK-NOT: tm_tensor
// CHECK: return %{{.*}}, %{{.*}} : tensor<6x3xf32>, tensor<6x3xi64>
func.func @best(%x: tensor<6x4xf32>, %v: tensor<6x3xf32>, %i: tensor<6x3xi64>)
    -> (tensor<6x3xf32>, tensor<6x3xi64>) {
  %0:2 = "tm_tensor.topk"(%x, %v, %i) <{dimension = 1 : i64, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%a: f32, %b: f32):
    %1 = arith.cmpf ogt, %a, %b : f32
    "tm_tensor.yield"(%1) : (i1) -> ()
  }) : (tensor<6x4xf32>, tensor<6x3xf32>, tensor<6x3xi64>) -> (tensor<6x3xf32>, tensor<6x3xi64>)
  return %0#0, %0#1 : tensor<6x3xf32>, tensor<6x3xi64>
}

// A running sum; one that begins behind itself is another, and stays.
// CHECK-LABEL: @sums
// CHECK: linalg.generic
// CHECK: "tm_tensor.scan"
// CHECK-NOT: "tm_tensor.scan"
func.func @sums(%x: tensor<5xi64>, %out: tensor<5xi64>, %acc: tensor<i64>)
    -> (tensor<5xi64>, tensor<5xi64>) {
  %0:2 = "tm_tensor.scan"(%x, %out, %acc) <{dimension = 0 : i64, inclusive = true, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%a: i64, %b: i64):
    %1 = arith.addi %a, %b : i64
    "tm_tensor.yield"(%1) : (i64) -> ()
  }) : (tensor<5xi64>, tensor<5xi64>, tensor<i64>) -> (tensor<5xi64>, tensor<i64>)
  %2:2 = "tm_tensor.scan"(%x, %out, %acc) <{dimension = 0 : i64, inclusive = false, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%a: i64, %b: i64):
    %1 = arith.addi %a, %b : i64
    "tm_tensor.yield"(%1) : (i64) -> ()
  }) : (tensor<5xi64>, tensor<5xi64>, tensor<i64>) -> (tensor<5xi64>, tensor<i64>)
  return %0#0, %2#0 : tensor<5xi64>, tensor<5xi64>
}

// A dimension that is kept as one is left out, and put back.
// CHECK-LABEL: @kept
// CHECK: %[[S:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<6xf32>)
// CHECK: tensor.expand_shape %[[S]] {{.*}} : tensor<6xf32> into tensor<6x1xf32>
func.func @kept(%x: tensor<6x4xf32>, %v: tensor<6x3xf32>, %i: tensor<6x3xi64>, %acc: tensor<6x1xf32>)
    -> (tensor<6x1xf32>, tensor<6x3xf32>) {
  %0:2 = "tm_tensor.topk"(%x, %v, %i) <{dimension = 1 : i64, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%a: f32, %b: f32):
    %1 = arith.cmpf ogt, %a, %b : f32
    "tm_tensor.yield"(%1) : (i1) -> ()
  }) : (tensor<6x4xf32>, tensor<6x3xf32>, tensor<6x3xi64>) -> (tensor<6x3xf32>, tensor<6x3xi64>)
  %2 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<6x4xf32>) outs(%acc : tensor<6x1xf32>) {
  ^bb0(%a: f32, %s: f32):
    %3 = arith.addf %a, %s : f32
    linalg.yield %3 : f32
  } -> tensor<6x1xf32>
  return %2, %0#0 : tensor<6x1xf32>, tensor<6x3xf32>
}
