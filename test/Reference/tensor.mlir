// RUN: moe-interpret %s --all --print | FileCheck %s

// CHECK: sizes result0: i64[] [3]
// CHECK-NEXT: sizes result1: f64[3x2] [nan, nan, nan, nan, nan, nan]
func.func @sizes() -> (index, tensor<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %e = tensor.empty(%c3) : tensor<?x2xf32>
  %d = tensor.dim %e, %c0 : tensor<?x2xf32>
  return %d, %e : index, tensor<?x2xf32>
}

// A tensor is a value: inserting does not change the old one.
// CHECK: elements result0: f64[2x2] [1, 2, 9, 4]
// CHECK-NEXT: elements result1: f64[2x2] [1, 2, 3, 4]
// CHECK-NEXT: elements result2: f64[] [9]
func.func @elements() -> (tensor<2x2xf32>, tensor<2x2xf32>, f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %t = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %f = arith.constant 9.0 : f32
  %u = tensor.insert %f into %t[%c1, %c0] : tensor<2x2xf32>
  %v = tensor.extract %u[%c1, %c0] : tensor<2x2xf32>
  return %u, %t, %v : tensor<2x2xf32>, tensor<2x2xf32>, f32
}

// Contiguous, strided, rank-reducing, empty.
// CHECK: slices result0: i32[2x4] [4, 5, 6, 7, 8, 9, 10, 11]
// CHECK-NEXT: slices result1: i32[2x2] [1, 3, 9, 11]
// CHECK-NEXT: slices result2: i32[3] [2, 6, 10]
// CHECK-NEXT: slices result3: i32[0x4] []
// CHECK-NEXT: slices result4: i32[3x4] [0, 1, 2, 3, 4, 1, 3, 7, 8, 9, 11, 11]
// CHECK-NEXT: slices result5: i32[3x4] [0, 1, 2, 3, 2, 6, 10, 7, 8, 9, 10, 11]
func.func @slices() -> (tensor<2x4xi32>, tensor<2x2xi32>, tensor<3xi32>, tensor<?x4xi32>, tensor<3x4xi32>, tensor<3x4xi32>) {
  %t = arith.constant dense<[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]> : tensor<3x4xi32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = tensor.extract_slice %t[%c1, 0] [2, 4] [1, 1] : tensor<3x4xi32> to tensor<2x4xi32>
  %1 = tensor.extract_slice %t[0, 1] [2, 2] [2, 2] : tensor<3x4xi32> to tensor<2x2xi32>
  %2 = tensor.extract_slice %t[0, 2] [3, 1] [1, 1] : tensor<3x4xi32> to tensor<3xi32>
  %3 = tensor.extract_slice %t[1, 0] [%c0, 4] [1, 1] : tensor<3x4xi32> to tensor<?x4xi32>
  %4 = tensor.insert_slice %1 into %t[1, 1] [2, 2] [1, 1] : tensor<2x2xi32> into tensor<3x4xi32>
  %5 = tensor.insert_slice %2 into %t[1, 0] [1, 3] [1, 1] : tensor<3xi32> into tensor<3x4xi32>
  return %0, %1, %2, %3, %4, %5 : tensor<2x4xi32>, tensor<2x2xi32>, tensor<3xi32>, tensor<?x4xi32>, tensor<3x4xi32>, tensor<3x4xi32>
}

// CHECK: reshapes result0: f64[3x2] [1, 2, 3, 4, 5, 6]
// CHECK-NEXT: reshapes result1: f64[6] [1, 2, 3, 4, 5, 6]
func.func @reshapes() -> (tensor<?x2xf32>, tensor<?xf32>) {
  %c3 = arith.constant 3 : index
  %t = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : tensor<6xf32>
  %d = tensor.cast %t : tensor<6xf32> to tensor<?xf32>
  %e = tensor.expand_shape %d [[0, 1]] output_shape [%c3, 2] : tensor<?xf32> into tensor<?x2xf32>
  %f = tensor.collapse_shape %e [[0, 1]] : tensor<?x2xf32> into tensor<?xf32>
  return %e, %f : tensor<?x2xf32>, tensor<?xf32>
}

// CHECK: made result0: f64[2x2] [7, 7, 7, 7]
// CHECK-NEXT: made result1: f64[3] [7, 1, 7]
// CHECK-NEXT: made result2: i64[2x3] [0, 1, 2, 10, 11, 12]
// CHECK-NEXT: made result3: f64[5] [0.5, 7, 1, 7, 0.5]
// CHECK-NEXT: made result4: f64[8] [7, 1, 7, 0.5, 7, 1, 7, 0.5]
// CHECK-NEXT: made result5: i64[2x3] [10, 11, 12, 0, 1, 2]
func.func @made() -> (tensor<2x2xf32>, tensor<3xf32>, tensor<?x3xindex>, tensor<5xf32>, tensor<8xf32>, tensor<2x3xindex>) {
  %c2 = arith.constant 2 : index
  %c10 = arith.constant 10 : index
  %f = arith.constant 7.0 : f32
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %0 = tensor.splat %f : tensor<2x2xf32>
  %1 = tensor.from_elements %f, %one, %f : tensor<3xf32>
  %2 = tensor.generate %c2 {
  ^bb0(%i: index, %j: index):
    %m = arith.muli %i, %c10 : index
    %n = arith.addi %m, %j : index
    tensor.yield %n : index
  } : tensor<?x3xindex>
  %3 = tensor.pad %1 low[1] high[1] {
  ^bb0(%i: index):
    tensor.yield %half : f32
  } : tensor<3xf32> to tensor<5xf32>
  %tail = tensor.extract_slice %3[1] [4] [1] : tensor<5xf32> to tensor<4xf32>
  %4 = tensor.concat dim(0) %tail, %tail : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
  %s = tensor.cast %2 : tensor<?x3xindex> to tensor<2x3xindex>
  %i = arith.constant dense<[[1], [0]]> : tensor<2x1xindex>
  %5 = tensor.gather %s[%i] gather_dims([0]) : (tensor<2x3xindex>, tensor<2x1xindex>) -> tensor<2x3xindex>
  return %0, %1, %2, %3, %4, %5 : tensor<2x2xf32>, tensor<3xf32>, tensor<?x3xindex>, tensor<5xf32>, tensor<8xf32>, tensor<2x3xindex>
}

// Constants of every storage type.
// CHECK: constants result0: f64[2] [1.5, -2]
// CHECK-NEXT: constants result1: f64[2] [1.5, -2]
// CHECK-NEXT: constants result2: i1[3] [1, 0, 1]
// CHECK-NEXT: constants result3: i64[2] [3, -4]
// CHECK-NEXT: constants result4: f64[2] [1, 2]
func.func @constants() -> (tensor<2xbf16>, tensor<2xf16>, tensor<3xi1>, tensor<2xi16>, tensor<2xf32>) {
  %0 = arith.constant dense<[1.5, -2.0]> : tensor<2xbf16>
  %1 = arith.constant dense<[1.5, -2.0]> : tensor<2xf16>
  %2 = arith.constant dense<[true, false, true]> : tensor<3xi1>
  %3 = arith.constant dense<[3, -4]> : tensor<2xi16>
  %4 = arith.constant dense_resource<two_floats> : tensor<2xf32>
  return %0, %1, %2, %3, %4 : tensor<2xbf16>, tensor<2xf16>, tensor<3xi1>, tensor<2xi16>, tensor<2xf32>
}
{-#
  dialect_resources: {
    builtin: {
      two_floats: "0x040000000000803F00000040"
    }
  }
#-}
