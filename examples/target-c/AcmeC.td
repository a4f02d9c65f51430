//===- AcmeC.td - C compilers as chips ---------------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The chip of a target is an attribute of a dialect of its own. This target
// needs no schedules and no layouts: kernels read weights as they are.
//
//===----------------------------------------------------------------------===//

#ifndef ACMEC_TD
#define ACMEC_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "moek/MoekInterfaces.td"

def AcmeC_Dialect : Dialect {
  let name = "acme_c";
  let cppNamespace = "::acmec";
  let useDefaultAttributePrinterParser = 1;
}

def AcmeC_TargetAttr : AttrDef<AcmeC_Dialect, "Target",
    [DeclareAttrInterfaceMethods<Moek_TargetAttrInterface>]> {
  let mnemonic = "target";
  let summary = "a machine that has a C compiler";
  let description = [{
    `compiler` is the program that makes objects of C, found by PATH, `flags`
    what it is told besides.

    ```mlir
    #acme_c.target<"portable-c", compiler = "cc", flags = "-O2">
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name,
                        StringRefParameter<>:$compiler,
                        StringRefParameter<>:$flags);
  let assemblyFormat = "`<` $name `,` struct($compiler, $flags) `>`";
}

#endif // ACMEC_TD
