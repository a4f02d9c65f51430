; Which values the checker holds for data, one function per rule. In the names,
; "good" ones are proved and "bad" ones are not.

; RUN: moe-branch-check %s --function=good --mcpu=x86-64-v3 --size-argument=good_declared:0 | FileCheck %s --check-prefix=GOOD
; RUN: not moe-branch-check %s --function=bad --mcpu=x86-64-v3 | FileCheck %s --check-prefix=BAD

target triple = "x86_64-unknown-linux-gnu"

; GOOD-NOT: depends on data
; GOOD: proved: no branch depends on data

;===----------------------------------------------------------------------===;
; Sizes reach a parallel body through a struct on the stack of its caller.
;===----------------------------------------------------------------------===;

%env = type { i64, ptr, i64 }
%rt = type { i32, i32, ptr, ptr, ptr, ptr }

declare ptr @moe_rt_default()

define internal void @good_body(ptr %arg, i64 %item) {
  %n = load i64, ptr %arg, align 8
  %p = getelementptr %env, ptr %arg, i64 0, i32 1
  %data = load ptr, ptr %p, align 8
  br label %loop

loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %at = getelementptr float, ptr %data, i64 %i
  store float 1.0, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit

exit:
  ret void
}

; The third field is read from data; the body above does not use it.
define i32 @good_launch(ptr %given, i64 %n, ptr %data) {
entry:
  %env = alloca %env, align 64
  %null = icmp eq ptr %given, null
  br i1 %null, label %default, label %start

default:
  %own = call ptr @moe_rt_default()
  br label %start

start:
  %rt = phi ptr [ %own, %default ], [ %given, %entry ]
  %threads.at = getelementptr i8, ptr %rt, i64 4
  %threads = load i32, ptr %threads.at
  %many = icmp sgt i32 %threads, 1
  store i64 %n, ptr %env
  %env.1 = getelementptr %env, ptr %env, i64 0, i32 1
  store ptr %data, ptr %env.1
  %env.2 = getelementptr %env, ptr %env, i64 0, i32 2
  %datum = load i64, ptr %data
  store i64 %datum, ptr %env.2
  br i1 %many, label %parallel, label %serial

parallel:
  %hook.at = getelementptr i8, ptr %rt, i64 8
  %hook = load ptr, ptr %hook.at
  call void %hook(ptr %rt, i64 %n, ptr @good_body, ptr %env)
  br label %exit

serial:
  call void @good_body(ptr %env, i64 0)
  br label %exit

exit:
  ret i32 0
}

; Here it does.
; BAD-DAG: bad_body: a branch depends on data, at block %loop
define internal void @bad_body(ptr %arg, i64 %item) {
  %n.at = getelementptr %env, ptr %arg, i64 0, i32 2
  %n = load i64, ptr %n.at, align 8
  br label %loop

loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit

exit:
  ret void
}

define i32 @launch_bad(ptr %given, i64 %n, ptr %data) {
  %env = alloca %env, align 64
  %env.2 = getelementptr %env, ptr %env, i64 0, i32 2
  %datum = load i64, ptr %data
  store i64 %datum, ptr %env.2
  call void @bad_body(ptr %env, i64 0)
  ret i32 0
}

; A struct that others can reach holds whatever they write.
; BAD-DAG: bad_published: a branch depends on data
; BAD-DAG: loaded from a stack slot that other code reaches
define void @bad_published(i64 %n, ptr %where) {
  %slot = alloca i64
  store i64 %n, ptr %slot
  store ptr %slot, ptr %where
  %m = load i64, ptr %slot
  %more = icmp slt i64 %m, 7
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %where
  br label %exit
exit:
  ret void
}

; One of two values in a slot, as data decides.
; BAD-DAG: bad_slot: a branch depends on data, at block %join
define void @bad_slot(ptr %data, ptr %out) {
  %slot = alloca i64
  store i64 1, ptr %slot
  %datum = load i64, ptr %data
  %low = icmp slt i64 %datum, 7
  br i1 %low, label %then, label %join
then:
  store volatile i64 2, ptr %slot
  br label %join
join:
  %m = load i64, ptr %slot
  %more = icmp slt i64 %m, 7
  br i1 %more, label %last, label %exit
last:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

;===----------------------------------------------------------------------===;
; What a branch on data decides, without data flowing there.
;===----------------------------------------------------------------------===;

; Which way it came.
; BAD-DAG: bad_join: a branch depends on data, at block %loop
define void @bad_join(ptr %data, ptr %out) {
  %datum = load i64, ptr %data
  %low = icmp slt i64 %datum, 7
  br i1 %low, label %left, label %right
left:
  store i64 1, ptr %out
  br label %join
right:
  store i64 2, ptr %data
  br label %join
join:
  %which = phi i64 [ 3, %left ], [ 30, %right ]
  br label %loop
loop:
  %i = phi i64 [ 0, %join ], [ %next, %loop ]
  %at = getelementptr i64, ptr %out, i64 %i
  store i64 %i, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %which
  br i1 %more, label %loop, label %exit
exit:
  ret void
}

; How often a loop ran.
; BAD-DAG: bad_count: a branch depends on data, at block %loop
; BAD-DAG: bad_count: a branch depends on data, at block %after
define void @bad_count(ptr %data, ptr %out) {
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %next = add i64 %i, 1
  %at = getelementptr i64, ptr %data, i64 %i
  %datum = load i64, ptr %at
  %more = icmp slt i64 %datum, 7
  br i1 %more, label %loop, label %after
after:
  %even = and i64 %next, 1
  %odd = icmp ne i64 %even, 0
  br i1 %odd, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

; A check that ends the function early decides nothing after it: the loop is
; not reported, the check is, unless it is allowed.
; RUN: not moe-branch-check %s --function=early_check --mcpu=x86-64-v3 | FileCheck %s --check-prefix=EARLY
; EARLY: early_check 2 1
; EARLY-COUNT-1: early_check: a branch depends on data
; EARLY-NOT: a branch depends on data
; EARLY: not proved
define i32 @early_check(i64 %n, ptr %data, ptr %out) {
  %datum = load i64, ptr %data
  %low = icmp slt i64 %datum, 7
  br i1 %low, label %error, label %loop
error:
  ret i32 6
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %at = getelementptr i64, ptr %out, i64 %i
  store i64 %i, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit
exit:
  ret i32 0
}

;===----------------------------------------------------------------------===;
; Tables, calls, arguments.
;===----------------------------------------------------------------------===;

@table = internal constant [4 x i64] [i64 3, i64 1, i64 4, i64 1]

define void @good_table(i64 %n, ptr %out) {
  %at = getelementptr i64, ptr @table, i64 %n
  %m = load i64, ptr %at
  %more = icmp slt i64 %m, 2
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

; BAD-DAG: bad_table: a branch depends on data
define void @bad_table(ptr %data, ptr %out) {
  %n = load i64, ptr %data
  %at = getelementptr i64, ptr @table, i64 %n
  %m = load i64, ptr %at
  %more = icmp slt i64 %m, 2
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

; An argument that the command line says points to sizes.
define void @good_declared(ptr %sizes, ptr %out) {
  %m = load i64, ptr %sizes
  %more = icmp slt i64 %m, 2
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

; BAD-DAG: bad_scalar: a branch depends on data
; BAD-DAG: which is an argument that is neither a size nor an address
define void @bad_scalar(float %x, ptr %out) {
  %more = fcmp olt float %x, 2.0
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

; What a matching function calls is proved with it.
; BAD-DAG: helper: a branch depends on data
define internal void @helper(i64 %m, ptr %out) noinline {
  %more = icmp slt i64 %m, 2
  br i1 %more, label %then, label %exit
then:
  store i64 0, ptr %out
  br label %exit
exit:
  ret void
}

define void @bad_caller(ptr %data) {
  %m = load i64, ptr %data
  call void @helper(i64 %m, ptr %data)
  ret void
}

; BAD-DAG: bad_foreign: calls sinf, whose branches are not here
declare float @sinf(float)
define void @bad_foreign(ptr %data) {
  %x = load float, ptr %data
  %y = call float @sinf(float %x)
  store float %y, ptr %data
  ret void
}

; BAD-DAG: bad_pointer: calls through a pointer that is no hook of the runtime
define void @bad_pointer(ptr %data) {
  %f = load ptr, ptr %data
  call void %f()
  ret void
}

; BAD-DAG: bad_switch: a branch depends on data
define void @bad_switch(ptr %data) {
  %x = load i32, ptr %data
  switch i32 %x, label %a [ i32 0, label %b
                            i32 1, label %c
                            i32 2, label %d
                            i32 3, label %e ]
a:
  store i32 5, ptr %data
  ret void
b:
  store i32 4, ptr %data
  ret void
c:
  store i32 6, ptr %data
  ret void
d:
  store i32 9, ptr %data
  ret void
e:
  ret void
}
; BAD: not proved
