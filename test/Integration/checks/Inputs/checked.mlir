// y = 2 x, and then, too late for a cautious author, all kinds of checks.
func.func @checked(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
                   %ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0 : i32
  %ten = arith.constant 10 : i32
  %true = arith.constant true
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %y = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]}
    ins(%x : tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>

  // One bit of all ids.
  %i0 = tensor.empty() : tensor<i1>
  %i1 = linalg.fill ins(%true : i1) outs(%i0 : tensor<i1>) -> tensor<i1>
  %all = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>],
    iterator_types = ["reduction"]}
    ins(%ids : tensor<?xi32>) outs(%i1 : tensor<i1>) {
  ^bb0(%a: i32, %b: i1):
    %in = arith.cmpi ult, %a, %ten : i32
    %both = arith.andi %in, %b : i1
    linalg.yield %both : i1
  } -> tensor<i1>
  %ok = tensor.extract %all[] : tensor<i1>
  moe_rt.check %ok, bad_value, "argument 'ids' holds an id outside of [0, 10)"

  // One id after the other.
  scf.for %i = %c0 to %n step %c1 {
    %id = tensor.extract %ids[%i] : tensor<?xi32>
    %three = arith.constant 3 : i32
    %fine = arith.cmpi ne, %id, %three : i32
    moe_rt.check %fine, bad_routing, "an id is 3"
  }
  return %y : tensor<?x4xf32>
}
