// RUN: moe-interpret %s --all --print | FileCheck %s

// CHECK: exponentials result0: f64[2] [2.718281828, 0.3678794412]
// CHECK-NEXT: exponentials result1: f64[2] [2, 0.5]
// CHECK-NEXT: exponentials result2: f64[2] [1.718281828, -0.6321205588]
func.func @exponentials() -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %a = arith.constant dense<[1.0, -1.0]> : tensor<2xf32>
  %0 = math.exp %a : tensor<2xf32>
  %1 = math.exp2 %a : tensor<2xf32>
  %2 = math.expm1 %a : tensor<2xf32>
  return %0, %1, %2 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}

// CHECK: logarithms result0: f64[] [1.386294361]
// CHECK-NEXT: logarithms result1: f64[] [1.609437912]
// CHECK-NEXT: logarithms result2: f64[] [2]
func.func @logarithms() -> (f32, f32, f32) {
  %a = arith.constant 4.0 : f32
  %0 = math.log %a : f32
  %1 = math.log1p %a : f32
  %2 = math.log2 %a : f32
  return %0, %1, %2 : f32, f32, f32
}

// CHECK: roots result0: f64[] [2]
// CHECK-NEXT: roots result1: f64[] [0.5]
// CHECK-NEXT: roots result2: f64[] [8]
// CHECK-NEXT: roots result3: f64[] [16]
func.func @roots() -> (f32, f32, f32, f32) {
  %a = arith.constant 4.0 : f32
  %b = arith.constant 1.5 : f32
  %i = arith.constant 2 : i32
  %0 = math.sqrt %a : f32
  %1 = math.rsqrt %a : f32
  %2 = math.powf %a, %b : f32
  %3 = math.fpowi %a, %i : f32, i32
  return %0, %1, %2, %3 : f32, f32, f32, f32
}

// CHECK: curves result0: f64[] [0.4621171573]
// CHECK-NEXT: curves result1: f64[] [0.5204998778]
// CHECK-NEXT: curves result2: f64[] [0.4794255386]
// CHECK-NEXT: curves result3: f64[] [0.8775825619]
func.func @curves() -> (f32, f32, f32, f32) {
  %a = arith.constant 0.5 : f32
  %0 = math.tanh %a : f32
  %1 = math.erf %a : f32
  %2 = math.sin %a : f32
  %3 = math.cos %a : f32
  return %0, %1, %2, %3 : f32, f32, f32, f32
}

// CHECK: rounding result0: f64[4] [2.5, 3.5, 0.5, 2.5]
// CHECK-NEXT: rounding result1: f64[4] [-2, 4, 0, 2]
// CHECK-NEXT: rounding result2: f64[4] [-3, 4, 1, 3]
// CHECK-NEXT: rounding result3: f64[4] [-3, 3, 0, 2]
// CHECK-NEXT: rounding result4: f64[4] [-2, 4, 1, 3]
// CHECK-NEXT: rounding result5: f64[4] [-1.5, 13.25, 1.25, 7.25]
func.func @rounding() -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %a = arith.constant dense<[-2.5, 3.5, 0.5, 2.5]> : tensor<4xf32>
  %c = arith.constant dense<[1.0, 1.0, 1.0, 1.0]> : tensor<4xf32>
  %b = arith.constant dense<[1.0, 3.5, 0.5, 2.5]> : tensor<4xf32>
  %0 = math.absf %a : tensor<4xf32>
  %1 = math.roundeven %a : tensor<4xf32>
  %2 = math.round %a : tensor<4xf32>
  %3 = math.floor %a : tensor<4xf32>
  %4 = math.ceil %a : tensor<4xf32>
  %5 = math.fma %a, %b, %c : tensor<4xf32>
  return %0, %1, %2, %3, %4, %5 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK: bits result0: i32[2] [31, 0]
// CHECK-NEXT: bits result1: i32[2] [0, 32]
// CHECK-NEXT: bits result2: i32[2] [1, 0]
// CHECK-NEXT: bits result3: i1[2] [1, 0]
func.func @bits() -> (tensor<2xi32>, tensor<2xi32>, tensor<2xi32>, tensor<2xi1>) {
  %a = arith.constant dense<[1, -1]> : tensor<2xi32>
  %b = arith.constant dense<[1, 0]> : tensor<2xi32>
  %0 = math.ctlz %a : tensor<2xi32>
  %1 = math.cttz %b : tensor<2xi32>
  %2 = math.ctpop %b : tensor<2xi32>
  %f = arith.constant dense<[0x7FC00000, 1.0]> : tensor<2xf32>
  %3 = math.isnan %f : tensor<2xf32>
  return %0, %1, %2, %3 : tensor<2xi32>, tensor<2xi32>, tensor<2xi32>, tensor<2xi1>
}
