// Experts of which a predictor says, for each token, which of their neurons will be active,
// as PowerInfer has it (arXiv 2312.12456): a product with two matrices of low rank, two
// weights of an expert like any other. A neuron that is not predicted is 0, as one is whose
// gate is below 0.
//
//   moe-opt examples/predicted_neurons.mlir \
//     --moe-skip-zero-activations="finite-weights=true max-density=0.5" -o predicted.mlir
//   moe-run predicted.mlir --random=1 --tokens=4 --verify
//
// That the rows of the last product have zeros follows from the body. The pass says so on
// the product, which then reads only the weights of neurons that are not 0.
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#each = affine_map<(t, n) -> (t, n)>

!x = tensor<?x256xf32>
!ranks = tensor<?x32xf32>
!neurons = tensor<?x1024xf32>
!routing = !moe.routing<8 x 2>

func.func @layer(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x256xf32> {moe.name = "router.weight"},
    %in: tensor<8x32x256xf32> {moe.name = "predictor.in"},
    %out: tensor<8x1024x32xf32> {moe.name = "predictor.out"},
    %gate: tensor<8x1024x256xf32> {moe.name = "experts.gate_proj"},
    %up: tensor<8x1024x256xf32> {moe.name = "experts.up_proj"},
    %down: tensor<8x256x1024xf32> {moe.name = "experts.down_proj"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wr : !x, tensor<8x256xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %sums = moe.expert %rows by %r : (!x, !routing) -> !x
    experts 0 to 8 weights(%in, %out, %gate, %up, %down : tensor<8x32x256xf32>, tensor<8x1024x32xf32>,
        tensor<8x1024x256xf32>, tensor<8x1024x256xf32>, tensor<8x256x1024xf32>) {
    ^bb0(%t: !x, %pi: tensor<32x256xf32>, %po: tensor<1024x32xf32>,
         %wg: tensor<1024x256xf32>, %wu: tensor<1024x256xf32>, %wd: tensor<256x1024xf32>):
      %n = tensor.dim %t, %c0 : !x
      %er = tensor.empty(%n) : !ranks
      %en = tensor.empty(%n) : !neurons
      %eo = tensor.empty(%n) : !x
      %fr = linalg.fill ins(%zero : f32) outs(%er : !ranks) -> !ranks
      %fn = linalg.fill ins(%zero : f32) outs(%en : !neurons) -> !neurons
      %fo = linalg.fill ins(%zero : f32) outs(%eo : !x) -> !x
      %low = linalg.matmul indexing_maps = [#x, #w, #y] ins(%t, %pi : !x, tensor<32x256xf32>) outs(%fr : !ranks) -> !ranks
      %p = linalg.matmul indexing_maps = [#x, #w, #y] ins(%low, %po : !ranks, tensor<1024x32xf32>) outs(%fn : !neurons) -> !neurons
      %g = linalg.matmul indexing_maps = [#x, #w, #y] ins(%t, %wg : !x, tensor<1024x256xf32>) outs(%fn : !neurons) -> !neurons
      %u = linalg.matmul indexing_maps = [#x, #w, #y] ins(%t, %wu : !x, tensor<1024x256xf32>) outs(%fn : !neurons) -> !neurons
      %h = linalg.generic {indexing_maps = [#each, #each, #each, #each], iterator_types = ["parallel", "parallel"]}
          ins(%p, %g, %u : !neurons, !neurons, !neurons) outs(%en : !neurons) {
      ^bb0(%score: f32, %gv: f32, %uv: f32, %o: f32):
        %limit = arith.constant 1.0 : f32
        %is = arith.cmpf ogt, %score, %limit : f32
        %relu = arith.maximumf %gv, %zero : f32
        %active = arith.mulf %relu, %uv : f32
        %kept = arith.select %is, %active, %zero : f32
        linalg.yield %kept : f32
      } -> !neurons
      %s = linalg.matmul indexing_maps = [#x, #w, #y] ins(%h, %wd : !neurons, tensor<256x1024xf32>) outs(%fo : !x) -> !x
      moe.yield %s : !x
    }
  %res = moe.combine %sums by %r : !x, !routing -> !x
  return %res : !x
}
