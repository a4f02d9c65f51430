// RUN: moe-interpret %s --all --print | FileCheck %s

// CHECK: reductions result0: f64[] [7]
// CHECK-NEXT: reductions result1: f64[] [4]
// CHECK-NEXT: reductions result2: f64[] [17]
// CHECK-NEXT: reductions result3: i32[] [-3]
// CHECK-NEXT: reductions result4: i32[] [4]
func.func @reductions() -> (f32, f32, f32, i32, i32) {
  %v = arith.constant dense<[1.0, 4.0, 2.0]> : vector<3xf32>
  %ten = arith.constant 10.0 : f32
  %0 = vector.reduction <add>, %v : vector<3xf32> into f32
  %1 = vector.reduction <maximumf>, %v : vector<3xf32> into f32
  %2 = vector.reduction <add>, %v, %ten : vector<3xf32> into f32
  %i = arith.constant dense<[4, -3]> : vector<2xi32>
  %3 = vector.reduction <minsi>, %i : vector<2xi32> into i32
  %4 = vector.reduction <minui>, %i : vector<2xi32> into i32
  return %0, %1, %2, %3, %4 : f32, f32, f32, i32, i32
}

// The normalisation of a router: v / (sum v + eps).
// CHECK: normalise result0: f64[] [0.25]
// CHECK-NEXT: normalise result1: f64[] [0.75]
func.func @normalise() -> (f32, f32) {
  %v = arith.constant dense<[2.0, 6.0]> : vector<2xf32>
  %s = vector.reduction <add>, %v : vector<2xf32> into f32
  %b = vector.broadcast %s : f32 to vector<2xf32>
  %w = arith.divf %v, %b : vector<2xf32>
  %0 = vector.extract %w[0] : f32 from vector<2xf32>
  %1 = vector.extract %w[1] : f32 from vector<2xf32>
  return %0, %1 : f32, f32
}

// Moves between shapes, all seen through one final reduction with weights.
func.func private @digits(%v: vector<4xi32>) -> i32 {
  %p = arith.constant dense<[1000, 100, 10, 1]> : vector<4xi32>
  %m = arith.muli %v, %p : vector<4xi32>
  %s = vector.reduction <add>, %m : vector<4xi32> into i32
  return %s : i32
}
// CHECK: moves result0: i32[] [1324]
// CHECK-NEXT: moves result1: i32[] [9234]
// CHECK-NEXT: moves result2: i32[] [4321]
// CHECK-NEXT: moves result3: i32[] [1212]
// CHECK-NEXT: moves result4: i32[] [1122]
// CHECK-NEXT: moves result5: i32[] [123]
// CHECK-NEXT: moves result6: i32[] [1110]
// CHECK-NEXT: moves result7: i32[] [1200]
// CHECK-NEXT: moves result8: i32[] [3434]
func.func @moves() -> (i32, i32, i32, i32, i32, i32, i32, i32, i32) {
  %v = arith.constant dense<[1, 2, 3, 4]> : vector<4xi32>
  %nine = arith.constant 9 : i32
  %zero = arith.constant dense<0> : vector<4xi32>
  %square = vector.shape_cast %v : vector<4xi32> to vector<2x2xi32>
  %transposed = vector.transpose %square, [1, 0] : vector<2x2xi32> to vector<2x2xi32>
  %t = vector.shape_cast %transposed : vector<2x2xi32> to vector<4xi32>
  %0 = func.call @digits(%t) : (vector<4xi32>) -> i32
  %ins = vector.insert %nine, %v [0] : i32 into vector<4xi32>
  %1 = func.call @digits(%ins) : (vector<4xi32>) -> i32
  %shuffled = vector.shuffle %v, %v [3, 2, 5, 4] : vector<4xi32>, vector<4xi32>
  %2 = func.call @digits(%shuffled) : (vector<4xi32>) -> i32
  %row = vector.extract %square[0] : vector<2xi32> from vector<2x2xi32>
  %rows = vector.broadcast %row : vector<2xi32> to vector<2x2xi32>
  %rf = vector.shape_cast %rows : vector<2x2xi32> to vector<4xi32>
  %3 = func.call @digits(%rf) : (vector<4xi32>) -> i32
  %column = vector.shape_cast %row : vector<2xi32> to vector<2x1xi32>
  %columns = vector.broadcast %column : vector<2x1xi32> to vector<2x2xi32>
  %cf = vector.shape_cast %columns : vector<2x2xi32> to vector<4xi32>
  %4 = func.call @digits(%cf) : (vector<4xi32>) -> i32
  %steps = vector.step : vector<4xindex>
  %si = arith.index_cast %steps : vector<4xindex> to vector<4xi32>
  %5 = func.call @digits(%si) : (vector<4xi32>) -> i32
  %c3 = arith.constant 3 : index
  %mask = vector.create_mask %c3 : vector<4xi1>
  %ones = arith.constant dense<1> : vector<4xi32>
  %masked = arith.select %mask, %ones, %zero : vector<4xi1>, vector<4xi32>
  %6 = func.call @digits(%masked) : (vector<4xi32>) -> i32
  %part = vector.extract_strided_slice %v {offsets = [0], sizes = [2], strides = [1]} : vector<4xi32> to vector<2xi32>
  %put = vector.insert_strided_slice %part, %zero {offsets = [0], strides = [1]} : vector<2xi32> into vector<4xi32>
  %7 = func.call @digits(%put) : (vector<4xi32>) -> i32
  %three = arith.constant 3 : i32
  %four = arith.constant 4 : i32
  %made = vector.from_elements %three, %four, %three, %four : vector<4xi32>
  %8 = func.call @digits(%made) : (vector<4xi32>) -> i32
  return %0, %1, %2, %3, %4, %5, %6, %7, %8 : i32, i32, i32, i32, i32, i32, i32, i32, i32
}

// CHECK: more result0: f64[] [14]
// CHECK-NEXT: more result1: f64[] [6]
// CHECK-NEXT: more result2: f64[] [1]
// CHECK-NEXT: more result3: f64[] [10]
func.func @more() -> (f32, f32, f32, f32) {
  %v = arith.constant dense<[1.0, 2.0, 3.0]> : vector<3xf32>
  %z = arith.constant dense<0.0> : vector<3xf32>
  %f = vector.fma %v, %v, %z : vector<3xf32>
  %0 = vector.reduction <add>, %f : vector<3xf32> into f32
  %m = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : vector<2x3xf32>
  %ten = arith.constant 0.0 : f32
  %init = arith.constant dense<0.0> : vector<2xf32>
  %rows = vector.multi_reduction <maximumf>, %m, %init [1] : vector<2x3xf32> to vector<2xf32>
  %1 = vector.extract %rows[1] : f32 from vector<2xf32>
  %e:3 = vector.to_elements %v : vector<3xf32>
  %w = arith.constant dense<[[1.0, 2.0, 3.0, 4.0]]> : vector<1x4xf32>
  %w0 = arith.constant dense<0.0> : vector<1xf32>
  %scan, %last = vector.scan <add>, %w, %w0 {inclusive = true, reduction_dim = 1 : i64} : vector<1x4xf32>, vector<1xf32>
  %3 = vector.extract %last[0] : f32 from vector<1xf32>
  return %0, %1, %e#0, %3 : f32, f32, f32, f32
}
