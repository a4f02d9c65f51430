// RUN: moe-opt --moe-vulkan-expand-exchanges --moe-vulkan-serialize-kernels -split-input-file -verify-diagnostics %s

// Lanes of one team exchange values through memory that the block shares.
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  module @kernels {
    // expected-error @+1 {{has threads that exchange values, and blocks of 64 threads where Vulkan wants one team of 32}}
    llvm.func @lanes(%p: !llvm.ptr<1>, %c: i1) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 64, shared = 0, resident = 1>} {
      %lanes = moe_gpu.ballot %c : i32
      llvm.store %lanes, %p : i32, !llvm.ptr<1>
      llvm.return
    }
  }
}

// -----

module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  module @kernels {
    // expected-error @+1 {{has no moe_gpu.kernel}}
    llvm.func @plain(%p: !llvm.ptr<1>, %v: i32) {
      llvm.store %v, %p : i32, !llvm.ptr<1>
      llvm.return
    }
  }
}

// -----

// Shared memory is words.
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  module @kernels {
    llvm.func @half(%v: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 64, shared = 64, resident = 1>} {
      %p = moe_gpu.shared : !llvm.ptr<3>
      %half = arith.trunci %v : i32 to i16
      // expected-error @+1 {{failed to legalize operation 'llvm.store'}}
      llvm.store %half, %p : i16, !llvm.ptr<3>
      llvm.return
    }
  }
}
