// What a kernel may ask for, and what it is told.

// REQUIRES: halide
// RUN: moe-opt %s --convert-moek-to-vector --split-input-file --verify-diagnostics

#s = #moe_cpu.schedule<fma, lanes = 8, rows = 1, block_rows = 1, chunk = 16384, run = 2097152>
func.func @unknown(%x: memref<4x8xf32>, %o: memref<3xi32>, %a: memref<3xi32>,
    %p: memref<2x1x8x32x1xf32>, %y: memref<4x32xf32>) {
  // expected-error @+1 {{'moek.grouped_matmul' op moek.codegen is "halid"; known are halide, halide-only, halide-object}}
  moek.grouped_matmul n(32) k(8) lhs(%x : memref<4x8xf32>) rhs(%p : memref<2x1x8x32x1xf32>)
      groups(%o, %a : memref<3xi32>, memref<3xi32>) schedule(#s) outs(%y : memref<4x32xf32>)
        attributes {moek.codegen = "halid"} epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  }
  return
}

// -----

#s = #moe_cpu.schedule<fma, lanes = 8, rows = 1, block_rows = 1, chunk = 16384, run = 2097152>
func.func @only(%x: memref<4x8xf32>, %o: memref<3xi32>, %a: memref<3xi32>,
    %p: memref<2x1x8x32x1xf32>, %y: memref<4x32xf32>) {
  // expected-error @+1 {{the body is not made by halide-only: it has the operation powf}}
  moek.grouped_matmul n(32) k(8) lhs(%x : memref<4x8xf32>) rhs(%p : memref<2x1x8x32x1xf32>)
      groups(%o, %a : memref<3xi32>, memref<3xi32>) schedule(#s) outs(%y : memref<4x32xf32>)
        attributes {moek.codegen = "halide-only"} epilogue {
  ^bb0(%c: f32):
    %q = math.powf %c, %c : f32
    moek.yield %q : f32
  }
  return
}

// -----

#s = #moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 1, block_rows = 1, chunk = 16384, run = 2097152>
func.func @product(%x: memref<4x32xbf16>, %o: memref<3xi32>, %a: memref<3xi32>,
    %p: memref<2x1x8x32x4xbf16>, %y: memref<4x32xf32>) {
  // expected-error @+1 {{the product is not made by halide-only: it multiplies by mmla_bf16}}
  moek.grouped_matmul n(32) k(32) lhs(%x : memref<4x32xbf16>) rhs(%p : memref<2x1x8x32x4xbf16>)
      groups(%o, %a : memref<3xi32>, memref<3xi32>) schedule(#s) outs(%y : memref<4x32xf32>)
        attributes {moek.codegen = "halide-only"} epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  }
  return
}
