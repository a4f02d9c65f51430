//===- MoeRtOps.td - The dialect of the runtime's hooks -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOERT_OPS_TD
#define MOERT_OPS_TD

include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def MoeRt_Dialect : Dialect {
  let name = "moe_rt";
  let cppNamespace = "::moert";
  let summary = "What compiled code asks of the runtime";
  let description = [{
    The hooks of `moe_rt.h` as ops: threads, the trace, kernels of a device, the
    end of a call with a status; and C functions of experts. They stand beside kernels and among their loops, whatever the
    target; `moek-lower-runtime-ops` turns them into calls of the hooks.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def MoeRt_Status : I32EnumAttr<"Status", "what a failed check makes a call return", [
    I32EnumAttrCase<"BadSize", 2, "bad_size">,
    I32EnumAttrCase<"BadRouting", 6, "bad_routing">,
    I32EnumAttrCase<"BadValue", 8, "bad_value">,
    I32EnumAttrCase<"Device", 9, "device">,
    I32EnumAttrCase<"Expert", 10, "expert">]> {
  let cppNamespace = "::moert";
  let genSpecializedAttr = 0;
}
def MoeRt_StatusAttr : EnumAttr<MoeRt_Dialect, MoeRt_Status, "status"> {
  let description = [{The numbers are those of `moe_status` in moe_rt.h.}];
  let assemblyFormat = "$value";
}

class MoeRt_Op<string mnemonic, list<Trait> traits = []>
    : Op<MoeRt_Dialect, mnemonic, traits>;

def MoeRt_NumThreadsOp : MoeRt_Op<"num_threads", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Threads of the runtime the entry point was called with";
  let description = [{
    The number that `moe_rt` gives, by which kernels choose how many items a
    parallel loop has. Results do not depend on it.

    ```mlir
    func.func @threads() -> index {
      %n = moe_rt.num_threads
      return %n : index
    }
    ```
  }];
  let results = (outs Index:$threads);
  let assemblyFormat = "attr-dict";
}

def MoeRt_TraceOp : MoeRt_Op<"trace", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Marks the begin or the end of a phase for the runtime's trace hook";
  let description = [{
    `kind` is `begin`, `end` or `routing`; the last takes `offsets`, `indices`
    and `weights`. Costs one test of a pointer when no hook is set.

    ```mlir
    func.func @traced(%offsets: memref<9xi32>, %indices: memref<?x2xi32>,
                      %weights: memref<?x2xf32>) {
      moe_rt.trace "begin" "route"
      moe_rt.trace "routing" "route" (%offsets, %indices, %weights
          : memref<9xi32>, memref<?x2xi32>, memref<?x2xf32>)
      moe_rt.trace "end" "route"
      return
    }
    ```
  }];
  let arguments = (ins StrAttr:$kind, StrAttr:$phase,
                       Variadic<AnyStridedMemRef>:$routing);
  let assemblyFormat = "$kind $phase (`(` $routing^ `:` type($routing) `)`)? attr-dict";
}

def MoeRt_CheckOp : MoeRt_Op<"check", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Makes the call return a status unless a condition holds";
  let description = [{
    If `ok` is false, the entry point tells the runtime's error hook `message`
    and returns `status` (`bad_size`, `bad_routing`, `bad_value`, `device` or `expert`) at once:
    nothing behind the check runs, and no result has been written, since results
    that would be written before the last check of a function are kept in the
    workspace until it has passed.

    Stands in the body of a function, or in sequential `scf` ops there; threads
    cannot end a call. Works on tensors and memrefs alike. `runtime` is set by
    `moek-lower-runtime-ops`.

    ```mlir
    func.func @layer(%ok: i1) {
      moe_rt.check %ok, bad_value, "argument 'token_ids' holds an id out of range"
      return
    }
    ```
  }];
  let arguments = (ins I1:$ok, MoeRt_StatusAttr:$status, StrAttr:$message,
                       Optional<AnyType>:$runtime);
  let assemblyFormat = [{
    $ok `,` $status `,` $message
    (`runtime` `(` $runtime^ `:` type($runtime) `)`)? attr-dict
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Value":$ok, "::moert::Status":$status,
                   "const ::llvm::Twine &":$message), [{
      build($_builder, $_state, ok, status, $_builder.getStringAttr(message),
            ::mlir::Value());
    }]>
  ];
  let extraClassDeclaration = [{
    /// The innermost op around `block` from which a call cannot be ended; null
    /// if a check can stand in `block`.
    static ::mlir::Operation *findObstacle(::mlir::Block *block);
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def MoeRt_CallOp : MoeRt_Op<"call", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Calls a C function that bodies of experts name";
  let description = [{
    The function named `callee`, see `#moe.external`: it gets the
    runtime of the call, `expert` and `rows` as 64-bit integers, and the addresses
    of `arguments`. `status` is what it returns.

    ```mlir
    func.func @call(%expert: index, %rows: index, %x: memref<?x64xf32>,
                    %y: memref<?x32xf32>) -> i32 {
      %status = moe_rt.call "search" expert(%expert) rows(%rows)
          args(%x, %y : memref<?x64xf32>, memref<?x32xf32>)
      return %status : i32
    }
    ```
  }];
  let arguments = (ins StrAttr:$callee, Index:$expert, Index:$rows,
                       Variadic<AnyStridedMemRef>:$arguments);
  let results = (outs I32:$status);
  let assemblyFormat = [{
    $callee `expert` `(` $expert `)` `rows` `(` $rows `)`
    `args` `(` $arguments `:` type($arguments) `)` attr-dict
  }];
}

def MoeRt_LaunchOp : MoeRt_Op<"launch", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Starts a kernel on the device that the memory is on";
  let description = [{
    Asks the `launch` hook for the kernel named `kernel` of the code `image`: the
    symbol of a module of kernels, which the target turns into a constant. It
    runs after those launched before, and the call does not wait for it.

    | part | unit | meaning |
    |---|---|---|
    | `blocks` | | of threads; with `each`, at most so many for each multiprocessor |
    | `threads` | | of a block |
    | `shared` | bytes | of memory that a block shares, besides what the kernel has by itself |
    | `overlaps` | blocks | the kernel waits for those before it by itself, and its blocks, if they are no more than so many, are set up while those end |

    Memrefs become their addresses on the device and integers i32. One whose
    entry in `boxes` is not 0 is described as a matrix of rows of its last
    dimension, which the device copies in boxes of so many rows and 128 bytes
    (a tensor map). `moek-lower-launches` makes the call.

    ```mlir
    func.func @gate_up(%w: memref<8x2x256x128xbf16>, %x: memref<?x128xbf16>,
                       %n: index) {
      moe_rt.launch @kernels "gate_up" blocks(%n) each(1) threads(384) shared(196608)
          args(%w, %x, %n : memref<8x2x256x128xbf16>, memref<?x128xbf16>, index)
          boxes = [128, 0, 0]
      return
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$image, StrAttr:$kernel, Index:$blocks,
                       OptionalAttr<I64Attr>:$each, I64Attr:$threads,
                       I64Attr:$shared, OptionalAttr<I64Attr>:$overlaps,
                       Variadic<AnyType>:$arguments,
                       DenseI64ArrayAttr:$boxes);
  let assemblyFormat = [{
    $image $kernel `blocks` `(` $blocks `)` (`each` `(` $each^ `)`)?
    `threads` `(` $threads `)` `shared` `(` $shared `)` (`overlaps` `(` $overlaps^ `)`)?
    `args` `(` $arguments `:` type($arguments) `)` `boxes` `=` $boxes attr-dict
  }];
  let hasVerifier = 1;
}

#endif // MOERT_OPS_TD
