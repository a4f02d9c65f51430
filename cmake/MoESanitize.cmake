# MOE_SANITIZE: sanitizers that everything is built with, as -fsanitize takes
# them, such as "address,undefined" or "thread"; the presets asan and tsan set it.
# LLVM and MLIR are not instrumented, so that ASan needs
# ASAN_OPTIONS=detect_container_overflow=0:allow_user_poisoning=0, see docs/testing.md.
set(MOE_SANITIZE "" CACHE STRING "Sanitizers of the build: address,undefined or thread")
set(MOE_SANITIZE_FLAGS "")
if(MOE_SANITIZE)
  # A report ends the program: a test then fails. Types without run-time type
  # information, and calls from uninstrumented code, are not checked.
  set(MOE_SANITIZE_FLAGS -fsanitize=${MOE_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer -O1)
  if(MOE_SANITIZE MATCHES "undefined")
    list(APPEND MOE_SANITIZE_FLAGS -fno-sanitize=vptr)
  endif()
  add_compile_options(${MOE_SANITIZE_FLAGS} -g1)
  # libFuzzer is led by what the readers run through; see test/fuzz. The runtime
  # is C, and stays linkable without it.
  if(MOE_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
  endif()
  add_link_options(${MOE_SANITIZE_FLAGS})
  add_compile_definitions(MOE_SANITIZED)
endif()
