// Ordinary linalg, one function for each way it is lowered, compared with the
// interpreter. Sizes are chosen to be no multiples of vectors (16) or blocks
// (4), to equal them, and to be 1.

// The best of this machine, with 32 vector registers where it has them, and the
// level with 16, for which blocks are smaller.
// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t.native
// RUN: moe-compile %s --emit=shared,manifest --target=x86-64-v3 -o %t.v3

// DEFINE: %{native} = moe-run %t.native.json --model=%s --random=1 --verify
// DEFINE: %{v3} = moe-run %t.v3.json --model=%s --random=1 --verify

// RUN: %{native} --entry=matmul_rows --size=T=1 | FileCheck %s
// RUN: %{v3} --entry=matmul_rows --size=T=1 | FileCheck %s
// RUN: %{native} --entry=matmul_rows --size=T=37 | FileCheck %s
// RUN: %{v3} --entry=matmul_rows --size=T=37 | FileCheck %s
// RUN: %{native} --entry=matmul_rows --size=T=67 --threads=1 | FileCheck %s
// RUN: %{v3} --entry=matmul_rows --size=T=67 | FileCheck %s
// RUN: %{native} --entry=matmul_columns --size=T=1 | FileCheck %s
// RUN: %{v3} --entry=matmul_columns --size=T=1 | FileCheck %s
// RUN: %{native} --entry=matmul_columns --size=T=38 | FileCheck %s
// RUN: %{v3} --entry=matmul_columns --size=T=38 | FileCheck %s
// RUN: %{native} --entry=matmul_dynamic --size=M=1,N=1,K=1 | FileCheck %s
// RUN: %{v3} --entry=matmul_dynamic --size=M=1,N=1,K=1 | FileCheck %s
// RUN: %{native} --entry=matmul_dynamic --size=M=33,N=18,K=47 | FileCheck %s
// RUN: %{v3} --entry=matmul_dynamic --size=M=33,N=18,K=47 | FileCheck %s
// RUN: %{native} --entry=matmul_dynamic --size=M=64,N=64,K=64 | FileCheck %s
// RUN: %{v3} --entry=matmul_dynamic --size=M=64,N=64,K=64 | FileCheck %s
// RUN: %{native} --entry=matmul_dynamic --size=M=2,N=3,K=0 | FileCheck %s
// RUN: %{v3} --entry=matmul_dynamic --size=M=2,N=3,K=0 | FileCheck %s
// RUN: %{native} --entry=batched --size=M=5,N=19 | FileCheck %s
// RUN: %{v3} --entry=batched --size=M=5,N=19 | FileCheck %s
// RUN: %{native} --entry=accumulate --size=T=7 | FileCheck %s
// RUN: %{native} --entry=softmax --size=T=3,L=1 | FileCheck %s
// RUN: %{v3} --entry=softmax --size=T=3,L=1 | FileCheck %s
// RUN: %{native} --entry=softmax --size=T=70,L=45 | FileCheck %s
// RUN: %{v3} --entry=softmax --size=T=70,L=45 | FileCheck %s
// RUN: %{native} --entry=layer_norm --size=T=9 | FileCheck %s
// RUN: %{native} --entry=reductions --size=T=1,L=1 | FileCheck %s
// RUN: %{native} --entry=reductions --size=T=21,L=50 | FileCheck %s
// RUN: %{native} --entry=scalar --size=T=100 | FileCheck %s
// RUN: %{native} --entry=transpose --size=T=19 | FileCheck %s
// RUN: %{native} --entry=windows --size=T=23 | FileCheck %s
// RUN: %{native} --entry=types --size=T=11 | FileCheck %s
// RUN: %{native} --entry=lookup --size=T=6 | FileCheck %s
// RUN: %{native} --entry=arg_max --size=T=6 | FileCheck %s
// RUN: %{native} --entry=join --size=T=6,L=3 | FileCheck %s
// RUN: %{native} --entry=in_loop --size=T=6 | FileCheck %s

// CHECK: PASS
// CHECK-NOT: FAIL

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#col = affine_map<(i, j) -> (j)>

// Lanes along the reduction; 45 is no multiple, 37 columns are no whole blocks.
func.func @matmul_rows(%x: tensor<?x45xf32> {moe.name = "x", moe.dims = ["T"]},
                       %w: tensor<37x45xf32> {moe.name = "w"})
    -> (tensor<?x37xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x45xf32>
  %e = tensor.empty(%T) : tensor<?x37xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x37xf32>) -> tensor<?x37xf32>
  %y = linalg.matmul indexing_maps = [#mk, #nk, #mn]
      ins(%x, %w : tensor<?x45xf32>, tensor<37x45xf32>)
      outs(%f : tensor<?x37xf32>) -> tensor<?x37xf32>
  return %y : tensor<?x37xf32>
}

// Lanes along the columns: two blocks of vectors, a vector and a tail.
func.func @matmul_columns(%x: tensor<?x33xf32> {moe.name = "x", moe.dims = ["T"]},
                          %w: tensor<33x87xf32> {moe.name = "w"})
    -> (tensor<?x87xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x33xf32>
  %e = tensor.empty(%T) : tensor<?x87xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x87xf32>) -> tensor<?x87xf32>
  %y = linalg.matmul ins(%x, %w : tensor<?x33xf32>, tensor<33x87xf32>)
                     outs(%f : tensor<?x87xf32>) -> tensor<?x87xf32>
  return %y : tensor<?x87xf32>
}

func.func @matmul_dynamic(%x: tensor<?x?xf32> {moe.name = "x", moe.dims = ["M", "K"]},
                          %w: tensor<?x?xf32> {moe.name = "w", moe.dims = ["N", "K"]})
    -> (tensor<?x?xf32> {moe.name = "y", moe.dims = ["M", "N"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %M = tensor.dim %x, %c0 : tensor<?x?xf32>
  %N = tensor.dim %w, %c0 : tensor<?x?xf32>
  %e = tensor.empty(%M, %N) : tensor<?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %y = linalg.matmul indexing_maps = [#mk, #nk, #mn]
      ins(%x, %w : tensor<?x?xf32>, tensor<?x?xf32>)
      outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

func.func @batched(%a: tensor<3x?x20xf32> {moe.name = "a", moe.dims = ["M"]},
                   %b: tensor<3x20x?xf32> {moe.name = "b", moe.dims = ["N"]})
    -> (tensor<3x?x?xf32> {moe.name = "y", moe.dims = ["M", "N"]}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %M = tensor.dim %a, %c1 : tensor<3x?x20xf32>
  %N = tensor.dim %b, %c2 : tensor<3x20x?xf32>
  %e = tensor.empty(%M, %N) : tensor<3x?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  %y = linalg.batch_matmul ins(%a, %b : tensor<3x?x20xf32>, tensor<3x20x?xf32>)
                           outs(%f : tensor<3x?x?xf32>) -> tensor<3x?x?xf32>
  return %y : tensor<3x?x?xf32>
}

// Starts from an argument, not from a constant, and adds to it twice.
func.func @accumulate(%x: tensor<?x24xf32> {moe.name = "x", moe.dims = ["T"]},
                      %w: tensor<12x24xf32> {moe.name = "w"},
                      %bias: tensor<?x12xf32> {moe.name = "bias", moe.dims = ["T"]})
    -> (tensor<?x12xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %y0 = linalg.matmul indexing_maps = [#mk, #nk, #mn]
      ins(%x, %w : tensor<?x24xf32>, tensor<12x24xf32>)
      outs(%bias : tensor<?x12xf32>) -> tensor<?x12xf32>
  %y1 = linalg.matmul indexing_maps = [#mk, #nk, #mn]
      ins(%x, %w : tensor<?x24xf32>, tensor<12x24xf32>)
      outs(%y0 : tensor<?x12xf32>) -> tensor<?x12xf32>
  return %y1 : tensor<?x12xf32>
}

func.func @softmax(%x: tensor<?x?xf32> {moe.name = "x", moe.dims = ["T", "L"]})
    -> (tensor<?x?xf32> {moe.name = "y", moe.dims = ["T", "L"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %T = tensor.dim %x, %c0 : tensor<?x?xf32>
  %L = tensor.dim %x, %c1 : tensor<?x?xf32>
  %e = tensor.empty(%T, %L) : tensor<?x?xf32>
  %y = linalg.softmax dimension(1) ins(%x : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// Two passes over each row, the second of which needs the first's result.
func.func @layer_norm(%x: tensor<?x50xf32> {moe.name = "x", moe.dims = ["T"]},
                      %g: tensor<50xf32> {moe.name = "g"})
    -> (tensor<?x50xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 50.0 : f32
  %eps = arith.constant 1.0e-3 : f32
  %T = tensor.dim %x, %c0 : tensor<?x50xf32>
  %e = tensor.empty(%T) : tensor<?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.reduce { arith.addf } ins(%x : tensor<?x50xf32>) outs(%z : tensor<?xf32>) dimensions = [1]
  %v = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x, %s : tensor<?x50xf32>, tensor<?xf32>) outs(%z : tensor<?xf32>) {
    ^bb0(%a: f32, %sum: f32, %acc: f32):
      %mean = arith.divf %sum, %n : f32
      %d = arith.subf %a, %mean : f32
      %dd = arith.mulf %d, %d : f32
      %r = arith.addf %acc, %dd : f32
      linalg.yield %r : f32
  } -> tensor<?xf32>
  %e2 = tensor.empty(%T) : tensor<?x50xf32>
  %y = linalg.generic {indexing_maps = [#id, #row, #row, #col, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s, %v, %g : tensor<?x50xf32>, tensor<?xf32>, tensor<?xf32>, tensor<50xf32>)
      outs(%e2 : tensor<?x50xf32>) {
    ^bb0(%a: f32, %sum: f32, %square: f32, %gain: f32, %out: f32):
      %mean = arith.divf %sum, %n : f32
      %d = arith.subf %a, %mean : f32
      %var = arith.divf %square, %n : f32
      %safe = arith.addf %var, %eps : f32
      %std = math.sqrt %safe : f32
      %q = arith.divf %d, %std : f32
      %r = arith.mulf %q, %gain : f32
      linalg.yield %r : f32
  } -> tensor<?x50xf32>
  return %y : tensor<?x50xf32>
}

// Over rows, over columns, and two at once in one op.
func.func @reductions(%x: tensor<?x?xf32> {moe.name = "x", moe.dims = ["T", "L"]})
    -> (tensor<?xf32> {moe.name = "rows", moe.dims = ["T"]},
        tensor<?xf32> {moe.name = "columns", moe.dims = ["L"]},
        tensor<?xf32> {moe.name = "low", moe.dims = ["T"]},
        tensor<?xf32> {moe.name = "high", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %up = arith.constant 0x7F800000 : f32
  %down = arith.constant 0xFF800000 : f32
  %T = tensor.dim %x, %c0 : tensor<?x?xf32>
  %L = tensor.dim %x, %c1 : tensor<?x?xf32>
  %et = tensor.empty(%T) : tensor<?xf32>
  %el = tensor.empty(%L) : tensor<?xf32>
  %zt = linalg.fill ins(%zero : f32) outs(%et : tensor<?xf32>) -> tensor<?xf32>
  %zl = linalg.fill ins(%zero : f32) outs(%el : tensor<?xf32>) -> tensor<?xf32>
  %rows = linalg.reduce { arith.addf } ins(%x : tensor<?x?xf32>) outs(%zt : tensor<?xf32>) dimensions = [1]
  %columns = linalg.reduce { arith.addf } ins(%x : tensor<?x?xf32>) outs(%zl : tensor<?xf32>) dimensions = [0]
  %ft = linalg.fill ins(%up : f32) outs(%et : tensor<?xf32>) -> tensor<?xf32>
  %gt = linalg.fill ins(%down : f32) outs(%et : tensor<?xf32>) -> tensor<?xf32>
  %low, %high = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%ft, %gt : tensor<?xf32>, tensor<?xf32>) {
    ^bb0(%a: f32, %l: f32, %h: f32):
      %nl = arith.minimumf %l, %a : f32
      %nh = arith.maximumf %h, %a : f32
      linalg.yield %nl, %nh : f32, f32
  } -> (tensor<?xf32>, tensor<?xf32>)
  return %rows, %columns, %low, %high : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// No parallel dimension at all.
func.func @scalar(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<f32> {moe.name = "y"}) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %y = linalg.dot ins(%x, %x : tensor<?xf32>, tensor<?xf32>) outs(%f : tensor<f32>) -> tensor<f32>
  return %y : tensor<f32>
}

// No dimension is contiguous on both sides.
func.func @transpose(%x: tensor<?x18xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<18x?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x18xf32>
  %e = tensor.empty(%T) : tensor<18x?xf32>
  %y = linalg.transpose ins(%x : tensor<?x18xf32>) outs(%e : tensor<18x?xf32>) permutation = [1, 0]
  return %y : tensor<18x?xf32>
}

// Indices that are sums of loops: a convolution and a maximum over windows.
func.func @windows(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                   %k: tensor<3xf32> {moe.name = "k"})
    -> (tensor<20xf32> {moe.name = "conv"}, tensor<10xf32> {moe.name = "pool"}) {
  %zero = arith.constant 0.0 : f32
  %down = arith.constant 0xFF800000 : f32
  %x22 = tensor.extract_slice %x[1] [22] [1] : tensor<?xf32> to tensor<22xf32>
  %e = tensor.empty() : tensor<20xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<20xf32>) -> tensor<20xf32>
  %conv = linalg.conv_1d ins(%x22, %k : tensor<22xf32>, tensor<3xf32>) outs(%f : tensor<20xf32>) -> tensor<20xf32>
  %e2 = tensor.empty() : tensor<10xf32>
  %f2 = linalg.fill ins(%down : f32) outs(%e2 : tensor<10xf32>) -> tensor<10xf32>
  %window = tensor.empty() : tensor<4xf32>
  %pool = linalg.generic
      {indexing_maps = [affine_map<(i, j) -> (i * 2 + j)>, #col, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x22, %window : tensor<22xf32>, tensor<4xf32>) outs(%f2 : tensor<10xf32>) {
    ^bb0(%a: f32, %unused: f32, %acc: f32):
      %m = arith.maximumf %acc, %a : f32
      linalg.yield %m : f32
  } -> tensor<10xf32>
  return %conv, %pool : tensor<20xf32>, tensor<10xf32>
}

// bf16 weights, f64 sums, integers and conditions.
func.func @types(%x: tensor<?x40xf32> {moe.name = "x", moe.dims = ["T"]},
                 %w: tensor<21x40xbf16> {moe.name = "w"},
                 %n: tensor<40xi8> {moe.name = "n"})
    -> (tensor<?x21xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<?xf64> {moe.name = "sums", moe.dims = ["T"]},
        tensor<?x40xi32> {moe.name = "counts", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %zero64 = arith.constant 0.0 : f64
  %T = tensor.dim %x, %c0 : tensor<?x40xf32>
  %e = tensor.empty(%T) : tensor<?x21xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x21xf32>) -> tensor<?x21xf32>
  %y = linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x40xf32>, tensor<21x40xbf16>) outs(%f : tensor<?x21xf32>) {
    ^bb0(%a: f32, %b: bf16, %acc: f32):
      %wide = arith.extf %b : bf16 to f32
      %m = arith.mulf %a, %wide : f32
      %s = arith.addf %acc, %m : f32
      linalg.yield %s : f32
  } -> tensor<?x21xf32>
  %es = tensor.empty(%T) : tensor<?xf64>
  %fs = linalg.fill ins(%zero64 : f64) outs(%es : tensor<?xf64>) -> tensor<?xf64>
  %sums = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x40xf32>) outs(%fs : tensor<?xf64>) {
    ^bb0(%a: f32, %acc: f64):
      %wide = arith.extf %a : f32 to f64
      %s = arith.addf %acc, %wide : f64
      linalg.yield %s : f64
  } -> tensor<?xf64>
  %ec = tensor.empty(%T) : tensor<?x40xi32>
  %counts = linalg.generic {indexing_maps = [#id, #col, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %n : tensor<?x40xf32>, tensor<40xi8>) outs(%ec : tensor<?x40xi32>) {
    ^bb0(%a: f32, %b: i8, %out: i32):
      %t = linalg.index 0 : index
      %j = linalg.index 1 : index
      %sum = arith.addi %t, %j : index
      %i = arith.index_cast %sum : index to i32
      %wide = arith.extsi %b : i8 to i32
      %positive = arith.cmpf ogt, %a, %zero : f32
      %plus = arith.addi %i, %wide : i32
      %minus = arith.subi %wide, %i : i32
      %r = arith.select %positive, %plus, %minus : i32
      linalg.yield %r : i32
  } -> tensor<?x40xi32>
  return %y, %sums, %counts : tensor<?x21xf32>, tensor<?xf64>, tensor<?x40xi32>
}

// Rows of a table by number: the body reads a tensor itself.
func.func @lookup(%ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]},
                  %table: tensor<9x27xf32> {moe.name = "table"})
    -> (tensor<?x27xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %ids, %c0 : tensor<?xi32>
  %e = tensor.empty(%T) : tensor<?x27xf32>
  %y = linalg.generic {indexing_maps = [#row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<?xi32>) outs(%e : tensor<?x27xf32>) {
    ^bb0(%id: i32, %out: f32):
      %t = linalg.index 0 : index
      %j = linalg.index 1 : index
      %i = arith.index_cast %id : i32 to index
      %row = arith.addi %i, %t : index
      %v = tensor.extract %table[%row, %j] : tensor<9x27xf32>
      linalg.yield %v : f32
  } -> tensor<?x27xf32>
  return %y : tensor<?x27xf32>
}

// A reduction that is no single operation.
func.func @arg_max(%x: tensor<?x33xf32> {moe.name = "x", moe.dims = ["T"]})
    -> (tensor<?xf32> {moe.name = "best", moe.dims = ["T"]},
        tensor<?xi32> {moe.name = "at", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %none = arith.constant -1 : i32
  %down = arith.constant 0xFF800000 : f32
  %T = tensor.dim %x, %c0 : tensor<?x33xf32>
  %e = tensor.empty(%T) : tensor<?xf32>
  %ei = tensor.empty(%T) : tensor<?xi32>
  %f = linalg.fill ins(%down : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %fi = linalg.fill ins(%none : i32) outs(%ei : tensor<?xi32>) -> tensor<?xi32>
  %best, %at = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x33xf32>) outs(%f, %fi : tensor<?xf32>, tensor<?xi32>) {
    ^bb0(%a: f32, %b: f32, %i: i32):
      %j = linalg.index 1 : index
      %ji = arith.index_cast %j : index to i32
      %better = arith.cmpf ogt, %a, %b : f32
      %nb = arith.select %better, %a, %b : f32
      %ni = arith.select %better, %ji, %i : i32
      linalg.yield %nb, %ni : f32, i32
  } -> (tensor<?xf32>, tensor<?xi32>)
  return %best, %at : tensor<?xf32>, tensor<?xi32>
}

// Padding and concatenation. A result cannot be of L + T rows, their sum can.
func.func @join(%x: tensor<?x10xf32> {moe.name = "x", moe.dims = ["T"]},
                %c: tensor<?x10xf32> {moe.name = "c", moe.dims = ["L"]})
    -> (tensor<10xf32> {moe.name = "sums"}, tensor<?x20xf32> {moe.name = "twice", moe.dims = ["T"]},
        tensor<?x18xf32> {moe.name = "padded", moe.dims = ["T"]}) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %all = tensor.concat dim(0) %c, %x : (tensor<?x10xf32>, tensor<?x10xf32>) -> tensor<?x10xf32>
  %e = tensor.empty() : tensor<10xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<10xf32>) -> tensor<10xf32>
  %sums = linalg.reduce { arith.addf } ins(%all : tensor<?x10xf32>) outs(%f : tensor<10xf32>) dimensions = [0]
  %twice = tensor.concat dim(1) %x, %x : (tensor<?x10xf32>, tensor<?x10xf32>) -> tensor<?x20xf32>
  %padded = tensor.pad %x low[0, 5] high[0, 3] {
    ^bb0(%i: index, %j: index):
      tensor.yield %one : f32
  } : tensor<?x10xf32> to tensor<?x18xf32>
  return %sums, %twice, %padded : tensor<10xf32>, tensor<?x20xf32>, tensor<?x18xf32>
}

// Linalg in a loop that carries a tensor: x, x W, x W^2, ...
func.func @in_loop(%x: tensor<?x16xf32> {moe.name = "x", moe.dims = ["T"]},
                   %w: tensor<16x16xf32> {moe.name = "w"})
    -> (tensor<?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x16xf32>
  %e = tensor.empty(%T) : tensor<?x16xf32>
  %start = linalg.copy ins(%x : tensor<?x16xf32>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%v = %start) -> tensor<?x16xf32> {
    %z = tensor.empty(%T) : tensor<?x16xf32>
    %f = linalg.fill ins(%zero : f32) outs(%z : tensor<?x16xf32>) -> tensor<?x16xf32>
    %p = linalg.matmul indexing_maps = [#mk, #nk, #mn]
        ins(%v, %w : tensor<?x16xf32>, tensor<16x16xf32>)
        outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
    %n = linalg.copy ins(%p : tensor<?x16xf32>) outs(%v : tensor<?x16xf32>) -> tensor<?x16xf32>
    scf.yield %n : tensor<?x16xf32>
  }
  return %y : tensor<?x16xf32>
}
