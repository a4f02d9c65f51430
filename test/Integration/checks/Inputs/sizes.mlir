// Functions whose operations promise something about sizes that the caller gives.
#v = affine_map<(i) -> (i)>
#m = affine_map<(i, j) -> (i, j)>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The result is as large as x, whatever it is called.
func.func @renamed(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["U"]}) {
  %y = arith.addf %x, %x : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

func.func @fixed(%x: tensor<4xf32> {moe.name = "x"})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["N"]}) {
  %s = arith.addf %x, %x : tensor<4xf32>
  %y = tensor.cast %s : tensor<4xf32> to tensor<?xf32>
  return %y : tensor<?xf32>
}

// A result of twice as many rows, and a cast to four.
func.func @twice(%x: tensor<?x2x4xf32> {moe.name = "x", moe.dims = ["B"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["N"]},
        tensor<4xf32> {moe.name = "first"}) {
  %s = arith.addf %x, %x : tensor<?x2x4xf32>
  %y = tensor.collapse_shape %s [[0, 1], [2]] : tensor<?x2x4xf32> into tensor<?x4xf32>
  %four = tensor.cast %y : tensor<?x4xf32> to tensor<4x4xf32>
  %f = tensor.extract_slice %four[3, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  return %y, %f : tensor<?x4xf32>, tensor<4xf32>
}

// Operands of one shape, and loops of one length.
func.func @sum(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
               %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]})
    -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
  %z = arith.addf %x, %y : tensor<?xf32>
  return %z : tensor<?xf32>
}

func.func @product(%a: tensor<?x?xf32> {moe.name = "a", moe.dims = ["M", "K"]},
                   %b: tensor<?x?xf32> {moe.name = "b", moe.dims = ["N", "L"]})
    -> (tensor<?x?xf32> {moe.name = "c", moe.dims = ["M", "N"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %n = tensor.dim %b, %c0 : tensor<?x?xf32>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %c = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>)
      outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %c : tensor<?x?xf32>
}

// A window of x as arguments say.
func.func @window(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                  %at: index {moe.name = "at"}, %n: index {moe.name = "n"})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["N"]}) {
  %w = tensor.extract_slice %x[%at] [%n] [2] : tensor<?xf32> to tensor<?xf32>
  %y = arith.addf %w, %w : tensor<?xf32>
  return %y : tensor<?xf32>
}

// y put into x, with an i64 for the place.
func.func @patch(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                 %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]},
                 %at: i64 {moe.name = "at"})
    -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %y, %c0 : tensor<?xf32>
  %i = arith.index_cast %at : i64 to index
  %z = tensor.insert_slice %y into %x[%i] [%n] [1] : tensor<?xf32> into tensor<?xf32>
  return %z : tensor<?xf32>
}

// Rows of one size into pairs.
func.func @pairs(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["N"]},
                 %b: index {moe.name = "b"})
    -> (tensor<?x2xf32> {moe.name = "y", moe.dims = ["B"]}) {
  %s = arith.addf %x, %x : tensor<?xf32>
  %y = tensor.expand_shape %s [[0, 1]] output_shape [%b, 2] : tensor<?xf32> into tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// Chunks of 4 of a sum: the last one is shorter, and none needs a check. What a
// branch does not do promises nothing.
func.func @chunks(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                  %n: index {moe.name = "n"})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %t = tensor.dim %x, %c0 : tensor<?xf32>
  %e = tensor.empty(%t) : tensor<?xf32>
  %y = scf.for %i = %c0 to %t step %c4 iter_args(%acc = %e) -> tensor<?xf32> {
    %size = affine.min affine_map<(i)[t] -> (4, t - i)>(%i)[%t]
    %w = tensor.extract_slice %x[%i] [%size] [1] : tensor<?xf32> to tensor<?xf32>
    %s = arith.addf %w, %w : tensor<?xf32>
    %next = tensor.insert_slice %s into %acc[%i] [%size] [1] : tensor<?xf32> into tensor<?xf32>
    scf.yield %next : tensor<?xf32>
  }
  %fits = arith.cmpi ult, %n, %t : index
  %z = scf.if %fits -> tensor<?xf32> {
    %w = tensor.extract_slice %x[%n] [1] [1] : tensor<?xf32> to tensor<1xf32>
    %p = tensor.insert_slice %w into %y[0] [1] [1] : tensor<1xf32> into tensor<?xf32>
    scf.yield %p : tensor<?xf32>
  } else {
    scf.yield %y : tensor<?xf32>
  }
  return %z : tensor<?xf32>
}

// What only the loop knows is checked there, and no result is written.
func.func @steps(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                 %n: index {moe.name = "n"})
    -> (tensor<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %t = tensor.dim %x, %c0 : tensor<?xf32>
  %e = tensor.empty(%t) : tensor<?xf32>
  %y = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %e) -> tensor<?xf32> {
    %w = tensor.extract_slice %x[%i] [1] [1] : tensor<?xf32> to tensor<1xf32>
    %s = arith.addf %w, %w : tensor<1xf32>
    %next = tensor.insert_slice %s into %acc[%i] [1] [1] : tensor<1xf32> into tensor<?xf32>
    scf.yield %next : tensor<?xf32>
  }
  return %y : tensor<?xf32>
}

// Places of assignments are numbers of 32 bits.
func.func @routing(%i: tensor<?x2xi32> {moe.name = "i", moe.dims = ["T"]},
                   %w: tensor<?x2xf32> {moe.name = "w", moe.dims = ["T"]})
    -> (tensor<3xi32> {moe.name = "offsets"}) {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<2 x 2>
  %o = moe.routing.offsets %r : !moe.routing<2 x 2> -> tensor<3xi32>
  return %o : tensor<3xi32>
}

// The bytes of an argument, and of what a call keeps, are numbers of 64 bits.
func.func @square(%x: tensor<?x?xf32> {moe.name = "x", moe.dims = ["T", "T"]})
    -> (tensor<?x?xf32> {moe.name = "y", moe.dims = ["T", "T"]}) {
  %y = arith.addf %x, %x : tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

func.func @wide(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]},
                %w: tensor<4194304x4194304xf32> {moe.name = "w"})
    -> (tensor<f32> {moe.name = "z"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %t = tensor.dim %x, %c0 : tensor<?xf32>
  %u = tensor.dim %y, %c0 : tensor<?xf32>
  %e = tensor.empty(%t, %u) : tensor<?x?x4194304x4194304xf32>
  %b = linalg.generic {indexing_maps = [
      affine_map<(a, b, c, d) -> (a)>, affine_map<(a, b, c, d) -> (b)>,
      affine_map<(a, b, c, d) -> (c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x, %y, %w : tensor<?xf32>, tensor<?xf32>, tensor<4194304x4194304xf32>)
      outs(%e : tensor<?x?x4194304x4194304xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32, %o: f32):
    %s = arith.mulf %p, %q : f32
    %v = arith.mulf %s, %r : f32
    linalg.yield %v : f32
  } -> tensor<?x?x4194304x4194304xf32>
  %v = tensor.extract %b[%c0, %c0, %c1, %c1] : tensor<?x?x4194304x4194304xf32>
  %s = tensor.extract %b[%c0, %c0, %c0, %c1] : tensor<?x?x4194304x4194304xf32>
  %d = arith.addf %v, %s : f32
  %z = tensor.from_elements %d : tensor<f32>
  return %z : tensor<f32>
}

// The other statuses.
func.func @hashed(%ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]},
                  %table: tensor<3x2xi32> {moe.name = "table"})
    -> (tensor<?x2xi32> {moe.name = "experts", moe.dims = ["T"]}) {
  %r = moe.router #moe.hash<table, 2> using(%ids, %table : tensor<?xi32>, tensor<3x2xi32>)
      : !moe.routing<4 x 2>
  %i = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}
