// RUN: moe-opt %s --moek-expand-small-floats | FileCheck %s
// RUN: moe-opt %s --moek-expand-small-floats=native-bf16=true | FileCheck %s --check-prefix=NATIVE

// No bf16 is left, and nothing that has to be converted to be moved.
// CHECK-NOT: bf16
// CHECK: vector.maskedload {{.*}} : memref<?xi16>, vector<16xi1>, vector<16xi16> into vector<16xi16>
// CHECK-NOT: bf16
// NATIVE: vector.maskedload {{.*}} vector<16xbf16>
func.func @move(%from: memref<?xbf16>, %to: memref<?xbf16>, %m: vector<16xi1>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant dense<1.0> : vector<16xbf16>
  %v = vector.maskedload %from[%c0], %m, %one : memref<?xbf16>, vector<16xi1>, vector<16xbf16> into vector<16xbf16>
  vector.maskedstore %to[%c0], %m, %v : memref<?xbf16>, vector<16xi1>, vector<16xbf16>
  return
}

// Values, by hand: rows are (f32 bits, bf16 bits). Ties go to even; the largest
// finite values round to infinity; a NaN whose payload is in the lower half
// stays one.
// RUN: moe-opt %s --moek-expand-small-floats | %run_mlir | FileCheck %s --check-prefix=BITS
// RUN: moe-opt %s --moek-expand-small-floats=native-bf16=true --arith-expand=include-bf16=true | %run_mlir | FileCheck %s --check-prefix=BITS
func.func @bits(%f: f32) {
  %h = arith.truncf %f : f32 to bf16
  %b = arith.bitcast %h : bf16 to i16
  vector.print %b : i16
  return
}
func.func @fromDouble(%d: f64) {
  %h = arith.truncf %d : f64 to bf16
  %b = arith.bitcast %h : bf16 to i16
  vector.print %b : i16
  %k = arith.truncf %d : f64 to f16
  %c = arith.bitcast %k : f16 to i16
  vector.print %c : i16
  return
}
func.func @main() {
  // 1 + 2^-8: a tie, down to 0x3f80.
  // BITS: 16256
  %a = arith.constant 0x3F808000 : f32
  call @bits(%a) : (f32) -> ()
  // The next one up: 0x3f81.
  // BITS-NEXT: 16257
  %b = arith.constant 0x3F808001 : f32
  call @bits(%b) : (f32) -> ()
  // 1 + 3 * 2^-8: a tie, up to 0x3f82.
  // BITS-NEXT: 16258
  %c = arith.constant 0x3F818000 : f32
  call @bits(%c) : (f32) -> ()
  // The largest f32: infinity, 0x7f80.
  // BITS-NEXT: 32640
  %d = arith.constant 0x7F7FFFFF : f32
  call @bits(%d) : (f32) -> ()
  // A signaling NaN: 0x7fc0.
  // BITS-NEXT: 32704
  %e = arith.constant 0x7F800001 : f32
  call @bits(%e) : (f32) -> ()
  // The smallest subnormal f32: 0.
  // BITS-NEXT: {{^}}0
  %f = arith.constant 0x00000001 : f32
  call @bits(%f) : (f32) -> ()
  // A subnormal bf16, as it is: 0x0001.
  // BITS-NEXT: {{^}}1
  %g = arith.constant 0x00010000 : f32
  call @bits(%g) : (f32) -> ()

  // 1 + 2^-8 + 2^-40: by way of f32 it would be a tie. bf16 0x3f81; f16 0x3c04.
  // BITS-NEXT: 16257
  // BITS-NEXT: 15364
  %h = arith.constant 0x3FF0100000001000 : f64
  call @fromDouble(%h) : (f64) -> ()
  // 1 + 2^-11 + 2^-40: the same of f16, 0x3c01; bf16 0x3f80.
  // BITS-NEXT: 16256
  // BITS-NEXT: 15361
  %i = arith.constant 0x3FF0020000001000 : f64
  call @fromDouble(%i) : (f64) -> ()
  // -(1 + 2^-11 - 2^-40): 0xbc00.
  // BITS-NEXT: -16512
  // BITS-NEXT: -17408
  %j = arith.constant 0xBFF001FFFFFFF000 : f64
  call @fromDouble(%j) : (f64) -> ()
  // NaN.
  // BITS-NEXT: 32704
  // BITS-NEXT: 32256
  %k = arith.constant 0x7FF8000000000000 : f64
  call @fromDouble(%k) : (f64) -> ()
  return
}
