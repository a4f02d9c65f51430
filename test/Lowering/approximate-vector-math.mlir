// RUN: moe-opt %s --moek-approximate-vector-math | FileCheck %s
// RUN: moe-opt %s --moek-approximate-vector-math | %run_mlir | FileCheck %s --check-prefix=VALUES

// Vectors become polynomials, scalars stay.
// CHECK-LABEL: func.func @kinds
// CHECK-NOT: math.exp %{{.*}} : vector
// CHECK-NOT: math.tanh %{{.*}} : vector
// CHECK: math.exp %{{.*}} : f32
func.func @kinds(%v: vector<16xf32>, %s: f32) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, f32) {
  %0 = math.exp %v : vector<16xf32>
  %1 = math.exp2 %v : vector<16xf32>
  %2 = math.tanh %v : vector<16xf32>
  %3 = math.exp %s : f32
  return %0, %1, %2, %3 : vector<16xf32>, vector<16xf32>, vector<16xf32>, f32
}

func.func private @largestError(%v: vector<8xf32>, %e: vector<8xf32>) -> f32 {
  %r = math.exp %v : vector<8xf32>
  %d = arith.subf %r, %e : vector<8xf32>
  %q = arith.divf %d, %e : vector<8xf32>
  %a = math.absf %q : vector<8xf32>
  %m = vector.reduction <maximumf>, %a : vector<8xf32> into f32
  return %m : f32
}

func.func @main() {
  // Relative error within 3e-7 wherever the result is a normal number.
  %v = arith.constant dense<[0.0, 1.0, -1.0, 0.3465735, 20.0, -20.0, 88.0, -87.0]> : vector<8xf32>
  %e = arith.constant dense<[1.0, 2.718281828, 0.367879441, 1.414213500, 485165195.4, 2.06115362e-9, 1.65163626e38, 1.64581145e-38]> : vector<8xf32>
  %m = call @largestError(%v, %e) : (vector<8xf32>, vector<8xf32>) -> f32
  %bound = arith.constant 3.0e-7 : f32
  %ok = arith.cmpf olt, %m, %bound : f32
  // VALUES: 1
  vector.print %ok : i1
  // Beyond: infinity, zero, a denormal, NaN.
  %edges = arith.constant dense<[89.0, 0x7F800000, -110.0, 0xFF800000, -100.0, 0x7FC00000, -0.0, 1.0e-30]> : vector<8xf32>
  %r = math.exp %edges : vector<8xf32>
  // VALUES: ( inf, inf, 0, 0, 3.{{[0-9]*}}e-44, {{-?}}nan, 1, 1 )
  vector.print %r : vector<8xf32>
  return
}
