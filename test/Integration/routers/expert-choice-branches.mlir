// No branch of the kernel depends on data: not on the scores, nor on how many
// of them are equal.
//
// RUN: moe-compile %s --target=x86-64-v3 --emit=llvm-ir -o %t.ll
// RUN: moe-branch-check %t.ll --function='router__(body|expert_choice)' | FileCheck %s
// RUN: moe-compile %s --target=x86-64-v4 --emit=llvm-ir -o %t.ll
// RUN: moe-branch-check %t.ll --function='router__(body|expert_choice)' | FileCheck %s
// RUN: moe-compile %s --target=aarch64 --emit=llvm-ir -o %t.ll
// RUN: moe-branch-check %t.ll --function='router__(body|expert_choice)' | FileCheck %s
// REQUIRES: moe-branch-check

// CHECK: router__expert_choice_parallel_1
// CHECK: proved: no branch depends on data

func.func @router(%s: tensor<?x20xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x20xi32> {moe.name = "experts", moe.dims = ["T"]}) {
  %r = moe.router #moe.expert_choice<factor = 2.0> select(%s) weigh(%s)
      : tensor<?x20xf32> -> !moe.routing<20 x 20>
  %i = moe.routing.indices %r : !moe.routing<20 x 20> -> tensor<?x20xi32>
  return %i : tensor<?x20xi32>
}
