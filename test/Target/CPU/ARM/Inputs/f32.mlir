func.func @f(%x: memref<?x1000xf32>, %w: memref<8x2x1000x32x1xf32>, %o: memref<9xi32>, %t: memref<?xi32>, %y: memref<?x48xf32>) {
  moek.grouped_matmul n(48) k(1000) lhs(%x : memref<?x1000xf32>) rhs(%w : memref<8x2x1000x32x1xf32>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) gather(%t : memref<?xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}
