// A DynMoE layer (arXiv 2405.14297): every token goes to all experts that are
// similar enough to it, by a threshold of each expert's own, and so to as many
// experts as it needs. Ordinary IR computes scores and thresholds; the router
// compares them.
//
//   moe-compile examples/dynmoe_layer.mlir -o /tmp/dynmoe
//   moe-run /tmp/dynmoe.json --random=1 --tokens=16 --verify
//
// Names are those of the paper's parameters: `router.sim_matrix` the embedding of
// each expert (one row an expert here), `router.gates` G, `router.temperature`
// the logarithm of the logit scale, `router.active` 1 or 0 for each expert (the
// training adds and removes experts). Small sizes: H = 256, 16 experts of 512.

// [T, K] x [N, K] -> [T, N]
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
// Rows and what is one value a row or a column.
#te = affine_map<(t, e) -> (t, e)>
#t = affine_map<(t, e) -> (t)>
#e = affine_map<(t, e) -> (e)>
#i = affine_map<(i) -> (i)>

func.func @dynmoe(
    %x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]},
    %sim: tensor<16x256xf32> {moe.name = "router.sim_matrix"},
    %gates: tensor<16xf32> {moe.name = "router.gates"},
    %temperature: tensor<1xf32> {moe.name = "router.temperature"},
    %active: tensor<16xf32> {moe.name = "router.active"},
    %wg: tensor<16x512x256xf32> {moe.name = "experts.gate_proj"},
    %wu: tensor<16x512x256xf32> {moe.name = "experts.up_proj"},
    %wd: tensor<16x256x512xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>

  // The lengths of the tokens and of the experts' embeddings, at least 1e-12.
  %t0 = tensor.empty(%T) : tensor<?xf32>
  %t1 = linalg.fill ins(%zero : f32) outs(%t0 : tensor<?xf32>) -> tensor<?xf32>
  %x_square = linalg.generic
      {indexing_maps = [#te, #t], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x256xf32>) outs(%t1 : tensor<?xf32>) {
    ^bb0(%v: f32, %acc: f32):
      %sq = arith.mulf %v, %v : f32
      %sum = arith.addf %acc, %sq : f32
      linalg.yield %sum : f32
  } -> tensor<?xf32>
  %x_length = linalg.generic
      {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%x_square : tensor<?xf32>) outs(%t0 : tensor<?xf32>) {
    ^bb0(%v: f32, %out: f32):
      %least = arith.constant 1.0e-12 : f32
      %root = math.sqrt %v : f32
      %length = arith.maximumf %root, %least : f32
      linalg.yield %length : f32
  } -> tensor<?xf32>
  %e0 = tensor.empty() : tensor<16xf32>
  %e1 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<16xf32>) -> tensor<16xf32>
  %sim_square = linalg.generic
      {indexing_maps = [#te, #t], iterator_types = ["parallel", "reduction"]}
      ins(%sim : tensor<16x256xf32>) outs(%e1 : tensor<16xf32>) {
    ^bb0(%v: f32, %acc: f32):
      %sq = arith.mulf %v, %v : f32
      %sum = arith.addf %acc, %sq : f32
      linalg.yield %sum : f32
  } -> tensor<16xf32>

  // The logit scale, exp(min(temperature, ln 100)), over each expert's length,
  // and the thresholds sigmoid(scale * G).
  %tau = tensor.extract %temperature[%c0] : tensor<1xf32>
  %most = arith.constant 4.6051702 : f32
  %clamped = arith.minimumf %tau, %most : f32
  %scale = math.exp %clamped : f32
  %factor = linalg.generic
      {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%sim_square : tensor<16xf32>) outs(%e0 : tensor<16xf32>) {
    ^bb0(%v: f32, %out: f32):
      %least = arith.constant 1.0e-12 : f32
      %root = math.sqrt %v : f32
      %length = arith.maximumf %root, %least : f32
      %f = arith.divf %scale, %length : f32
      linalg.yield %f : f32
  } -> tensor<16xf32>
  %thresholds = linalg.generic
      {indexing_maps = [#i, #i], iterator_types = ["parallel"]}
      ins(%gates : tensor<16xf32>) outs(%e0 : tensor<16xf32>) {
    ^bb0(%g: f32, %out: f32):
      %one = arith.constant 1.0 : f32
      %scaled = arith.mulf %scale, %g : f32
      %negative = arith.negf %scaled : f32
      %exp = math.exp %negative : f32
      %denominator = arith.addf %exp, %one : f32
      %sigmoid = arith.divf %one, %denominator : f32
      linalg.yield %sigmoid : f32
  } -> tensor<16xf32>

  // sigmoid(scale * cosine), 0 for inactive experts.
  %z0 = tensor.empty(%T) : tensor<?x16xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%z0 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %dots = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %sim : tensor<?x256xf32>, tensor<16x256xf32>)
      outs(%z1 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %scores = linalg.generic
      {indexing_maps = [#te, #t, #e, #e, #te], iterator_types = ["parallel", "parallel"]}
      ins(%dots, %x_length, %factor, %active
          : tensor<?x16xf32>, tensor<?xf32>, tensor<16xf32>, tensor<16xf32>)
      outs(%z0 : tensor<?x16xf32>) {
    ^bb0(%dot: f32, %length: f32, %f: f32, %a: f32, %out: f32):
      %one = arith.constant 1.0 : f32
      %quotient = arith.divf %dot, %length : f32
      %logit = arith.mulf %quotient, %f : f32
      %negative = arith.negf %logit : f32
      %exp = math.exp %negative : f32
      %denominator = arith.addf %exp, %one : f32
      %sigmoid = arith.divf %one, %denominator : f32
      %score = arith.mulf %sigmoid, %a : f32
      linalg.yield %score : f32
  } -> tensor<?x16xf32>

  // A token that no expert is similar enough to goes to the most similar one.
  // (In training it goes nowhere: min_k = 0.)
  %r = moe.router #moe.top_any<min_k = 1> select(%scores)
      using(%thresholds : tensor<16xf32>)
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
