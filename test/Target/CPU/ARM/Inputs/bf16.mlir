func.func @f(%x: tensor<?x1000xf32>, %m: tensor<8x48x1000xbf16> {moe.name = "w"}, %o: tensor<9xi32>, %t: tensor<?xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x1000xbf16> -> tensor<8x1x48x1000xbf16>
  %0 = moek.grouped_matmul n(48) k(1000) lhs(%x : tensor<?x1000xf32>) rhs(%w : tensor<8x1x48x1000xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) gather(%t : tensor<?xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}
