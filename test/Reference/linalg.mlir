// RUN: moe-interpret %s --all --print | FileCheck %s

// Named products: both layouts of the weights, and bf16 ones.
// CHECK: matmuls result0: f64[2x2] [19, 22, 43, 50]
// CHECK-NEXT: matmuls result1: f64[2x2] [17, 23, 39, 53]
// CHECK-NEXT: matmuls result2: f64[2x2] [27, 33, 49, 63]
// CHECK-NEXT: matmuls result3: f64[1x2x2] [19, 22, 43, 50]
// CHECK-NEXT: matmuls result4: f64[2] [17, 39]
func.func @matmuls() -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<1x2x2xf32>, tensor<2xf32>) {
  %a = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %b = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>
  %h = arith.constant dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xbf16>
  %z = arith.constant dense<0.0> : tensor<2x2xf32>
  %t = arith.constant dense<10.0> : tensor<2x2xf32>
  %0 = linalg.matmul ins(%a, %b : tensor<2x2xf32>, tensor<2x2xf32>) outs(%z : tensor<2x2xf32>) -> tensor<2x2xf32>
  %1 = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %b : tensor<2x2xf32>, tensor<2x2xf32>) outs(%z : tensor<2x2xf32>) -> tensor<2x2xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %h : tensor<2x2xf32>, tensor<2x2xbf16>) outs(%t : tensor<2x2xf32>) {
  ^bb0(%x: f32, %y: bf16, %o: f32):
    %e = arith.extf %y : bf16 to f32
    %p = arith.mulf %x, %e : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<2x2xf32>
  %a3 = tensor.expand_shape %a [[0, 1], [2]] output_shape [1, 2, 2] : tensor<2x2xf32> into tensor<1x2x2xf32>
  %b3 = tensor.expand_shape %b [[0, 1], [2]] output_shape [1, 2, 2] : tensor<2x2xf32> into tensor<1x2x2xf32>
  %z3 = tensor.expand_shape %z [[0, 1], [2]] output_shape [1, 2, 2] : tensor<2x2xf32> into tensor<1x2x2xf32>
  %3 = linalg.batch_matmul ins(%a3, %b3 : tensor<1x2x2xf32>, tensor<1x2x2xf32>) outs(%z3 : tensor<1x2x2xf32>) -> tensor<1x2x2xf32>
  %v = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %zv = arith.constant dense<0.0> : tensor<2xf32>
  %4 = linalg.matvec ins(%a, %v : tensor<2x2xf32>, tensor<2xf32>) outs(%zv : tensor<2xf32>) -> tensor<2xf32>
  return %0, %1, %2, %3, %4 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<1x2x2xf32>, tensor<2xf32>
}

// A product of integers goes through the region, a convolution through linear
// accesses.
// CHECK: others result0: i32[1x1] [11]
// CHECK-NEXT: others result1: f64[3] [3, 5, 7]
func.func @others() -> (tensor<1x1xi32>, tensor<3xf32>) {
  %a = arith.constant dense<[[1, 2]]> : tensor<1x2xi32>
  %b = arith.constant dense<[[3], [4]]> : tensor<2x1xi32>
  %z = arith.constant dense<0> : tensor<1x1xi32>
  %0 = linalg.matmul ins(%a, %b : tensor<1x2xi32>, tensor<2x1xi32>) outs(%z : tensor<1x1xi32>) -> tensor<1x1xi32>
  %x = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %k = arith.constant dense<[1.0, 1.0]> : tensor<2xf32>
  %zf = arith.constant dense<0.0> : tensor<3xf32>
  %1 = linalg.conv_1d ins(%x, %k : tensor<4xf32>, tensor<2xf32>) outs(%zf : tensor<3xf32>) -> tensor<3xf32>
  return %0, %1 : tensor<1x1xi32>, tensor<3xf32>
}

// CHECK: shapes result0: f64[3x2] [1, 4, 2, 5, 3, 6]
// CHECK-NEXT: shapes result1: f64[2x3] [7, 7, 7, 8, 8, 8]
// CHECK-NEXT: shapes result2: f64[2] [6, 15]
// CHECK-NEXT: shapes result3: f64[3] [4, 5, 6]
// CHECK-NEXT: shapes result4: f64[2x3] [2, 4, 6, 8, 10, 12]
// CHECK-NEXT: shapes result5: f64[2x3] [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
func.func @shapes() -> (tensor<3x2xf32>, tensor<2x3xf32>, tensor<2xf32>, tensor<3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %a = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %e32 = tensor.empty() : tensor<3x2xf32>
  %0 = linalg.transpose ins(%a : tensor<2x3xf32>) outs(%e32 : tensor<3x2xf32>) permutation = [1, 0]
  %v = arith.constant dense<[7.0, 8.0]> : tensor<2xf32>
  %e23 = tensor.empty() : tensor<2x3xf32>
  %1 = linalg.broadcast ins(%v : tensor<2xf32>) outs(%e23 : tensor<2x3xf32>) dimensions = [1]
  %z2 = arith.constant dense<0.0> : tensor<2xf32>
  %2 = linalg.reduce { arith.addf } ins(%a : tensor<2x3xf32>) outs(%z2 : tensor<2xf32>) dimensions = [1]
  %z3 = arith.constant dense<0.0> : tensor<3xf32>
  %3 = linalg.reduce { arith.maximumf } ins(%a : tensor<2x3xf32>) outs(%z3 : tensor<3xf32>) dimensions = [0]
  %4 = linalg.map { arith.addf } ins(%a, %a : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e23 : tensor<2x3xf32>)
  %half = arith.constant 0.5 : f32
  %5 = linalg.fill ins(%half : f32) outs(%e23 : tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0, %1, %2, %3, %4, %5 : tensor<3x2xf32>, tensor<2x3xf32>, tensor<2xf32>, tensor<3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}

// Softmax along either dimension; a row with +inf, and one of -inf only, is NaN.
// CHECK: softmax result0: f64[2x2] [0.5, 0.5, 0.25, 0.75]
// CHECK-NEXT: softmax result1: f64[2x2] [0.5, 0.25, 0.5, 0.75]
// CHECK-NEXT: softmax result2: f64[3x2] [nan, nan, nan, nan, nan, nan]
func.func @softmax() -> (tensor<2x2xf64>, tensor<2x2xf64>, tensor<3x2xf32>) {
  %a = arith.constant dense<[[800.0, 800.0], [0.0, 1.0986122886681098]]> : tensor<2x2xf64>
  %b = arith.constant dense<[[-800.0, 0.0], [-800.0, 1.0986122886681098]]> : tensor<2x2xf64>
  %e = tensor.empty() : tensor<2x2xf64>
  %0 = linalg.softmax dimension(1) ins(%a : tensor<2x2xf64>) outs(%e : tensor<2x2xf64>) -> tensor<2x2xf64>
  %1 = linalg.softmax dimension(0) ins(%b : tensor<2x2xf64>) outs(%e : tensor<2x2xf64>) -> tensor<2x2xf64>
  %c = arith.constant dense<[[0x7F800000, 1.0], [0xFF800000, 0xFF800000], [0x7FC00000, 0.0]]> : tensor<3x2xf32>
  %f = tensor.empty() : tensor<3x2xf32>
  %2 = linalg.softmax dimension(1) ins(%c : tensor<3x2xf32>) outs(%f : tensor<3x2xf32>) -> tensor<3x2xf32>
  return %0, %1, %2 : tensor<2x2xf64>, tensor<2x2xf64>, tensor<3x2xf32>
}

// Indices, values from outside, several results, maps that are not linear, a
// body with a branch, and nested tensors.
// CHECK: generic result0: i64[2x3] [5, 6, 7, 15, 16, 17]
// CHECK-NEXT: generic result1: f64[2] [6, 15]
// CHECK-NEXT: generic result2: f64[2] [3, 6]
// CHECK-NEXT: generic result3: f64[4] [1, 1, 2, 2]
// CHECK-NEXT: generic result4: f64[3] [-1, 0, 3]
// CHECK-NEXT: generic result5: f64[3] [3, 1, 2]
func.func @generic() -> (tensor<2x3xindex>, tensor<2xf32>, tensor<2xf32>, tensor<4xf32>, tensor<3xf32>, tensor<3xf32>) {
  %c10 = arith.constant 10 : index
  %c5 = arith.constant 5 : index
  %e = tensor.empty() : tensor<2x3xindex>
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<2x3xindex>) {
  ^bb0(%o: index):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %m = arith.muli %i, %c10 : index
    %n = arith.addi %m, %j : index
    %p = affine.apply affine_map<(d0)[s0] -> (d0 + s0)>(%n)[%c5]
    linalg.yield %p : index
  } -> tensor<2x3xindex>
  %a = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %z = arith.constant dense<0.0> : tensor<2xf32>
  %1:2 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%a : tensor<2x3xf32>) outs(%z, %z : tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%x: f32, %s: f32, %m: f32):
    %t = arith.addf %s, %x : f32
    %n = arith.maximumf %m, %x : f32
    linalg.yield %t, %n : f32, f32
  } -> (tensor<2xf32>, tensor<2xf32>)
  %v = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %e4 = tensor.empty() : tensor<4xf32>
  %3 = linalg.generic {indexing_maps = [affine_map<(i) -> (i floordiv 2)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%v : tensor<2xf32>) outs(%e4 : tensor<4xf32>) {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  } -> tensor<4xf32>
  %w = arith.constant dense<[-5.0, 0.0, 3.0]> : tensor<3xf32>
  %e3 = tensor.empty() : tensor<3xf32>
  %zero = arith.constant 0.0 : f32
  %minus = arith.constant -1.0 : f32
  %4 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%w : tensor<3xf32>) outs(%e3 : tensor<3xf32>) {
  ^bb0(%x: f32, %o: f32):
    %below = arith.cmpf olt, %x, %zero : f32
    %y = scf.if %below -> f32 {
      scf.yield %minus : f32
    } else {
      scf.yield %x : f32
    }
    linalg.yield %y : f32
  } -> tensor<3xf32>
  %idx = arith.constant dense<[2, 0, 1]> : tensor<3xindex>
  %table = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %5 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%idx : tensor<3xindex>) outs(%e3 : tensor<3xf32>) {
  ^bb0(%i: index, %o: f32):
    %y = tensor.extract %table[%i] : tensor<3xf32>
    linalg.yield %y : f32
  } -> tensor<3xf32>
  return %0, %1#0, %1#1, %3, %4, %5 : tensor<2x3xindex>, tensor<2xf32>, tensor<2xf32>, tensor<4xf32>, tensor<3xf32>, tensor<3xf32>
}
