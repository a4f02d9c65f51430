// What MLIR 22 makes of loops for SPIR-V: where there is no trip, the result is that of a
// variable that nobody stored to. moe-vulkan-serialize-kernels makes `scf.while` of them
// first. When this fails, MLIR is mended, and that pass needs no more to.
// RUN: moe-opt --convert-scf-to-spirv %s | FileCheck %s
// RUN: moe-opt --scf-for-to-while --convert-scf-to-spirv %s | FileCheck %s --check-prefix=WHILE

// CHECK: %[[RESULT:.*]] = spirv.Variable : !spirv.ptr<f32, Function>
// CHECK-NOT: spirv.Store
// CHECK: spirv.mlir.loop
// CHECK: spirv.BranchConditional %{{.*}}, ^[[BODY:.*]], ^[[END:.*]]
// CHECK-NEXT: ^[[BODY]]:
// CHECK: spirv.Store "Function" %[[RESULT]]
// CHECK: ^[[END]]:
// CHECK-NEXT: spirv.mlir.merge
// CHECK: spirv.Load "Function" %[[RESULT]]

// The value that goes round is stored where the condition is.
// WHILE: %[[RESULT:.*]] = spirv.Variable : !spirv.ptr<f32, Function>
// WHILE: spirv.mlir.loop
// WHILE: spirv.SLessThan
// WHILE: spirv.Store "Function" %[[RESULT]]
// WHILE: spirv.BranchConditional
module attributes {spirv.target_env = #spirv.target_env<#spirv.vce<v1.3, [Shader], []>, #spirv.resource_limits<>>} {
  func.func @sum(%n: i32, %first: f32) -> f32 {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %last = scf.for %i = %c0 to %n step %c1 iter_args(%sum = %first) -> (f32) : i32 {
      %next = arith.addf %sum, %sum : f32
      scf.yield %next : f32
    }
    return %last : f32
  }
}
