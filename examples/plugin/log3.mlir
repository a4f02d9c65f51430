// The same layer with weights in the plugin's format.
func.func @log3(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
                %wr: tensor<16x64xf32> {moe.name = "router.weight"},
                %gate: tensor<16x32x2x14xi8> {moe.name = "experts.gate_proj"},
                %up: tensor<16x32x2x14xi8> {moe.name = "experts.up_proj"},
                %down: tensor<16x64x1x14xi8> {moe.name = "experts.down_proj"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %wg = moe.dequantize #acme.log3 (%gate : tensor<16x32x2x14xi8>)
      : tensor<16x32x64xf32>
  %wu = moe.dequantize #acme.log3 (%up : tensor<16x32x2x14xi8>)
      : tensor<16x32x64xf32>
  %wd = moe.dequantize #acme.log3 (%down : tensor<16x64x1x14xi8>)
      : tensor<16x64x32xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>)
      -> tensor<?x16xf32>
  %z = linalg.matmul
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>,
                       affine_map<(m, n, k) -> (n, k)>,
                       affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x64xf32>, tensor<16x64xf32>)
      outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x16xf32>)
      outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %r = moe.router #acme.every_nth<4, k = 2> select(%s) weigh(%s)
      : tensor<?x16xf32> -> !moe.routing<16 x 2>
  %rows = moe.dispatch %x by %r
      : tensor<?x64xf32>, !moe.routing<16 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r
      : (tensor<?x64xf32>, !moe.routing<16 x 2>) -> tensor<?x64xf32>
  experts 0 to 16 weights(%wg, %wu, %wd : tensor<16x32x64xf32>,
                          tensor<16x32x64xf32>, tensor<16x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<32x64xf32>, %u: tensor<32x64xf32>,
       %d: tensor<64x32xf32>):
    %h = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
        : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>,
           tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %h : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r
      : tensor<?x64xf32>, !moe.routing<16 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
