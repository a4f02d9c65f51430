// The register tile is what the schedule says: no micro-kernel of any target
// keeps a vector on the stack, and each uses the instructions it is named for.
//
// RUN: split-file %s %t
// DEFINE: %{lower} = --convert-moek-to-vector --lower-affine --convert-scf-to-cf \
// DEFINE:   --convert-vector-to-llvm=enable-x86vector --expand-strided-metadata --finalize-memref-to-llvm --convert-math-to-llvm \
// DEFINE:   --convert-arith-to-llvm --convert-index-to-llvm --convert-func-to-llvm --convert-cf-to-llvm \
// DEFINE:   --reconcile-unrealized-casts
// DEFINE: %{bufferize} = --moek-hoist-packing \
// DEFINE:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map"
// DEFINE: %{kernels} = %python %S/Inputs/extract_kernels.py
//
// RUN: moe-opt %t/f32.mlir --moe-set-target=chip=x86-64-v4 --moek-select-schedule %{bufferize} --convert-moek-to-vector | %{kernels} | moe-opt %{lower} \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mcpu=x86-64-v4 -o %t/f32-v4.s
// RUN: %python %S/Inputs/check_no_spills.py %t/f32-v4.s | FileCheck %s --check-prefix=N14
// RUN: FileCheck %s --check-prefix=FMA512 < %t/f32-v4.s
//
// RUN: moe-opt %t/f32.mlir --moe-set-target=chip=x86-64-v3 --moek-select-schedule %{bufferize} --convert-moek-to-vector | %{kernels} | moe-opt %{lower} \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mcpu=x86-64-v3 -o %t/f32-v3.s
// RUN: %python %S/Inputs/check_no_spills.py %t/f32-v3.s | FileCheck %s --check-prefix=N6
// RUN: FileCheck %s --check-prefix=FMA256 < %t/f32-v3.s
//
// RUN: moe-opt %t/bf16.mlir --moe-set-target=chip=x86-64-v4 --moek-select-schedule %{bufferize} --convert-moek-to-vector | %{kernels} | moe-opt %{lower} \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mcpu=x86-64-v4 -o %t/bf16-v4.s
// RUN: %python %S/Inputs/check_no_spills.py %t/bf16-v4.s | FileCheck %s --check-prefix=N12
//
// RUN: moe-opt %t/bf16.mlir --moe-set-target=chip=x86-64-v3 --moek-select-schedule %{bufferize} --convert-moek-to-vector | %{kernels} | moe-opt %{lower} \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mcpu=x86-64-v3 -o %t/bf16-v3.s
// RUN: %python %S/Inputs/check_no_spills.py %t/bf16-v3.s | FileCheck %s --check-prefix=WIDEN256
//
// RUN: moe-opt %t/bf16.mlir --moe-set-target=chip=x86-64-v4-bf16 --moek-select-schedule %{bufferize} --convert-moek-to-vector | %{kernels} | moe-opt %{lower} \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mcpu=x86-64-v4 -mattr=+avx512bf16 -o %t/dot.s
// RUN: %python %S/Inputs/check_no_spills.py %t/dot.s | FileCheck %s --check-prefix=N14
// RUN: FileCheck %s --check-prefix=DOT < %t/dot.s

// N14: 28 kernels checked, 0 with spills
// N12: 24 kernels checked, 0 with spills
// N6: 12 kernels checked, 0 with spills
// WIDEN256: 10 kernels checked, 0 with spills

// FMA512: moek_fma_x16_pitch320_rows14_m14:
// FMA512: prefetcht1 12288(
// FMA512: vfmadd{{.*}}%zmm
// FMA512: prefetcht0 4096(
// FMA512: vfmadd{{.*}}%zmm
// FMA512: prefetcht1 12352(
// FMA512: vfmadd{{.*}}%zmm
// FMA512: moek_fma_x16_pitch320_rows14_next_m14:
// FMA512: prefetcht1 (
// FMA256: moek_fma_x8_pitch320_rows6_m6:
// FMA256-NOT: zmm
// FMA256: vfmadd{{.*}}%ymm
// DOT: moek_dot_bf16_x16_pitch192_rows14_m14:
// DOT: vdpbf16ps {{.*}}%zmm

//--- f32.mlir
func.func @f(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32> {moe.name = "w"}, %o: tensor<9xi32>, %t: tensor<?xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) gather(%t : tensor<?xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

//--- bf16.mlir
func.func @f(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16> {moe.name = "w"}, %o: tensor<9xi32>, %t: tensor<?xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) gather(%t : tensor<?xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}
