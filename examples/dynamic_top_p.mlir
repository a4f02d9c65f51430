// Dynamic routing (arXiv 2403.07652): every token goes to its best experts until
// their probabilities sum to more than 0.4, to few experts where the router is
// certain and to many where it is not. The weights are the probabilities.
//
//   moe-compile examples/dynamic_top_p.mlir -o /tmp/top_p
//   moe-run /tmp/top_p.json --random=1 --tokens=16 --verify

// [T, K] x [N, K] -> [T, N]
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>

func.func @top_p(
    %x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<16x256xf32> {moe.name = "router.weight"},
    %wg: tensor<16x512x256xf32> {moe.name = "experts.gate_proj"},
    %wu: tensor<16x512x256xf32> {moe.name = "experts.up_proj"},
    %wd: tensor<16x256x512xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %z0 = tensor.empty(%T) : tensor<?x16xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%z0 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wr : tensor<?x256xf32>, tensor<16x256xf32>)
      outs(%z1 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %p = linalg.softmax dimension(1) ins(%z : tensor<?x16xf32>)
      outs(%z0 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %r = moe.router #moe.top_p<0.4, strict = true> select(%p) weigh(%p)
      : tensor<?x16xf32> -> !moe.routing<16 x 16>
  %rows = moe.dispatch %x by %r
      : tensor<?x256xf32>, !moe.routing<16 x 16> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r
      : (tensor<?x256xf32>, !moe.routing<16 x 16>) -> tensor<?x256xf32>
  experts 0 to 16 weights(%wg, %wu, %wd
      : tensor<16x512x256xf32>, tensor<16x512x256xf32>, tensor<16x256x512xf32>) {
    ^bb0(%row: tensor<?x256xf32>, %g: tensor<512x256xf32>, %u: tensor<512x256xf32>,
         %d: tensor<256x512xf32>):
      %f = moe.ffn %row gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (tensor<?x256xf32>, tensor<512x256xf32>, tensor<512x256xf32>,
             tensor<256x512xf32>) -> tensor<?x256xf32>
      moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r
      : tensor<?x256xf32>, !moe.routing<16 x 16> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}
