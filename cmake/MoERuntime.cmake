# MOE_RT_ABI as the header has it: it names the shared library and its package.
set(moe_rt_header "${PROJECT_SOURCE_DIR}/include/moe-mlir/Runtime/moe_rt.h")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${moe_rt_header}")
file(STRINGS "${moe_rt_header}" MOE_RT_ABI REGEX "^#define MOE_RT_ABI ")
string(REGEX REPLACE "[^0-9]" "" MOE_RT_ABI "${MOE_RT_ABI}")

# What the parts that know no LLVM need: include roots and warnings.
function(moe_plain_target name)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
endfunction()
