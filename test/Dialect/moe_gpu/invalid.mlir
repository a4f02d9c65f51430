// RUN: moe-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{threads must be 1 to 1024, got 0}}
#kernel = #moe_gpu.kernel<threads = 0, shared = 0, resident = 1>
module attributes {acme.kernel = #kernel} {}

// -----

// expected-error @+1 {{shared must be a number of bytes in whole words, got 6}}
#kernel = #moe_gpu.kernel<threads = 32, shared = 6, resident = 1>
module attributes {acme.kernel = #kernel} {}

// -----

// expected-error @+1 {{resident must be a number of blocks, got 0}}
#kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 0>
module attributes {acme.kernel = #kernel} {}

// -----

// expected-error @+1 {{has the attribute 'moe_gpu.kernel', which is a #moe_gpu.kernel of an 'llvm.func'}}
module attributes {moe_gpu.kernel = 1 : i32} {}

// -----

// expected-error @+1 {{has the attribute 'moe_gpu.other', which nothing knows}}
module attributes {moe_gpu.other} {}
