// A federation of small models behind one router: experts that are networks beside
// experts that are C functions of somebody else (examples/external/experts.c).
//
//   cc -O2 -shared -fPIC -Iinclude examples/external/experts.c -o experts.so -lm
//   moe-run examples/modular_experts.mlir --external=experts.so --random=1 --tokens=32 --verify
//
// `recall` is a memory that answers with a mix of what it knows, from weights that the
// layer has; `interactions` has none, and refuses rows that are not finite: it counts as
// no expert then.
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>

!x = tensor<?x64xf32>
!routing = !moe.routing<7 x 2>

func.func private @recall(!x, tensor<16x64xf32>, tensor<16x64xf32>) -> !x
    attributes {moe.external = #moe.external<batch = 32>}
func.func private @interactions(!x) -> !x
    attributes {moe.external = #moe.external<on_failure = zeros, batch = 8>}

func.func @layer(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<7x64xf32> {moe.name = "router.weight"},
    %gate: tensor<4x128x64xf32> {moe.name = "network.gate_proj"},
    %up: tensor<4x128x64xf32> {moe.name = "network.up_proj"},
    %down: tensor<4x64x128xf32> {moe.name = "network.down_proj"},
    %keys: tensor<2x16x64xf32> {moe.name = "recall.keys"},
    %answers: tensor<2x16x64xf32> {moe.name = "recall.answers"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x7xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x7xf32>) -> tensor<?x7xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wr : !x, tensor<7x64xf32>) outs(%f : tensor<?x7xf32>) -> tensor<?x7xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x7xf32> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %out = moe.expert %rows by %r : (!x, !routing) -> !x
    experts 0 to 4 weights(%gate, %up, %down : tensor<4x128x64xf32>, tensor<4x128x64xf32>, tensor<4x64x128xf32>) {
    ^bb0(%t: !x, %g: tensor<128x64xf32>, %u: tensor<128x64xf32>, %d: tensor<64x128xf32>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (!x, tensor<128x64xf32>, tensor<128x64xf32>, tensor<64x128xf32>) -> !x
      moe.yield %o : !x
    } experts 4 to 6 weights(%keys, %answers : tensor<2x16x64xf32>, tensor<2x16x64xf32>) {
    ^bb0(%t: !x, %k: tensor<16x64xf32>, %a: tensor<16x64xf32>):
      %o = func.call @recall(%t, %k, %a) : (!x, tensor<16x64xf32>, tensor<16x64xf32>) -> !x
      moe.yield %o : !x
    } experts 6 to 7 {
    ^bb0(%t: !x):
      %o = func.call @interactions(%t) : (!x) -> !x
      moe.yield %o : !x
    }
  %res = moe.combine %out by %r : !x, !routing -> !x
  return %res : !x
}
