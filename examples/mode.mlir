// A mixture of document experts (MODE, arXiv 2509.00100): an expert is a cluster of
// documents. A query is compared with the centroids of all clusters, and searched for
// in those of the nearest two: exactly, by the cosine.
//
// moe-cluster makes the inputs of embeddings, see docs/retrieval.md. The largest
// clusters come first; there are two ranges, with 48 and with 16 rows a cluster:
//
//   centroids   [6, 32]      of every cluster
//   range.0.*   clusters 0 and 1:   chunks [2, 48, 32], ids [2, 48]
//   range.1.*   clusters 2 to 5:    chunks [4, 16, 32], ids [4, 16]
//
// An id is the row of a chunk in the file of embeddings, or -1 in rows that a cluster
// does not fill. Results are the best four that the two experts found, the best first
// and equal ones by id; -1 and -inf where there are fewer.

#tj = affine_map<(t, j) -> (t, j)>
#t = affine_map<(t, j) -> (t)>

!x = tensor<?x32xf32>
!routing = !moe.routing<6 x 2>
!slots = tensor<?x16xi32>
!four = tensor<?x8xi32>
!column = tensor<?xi32>

// The best four of each row's candidates: four ids, then the bits of four scores. A
// candidate is put where it belongs among the best so far; the order is that of the
// results, and a score that is not a number belongs nowhere.
func.func private @best_four(%scores: tensor<?x?xf32>, %ids: tensor<?x?xi32>) -> !four {
  %c0 = arith.constant 0 : index
  %none = arith.constant -1 : i32
  %least = arith.constant 0xFF800000 : f32
  %least_bits = arith.bitcast %least : f32 to i32
  %n = tensor.dim %scores, %c0 : tensor<?x?xf32>
  %e = tensor.empty(%n) : !column
  %i = linalg.fill ins(%none : i32) outs(%e : !column) -> !column
  %s = linalg.fill ins(%least_bits : i32) outs(%e : !column) -> !column
  %f:8 = linalg.generic {indexing_maps = [#tj, #tj, #t, #t, #t, #t, #t, #t, #t, #t],
                         iterator_types = ["parallel", "reduction"]}
      ins(%scores, %ids : tensor<?x?xf32>, tensor<?x?xi32>)
      outs(%i, %i, %i, %i, %s, %s, %s, %s
           : !column, !column, !column, !column, !column, !column, !column, !column) {
  ^bb0(%score: f32, %id0: i32, %i0: i32, %i1: i32, %i2: i32, %i3: i32, %b0: i32, %b1: i32, %b2: i32, %b3: i32):
    // Rows that a cluster does not fill.
    %first = arith.constant 0 : i32
    %minimum = arith.constant 0xFF800000 : f32
    %is = arith.cmpi sge, %id0, %first : i32
    %s0 = arith.select %is, %score, %minimum : f32
    %a0 = arith.bitcast %b0 : i32 to f32
    %better0 = arith.cmpf ogt, %s0, %a0 : f32
    %equal0 = arith.cmpf oeq, %s0, %a0 : f32
    %lower0 = arith.cmpi ult, %id0, %i0 : i32
    %tie0 = arith.andi %equal0, %lower0 : i1
    %in0 = arith.ori %better0, %tie0 : i1
    %ni0 = arith.select %in0, %id0, %i0 : i32
    %ns0 = arith.select %in0, %s0, %a0 : f32
    %nb0 = arith.bitcast %ns0 : f32 to i32
    %id1 = arith.select %in0, %i0, %id0 : i32
    %s1 = arith.select %in0, %a0, %s0 : f32
    %a1 = arith.bitcast %b1 : i32 to f32
    %better1 = arith.cmpf ogt, %s1, %a1 : f32
    %equal1 = arith.cmpf oeq, %s1, %a1 : f32
    %lower1 = arith.cmpi ult, %id1, %i1 : i32
    %tie1 = arith.andi %equal1, %lower1 : i1
    %in1 = arith.ori %better1, %tie1 : i1
    %ni1 = arith.select %in1, %id1, %i1 : i32
    %ns1 = arith.select %in1, %s1, %a1 : f32
    %nb1 = arith.bitcast %ns1 : f32 to i32
    %id2 = arith.select %in1, %i1, %id1 : i32
    %s2 = arith.select %in1, %a1, %s1 : f32
    %a2 = arith.bitcast %b2 : i32 to f32
    %better2 = arith.cmpf ogt, %s2, %a2 : f32
    %equal2 = arith.cmpf oeq, %s2, %a2 : f32
    %lower2 = arith.cmpi ult, %id2, %i2 : i32
    %tie2 = arith.andi %equal2, %lower2 : i1
    %in2 = arith.ori %better2, %tie2 : i1
    %ni2 = arith.select %in2, %id2, %i2 : i32
    %ns2 = arith.select %in2, %s2, %a2 : f32
    %nb2 = arith.bitcast %ns2 : f32 to i32
    %id3 = arith.select %in2, %i2, %id2 : i32
    %s3 = arith.select %in2, %a2, %s2 : f32
    %a3 = arith.bitcast %b3 : i32 to f32
    %better3 = arith.cmpf ogt, %s3, %a3 : f32
    %equal3 = arith.cmpf oeq, %s3, %a3 : f32
    %lower3 = arith.cmpi ult, %id3, %i3 : i32
    %tie3 = arith.andi %equal3, %lower3 : i1
    %in3 = arith.ori %better3, %tie3 : i1
    %ni3 = arith.select %in3, %id3, %i3 : i32
    %ns3 = arith.select %in3, %s3, %a3 : f32
    %nb3 = arith.bitcast %ns3 : f32 to i32
    linalg.yield %ni0, %ni1, %ni2, %ni3, %nb0, %nb1, %nb2, %nb3 : i32, i32, i32, i32, i32, i32, i32, i32
  } -> (!column, !column, !column, !column, !column, !column, !column, !column)
  %r = tensor.empty(%n) : !four
  %r0 = tensor.insert_slice %f#0 into %r[0, 0] [%n, 1] [1, 1] : !column into !four
  %r1 = tensor.insert_slice %f#1 into %r0[0, 1] [%n, 1] [1, 1] : !column into !four
  %r2 = tensor.insert_slice %f#2 into %r1[0, 2] [%n, 1] [1, 1] : !column into !four
  %r3 = tensor.insert_slice %f#3 into %r2[0, 3] [%n, 1] [1, 1] : !column into !four
  %r4 = tensor.insert_slice %f#4 into %r3[0, 4] [%n, 1] [1, 1] : !column into !four
  %r5 = tensor.insert_slice %f#5 into %r4[0, 5] [%n, 1] [1, 1] : !column into !four
  %r6 = tensor.insert_slice %f#6 into %r5[0, 6] [%n, 1] [1, 1] : !column into !four
  %r7 = tensor.insert_slice %f#7 into %r6[0, 7] [%n, 1] [1, 1] : !column into !four
  return %r7 : !four
}

// An expert's result: ids of slot 0 and of slot 1, then the bits of their scores. What is
// not of the expert's own slot is 0, so that the sum over the experts of a token has all.
func.func private @place(%four: !four, %chosen: tensor<?x2xi32>, %number: tensor<1xi32>) -> !slots {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %four, %c0 : !four
  %own = tensor.extract %number[%c0] : tensor<1xi32>
  %e = tensor.empty(%n) : !slots
  %placed = linalg.generic {indexing_maps = [#tj], iterator_types = ["parallel", "parallel"]} outs(%e : !slots) {
  ^bb0(%o: i32):
    %t = linalg.index 0 : index
    %j = linalg.index 1 : index
    %two = arith.constant 2 : index
    %width = arith.constant 4 : index
    %zero = arith.constant 0 : i32
    %rank = arith.remui %j, %width : index
    %quarter = arith.divui %j, %width : index
    %slot = arith.remui %quarter, %two : index
    %kind = arith.divui %quarter, %two : index
    %begin = arith.muli %kind, %width : index
    %at = arith.addi %begin, %rank : index
    %whose = tensor.extract %chosen[%t, %slot] : tensor<?x2xi32>
    %is = arith.cmpi eq, %whose, %own : i32
    %value = tensor.extract %four[%t, %at] : !four
    %v = arith.select %is, %value, %zero : i32
    linalg.yield %v : i32
  } -> !slots
  return %placed : !slots
}

func.func @search(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %centroids: tensor<6x32xf32> {moe.name = "centroids"},
    %large: tensor<2x48x32xf32> {moe.name = "range.0.chunks"},
    %large_ids: tensor<2x48xi32> {moe.name = "range.0.ids"},
    %small: tensor<4x16x32xf32> {moe.name = "range.1.chunks"},
    %small_ids: tensor<4x16xi32> {moe.name = "range.1.ids"})
    -> (tensor<?x4xi32> {moe.name = "ids", moe.dims = ["T"]},
        tensor<?x4xf32> {moe.name = "scores", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : !x
  %s = moe.similarity %x, %centroids metric(cosine) : !x, tensor<6x32xf32> -> tensor<?x6xf32>
  %r = moe.router #moe.nearest_centroid<2> select(%s) : tensor<?x6xf32> -> !routing
  %chosen = moe.routing.indices %r : !routing -> tensor<?x2xi32>

  // A query comes to an expert with the numbers of both of its clusters, by which the
  // expert knows whether it is the first or the second.
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %clusters = moe.dispatch %chosen by %r : tensor<?x2xi32>, !routing -> tensor<?x2xi32>
  %large_numbers = arith.constant dense<[[0], [1]]> : tensor<2x1xi32>
  %small_numbers = arith.constant dense<[[2], [3], [4], [5]]> : tensor<4x1xi32>
  %out = moe.expert %rows by %r with(%clusters : tensor<?x2xi32>) : (!x, !routing) -> !slots
    experts 0 to 2 weights(%large, %large_ids, %large_numbers
        : tensor<2x48x32xf32>, tensor<2x48xi32>, tensor<2x1xi32>) {
    ^bb0(%t: !x, %chunks: tensor<48x32xf32>, %ids: tensor<48xi32>, %number: tensor<1xi32>, %both: tensor<?x2xi32>):
      %i = arith.constant 0 : index
      %n = tensor.dim %t, %i : !x
      %cosines = moe.similarity %t, %chunks metric(cosine) : !x, tensor<48x32xf32> -> tensor<?x48xf32>
      %e = tensor.empty(%n) : tensor<?x48xi32>
      %every = linalg.broadcast ins(%ids : tensor<48xi32>) outs(%e : tensor<?x48xi32>) dimensions = [0]
      %scores = tensor.cast %cosines : tensor<?x48xf32> to tensor<?x?xf32>
      %candidates = tensor.cast %every : tensor<?x48xi32> to tensor<?x?xi32>
      %four = func.call @best_four(%scores, %candidates) : (tensor<?x?xf32>, tensor<?x?xi32>) -> !four
      %v = func.call @place(%four, %both, %number) : (!four, tensor<?x2xi32>, tensor<1xi32>) -> !slots
      moe.yield %v : !slots
    } experts 2 to 6 weights(%small, %small_ids, %small_numbers
        : tensor<4x16x32xf32>, tensor<4x16xi32>, tensor<4x1xi32>) {
    ^bb0(%t: !x, %chunks: tensor<16x32xf32>, %ids: tensor<16xi32>, %number: tensor<1xi32>, %both: tensor<?x2xi32>):
      %i = arith.constant 0 : index
      %n = tensor.dim %t, %i : !x
      %cosines = moe.similarity %t, %chunks metric(cosine) : !x, tensor<16x32xf32> -> tensor<?x16xf32>
      %e = tensor.empty(%n) : tensor<?x16xi32>
      %every = linalg.broadcast ins(%ids : tensor<16xi32>) outs(%e : tensor<?x16xi32>) dimensions = [0]
      %scores = tensor.cast %cosines : tensor<?x16xf32> to tensor<?x?xf32>
      %candidates = tensor.cast %every : tensor<?x16xi32> to tensor<?x?xi32>
      %four = func.call @best_four(%scores, %candidates) : (tensor<?x?xf32>, tensor<?x?xi32>) -> !four
      %v = func.call @place(%four, %both, %number) : (!four, tensor<?x2xi32>, tensor<1xi32>) -> !slots
      moe.yield %v : !slots
    }
  %found = moe.combine %out by %r unweighted : !slots, !routing -> !slots

  // The best of both.
  %ids = tensor.extract_slice %found[0, 0] [%T, 8] [1, 1] : !slots to tensor<?x8xi32>
  %bits = tensor.extract_slice %found[0, 8] [%T, 8] [1, 1] : !slots to tensor<?x8xi32>
  %se = tensor.empty(%T) : tensor<?x8xf32>
  %scores = linalg.generic {indexing_maps = [#tj, #tj], iterator_types = ["parallel", "parallel"]}
      ins(%bits : tensor<?x8xi32>) outs(%se : tensor<?x8xf32>) {
  ^bb0(%b: i32, %o: f32):
    %score = arith.bitcast %b : i32 to f32
    linalg.yield %score : f32
  } -> tensor<?x8xf32>
  %any_scores = tensor.cast %scores : tensor<?x8xf32> to tensor<?x?xf32>
  %any_ids = tensor.cast %ids : tensor<?x8xi32> to tensor<?x?xi32>
  %best = func.call @best_four(%any_scores, %any_ids) : (tensor<?x?xf32>, tensor<?x?xi32>) -> !four
  %best_ids = tensor.extract_slice %best[0, 0] [%T, 4] [1, 1] : !four to tensor<?x4xi32>
  %best_bits = tensor.extract_slice %best[0, 4] [%T, 4] [1, 1] : !four to tensor<?x4xi32>
  %be = tensor.empty(%T) : tensor<?x4xf32>
  %best_scores = linalg.generic {indexing_maps = [#tj, #tj], iterator_types = ["parallel", "parallel"]}
      ins(%best_bits : tensor<?x4xi32>) outs(%be : tensor<?x4xf32>) {
  ^bb0(%b: i32, %o: f32):
    %score = arith.bitcast %b : i32 to f32
    linalg.yield %score : f32
  } -> tensor<?x4xf32>
  return %best_ids, %best_scores : tensor<?x4xi32>, tensor<?x4xf32>
}
