// Retrieval as an expert (ExpertRAG, arXiv 2504.08744): a gate decides for each token
// whether it asks for documents, and only those that do are searched for. A network that
// every token has computes the rest: y = network(x) + g * retrieve(x), g = sigmoid(x wg).
//
//   cc -O2 -shared -fPIC -Iinclude examples/external/experts.c -o experts.so -lm
//   moe-run examples/expert_rag.mlir --external=experts.so --random=1 --tokens=32 --verify
//
// The search is a C function (examples/external/experts.c). One that talks to a data base
// takes its place without a change here: a search that fails ends the call with
// MOE_ERR_EXPERT.
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>

!x = tensor<?x64xf32>
!routing = !moe.routing<2 x 2>

func.func private @retrieve(!x, tensor<200x64xf32>) -> !x
    attributes {moe.external = #moe.external<batch = 16>}

func.func @layer(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %wg: tensor<1x64xf32> {moe.name = "gate.weight"},
    %corpus: tensor<1x200x64xf32> {moe.name = "documents"},
    %gate: tensor<1x128x64xf32> {moe.name = "network.gate_proj"},
    %up: tensor<1x128x64xf32> {moe.name = "network.up_proj"},
    %down: tensor<1x64x128xf32> {moe.name = "network.down_proj"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x1xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x1xf32>) -> tensor<?x1xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wg : !x, tensor<1x64xf32>) outs(%f : tensor<?x1xf32>) -> tensor<?x1xf32>
  %p = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<?x1xf32>) outs(%e : tensor<?x1xf32>) {
  ^bb0(%v: f32, %o: f32):
    %n = arith.negf %v : f32
    %exp = math.exp %n : f32
    %d = arith.addf %exp, %one : f32
    %s = arith.divf %one, %d : f32
    linalg.yield %s : f32
  } -> tensor<?x1xf32>
  // Expert 0 for the tokens that ask, expert 1 for all.
  %asks = moe.router #moe.threshold<0.5, min_k = 0> select(%p) weigh(%p) : tensor<?x1xf32> -> !moe.routing<1 x 1>
  %r = moe.routing.append %asks : !moe.routing<1 x 1> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %out = moe.expert %rows by %r : (!x, !routing) -> !x
    experts 0 to 1 weights(%corpus : tensor<1x200x64xf32>) {
    ^bb0(%t: !x, %documents: tensor<200x64xf32>):
      %o = func.call @retrieve(%t, %documents) : (!x, tensor<200x64xf32>) -> !x
      moe.yield %o : !x
    } experts 1 to 2 weights(%gate, %up, %down : tensor<1x128x64xf32>, tensor<1x128x64xf32>, tensor<1x64x128xf32>) {
    ^bb0(%t: !x, %g: tensor<128x64xf32>, %u: tensor<128x64xf32>, %d: tensor<64x128xf32>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (!x, tensor<128x64xf32>, tensor<128x64xf32>, tensor<64x128xf32>) -> !x
      moe.yield %o : !x
    }
  %res = moe.combine %out by %r : !x, !routing -> !x
  return %res : !x
}
