// RUN: moe-opt %s --convert-moek-to-vector --split-input-file --verify-diagnostics

func.func @no_schedule(%x: memref<?x64xf32>, %w: memref<8x1x48x64xf32>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{has no schedule; run moek-select-schedule first}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xf32>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @no_layout(%x: memref<?x64xf32>, %w: memref<8x1x48x64xf32>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' must be packed panels, got weights in logical order, 'memref<8x1x48x64xf32>'; run moek-select-schedule first}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xf32>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @tensors(%x: tensor<?x64xf32>, %t: tensor<?xi32>, %o: tensor<9xi32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{is still on tensors; bufferize before this pass}}
  %0 = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>)
    outs(%y : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @view(%x: memref<?x64xf32>, %w: memref<8x2x64x32x1xf32, strided<[4096, 2048, 32, 1, 1], offset: 4096>>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' must be whole packed panels, got the view}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x64x32x1xf32, strided<[4096, 2048, 32, 1, 1], offset: 4096>>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}
