// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s -emit-bytecode | moe-opt --allow-bytecode | FileCheck %s

// CHECK-LABEL: llvm.func @all
// CHECK-SAME: moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 128, resident = 2>
llvm.func @all(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 128, resident = 2>} {
  // CHECK: moe_gpu.thread : i32
  %thread = moe_gpu.thread : i32
  // CHECK: moe_gpu.block : i32
  %block = moe_gpu.block : i32
  // CHECK: moe_gpu.num_blocks : i32
  %blocks = moe_gpu.num_blocks : i32
  // CHECK: moe_gpu.shared : <3>
  %shared = moe_gpu.shared : !llvm.ptr<3>
  // CHECK: moe_gpu.barrier
  moe_gpu.barrier
  // CHECK: moe_gpu.shuffle xor %{{.*}}, %{{.*}} : i32
  %a = moe_gpu.shuffle xor %thread, %block : i32
  // CHECK: moe_gpu.shuffle index
  %b = moe_gpu.shuffle index %a, %blocks : i32
  // CHECK: moe_gpu.shuffle up
  %c = moe_gpu.shuffle up %b, %blocks : i32
  %positive = arith.cmpi sgt, %c, %thread : i32
  // CHECK: moe_gpu.ballot %{{.*}} : i32
  %lanes = moe_gpu.ballot %positive : i32
  // CHECK: moe_gpu.store_if %{{.*}}, %{{.*}}, %{{.*}} : i32, <1>
  moe_gpu.store_if %positive, %lanes, %p : i32, !llvm.ptr<1>
  llvm.return
}
