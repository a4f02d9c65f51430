// A layer that watches its router: beside y it returns the load of its experts,
// the losses a trainer adds, the correction bias of the next step, and whether
// the router has collapsed. DeepSeek-V3's router, with small sizes.
//
//   moe-run examples/balanced_layer.mlir --random=1 --tokens=512 --verify

!routing = !moe.routing<32 x 4>

func.func @layer(
    %x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<32x64xf32> {moe.name = "router.weight"},
    %bias: tensor<32xf32> {moe.name = "router.correction_bias"},
    %wg: tensor<32x48x64xf32> {moe.name = "experts.gate_proj"},
    %wu: tensor<32x48x64xf32> {moe.name = "experts.up_proj"},
    %wd: tensor<32x64x48xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<32xi32> {moe.name = "load"},
        tensor<f32> {moe.name = "sequence_loss"},
        tensor<f32> {moe.name = "z_loss"},
        tensor<32xf32> {moe.name = "next_bias"},
        tensor<f32> {moe.name = "effective_experts"},
        tensor<i32> {moe.name = "collapse"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %logits = linalg.matmul
      indexing_maps = [affine_map<(t, n, k) -> (t, k)>, affine_map<(t, n, k) -> (n, k)>, affine_map<(t, n, k) -> (t, n)>]
      ins(%x, %wr : tensor<?x64xf32>, tensor<32x64xf32>) outs(%f : tensor<?x32xf32>) -> tensor<?x32xf32>
  %scores = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (t, n)>],
                            iterator_types = ["parallel", "parallel"]}
      ins(%logits : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%z: f32, %o: f32):
    %n = arith.negf %z : f32
    %p = math.exp %n : f32
    %d = arith.addf %p, %one : f32
    %s = arith.divf %one, %d : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  %biased = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (n)>, affine_map<(t, n) -> (t, n)>],
                            iterator_types = ["parallel", "parallel"]}
      ins(%scores, %bias : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%s: f32, %b: f32, %o: f32):
    %sum = arith.addf %s, %b : f32
    linalg.yield %sum : f32
  } -> tensor<?x32xf32>
  %r = moe.router #moe.top_k<4> select(%biased) weigh(%scores)
      weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x32xf32> -> !routing

  %load, %sequence, %z, %next, %effective, %collapse = moe.balance %r
      [#moe.expert_counts, #moe.sequence_loss<length = 128>, #moe.z_loss,
       #moe.bias_update, #moe.effective_experts, #moe.collapse<assignments = 50>]
      scores(%scores : tensor<?x32xf32>) logits(%logits : tensor<?x32xf32>)
      bias(%bias : tensor<32xf32>)
      : !routing -> tensor<32xi32>, tensor<f32>, tensor<f32>, tensor<32xf32>, tensor<f32>, tensor<i32>

  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !routing -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !routing) -> tensor<?x64xf32>
  experts 0 to 32 weights(%wg, %wu, %wd : tensor<32x48x64xf32>, tensor<32x48x64xf32>, tensor<32x64x48xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<48x64xf32>, %u: tensor<48x64xf32>, %d: tensor<64x48xf32>):
    %h = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
        : (tensor<?x64xf32>, tensor<48x64xf32>, tensor<48x64xf32>, tensor<64x48xf32>) -> tensor<?x64xf32>
    moe.yield %h : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !routing -> tensor<?x64xf32>
  return %y, %load, %sequence, %z, %next, %effective, %collapse
      : tensor<?x64xf32>, tensor<32xi32>, tensor<f32>, tensor<f32>, tensor<32xf32>, tensor<f32>, tensor<i32>
}
