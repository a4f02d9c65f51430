// RUN: moe-interpret %s --all --print | FileCheck %s

// CHECK: scalars result0: f64[] [7]
// CHECK-NEXT: scalars result1: f64[] [1.5]
// CHECK-NEXT: scalars result2: i32[] [-4]
// CHECK-NEXT: scalars result3: i1[] [1]
func.func @scalars() -> (f32, f32, i32, i1) {
  %a = arith.constant 3.0 : f32
  %b = arith.constant 4.0 : f32
  %c = arith.constant -7 : i32
  %d = arith.constant 2 : i32
  %sum = arith.addf %a, %b : f32
  %two = arith.constant 2.0 : f32
  %q = arith.divf %a, %two : f32
  %i = arith.floordivsi %c, %d : i32
  %l = arith.cmpi slt, %c, %d : i32
  return %sum, %q, %i, %l : f32, f32, i32, i1
}

// Integers wrap to their width and divide as signed or unsigned numbers.
// CHECK: integers result0: i8[3] [-128, 1, 0]
// CHECK-NEXT: integers result1: i8[3] [-42, 2, -1]
// CHECK-NEXT: integers result2: i8[3] [43, 2, 127]
// CHECK-NEXT: integers result3: i8[3] [0, 1, 1]
// CHECK-NEXT: integers result4: i8[3] [-43, 2, -1]
// CHECK-NEXT: integers result5: i8[3] [-64, 3, -1]
// CHECK-NEXT: integers result6: i8[3] [64, 3, 127]
func.func @integers() -> (tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>) {
  %a = arith.constant dense<[127, 0, -1]> : tensor<3xi8>
  %one = arith.constant dense<1> : tensor<3xi8>
  %sum = arith.addi %a, %one : tensor<3xi8>
  %b = arith.constant dense<[-127, 7, -2]> : tensor<3xi8>
  %c = arith.constant dense<[3, 3, 2]> : tensor<3xi8>
  %ds = arith.divsi %b, %c : tensor<3xi8>
  %du = arith.divui %b, %c : tensor<3xi8>
  %mask = arith.constant dense<[0, 1, 1]> : tensor<3xi8>
  %r = arith.andi %mask, %one : tensor<3xi8>
  %f = arith.floordivsi %b, %c : tensor<3xi8>
  %s = arith.shrsi %b, %one : tensor<3xi8>
  %u = arith.shrui %b, %one : tensor<3xi8>
  return %sum, %ds, %du, %r, %f, %s, %u : tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>, tensor<3xi8>
}

// 64 bits stay exact.
// CHECK: exact result0: i64[2] [9007199254740993, -9223372036854775808]
func.func @exact() -> tensor<2xi64> {
  %a = arith.constant dense<[9007199254740992, 9223372036854775807]> : tensor<2xi64>
  %one = arith.constant dense<1> : tensor<2xi64>
  %s = arith.addi %a, %one : tensor<2xi64>
  return %s : tensor<2xi64>
}

// maximumf and minimumf hand a NaN on, maxnumf and minnumf do not.
// CHECK: extremes result0: f64[3] [nan, 2, 0]
// CHECK-NEXT: extremes result1: f64[3] [nan, 1, -0]
// CHECK-NEXT: extremes result2: f64[3] [1, 2, {{-?}}0]
// CHECK-NEXT: extremes result3: f64[3] [1, 1, {{-?}}0]
func.func @extremes() -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %a = arith.constant dense<[0x7FC00000, 2.0, -0.0]> : tensor<3xf32>
  %b = arith.constant dense<[1.0, 1.0, 0.0]> : tensor<3xf32>
  %0 = arith.maximumf %a, %b : tensor<3xf32>
  %1 = arith.minimumf %a, %b : tensor<3xf32>
  %2 = arith.maxnumf %a, %b : tensor<3xf32>
  %3 = arith.minnumf %a, %b : tensor<3xf32>
  return %0, %1, %2, %3 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK: comparisons result0: i1[3] [0, 1, 0]
// CHECK-NEXT: comparisons result1: i1[3] [1, 1, 0]
// CHECK-NEXT: comparisons result2: i1[3] [1, 0, 0]
// CHECK-NEXT: comparisons result3: f64[3] [5, 1, 3]
// CHECK-NEXT: comparisons result4: i1[2] [1, 0]
// CHECK-NEXT: comparisons result5: i1[2] [0, 1]
func.func @comparisons() -> (tensor<3xi1>, tensor<3xi1>, tensor<3xi1>, tensor<3xf32>, tensor<2xi1>, tensor<2xi1>) {
  %a = arith.constant dense<[0x7FC00000, 1.0, 3.0]> : tensor<3xf32>
  %b = arith.constant dense<[5.0, 2.0, 3.0]> : tensor<3xf32>
  %0 = arith.cmpf olt, %a, %b : tensor<3xf32>
  %1 = arith.cmpf ult, %a, %b : tensor<3xf32>
  %2 = arith.cmpf uno, %a, %b : tensor<3xf32>
  %3 = arith.select %2, %b, %a : tensor<3xi1>, tensor<3xf32>
  %i = arith.constant dense<[-1, 1]> : tensor<2xi32>
  %j = arith.constant dense<[0, 0]> : tensor<2xi32>
  %4 = arith.cmpi slt, %i, %j : tensor<2xi32>
  %k = arith.constant dense<[-1, 1]> : tensor<2xi32>
  %l = arith.constant dense<[-1, 2]> : tensor<2xi32>
  %5 = arith.cmpi ult, %k, %l : tensor<2xi32>
  return %0, %1, %2, %3, %4, %5 : tensor<3xi1>, tensor<3xi1>, tensor<3xi1>, tensor<3xf32>, tensor<2xi1>, tensor<2xi1>
}

// Conversions of floats do not round: the oracle is double throughout.
// CHECK: casts result0: f64[] [0.333333
// CHECK-NEXT: casts result1: i32[] [-1]
// CHECK-NEXT: casts result2: i32[] [255]
// CHECK-NEXT: casts result3: f64[] [-1]
// CHECK-NEXT: casts result4: f64[] [255]
// CHECK-NEXT: casts result5: i32[] [-2]
// CHECK-NEXT: casts result6: i32[] [1065353216]
// CHECK-NEXT: casts result7: i8[] [44]
// CHECK-NEXT: casts result8: i32[] [-1]
func.func @casts() -> (bf16, i32, i32, f32, f32, i32, i32, i8, i32) {
  %one = arith.constant 1.0 : f32
  %three = arith.constant 3.0 : f32
  %third = arith.divf %one, %three : f32
  %0 = arith.truncf %third : f32 to bf16
  %m = arith.constant -1 : i8
  %1 = arith.extsi %m : i8 to i32
  %2 = arith.extui %m : i8 to i32
  %3 = arith.sitofp %m : i8 to f32
  %4 = arith.uitofp %m : i8 to f32
  %f = arith.constant -2.75 : f32
  %5 = arith.fptosi %f : f32 to i32
  %6 = arith.bitcast %one : f32 to i32
  %n = arith.constant 300 : i32
  %7 = arith.trunci %n : i32 to i8
  %t = arith.constant true
  %8 = arith.extsi %t : i1 to i32
  return %0, %1, %2, %3, %4, %5, %6, %7, %8 : bf16, i32, i32, f32, f32, i32, i32, i8, i32
}

// Bits are read as numbers of another type of the same width: 1.5 is 0x3e00 as
// f16 and 0x3fc0 as bf16.
// CHECK: bits result0: {{[if]64}}[2] [15872, -16384]
// CHECK-NEXT: bits result1: {{[if]64}}[2] [16320, -16384]
// CHECK-NEXT: bits result2: {{[if]64}}[2] [0.125, -2]
// CHECK-NEXT: bits result3: {{[if]64}}[2] [1.9375, -2]
// CHECK-NEXT: bits result4: {{[if]64}}[1] [1.5]
// CHECK-NEXT: bits result5: {{[if]64}}[1] [1.5]
func.func @bits() -> (tensor<2xi16>, tensor<2xi16>, tensor<2xbf16>, tensor<2xf16>, tensor<1xf16>, tensor<1xf64>) {
  %h = arith.constant dense<[1.5, -2.0]> : tensor<2xf16>
  %b = arith.constant dense<[1.5, -2.0]> : tensor<2xbf16>
  %i = arith.constant dense<15872> : tensor<1xi16>
  %d = arith.constant dense<4609434218613702656> : tensor<1xi64>
  %0 = arith.bitcast %h : tensor<2xf16> to tensor<2xi16>
  %1 = arith.bitcast %b : tensor<2xbf16> to tensor<2xi16>
  %2 = arith.bitcast %h : tensor<2xf16> to tensor<2xbf16>
  %3 = arith.bitcast %b : tensor<2xbf16> to tensor<2xf16>
  %4 = arith.bitcast %i : tensor<1xi16> to tensor<1xf16>
  %5 = arith.bitcast %d : tensor<1xi64> to tensor<1xf64>
  return %0, %1, %2, %3, %4, %5 : tensor<2xi16>, tensor<2xi16>, tensor<2xbf16>, tensor<2xf16>, tensor<1xf16>, tensor<1xf64>
}
