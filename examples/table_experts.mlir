// Experts that are functions on a small table (TabMoE, doi 10.3390/math12193031): a
// router reads a question and chooses one of them, which counts, adds up, averages,
// compares or looks up. All in integers: what a table holds comes out as it is.
//
//   moe-run examples/table_experts.mlir --random=1 --tokens=8 --verify
//
// A row of `table` is all that the experts see of a token: 16 rows by 4 columns of
// numbers, a mask of the 16 rows (0 or 1), two columns of a question, a and b, and a
// key. The result is a numerator and a denominator, 1 but of an average:
//
//   expert     value
//   0 count    the rows of the mask
//   1 sum      of column a in them
//   2 mean     the same by their number; 0 by 0 without rows
//   3 less     1 if the sum of column a is less than that of column b, else 0
//   4 lookup   column a of the first row of the mask whose column 0 is the key, or -1

#te = affine_map<(t, n) -> (t, n)>
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#one = affine_map<(t, r) -> (t)>

!table = tensor<?x83xi64>
!result = tensor<?x2xi64>
!routing = !moe.routing<5 x 1>

// Sums of column `%which` (80: a, 81: b) in the rows of the mask, one a token.
func.func private @sum_of_column(%table: !table, %which: index) -> tensor<?xi64> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i64
  %n = tensor.dim %table, %c0 : !table
  %mask = tensor.extract_slice %table[0, 64] [%n, 16] [1, 1] : !table to tensor<?x16xi64>
  %empty = tensor.empty(%n) : tensor<?xi64>
  %start = linalg.fill ins(%zero : i64) outs(%empty : tensor<?xi64>) -> tensor<?xi64>
  %sum = linalg.generic {indexing_maps = [#te, #one], iterator_types = ["parallel", "reduction"]}
      ins(%mask : tensor<?x16xi64>) outs(%start : tensor<?xi64>) {
  ^bb0(%m: i64, %so_far: i64):
    %t = linalg.index 0 : index
    %r = linalg.index 1 : index
    %first = arith.constant 0 : i64
    %last = arith.constant 3 : i64
    %columns = arith.constant 4 : index
    %asked = tensor.extract %table[%t, %which] : !table
    %least = arith.maxsi %asked, %first : i64
    %column = arith.minsi %least, %last : i64
    %c = arith.index_cast %column : i64 to index
    %begin = arith.muli %r, %columns : index
    %at = arith.addi %begin, %c : index
    %v = tensor.extract %table[%t, %at] : !table
    %p = arith.muli %m, %v : i64
    %next = arith.addi %so_far, %p : i64
    linalg.yield %next : i64
  } -> tensor<?xi64>
  return %sum : tensor<?xi64>
}

// How many rows the mask has.
func.func private @count(%table: !table) -> tensor<?xi64> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i64
  %n = tensor.dim %table, %c0 : !table
  %mask = tensor.extract_slice %table[0, 64] [%n, 16] [1, 1] : !table to tensor<?x16xi64>
  %empty = tensor.empty(%n) : tensor<?xi64>
  %start = linalg.fill ins(%zero : i64) outs(%empty : tensor<?xi64>) -> tensor<?xi64>
  %sum = linalg.generic {indexing_maps = [#te, #one], iterator_types = ["parallel", "reduction"]}
      ins(%mask : tensor<?x16xi64>) outs(%start : tensor<?xi64>) {
  ^bb0(%m: i64, %so_far: i64):
    %next = arith.addi %so_far, %m : i64
    linalg.yield %next : i64
  } -> tensor<?xi64>
  return %sum : tensor<?xi64>
}

// Numerator and denominator of each row.
func.func private @pair(%numerator: tensor<?xi64>, %denominator: tensor<?xi64>) -> !result {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %numerator, %c0 : tensor<?xi64>
  %empty = tensor.empty(%n) : !result
  %both = linalg.generic {indexing_maps = [#one, #one, #te], iterator_types = ["parallel", "parallel"]}
      ins(%numerator, %denominator : tensor<?xi64>, tensor<?xi64>) outs(%empty : !result) {
  ^bb0(%a: i64, %b: i64, %o: i64):
    %j = linalg.index 1 : index
    %first = arith.constant 0 : index
    %is = arith.cmpi eq, %j, %first : index
    %v = arith.select %is, %a, %b : i64
    linalg.yield %v : i64
  } -> !result
  return %both : !result
}

func.func private @ones(%like: tensor<?xi64>) -> tensor<?xi64> {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : i64
  %n = tensor.dim %like, %c0 : tensor<?xi64>
  %empty = tensor.empty(%n) : tensor<?xi64>
  %ones = linalg.fill ins(%one : i64) outs(%empty : tensor<?xi64>) -> tensor<?xi64>
  return %ones : tensor<?xi64>
}

func.func @answer(
    %question: tensor<?x32xf32> {moe.name = "question", moe.dims = ["T"]},
    %table: !table {moe.name = "table", moe.dims = ["T"]},
    %wr: tensor<5x32xf32> {moe.name = "router.weight"})
    -> (!result {moe.name = "value", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %question, %c0 : tensor<?x32xf32>
  %e = tensor.empty(%T) : tensor<?x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  %logits = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%question, %wr : tensor<?x32xf32>, tensor<5x32xf32>) outs(%f : tensor<?x5xf32>) -> tensor<?x5xf32>
  %r = moe.router #moe.top_k<1> select(%logits) weigh(%logits) : tensor<?x5xf32> -> !routing

  %rows = moe.dispatch %table by %r : !table, !routing -> !table
  %out = moe.expert %rows by %r : (!table, !routing) -> !result
    experts 0 to 1 {
    ^bb0(%t: !table):
      %n = func.call @count(%t) : (!table) -> tensor<?xi64>
      %d = func.call @ones(%n) : (tensor<?xi64>) -> tensor<?xi64>
      %v = func.call @pair(%n, %d) : (tensor<?xi64>, tensor<?xi64>) -> !result
      moe.yield %v : !result
    } experts 1 to 2 {
    ^bb0(%t: !table):
      %a = arith.constant 80 : index
      %s = func.call @sum_of_column(%t, %a) : (!table, index) -> tensor<?xi64>
      %d = func.call @ones(%s) : (tensor<?xi64>) -> tensor<?xi64>
      %v = func.call @pair(%s, %d) : (tensor<?xi64>, tensor<?xi64>) -> !result
      moe.yield %v : !result
    } experts 2 to 3 {
    ^bb0(%t: !table):
      %a = arith.constant 80 : index
      %s = func.call @sum_of_column(%t, %a) : (!table, index) -> tensor<?xi64>
      %n = func.call @count(%t) : (!table) -> tensor<?xi64>
      %v = func.call @pair(%s, %n) : (tensor<?xi64>, tensor<?xi64>) -> !result
      moe.yield %v : !result
    } experts 3 to 4 {
    ^bb0(%t: !table):
      %a = arith.constant 80 : index
      %b = arith.constant 81 : index
      %i = arith.constant 0 : index
      %s = func.call @sum_of_column(%t, %a) : (!table, index) -> tensor<?xi64>
      %u = func.call @sum_of_column(%t, %b) : (!table, index) -> tensor<?xi64>
      %n = tensor.dim %s, %i : tensor<?xi64>
      %empty = tensor.empty(%n) : tensor<?xi64>
      %less = linalg.generic {indexing_maps = [affine_map<(t) -> (t)>, affine_map<(t) -> (t)>, affine_map<(t) -> (t)>],
                              iterator_types = ["parallel"]}
          ins(%s, %u : tensor<?xi64>, tensor<?xi64>) outs(%empty : tensor<?xi64>) {
      ^bb1(%p: i64, %q: i64, %o: i64):
        %is = arith.cmpi slt, %p, %q : i64
        %wide = arith.extui %is : i1 to i64
        linalg.yield %wide : i64
      } -> tensor<?xi64>
      %d = func.call @ones(%less) : (tensor<?xi64>) -> tensor<?xi64>
      %v = func.call @pair(%less, %d) : (tensor<?xi64>, tensor<?xi64>) -> !result
      moe.yield %v : !result
    } experts 4 to 5 {
    ^bb0(%t: !table):
      %i = arith.constant 0 : index
      %none = arith.constant 16 : i64
      %n = tensor.dim %t, %i : !table
      %empty = tensor.empty(%n) : tensor<?xi64>
      %start = linalg.fill ins(%none : i64) outs(%empty : tensor<?xi64>) -> tensor<?xi64>
      %mask = tensor.extract_slice %t[0, 64] [%n, 16] [1, 1] : !table to tensor<?x16xi64>
      // The first row with the key: 16 if there is none.
      %first = linalg.generic {indexing_maps = [#te, #one], iterator_types = ["parallel", "reduction"]}
          ins(%mask : tensor<?x16xi64>) outs(%start : tensor<?xi64>) {
      ^bb1(%m: i64, %least: i64):
        %row = linalg.index 0 : index
        %r1 = linalg.index 1 : index
        %columns = arith.constant 4 : index
        %key = arith.constant 82 : index
        %nil = arith.constant 0 : i64
        %rows16 = arith.constant 16 : i64
        %begin = arith.muli %r1, %columns : index
        %have = tensor.extract %t[%row, %begin] : !table
        %want = tensor.extract %t[%row, %key] : !table
        %equal = arith.cmpi eq, %have, %want : i64
        %in = arith.cmpi ne, %m, %nil : i64
        %found = arith.andi %equal, %in : i1
        %place = arith.index_cast %r1 : index to i64
        %own = arith.select %found, %place, %rows16 : i64
        %next = arith.minsi %least, %own : i64
        linalg.yield %next : i64
      } -> tensor<?xi64>
      %value = linalg.generic {indexing_maps = [affine_map<(t) -> (t)>, affine_map<(t) -> (t)>], iterator_types = ["parallel"]}
          ins(%first : tensor<?xi64>) outs(%empty : tensor<?xi64>) {
      ^bb1(%place: i64, %o: i64):
        %row = linalg.index 0 : index
        %last = arith.constant 15 : i64
        %nil = arith.constant 0 : i64
        %three = arith.constant 3 : i64
        %missing = arith.constant -1 : i64
        %columns = arith.constant 4 : index
        %asks = arith.constant 80 : index
        %known = arith.minsi %place, %last : i64
        %r1 = arith.index_cast %known : i64 to index
        %asked = tensor.extract %t[%row, %asks] : !table
        %least = arith.maxsi %asked, %nil : i64
        %column = arith.minsi %least, %three : i64
        %c = arith.index_cast %column : i64 to index
        %begin = arith.muli %r1, %columns : index
        %at = arith.addi %begin, %c : index
        %v = tensor.extract %t[%row, %at] : !table
        %is = arith.cmpi eq, %known, %place : i64
        %result = arith.select %is, %v, %missing : i64
        linalg.yield %result : i64
      } -> tensor<?xi64>
      %d = func.call @ones(%value) : (tensor<?xi64>) -> tensor<?xi64>
      %v = func.call @pair(%value, %d) : (tensor<?xi64>, tensor<?xi64>) -> !result
      moe.yield %v : !result
    }
  %value = moe.combine %out by %r unweighted : !result, !routing -> !result
  return %value : !result
}
