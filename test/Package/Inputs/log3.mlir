func.func @weights(%blocks: tensor<3x2x14xi8> {moe.name = "blocks"}) -> (tensor<3x64xf32> {moe.name = "weights"}) {
  %w = moe.dequantize #acme.log3 (%blocks : tensor<3x2x14xi8>) : tensor<3x64xf32>
  return %w : tensor<3x64xf32>
}
