// Two sizes, a scalar and two results.
func.func @scale(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]}, %a: f32 {moe.name = "a"},
    %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["U"]}) -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x4xf32> {moe.name = "v", moe.dims = ["U"]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %m = tensor.dim %z, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %y = linalg.map ins(%x : tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) (%in: f32, %o: f32) {
    %p = arith.mulf %in, %a : f32
    linalg.yield %p : f32
  }
  %f = tensor.empty(%m) : tensor<?x4xf32>
  %v = linalg.map ins(%z : tensor<?x4xf32>) outs(%f : tensor<?x4xf32>) (%in: f32, %o: f32) {
    %p = arith.addf %in, %a : f32
    linalg.yield %p : f32
  }
  return %y, %v : tensor<?x4xf32>, tensor<?x4xf32>
}
