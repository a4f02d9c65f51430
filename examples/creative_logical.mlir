// Two experts of very unequal cost in step: a wide "creative" network and a narrow
// "logical" one, 32 times cheaper, both for every token, mixed by a gate.
//
//   moe-bench examples/creative_logical.mlir --tokens=16,512 --phases --baselines=none
//
// No thread waits for the expensive expert while another has the cheap one: products are
// cut into items by the bytes of their weights, not by experts, and each thread takes the
// next one. `synchrony` in the output is how far threads end together.
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>

!x = tensor<?x512xf32>
!routing = !moe.routing<2 x 2>

func.func @layer(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<2x512xf32> {moe.name = "router.weight"},
    %cg: tensor<1x4096x512xf32> {moe.name = "creative.gate_proj"},
    %cu: tensor<1x4096x512xf32> {moe.name = "creative.up_proj"},
    %cd: tensor<1x512x4096xf32> {moe.name = "creative.down_proj"},
    %lg: tensor<1x128x512xf32> {moe.name = "logical.gate_proj"},
    %lu: tensor<1x128x512xf32> {moe.name = "logical.up_proj"},
    %ld: tensor<1x512x128xf32> {moe.name = "logical.down_proj"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x2xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x2xf32>) -> tensor<?x2xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wr : !x, tensor<2x512xf32>) outs(%f : tensor<?x2xf32>) -> tensor<?x2xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x2xf32> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %out = moe.expert %rows by %r : (!x, !routing) -> !x
    experts 0 to 1 weights(%cg, %cu, %cd : tensor<1x4096x512xf32>, tensor<1x4096x512xf32>, tensor<1x512x4096xf32>) {
    ^bb0(%t: !x, %g: tensor<4096x512xf32>, %u: tensor<4096x512xf32>, %d: tensor<512x4096xf32>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (!x, tensor<4096x512xf32>, tensor<4096x512xf32>, tensor<512x4096xf32>) -> !x
      moe.yield %o : !x
    } experts 1 to 2 weights(%lg, %lu, %ld : tensor<1x128x512xf32>, tensor<1x128x512xf32>, tensor<1x512x128xf32>) {
    ^bb0(%t: !x, %g: tensor<128x512xf32>, %u: tensor<128x512xf32>, %d: tensor<512x128xf32>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.relu)
          : (!x, tensor<128x512xf32>, tensor<128x512xf32>, tensor<512x128xf32>) -> !x
      moe.yield %o : !x
    }
  %res = moe.combine %out by %r : !x, !routing -> !x
  return %res : !x
}
