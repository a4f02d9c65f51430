func.func @ok(%x: tensor<4xf32> {moe.name = "x"}) -> (tensor<4xf32> {moe.name = "y"}) {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
