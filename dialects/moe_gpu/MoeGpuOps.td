//===- MoeGpuOps.td - Kernels for any GPU -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEGPU_OPS_TD
#define MOEGPU_OPS_TD

include "moek/MoekInterfaces.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def MoeGpu_Dialect : Dialect {
  let name = "moe_gpu";
  let cppNamespace = "::moegpu";
  let summary = "Kernels for any GPU";
  let description = [{
    The form in which kernels are written once for all GPUs. A kernel is an
    `llvm.func` with a `#moe_gpu.kernel`; it computes by `arith`, `math` and `scf`,
    and on pointers by a few operations of `llvm`: `getelementptr` of bytes, `load`,
    `store`, `bitcast`, `intr.fma`, `intr.ctpop` and of vectors
    `insertelement` and `extractelement`. Pointers into the device's memory have address space 1, those
    into the memory that a block shares 3. A thread's own arrays are
    `memref.alloca` of one static dimension. What GPUs have by different names is here:
    numbers of threads and blocks, the barrier, and what 32 threads do together.

    A team is 32 threads of a block whose numbers differ in the lowest five bits
    alone: NVIDIA's warps. Other chips have
    groups of 4 to 64 threads; there a block is one team, and exchanges go through
    shared memory. So an exchange has to be reached by all threads of its team and,
    where blocks are of several, of the block.

    Each target lowers these operations once
    (`convert-moe-gpu-to-nvvm`, `moe-vulkan-serialize-kernels`).
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def MoeGpu_KernelAttr : AttrDef<MoeGpu_Dialect, "Kernel"> {
  let mnemonic = "kernel";
  let summary = "How a kernel is started";
  let description = [{
    | field | unit | meaning |
    |---|---|---|
    | `threads` | | of a block; 1 to 1024 |
    | `shared` | bytes | that the threads of a block share; the memory that `moe_gpu.shared` gives |
    | `resident` | blocks | that a multiprocessor should have room for at once |

    ```mlir
    llvm.func @nothing() attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 256, shared = 0, resident = 1>} {
      llvm.return
    }
    ```
  }];
  let parameters = (ins "int64_t":$threads, "int64_t":$shared,
                        "int64_t":$resident);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def MoeGpu_BlocksAttr : AttrDef<MoeGpu_Dialect, "Blocks", [
    DeclareAttrInterfaceMethods<Moek_LayoutAttrInterface>]> {
  let mnemonic = "blocks";
  let summary = "Weights as they are stored, as panels of 32 columns";
  let description = [{
    The weights of an expert become panels of 32 of their rows, those of the first
    part before those of the second, and a panel its blocks of `format` one after
    another. Each field of a block has the numbers of all columns side by side,
    as in `#moe_cpu.blocks`: a team whose threads have a column each reads
    neighbouring words, and addresses of words are multiples of four, whatever the
    length of a block. The packed tensor is `[E, panels, blocks, bytes of 32 blocks]`
    of i8; columns beyond N are zeros.

    ```mlir
    func.func @gate_and_up(%g: tensor<8x64x4x18xi8>, %u: tensor<8x64x4x18xi8>)
        -> tensor<8x4x4x576xi8> {
      %wg = moe.dequantize #moe.q4_0 (%g : tensor<8x64x4x18xi8>)
          : tensor<8x64x128xf32>
      %wu = moe.dequantize #moe.q4_0 (%u : tensor<8x64x4x18xi8>)
          : tensor<8x64x128xf32>
      %p = moek.pack %wg, %wu parts(2) layout(#moe_gpu.blocks<#moe.q4_0>)
          : tensor<8x64x128xf32>, tensor<8x64x128xf32> -> tensor<8x4x4x576xi8>
      return %p : tensor<8x4x4x576xi8>
    }
    ```
  }];
  let parameters = (ins "::moe::WeightFormatAttrInterface":$format);
  let assemblyFormat = "`<` $format `>`";
  let extraClassDeclaration = [{
    ::moek::BlockPanels getPanels() const;
  }];
}

class MoeGpu_Op<string mnemonic, list<Trait> traits = []>
    : Op<MoeGpu_Dialect, mnemonic, traits>;

class MoeGpu_Number<string mnemonic, string what, string note = ""> : MoeGpu_Op<mnemonic, [Pure]> {
  let summary = what;
  let description = note # [{

    ```mlir
    llvm.func @number(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 64, shared = 0, resident = 1>} {
      %number = }] # "moe_gpu." # mnemonic # [{ : i32
      llvm.store %number, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let results = (outs I32:$number);
  let assemblyFormat = "attr-dict `:` type($number)";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, $_builder.getI32Type()); }]>];
}

def MoeGpu_ThreadOp : MoeGpu_Number<"thread", "The number of the thread in its block">;
def MoeGpu_BlockOp : MoeGpu_Number<"block", "The number of the block", [{
    There may be more blocks than a launch asked for, so a kernel looks whether
    there is something for its block.
  }]>;
def MoeGpu_NumBlocksOp : MoeGpu_Number<"num_blocks", "How many blocks there are">;

def MoeGpu_SharedOp : MoeGpu_Op<"shared", [Pure]> {
  let summary = "The memory that the threads of a block share";
  let description = [{
    Its first byte; `#moe_gpu.kernel` says how many there are. Kernels read and
    write whole words there, of four bytes.

    ```mlir
    llvm.func @swap(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 64, shared = 256, resident = 1>} {
      %thread = moe_gpu.thread : i32
      %other = arith.constant 63 : i32
      %mirrored = arith.subi %other, %thread : i32
      %memory = moe_gpu.shared : !llvm.ptr<3>
      %four = arith.constant 4 : i32
      %own = arith.muli %thread, %four : i32
      %to = llvm.getelementptr %memory[%own] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %thread, %to : i32, !llvm.ptr<3>
      moe_gpu.barrier
      %at = arith.muli %mirrored, %four : i32
      %from = llvm.getelementptr %memory[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %value = llvm.load %from : !llvm.ptr<3> -> i32
      %always = arith.constant true
      %out = llvm.getelementptr %p[%own] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      moe_gpu.store_if %always, %value, %out : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let results = (outs LLVM_PointerInAddressSpace<3>:$memory);
  let assemblyFormat = "attr-dict `:` type($memory)";
  let builders = [OpBuilder<(ins), [{
    build($_builder, $_state,
          ::mlir::LLVM::LLVMPointerType::get($_builder.getContext(), 3));
  }]>];
}

def MoeGpu_BarrierOp : MoeGpu_Op<"barrier", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "All threads of the block wait for each other";
  let description = [{
    What they wrote before, into either memory, the others see behind it. All
    threads of a block reach it, or none.

    ```mlir
    llvm.func @wait(%p: !llvm.ptr<1>, %n: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
      moe_gpu.barrier
      llvm.return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def MoeGpu_ShuffleKind : I32EnumAttr<"ShuffleKind", "whose value a lane gets", [
    I32EnumAttrCase<"Index", 0, "index">,
    I32EnumAttrCase<"Xor", 1, "xor">,
    I32EnumAttrCase<"Up", 2, "up">]> {
  let cppNamespace = "::moegpu";
  let genSpecializedAttr = 0;
}
def MoeGpu_ShuffleKindAttr : EnumAttr<MoeGpu_Dialect, MoeGpu_ShuffleKind, "shuffle"> {
  let description = [{
    `index` is the lane with this number; `xor` that whose number differs in
    these bits; `up` that so many below, or the lane itself if there is none.
  }];
  let assemblyFormat = "$value";
}

def MoeGpu_ShuffleOp : MoeGpu_Op<"shuffle", [AllTypesMatch<["value", "result"]>]> {
  let summary = "The value of another lane of the team";
  let description = [{
    `lane`, 0 to 31, says whose, by `kind`. All threads of the team take part.

    ```mlir
    llvm.func @sum(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
      %value = llvm.load %p : !llvm.ptr<1> -> f32
      %bit = arith.constant 16 : i32
      %other = moe_gpu.shuffle xor %value, %bit : f32
      %sum = arith.addf %value, %other : f32
      %first = arith.constant true
      %word = llvm.bitcast %sum : f32 to i32
      moe_gpu.store_if %first, %word, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let arguments = (ins MoeGpu_ShuffleKindAttr:$kind, AnyTypeOf<[I32, F32]>:$value,
                       I32:$lane);
  let results = (outs AnyTypeOf<[I32, F32]>:$result);
  let assemblyFormat = "$kind $value `,` $lane attr-dict `:` type($value)";
}

def MoeGpu_ReduceKind : I32EnumAttr<"ReduceKind", "what becomes of the lanes' integers", [
    I32EnumAttrCase<"Add", 0, "add">,
    I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::moegpu";
  let genSpecializedAttr = 0;
}
def MoeGpu_ReduceKindAttr : EnumAttr<MoeGpu_Dialect, MoeGpu_ReduceKind, "reduction"> {
  let description = "Their sum, or the largest or smallest of signed integers.";
  let assemblyFormat = "$value";
}

def MoeGpu_ReduceOp : MoeGpu_Op<"reduce", [SameOperandsAndResultType]> {
  let summary = "The integers of all lanes of the team as one";
  let description = [{
    All threads of the team take part, and get the same.

    ```mlir
    llvm.func @best(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
      %thread = moe_gpu.thread : i32
      %last = moe_gpu.reduce max %thread : i32
      %first = arith.cmpi eq, %thread, %last : i32
      moe_gpu.store_if %first, %last, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let arguments = (ins MoeGpu_ReduceKindAttr:$kind, I32:$value);
  let results = (outs I32:$result);
  let assemblyFormat = "$kind $value attr-dict `:` type($value)";
}

def MoeGpu_BallotOp : MoeGpu_Op<"ballot"> {
  let summary = "A bit for each lane of the team in which a condition holds";
  let description = [{
    All threads of the team take part. With `llvm.intr.ctpop` it counts lanes.

    ```mlir
    llvm.func @count(%p: !llvm.ptr<1>, %n: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
      %thread = moe_gpu.thread : i32
      %below = arith.cmpi slt, %thread, %n : i32
      %lanes = moe_gpu.ballot %below : i32
      %count = llvm.intr.ctpop(%lanes) : (i32) -> i32
      llvm.store %count, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let arguments = (ins I1:$condition);
  let results = (outs I32:$lanes);
  let assemblyFormat = "$condition attr-dict `:` type($lanes)";
  let builders = [OpBuilder<(ins "::mlir::Value":$condition), [{
    build($_builder, $_state, $_builder.getI32Type(), condition);
  }]>];
}

def MoeGpu_StoreIfOp : MoeGpu_Op<"store_if", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Writes a word where a condition holds, without a branch";
  let description = [{
    Nothing is known of `address` where it does not hold.

    ```mlir
    llvm.func @first(%p: !llvm.ptr<1>, %n: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
      %thread = moe_gpu.thread : i32
      %is_first = arith.cmpi slt, %thread, %n : i32
      moe_gpu.store_if %is_first, %thread, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let arguments = (ins I1:$condition, I32:$value,
                       LLVM_PointerInAddressSpace<1>:$address);
  let assemblyFormat = [{
    $condition `,` $value `,` $address attr-dict `:` type($value) `,` type($address)
  }];
}

def MoeGpu_LookUpOp : MoeGpu_Op<"look_up", [Pure]> {
  let summary = "An entry of a table of constants";
  let description = [{
    `index` says which, without a sign, and is below their number.

    ```mlir
    llvm.func @square(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 1, shared = 0, resident = 1>} {
      %index = llvm.load %p : !llvm.ptr<1> -> i32
      %value = moe_gpu.look_up [0, 1, 4, 9] at %index : i32
      llvm.store %value, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    ```
  }];
  let arguments = (ins DenseI32ArrayAttr:$table, I32:$index);
  let results = (outs I32:$entry);
  let assemblyFormat = "$table `at` $index attr-dict `:` type($entry)";
  let builders = [OpBuilder<(ins "::mlir::DenseI32ArrayAttr":$table,
                                 "::mlir::Value":$index), [{
    build($_builder, $_state, $_builder.getI32Type(), table, index);
  }]>];
}

#endif // MOEGPU_OPS_TD
