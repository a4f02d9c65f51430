func.func @over(%x: memref<4xf32> {moe.name = "x"}, %y: memref<1xf32> {moe.name = "y"}) {
  %c0 = arith.constant 0 : index
  %p = memref.extract_aligned_pointer_as_index %x : memref<4xf32> -> index
  %c16 = arith.constant 16 : index
  %behind = arith.addi %p, %c16 : index
  %i = arith.index_cast %behind : index to i64
  %q = llvm.inttoptr %i : i64 to !llvm.ptr
  %v = llvm.load %q : !llvm.ptr -> f32
  memref.store %v, %y[%c0] : memref<1xf32>
  return
}
