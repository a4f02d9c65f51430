; Branches that no IR shows: code generation makes them.

; A select of floats is a jump on x86 without masks and an instruction with
; them.
; RUN: not moe-branch-check %s --function=select --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3 | FileCheck %s --check-prefix=SELECT
; RUN: moe-branch-check %s --function=select --mtriple=x86_64-linux-gnu --mcpu=x86-64-v4
; RUN: moe-branch-check %s --function=select --mtriple=aarch64-linux-gnu
; SELECT: select 0 0 1 1 same bytes
; SELECT: select: code generation made a jump (JCC_1) from %r = select i1
; SELECT: not proved
define void @select(ptr %data, i64 %n) {
  %x = load i32, ptr %data
  %c = icmp slt i32 %x, 7
  %a.at = getelementptr float, ptr %data, i64 1
  %a = load float, ptr %a.at
  %b.at = getelementptr float, ptr %data, i64 2
  %b = load float, ptr %b.at
  %sum = fadd float %a, %b
  %product = fmul float %a, %b
  %r = select i1 %c, float %sum, float %product
  store float %r, ptr %data
  ret void
}

; The maximum of floats that keeps NaN: the same.
; RUN: not moe-branch-check %s --function=maximum --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3 | FileCheck %s --check-prefix=MAXIMUM
; RUN: moe-branch-check %s --function=maximum --mtriple=x86_64-linux-gnu --mcpu=x86-64-v4
; RUN: moe-branch-check %s --function=maximum --mtriple=aarch64-linux-gnu
; MAXIMUM: code generation made a jump {{.*}} = call float @llvm.vector.reduce.fmaximum
define void @maximum(ptr %data) {
  %v = load <4 x float>, ptr %data
  %m = call float @llvm.vector.reduce.fmaximum(<4 x float> %v)
  store float %m, ptr %data
  ret void
}

; A mathematical function without an instruction is a call.
; RUN: not moe-branch-check %s --function=exp --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3 | FileCheck %s --check-prefix=EXP
; RUN: moe-branch-check %s --function=exp --allow-call=expf --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3
; EXP: exp: code generation made a call of expf, whose branches are not here
define void @exp(ptr %data) {
  %v = load float, ptr %data
  %m = call float @llvm.exp.f32(float %v)
  store float %m, ptr %data
  ret void
}

; One branch of the IR becomes two: both are known to come from it.
; RUN: moe-branch-check %s --function=sizes --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3 | FileCheck %s --check-prefix=SIZES
; SIZES: sizes 1 0 {{[12]}} 0 same bytes
define void @sizes(ptr %data, i64 %n, i64 %m) {
  %a = icmp slt i64 %n, 7
  %b = icmp sgt i64 %m, 9
  %c = and i1 %a, %b
  br i1 %c, label %then, label %exit
then:
  store i64 0, ptr %data
  br label %exit
exit:
  ret void
}

; An object that is not of this IR.
; RUN: sed 's/icmp slt i64 %n, 7/icmp ne i64 %n, 7/; s/@exp(/@other(/' %s > %t.ll
; RUN: not moe-branch-check %t.ll --function=select --mtriple=x86_64-linux-gnu --mcpu=x86-64-v3 -o %t.o
; RUN: not moe-branch-check %s --function=maximum --mtriple=x86_64-linux-gnu --mcpu=x86-64-v4 --object=%t.o | FileCheck %s --check-prefix=OTHER
; RUN: not moe-branch-check %s --function='^exp$' --allow-call=expf --mtriple=x86_64-linux-gnu --mcpu=x86-64-v4 --object=%t.o | FileCheck %s --check-prefix=MISSING
; RUN: not moe-branch-check %s --function=maximum --mtriple=aarch64-linux-gnu --object=%t.o 2>&1 | FileCheck %s --check-prefix=MACHINE
; OTHER: maximum: {{.*}}.o has {{.*}} conditional and 0 indirect jumps in it, not 0 and 0
; MISSING: exp: {{.*}}.o does not define it
; MACHINE: an object for x86_64, but the IR is for aarch64

; Wrong use.
; RUN: not moe-branch-check %s --mtriple=x86_64-linux-gnu --function=absent 2>&1 | FileCheck %s --check-prefix=ABSENT
; RUN: not moe-branch-check %s --mtriple=x86_64-linux-gnu --function='(' 2>&1 | FileCheck %s --check-prefix=REGEX
; RUN: not moe-branch-check %s --mtriple=x86_64-linux-gnu --function=exp --size-argument=exp:1 2>&1 | FileCheck %s --check-prefix=NUMBER
; RUN: not moe-branch-check %s --function=exp 2>&1 | FileCheck %s --check-prefix=TRIPLE
; ABSENT: no function with a body matches 'absent'
; REGEX: --function: parentheses not balanced
; NUMBER: --size-argument=exp:1 names no pointer argument
; TRIPLE: the module names no target; --mtriple does
