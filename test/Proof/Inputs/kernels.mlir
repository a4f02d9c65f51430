// Routing kernels in small: which experts of E = 64 each of n tokens takes, and
// lists of tokens by expert. @top_any is what a branchless kernel looks like;
// the others compute the same lists with a branch that depends on data.

!scores = memref<64x?xf32>
!lists = memref<64x?xi32>

// One compare per score is a word of an expert's bitmap; the fallback and the
// weights are arithmetic; lists are packed by storing always and moving on
// by the bit.
func.func @top_any(%s: !scores, %thresholds: memref<64xf32>, %weights: memref<?xf32>,
                   %lists: !lists, %counts: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %lowest = arith.constant 0xFF800000 : f32
  %n = memref.dim %s, %c1 : !scores
  scf.for %t = %c0 to %n step %c1 {
    %r:3 = scf.for %e = %c0 to %c64 step %c1
        iter_args(%k = %zero, %best = %lowest, %at = %zero) -> (i32, f32, i32) {
      %v = memref.load %s[%e, %t] : !scores
      %limit = memref.load %thresholds[%e] : memref<64xf32>
      %taken = arith.cmpf ogt, %v, %limit : f32
      %bit = arith.extui %taken : i1 to i32
      %k1 = arith.addi %k, %bit : i32
      %i = arith.index_cast %e : index to i32
      %better = arith.cmpf ogt, %v, %best : f32
      %mask = arith.extsi %better : i1 to i32
      %next = arith.maxnumf %v, %best : f32
      %from = arith.xori %i, %at : i32
      %step = arith.andi %from, %mask : i32
      %at1 = arith.xori %at, %step : i32
      scf.yield %k1, %next, %at1 : i32, f32, i32
    }
    %some = arith.maxui %r#0, %one : i32
    %f = arith.uitofp %some : i32 to f32
    %unit = arith.constant 1.0 : f32
    %w = arith.divf %unit, %f : f32
    memref.store %w, %weights[%t] : memref<?xf32>
    // The best one stands in for tokens that took none.
    %none = arith.cmpi eq, %r#0, %zero : i32
    %alone = arith.extsi %none : i1 to i32
    %id = arith.index_cast %t : index to i32
    scf.for %e = %c0 to %c64 step %c1 {
      %v = memref.load %s[%e, %t] : !scores
      %limit = memref.load %thresholds[%e] : memref<64xf32>
      %taken = arith.cmpf ogt, %v, %limit : f32
      %bit = arith.extui %taken : i1 to i32
      %i = arith.index_cast %e : index to i32
      %isBest = arith.cmpi eq, %i, %r#2 : i32
      %bestBit = arith.extui %isBest : i1 to i32
      %fallback = arith.andi %bestBit, %alone : i32
      %add = arith.ori %bit, %fallback : i32
      %count = memref.load %counts[%e] : memref<64xi32>
      %p = arith.index_cast %count : i32 to index
      memref.store %id, %lists[%e, %p] : !lists
      %count1 = arith.addi %count, %add : i32
      memref.store %count1, %counts[%e] : memref<64xi32>
    }
  }
  return
}

// The way one would write it for people.
func.func @if_store(%s: !scores, %thresholds: memref<64xf32>, %weights: memref<?xf32>,
                    %lists: !lists, %counts: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %lowest = arith.constant 0xFF800000 : f32
  %n = memref.dim %s, %c1 : !scores
  scf.for %t = %c0 to %n step %c1 {
    %id = arith.index_cast %t : index to i32
    %r:3 = scf.for %e = %c0 to %c64 step %c1
        iter_args(%k = %zero, %best = %lowest, %at = %c0) -> (i32, f32, index) {
      %v = memref.load %s[%e, %t] : !scores
      %limit = memref.load %thresholds[%e] : memref<64xf32>
      %taken = arith.cmpf ogt, %v, %limit : f32
      %k1 = scf.if %taken -> i32 {
        %count = memref.load %counts[%e] : memref<64xi32>
        %p = arith.index_cast %count : i32 to index
        memref.store %id, %lists[%e, %p] : !lists
        %count1 = arith.addi %count, %one : i32
        memref.store %count1, %counts[%e] : memref<64xi32>
        %more = arith.addi %k, %one : i32
        scf.yield %more : i32
      } else {
        scf.yield %k : i32
      }
      %better = arith.cmpf ogt, %v, %best : f32
      %next = arith.select %better, %v, %best : f32
      %at1 = arith.select %better, %e, %at : index
      scf.yield %k1, %next, %at1 : i32, f32, index
    }
    %none = arith.cmpi eq, %r#0, %zero : i32
    scf.if %none {
      %count = memref.load %counts[%r#2] : memref<64xi32>
      %p = arith.index_cast %count : i32 to index
      memref.store %id, %lists[%r#2, %p] : !lists
      %count1 = arith.addi %count, %one : i32
      memref.store %count1, %counts[%r#2] : memref<64xi32>
    }
    %some = arith.maxui %r#0, %one : i32
    %f = arith.uitofp %some : i32 to f32
    %unit = arith.constant 1.0 : f32
    %w = arith.divf %unit, %f : f32
    memref.store %w, %weights[%t] : memref<?xf32>
  }
  return
}

// Lists by compress-store: one instruction with AVX-512; elsewhere code
// generation writes a branch per lane.
func.func @compress_store(%s: !scores, %thresholds: memref<64xf32>, %weights: memref<?xf32>,
                          %lists: !lists, %counts: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %n = memref.dim %s, %c1 : !scores
  %lanes = arith.constant dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>
  scf.for %e = %c0 to %c64 step %c1 {
    %limit = memref.load %thresholds[%e] : memref<64xf32>
    %limits = vector.broadcast %limit : f32 to vector<8xf32>
    %end = scf.for %t = %c0 to %n step %c8 iter_args(%p = %c0) -> index {
      %v = vector.load %s[%e, %t] : !scores, vector<8xf32>
      %taken = arith.cmpf ogt, %v, %limits : vector<8xf32>
      %first = arith.index_cast %t : index to i32
      %firsts = vector.broadcast %first : i32 to vector<8xi32>
      %ids = arith.addi %firsts, %lanes : vector<8xi32>
      vector.compressstore %lists[%e, %p], %taken, %ids : !lists, vector<8xi1>, vector<8xi32>
      %word = vector.bitcast %taken : vector<8xi1> to vector<1xi8>
      %bits = vector.extract %word[0] : i8 from vector<1xi8>
      %many = math.ctpop %bits : i8
      %add = arith.index_castui %many : i8 to index
      %p1 = arith.addi %p, %add : index
      scf.yield %p1 : index
    }
    %count = arith.index_cast %end : index to i32
    memref.store %count, %counts[%e] : memref<64xi32>
  }
  return
}

// Lists by walking the set bits of a word.
func.func @count_zeros(%s: !scores, %thresholds: memref<64xf32>, %weights: memref<?xf32>,
                       %lists: !lists, %counts: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant 0 : i8
  %one = arith.constant 1 : i8
  %n = memref.dim %s, %c1 : !scores
  scf.for %e = %c0 to %c64 step %c1 {
    %limit = memref.load %thresholds[%e] : memref<64xf32>
    %limits = vector.broadcast %limit : f32 to vector<8xf32>
    %end = scf.for %t = %c0 to %n step %c8 iter_args(%p = %c0) -> index {
      %v = vector.load %s[%e, %t] : !scores, vector<8xf32>
      %taken = arith.cmpf ogt, %v, %limits : vector<8xf32>
      %word = vector.bitcast %taken : vector<8xi1> to vector<1xi8>
      %bits = vector.extract %word[0] : i8 from vector<1xi8>
      %r:2 = scf.while (%left = %bits, %q = %p) : (i8, index) -> (i8, index) {
        %more = arith.cmpi ne, %left, %zero : i8
        scf.condition(%more) %left, %q : i8, index
      } do {
      ^bb0(%left: i8, %q: index):
        %lane = math.cttz %left : i8
        %lane32 = arith.extui %lane : i8 to i32
        %first = arith.index_cast %t : index to i32
        %id = arith.addi %first, %lane32 : i32
        memref.store %id, %lists[%e, %q] : !lists
        %less = arith.subi %left, %one : i8
        %rest = arith.andi %left, %less : i8
        %q1 = arith.addi %q, %c1 : index
        scf.yield %rest, %q1 : i8, index
      }
      scf.yield %r#1 : index
    }
    %count = arith.index_cast %end : index to i32
    memref.store %count, %counts[%e] : memref<64xi32>
  }
  return
}

// A loop over a list is as long as the list: data by design.
func.func @walk_lists(%s: !scores, %thresholds: memref<64xf32>, %weights: memref<?xf32>,
                      %lists: !lists, %counts: memref<64xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  scf.for %e = %c0 to %c64 step %c1 {
    %count = memref.load %counts[%e] : memref<64xi32>
    %end = arith.index_cast %count : i32 to index
    scf.for %i = %c0 to %end step %c1 {
      %id = memref.load %lists[%e, %i] : !lists
      %t = arith.index_cast %id : i32 to index
      %v = memref.load %s[%e, %t] : !scores
      memref.store %v, %weights[%t] : memref<?xf32>
    }
  }
  return
}
