// RUN: moe-opt %s --convert-linalg-to-vector --canonicalize --cse --split-input-file | FileCheck %s
// RUN: moe-opt %s --convert-linalg-to-vector=parallel=false --canonicalize --split-input-file | FileCheck %s --check-prefix=SERIAL
// RUN: moe-opt %s --convert-linalg-to-vector=fuse=false --canonicalize --split-input-file | FileCheck %s --check-prefix=ALONE
// RUN: moe-opt %s --convert-linalg-to-vector=wide=false --canonicalize --cse --split-input-file | FileCheck %s --check-prefix=NARROW

// SERIAL-LABEL: func @projection
//   SERIAL-NOT:   scf.parallel
//       SERIAL:   return

// x W^T: lanes along the reduction, 4 x 4 accumulators, zeros never stored,
// one sum of lanes at the end. Tiles of tokens and of columns are parallel.

// CHECK-LABEL: func @projection
//  CHECK-SAME:   %[[X:[a-z0-9]*]]: memref<?x256xf32>, %[[W:[a-z0-9]*]]: memref<512x256xf32>, %[[Y:[a-z0-9]*]]: memref<?x512xf32>
//   CHECK-NOT:   linalg
//       CHECK:   scf.parallel (%{{.*}}, %{{.*}}) = (%c0, %c0) to (%{{.*}}, %c512) step (%c32, %c128)
//       CHECK:     scf.for
//       CHECK:       scf.for
//       CHECK:         scf.for %{{.*}} = %c0 to %c256 step %c16 iter_args
//       CHECK:           vector.load %[[X]]
//       CHECK:           vector.load %[[W]]
// CHECK-COUNT-16:          vector.fma
//       CHECK:         arith.addf {{.*}} : vector<8xf32>
//       CHECK:         arith.addf {{.*}} : vector<2xf32>
//       CHECK:         memref.store %{{.*}}, %[[Y]]
func.func @projection(%x: memref<?x256xf32>, %w: memref<512x256xf32>, %y: memref<?x512xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?x512xf32>)
  linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : memref<?x256xf32>, memref<512x256xf32>) outs(%y : memref<?x512xf32>)
  return
}

// -----

// A target with few registers gets blocks of 2 x 2.

// NARROW-LABEL: func @small_blocks
//       NARROW:   scf.for %{{.*}} = %c0 to %c256 step %c16 iter_args
// NARROW-COUNT-4:   vector.fma
//   NARROW-NOT:     vector.fma
//       NARROW:   scf.yield
func.func @small_blocks(%x: memref<64x256xf32>, %w: memref<64x256xf32>, %y: memref<64x64xf32>) {
  linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : memref<64x256xf32>, memref<64x256xf32>) outs(%y : memref<64x64xf32>)
  return
}

// -----

// Sum over values of attention: lanes along the columns, inputs broadcast.

// CHECK-LABEL: func @columns
//  CHECK-SAME:   %[[P:[a-z0-9]*]]: memref<?x?xf32>, %[[V:[a-z0-9]*]]: memref<?x64xf32>
//       CHECK:   scf.parallel
//       CHECK:     scf.for
//       CHECK:       iter_args
//       CHECK:         memref.load %[[P]]
//       CHECK:         vector.load %[[V]]
//       CHECK:         vector.broadcast
//       CHECK:         vector.fma
//   CHECK-NOT:   vector.reduction
func.func @columns(%p: memref<?x?xf32>, %v: memref<?x64xf32>, %y: memref<?x64xf32>) {
  linalg.matmul ins(%p, %v : memref<?x?xf32>, memref<?x64xf32>) outs(%y : memref<?x64xf32>)
  return
}

// -----

#tl = affine_map<(t, l) -> (t, l)>
#t = affine_map<(t, l) -> (t)>

// A softmax is one parallel loop over rows, whose tails are masked.

// CHECK-LABEL: func @rows
//       CHECK:   scf.parallel (%{{.*}}) =
//   CHECK-NOT:   scf.parallel
//       CHECK:     arith.maximumf {{.*}} : vector<16xf32>
//       CHECK:     vector.create_mask
//       CHECK:     vector.maskedload
//       CHECK:     arith.select {{.*}} : vector<16xi1>, vector<16xf32>
//       The lanes are combined by halves: one order on every machine.
//       CHECK:     vector.extract_strided_slice {{.*}} : vector<16xf32> to vector<8xf32>
//       CHECK:     arith.maximumf {{.*}} : vector<8xf32>
//       CHECK:     arith.maximumf {{.*}} : vector<2xf32>
//       CHECK:     math.exp {{.*}} : vector<16xf32>
//       CHECK:     vector.store
//       CHECK:     vector.maskedstore
//       CHECK:     arith.addf {{.*}} : vector<8xf32>

// ALONE-LABEL: func @rows
// ALONE-COUNT-3: scf.parallel
func.func @rows(%x: memref<?x?xf32>, %m: memref<?xf32>, %e: memref<?x?xf32>, %s: memref<?xf32>) {
  %zero = arith.constant 0.0 : f32
  %down = arith.constant 0xFF800000 : f32
  linalg.fill ins(%down : f32) outs(%m : memref<?xf32>)
  linalg.fill ins(%zero : f32) outs(%s : memref<?xf32>)
  linalg.generic {indexing_maps = [#tl, #t], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x?xf32>) outs(%m : memref<?xf32>) {
    ^bb0(%a: f32, %acc: f32):
      %r = arith.maximumf %acc, %a : f32
      linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [#tl, #t, #tl], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<?x?xf32>, memref<?xf32>) outs(%e : memref<?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %d = arith.subf %a, %b : f32
      %r = math.exp %d : f32
      linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [#tl, #t], iterator_types = ["parallel", "reduction"]}
      ins(%e : memref<?x?xf32>) outs(%s : memref<?xf32>) {
    ^bb0(%a: f32, %acc: f32):
      %r = arith.addf %acc, %a : f32
      linalg.yield %r : f32
  }
  return
}

// -----

#id = affine_map<(i, j) -> (i, j)>

// What reads elsewhere than its own tile is no part of the same loop: here the
// element that the first tile makes.

// CHECK-LABEL: func @across_tiles
// CHECK-COUNT-2: scf.parallel
func.func @across_tiles(%x: memref<?x?xf32>, %y: memref<?x?xf32>, %z: memref<?x?xf32>) {
  %c0 = arith.constant 0 : index
  linalg.exp ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x?xf32>) outs(%z : memref<?x?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %first = memref.load %y[%c0, %c0] : memref<?x?xf32>
      %r = arith.divf %a, %first : f32
      linalg.yield %r : f32
  }
  return
}

// -----

// A transposed read is one of the same tile, of the other shape.

// CHECK-LABEL: func @transposed_tile
//       CHECK:   scf.parallel
//   CHECK-NOT:   scf.parallel
//       CHECK:   return
func.func @transposed_tile(%x: memref<?x?xf32>, %y: memref<?x?xf32>, %z: memref<?x?xf32>) {
  linalg.exp ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  linalg.transpose ins(%y : memref<?x?xf32>) outs(%z : memref<?x?xf32>) permutation = [1, 0]
  return
}

// -----

#id = affine_map<(i, j) -> (i, j)>

// Nor is what may be another view of the same memory.

// CHECK-LABEL: func @views
// CHECK-COUNT-2: scf.parallel
func.func @views(%x: memref<?x64xf32>, %n: index) {
  %a = memref.subview %x[0, 0] [%n, 32] [1, 1] : memref<?x64xf32> to memref<?x32xf32, strided<[64, 1]>>
  %b = memref.subview %x[1, 0] [%n, 32] [1, 1] : memref<?x64xf32> to memref<?x32xf32, strided<[64, 1], offset: 64>>
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]}
      outs(%a : memref<?x32xf32, strided<[64, 1]>>) {
    ^bb0(%v: f32):
      %r = arith.negf %v : f32
      linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]}
      outs(%b : memref<?x32xf32, strided<[64, 1], offset: 64>>) {
    ^bb0(%v: f32):
      %r = arith.negf %v : f32
      linalg.yield %r : f32
  }
  return
}

// -----

// A matmul keeps its parallel columns: with one token there is nothing else.

// CHECK-LABEL: func @keep_columns
//       CHECK:   scf.parallel (%{{.*}}) =
//       CHECK:   scf.parallel (%{{.*}}, %{{.*}}) =
func.func @keep_columns(%x: memref<?x256xf32>, %w: memref<512x256xf32>, %y: memref<?x512xf32>) {
  linalg.exp ins(%x : memref<?x256xf32>) outs(%x : memref<?x256xf32>)
  linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : memref<?x256xf32>, memref<512x256xf32>) outs(%y : memref<?x512xf32>)
  return
}

// -----

// Scalar loops, but parallel, when no dimension is contiguous everywhere.

// CHECK-LABEL: func @transpose
//   CHECK-NOT:   vector
//       CHECK:   scf.parallel
//       CHECK:     memref.load
//       CHECK:     memref.store
func.func @transpose(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.transpose ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) permutation = [1, 0]
  return
}

// -----

// Positions are vectors along the loop that is vectorised, scalars elsewhere;
// a tensor read by the body at the position is a vector, too.

// CHECK-LABEL: func @positions
//  CHECK-SAME:   %[[TABLE:[a-z0-9]*]]: memref<64xf32>
//   CHECK-DAG:   vector.load %[[TABLE]]
//   CHECK-DAG:   arith.cmpi ult, {{.*}} : vector<16xindex>
//       CHECK:   arith.select {{.*}} : vector<16xi1>, vector<16xf32>
func.func @positions(%table: memref<64xf32>, %y: memref<?x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%y : memref<?x64xf32>) {
    ^bb0(%o: f32):
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %v = memref.load %table[%j] : memref<64xf32>
      %below = arith.cmpi ult, %j, %i : index
      %r = arith.select %below, %v, %zero : f32
      linalg.yield %r : f32
  }
  return
}

// -----

// Division by what lanes beyond the end may make zero stays scalar.

// CHECK-LABEL: func @division
//   CHECK-NOT:   vector
//       CHECK:   arith.divsi {{.*}} : i32
func.func @division(%x: memref<?xi32>, %y: memref<?xi32>) {
  linalg.div ins(%x, %y : memref<?xi32>, memref<?xi32>) outs(%y : memref<?xi32>)
  return
}

// -----

// Copies are parallel vector loops; copies onto themselves are nothing.

// CHECK-LABEL: func @copies
//   CHECK-NOT:   memref.copy
//       CHECK:   scf.parallel
//       CHECK:     vector.load
//       CHECK:     vector.store
//   CHECK-NOT:   scf.parallel
func.func @copies(%x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  memref.copy %x, %y : memref<?x64xf32> to memref<?x64xf32>
  memref.copy %x, %x : memref<?x64xf32> to memref<?x64xf32>
  return
}

// -----

// Little work is not worth a thread; inside of a parallel loop, neither is any.

// CHECK-LABEL: func @tiny
//   CHECK-NOT:   scf.parallel
//       CHECK:   return
func.func @tiny(%x: memref<64xf32>) {
  linalg.exp ins(%x : memref<64xf32>) outs(%x : memref<64xf32>)
  return
}

// CHECK-LABEL: func @inside
//       CHECK:   scf.parallel
//   CHECK-NOT:   scf.parallel
//       CHECK:   return
func.func @inside(%x: memref<?x?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    linalg.exp ins(%x : memref<?x?xf32>) outs(%x : memref<?x?xf32>)
  }
  return
}
