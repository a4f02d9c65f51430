// Rows whose elements are not side by side: of the input, and of the result. The
// kernels read and write copies.
// RUN: moe-run %s --entry=input --tokens=21 --random=3 --verify
// RUN: moe-run %s --entry=result --tokens=21 --random=3 --verify

func.func private @layer(%x: tensor<?x64xf32>, %z: tensor<?x4xf32>, %g: tensor<4x24x64xf32>,
    %u: tensor<4x24x64xf32>, %d: tensor<4x64x24xf32>) -> tensor<?x64xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%g, %u, %d : tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %a: tensor<24x64xf32>, %b: tensor<24x64xf32>, %c: tensor<64x24xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

func.func @input(%x2: tensor<?x128xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %g: tensor<4x24x64xf32> {moe.name = "g"}, %u: tensor<4x24x64xf32> {moe.name = "u"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x2, %c0 : tensor<?x128xf32>
  %x = tensor.extract_slice %x2[0, 0] [%T, 64] [1, 2] : tensor<?x128xf32> to tensor<?x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @result(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %g: tensor<4x24x64xf32> {moe.name = "g"}, %u: tensor<4x24x64xf32> {moe.name = "u"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x128xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x128xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x128xf32>) -> tensor<?x128xf32>
  %o = tensor.insert_slice %y into %f[0, 0] [%T, 64] [1, 2] : tensor<?x64xf32> into tensor<?x128xf32>
  return %o : tensor<?x128xf32>
}
